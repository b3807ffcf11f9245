//! The JSON Schema of definitions, for editors, and checking values against the schemas of users.
//!
//! Not for: the rules that a schema cannot say (`check`).

mod graph;

use crate::shape::{NAME_BYTES_MAX, Need, Object, Shape};
use crate::words;
use graph::{Graph, STEPS_MAX};
use serde_json::{Map, Value, json};

/// The published schema.
#[must_use]
pub fn published() -> Value {
    let mut schema = of_object(&words::DEFINITION);
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!("A workflow of fusiond"));
    }
    schema
}

fn of_object(object: &Object) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        let mut schema = of_shape(&field.shape);
        if let Value::Object(map) = &mut schema {
            map.insert("description".to_owned(), json!(field.about));
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let needed = object.fields.iter().filter(|field| field.need == Need::Always);
    let needed: Vec<&str> = needed.map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    if !object.one_of.is_empty() {
        schema["oneOf"] = object.one_of.iter().map(|name| json!({"required": [name]})).collect();
    }
    schema
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Template => json!({"type": ["string", "number", "boolean"]}),
        Shape::Name => {
            json!({"type": ["string", "boolean"], "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": NAME_BYTES_MAX})
        }
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Amount(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
        Shape::Duration => json!({"type": "string", "pattern": "^([0-9.]+(ms|s|m|h|d))+$"}),
        Shape::Timeout => {
            json!({"type": "string", "pattern": "^([0-9.]+(ms|s|m|h|d))+$", "not": {"pattern": "^[^1-9]*$"}})
        }
        Shape::Words(words) => json!({"enum": words}),
        Shape::List(of, most) => json!({"type": "array", "items": of_shape(of), "maxItems": most}),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": of_shape(of)}),
        Shape::Object(object) => of_object(object),
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(|shape| of_shape(shape)).collect::<Vec<_>>()})
        }
        Shape::Any => json!({}),
    }
}

/// A schema that a user wrote, ready to check values.
#[derive(Debug)]
pub struct Checker {
    validator: jsonschema::Validator,
    graph: Graph,
}

/// Why a value is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not what the schema says.
    #[error("does not have its schema: {0}")]
    Breaks(String),
    /// It was not checked.
    #[error(
        "takes more than {STEPS_MAX} steps to be checked, or goes too deep: make it smaller, or its schema simpler"
    )]
    TooMuch,
}

