//! What a run is given: texts become what the definition says they are, and what is missing is filled in.
//!
//! Not for: where the texts come from.

use crate::definition::{Input, InputKind};
use crate::near::meant;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest value of one input.
pub const INPUT_BYTES_MAX: usize = 1 << 20;

/// The inputs of a run.
///
/// # Errors
/// A sentence for everything that is wrong.
pub fn resolve(
    declared: &BTreeMap<String, Input>,
    given: &BTreeMap<String, Value>,
) -> Result<Map<String, Value>, Vec<String>> {
    let mut problems = Vec::new();
    for name in given.keys().filter(|name| !declared.contains_key(*name)) {
        let known = declared.keys().map(String::as_str);
        let all = known.clone().collect::<Vec<_>>().join(", ");
        let otherwise = if all.is_empty() { "it takes none".to_owned() } else { format!("it takes: {all}") };
        problems.push(format!("no input \"{name}\": {}", meant(name, known, &otherwise)));
    }
    let mut resolved = Map::new();
    for (name, input) in declared {
        let value = match given.get(name) {
            Some(value) => read(input, value),
            None if input.required && input.default.is_none() => Err("is required".to_owned()),
            None => Ok(input.default.clone().unwrap_or(Value::Null)),
        };
        match value {
            Ok(value) => {
                resolved.insert(name.clone(), value);
            }
            Err(problem) => problems.push(format!("input \"{name}\" {problem}")),
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// A text as what the input is; a value that is no text already is one.
fn read(input: &Input, value: &Value) -> Result<Value, String> {
    let read = match value {
        Value::String(text) if text.len() > INPUT_BYTES_MAX => {
            return Err(format!("is longer than {INPUT_BYTES_MAX} bytes"));
        }
        Value::String(text) => convert(input.kind, text)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    };
    fits(input, &read)?;
    Ok(read)
}

fn convert(kind: InputKind, text: &str) -> Result<Value, String> {
    let wrong = |what: &str| format!("must be {what}, found {text:?}");
    match kind {
        InputKind::String => Ok(Value::String(text.to_owned())),
        InputKind::Integer => {
            text.trim().parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number"))
        }
        InputKind::Number => serde_json::from_str::<serde_json::Number>(text.trim())
            .map(Value::from)
            .map_err(|_| wrong("a number")),
        InputKind::Boolean => match text.trim() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false")),
        },
        InputKind::Json => serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}")),
    }
}

/// Whether a value is one that the input may have.
///
/// # Errors
/// Why not.
pub fn fits(input: &Input, value: &Value) -> Result<(), String> {
    let is_kind = match input.kind {
        InputKind::String => value.is_string(),
        InputKind::Integer => value.is_i64() || value.is_u64(),
        InputKind::Number => value.is_number(),
        InputKind::Boolean => value.is_boolean(),
        InputKind::Json => true,
    };
    if !is_kind {
        return Err(format!("must be of type {}, found {value}", input.kind.word()));
    }
    match &input.choices {
        Some(choices) if !choices.contains(value) => {
            let all: Vec<String> = choices.iter().map(Value::to_string).collect();
            Err(format!("must be one of {}, found {value}", all.join(", ")))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_what_is_declared_and_everything_wrong_is_said() {
        let declared: BTreeMap<String, Input> = serde_json::from_value(json!({
            "issue": {"required": true}, "n": {"type": "integer", "default": 3}, "list": {"type": "json"},
            "mode": {"enum": ["fast", "slow"], "default": "fast"},
        }))
        .unwrap();
        let given = |value: Value| serde_json::from_value::<BTreeMap<String, Value>>(value).unwrap();
        let resolved = resolve(&declared, &given(json!({"issue": "7", "list": "[1]"}))).unwrap();
        assert_eq!(Value::Object(resolved), json!({"issue": "7", "n": 3, "list": [1], "mode": "fast"}));
        let problems = resolve(&declared, &given(json!({"isue": "7", "n": "x", "mode": "slo"}))).unwrap_err();
        assert_eq!(
            problems,
            [
                "no input \"isue\": is \"issue\" meant?",
                "input \"issue\" is required",
                "input \"mode\" must be one of \"fast\", \"slow\", found \"slo\"",
                "input \"n\" must be a whole number, found \"x\"",
            ]
        );
    }
}
