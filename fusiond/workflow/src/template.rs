//! Templates: Jinja, strict. A template that is one expression yields its value, any other a text.
//!
//! What a template costs is bounded by fuel, which also pays for every byte that it makes. Not for: which names it may
//! use where (`references`).

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior};
use serde::Deserialize as _;
use std::sync::LazyLock;

/// What one template may cost: one instruction, or 64 bytes that it makes, cost one.
const FUEL: u64 = 200_000;
/// How deep macros may call one another.
const RECURSION_MAX: usize = 50;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Seq | ValueKind::Map => {
            let json = serde_json::to_string(value)
                .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            minijinja::escape_formatter(out, state, &Value::from(json))
        }
        ValueKind::Undefined
        | ValueKind::None
        | ValueKind::Bool
        | ValueKind::Number
        | ValueKind::String
        | ValueKind::Bytes
        | ValueKind::Iterable
        | ValueKind::Plain
        | ValueKind::Invalid
        | _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("shell_quote", shell_quote);
    environment
});

/// One word for a POSIX shell, whatever is in it.
fn shell_quote(_state: &State<'_, '_>, value: Value) -> Result<String, minijinja::Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Map) => serde_json::to_string(&value)
            .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?,
        None => value.to_string(),
    };
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Something is wrong with a template, or it could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line within the template, from 1.
    pub line: usize,
    /// Column within the line, from 1.
    pub column: usize,
    /// How many letters are meant.
    pub length: usize,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    fn of(error: &minijinja::Error, text: &str) -> Self {
        let range =
            error.range().filter(|range| range.end <= text.len() && text.is_char_boundary(range.start));
        let (line, column) = match &range {
            Some(range) => place(text, range.start),
            None => (error.line().unwrap_or(1), 1),
        };
        let length = range.map_or(1, |range| range.len().max(1));
        let kind = error.kind();
        let what = if kind == ErrorKind::OutOfFuel {
            "it takes too long, or makes too much"
        } else if kind == ErrorKind::UndefinedError {
            "a value that is used does not exist"
        } else {
            return Self { line, column, length, message: describe(kind, error.detail()) };
        };
        let message = error.detail().map_or_else(|| what.to_owned(), |detail| format!("{what}: {detail}"));
        Self { line, column, length, message }
    }
}

fn describe(kind: ErrorKind, detail: Option<&str>) -> String {
    let kind = kind.to_string();
    detail.map_or_else(|| kind.clone(), |detail| format!("{kind}: {detail}"))
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Line and column, from 1, of a byte of a text.
#[must_use]
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Whether anything in a text is to be filled in.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The one expression that a template is, if it is nothing else.
#[must_use]
pub fn expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    ENVIRONMENT.compile_expression_owned(inner.to_owned()).ok().map(|_| inner)
}

/// The names that a template uses and does not make itself: `nodes.plan.output.steps`.
///
/// # Errors
/// Where it is no template.
pub fn names(text: &str) -> Result<Vec<String>, Fault> {
    let environment: &Environment<'_> = &ENVIRONMENT;
    let template = environment.template_from_str(text).map_err(|error| Fault::of(&error, text))?;
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.retain(|name| !ENVIRONMENT.globals().any(|(global, _)| global == name));
    names.sort();
    Ok(names)
}

/// Whether there is a filter of this name.
#[must_use]
pub fn has_filter(name: &str) -> bool {
    let Ok(probe) = ENVIRONMENT.compile_expression_owned(format!("''|{name}")) else { return false };
    probe.eval(()).map_or_else(|error| error.kind() != ErrorKind::UnknownFilter, |_| true)
}

/// The text of a template.
///
/// # Errors
/// What could not be filled in, and where.
pub fn text(template: &str, context: &serde_json::Value) -> Result<String, Fault> {
    if !is_template(template) {
        return Ok(template.to_owned());
    }
    let context = of_json(context);
    ENVIRONMENT.render_str(template, context).map_err(|error| Fault::of(&error, template))
}