impl Checker {
    /// Reads a schema. It may name no other file, and what it takes to check a value with it is bounded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(schema: &Value) -> Result<Self, String> {
        // First: what is built of a schema may be far larger than the schema.
        let graph = Graph::of(schema)?;
        let patterns = jsonschema::PatternOptions::regex().size_limit(1 << 20);
        let built = jsonschema::options().with_pattern_options(patterns).build(schema);
        let validator = built.map_err(|error| error.to_string())?;
        Ok(Self { validator, graph })
    }

    /// How many patterns it has.
    #[must_use]
    pub const fn patterns(&self) -> usize {
        self.graph.patterns
    }

    /// What is wrong with a value; `None`: nothing.
    #[must_use]
    pub fn fault(&self, value: &Value) -> Option<Fault> {
        if self.graph.afford(value).is_err() {
            return Some(Fault::TooMuch);
        }
        let error = self.validator.validate(value).err()?;
        let at = error.instance_path().to_string();
        let at = if at.is_empty() { "the value".to_owned() } else { at };
        let message: String = error.to_string().chars().take(300).collect();
        Some(Fault::Breaks(format!("{at}: {message}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/reference/workflow.schema.json");
        let fresh = format!("{:#}\n", published());
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == fresh,
            "docs/reference/workflow.schema.json differs from the words: run cargo xtask docs"
        );
    }

    #[test]
    fn the_published_schema_takes_what_the_reader_takes() {
        let checker = Checker::new(&published()).unwrap();
        let good = json!({"name": "a", "nodes": [{"id": "x", "run": ["true"], "needs": "y"}, {"id": "y", "wait": "1s"}]});
        assert_eq!(checker.fault(&good), None);
        assert!(checker.fault(&json!({"name": "a", "nodes": [{"id": "x", "promt": "p"}]})).is_some());
    }

    #[test]
    fn a_schema_names_no_other_file_and_says_what_is_wrong() {
        assert!(Checker::new(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(Checker::new(&json!({"$ref": "https://example.org/x.json"})).is_err());
        let checker = Checker::new(&json!({"type": "object", "required": ["steps"]})).unwrap();
        let missing = "the value: \"steps\" is a required property".to_owned();
        assert_eq!(checker.fault(&json!({})), Some(Fault::Breaks(missing)));
    }

    /// Parts `a0` to `aN`, of which each applies the one before twice.
    fn doubling(last: usize) -> Value {
        let mut parts = json!({"a0": {"type": "string"}});
        for number in 1..=last {
            let before = json!({"$ref": format!("#/$defs/a{}", number - 1)});
            parts[format!("a{number}")] = json!({"allOf": [before, before]});
        }
        json!({"$ref": format!("#/$defs/a{last}"), "$defs": parts})
    }

    fn refusal(schema: &Value) -> String {
        Checker::new(schema).expect_err("it is refused")
    }

    #[test]
    fn a_schema_that_grows_without_bound_when_its_references_are_followed_is_refused() {
        assert!(refusal(&doubling(30)).contains("more than 100000 parts"), "{}", refusal(&doubling(30)));
        let checker = Checker::new(&doubling(8)).unwrap();
        assert_eq!(checker.fault(&json!("a")), None);
        assert!(matches!(checker.fault(&json!(1)), Some(Fault::Breaks(_))));
    }

    #[test]
    fn a_schema_may_go_into_the_value_without_end_but_not_stand_still() {
        let list = json!({"properties": {"next": {"$ref": "#"}, "id": {"type": "integer"}}});
        let checker = Checker::new(&list).unwrap();
        let mut value = json!({"id": "wrong"});
        for id in 0..120 {
            value = json!({"id": id, "next": value});
        }
        assert!(matches!(checker.fault(&value), Some(Fault::Breaks(_))));
        for still in [
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
        ] {
            assert!(refusal(&still).contains("leads back to itself"), "{still}");
        }
        let mut chain = json!({"a0": true});
        for number in 1..5000 {
            chain[format!("a{number}")] = json!({"$ref": format!("#/$defs/a{}", number - 1)});
        }
        let chain = json!({"$ref": "#/$defs/a4999", "$defs": chain});
        assert!(refusal(&chain).contains("one out of the other"), "{}", refusal(&chain));
    }

    #[test]
    fn a_value_that_takes_too_long_is_not_checked() {
        let twice = json!({"properties": {"a": {"$ref": "#"}}});
        let twice = Checker::new(&json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}, twice]})).unwrap();
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
        assert_eq!(twice.fault(&nested(8)), None);
        assert_eq!(twice.fault(&nested(40)), Some(Fault::TooMuch));
        let any = json!({"items": {"anyOf": vec![json!({"const": 1}); 1000]}});
        let any = Checker::new(&any).unwrap();
        assert_eq!(any.fault(&json!(vec![1; 10])), None);
        assert_eq!(any.fault(&json!(vec![2; 100_000])), Some(Fault::TooMuch));
        let plain = json!({"items": {"type": "object", "properties": {"a": {"type": "integer"}}}});
        assert_eq!(Checker::new(&plain).unwrap().fault(&json!(vec![json!({"a": 1}); 200_000])), None);
        let deep = json!({"allOf": [{"anyOf": [{"oneOf": [{"properties": {"a": {"$ref": "#"}}}]}]}]});
        let deep = Checker::new(&deep).unwrap();
        assert_eq!(deep.fault(&nested(90)), None, "as deep as it goes, and the stack holds it");
        assert_eq!(deep.fault(&nested(120)), Some(Fault::TooMuch));
    }

    #[test]
    fn a_pattern_that_is_too_long_is_refused_where_it_stands() {
        let long = r"\w".repeat(513);
        assert!(Checker::new(&json!({"pattern": &long[..1024]})).is_ok());
        let refused = refusal(&json!({"properties": {"a": {"pattern": long}}}));
        assert_eq!(refused, "/properties/a/pattern: a pattern of 1026 bytes, expected at most 1024");
        let refused = refusal(&json!({"$defs": {"b": {"patternProperties": {long: true}}}}));
        assert!(refused.starts_with("/$defs/b/patternProperties: a pattern of"), "{refused}");
        let many: Vec<Value> = (0..101).map(|number| json!({"pattern": format!("{number}")})).collect();
        assert!(refusal(&json!({"anyOf": many})).contains("more than 100 patterns"));
    }

    #[test]
    fn a_reference_stays_within_the_schema_whatever_stands_around_it() {
        let named = json!({"$ref": "#word", "$defs": {"a b": {"$anchor": "word", "type": "string"}}});
        assert!(Checker::new(&named).unwrap().fault(&json!(1)).is_some());
        let pointed = json!({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "string"}}});
        assert!(Checker::new(&pointed).unwrap().fault(&json!(1)).is_some());
        let within = json!({"$ref": "#/x/y", "x": {"$id": "http://x", "y": {"$ref": "#/z"}, "z": doubling(60)}, "z": true});
        assert!(refusal(&within).contains("is no part of this schema"), "{}", refusal(&within));
        let own = json!({"properties": {"a": {"$id": "http://x"}, "$id": {"type": "string"}}});
        assert_eq!(refusal(&own), "/properties/a/$id: only the whole schema has one, remove it");
        let property = json!({"$id": "http://x", "properties": {"$id": {"type": "string"}}});
        assert!(Checker::new(&property).is_ok());
    }
}
