//! The JSON Schema of definitions, for editors, and checking values against the schemas of users.
//!
//! Not for: the rules that a schema cannot say (`check`).

use crate::shape::{NAME_BYTES_MAX, Need, Object, Shape};
use crate::words;
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
pub struct Checker(jsonschema::Validator);

impl Checker {
    /// Reads a schema. It may name no other file, and its patterns are matched in time that grows with the text alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let patterns = jsonschema::PatternOptions::regex().size_limit(1 << 20);
        let built = jsonschema::options().with_pattern_options(patterns).build(schema);
        built.map(Self).map_err(|error| error.to_string())
    }

    /// What is wrong with a value, in one sentence; `None`: nothing.
    #[must_use]
    pub fn fault(&self, value: &Value) -> Option<String> {
        let error = self.0.iter_errors(value).next()?;
        let at = error.instance_path().to_string();
        let at = if at.is_empty() { "the value".to_owned() } else { at };
        let message: String = error.to_string().chars().take(300).collect();
        Some(format!("{at}: {message}"))
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
        assert_eq!(checker.fault(&json!({})), Some("the value: \"steps\" is a required property".to_owned()));
    }
}