/// The value of a template that is one expression, or the text of any other.
///
/// # Errors
/// What could not be filled in, and where.
pub fn value(template: &str, context: &serde_json::Value) -> Result<serde_json::Value, Fault> {
    let Some(inner) = expression(template) else {
        return text(template, context).map(serde_json::Value::String);
    };
    // An expression would hand out what does not exist as nothing; a text does not.
    let fault = |error: &minijinja::Error| Fault { line: 1, column: 1, length: 1, ..Fault::of(error, inner) };
    let compiled = ENVIRONMENT.compile_expression_owned(inner.to_owned()).map_err(|error| fault(&error))?;
    let found = compiled.eval(of_json(context)).map_err(|error| fault(&error))?;
    if found.is_undefined() {
        let message = format!("a value that is used does not exist: {}", inner.trim());
        return Err(Fault { line: 1, column: 1, length: 1, message });
    }
    serde_json::to_value(&found).map_err(|error| Fault {
        line: 1,
        column: 1,
        length: 1,
        message: error.to_string(),
    })
}

fn of_json(value: &serde_json::Value) -> Value {
    Value::deserialize(value).expect("every JSON value is a value of a template")
}

/// Whether a value counts as true: everything but false, nothing, zero, and what is empty.
#[must_use]
pub fn is_true(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Bool(value) => *value,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !matches!(text.trim(), "" | "false" | "False"),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(map) => !map.is_empty(),
    }
}

/// What stands between the braces of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Where it begins, in bytes.
    pub at: usize,
    /// All of it, with its braces.
    pub text: &'a str,
}

/// The tags of a template, in order; comments are left out.
#[must_use]
pub fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        let close = match text[open..].get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            Some(_) | None => {
                at = open + 1;
                continue;
            }
        };
        let Some(length) = text[open + 2..].find(close) else { break };
        let end = open + 2 + length + 2;
        if close != "#}" {
            tags.push(Tag { at: open, text: &text[open..end] });
        }
        at = end;
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_expression_yields_its_value_and_anything_else_a_text() {
        let context = json!({"nodes": {"a": {"output": {"steps": [1, "x"], "n": 3}}}});
        assert_eq!(value("{{ nodes.a.output.steps }}", &context), Ok(json!([1, "x"])));
        assert_eq!(value("{{ nodes.a.output.n > 2 }}", &context), Ok(json!(true)));
        assert_eq!(value("n={{ nodes.a.output.n }}", &context), Ok(json!("n=3")));
        assert_eq!(
            text("{{ nodes.a.output }} {{ nodes.a.output.steps }}", &context),
            Ok(r#"{"n":3,"steps":[1,"x"]} [1,"x"]"#.into())
        );
        assert_eq!(expression("{{ a }} and {{ b }}"), None);
    }

    #[test]
    fn what_does_not_exist_is_a_fault_with_its_place() {
        let fault = text("one\ntwo {{ nodes.b.output }}", &json!({"nodes": {}})).unwrap_err();
        assert_eq!((fault.line, fault.message.contains("does not exist")), (2, true));
        assert!(value("{{ nodes.b }}", &json!({"nodes": {}})).is_err());
    }

    #[test]
    fn what_costs_too_much_ends() {
        for bomb in [
            "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
            "{{ 'x' * 100000000 }}",
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        ] {
            assert!(text(bomb, &json!({})).is_err(), "{bomb}");
        }
    }

    #[test]
    fn a_quoted_word_is_one_word_of_a_shell() {
        assert_eq!(text("{{ a | shell_quote }}", &json!({"a": "it's $(x)"})), Ok(r"'it'\''s $(x)'".into()));
        assert!(has_filter("shell_quote") && has_filter("upper") && !has_filter("uper"));
    }

    #[test]
    fn names_are_found_with_what_follows_them() {
        let found = names(
            "{{ nodes.a.output.x }}{% for i in inputs.list %}{{ i.y }}{{ loop.index }}{% endfor %}{{ range(3) }}",
        );
        assert_eq!(found, Ok(vec!["inputs.list".to_owned(), "nodes.a.output.x".to_owned()]));
    }
}
