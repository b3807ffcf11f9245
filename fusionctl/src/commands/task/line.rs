//! A line of a task file: JSON in, a request out, or the words of its refusal.
//!
//! For: shape and spelling. Not for: limits, names and rules that only the daemon knows.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use fusion_proto::v1::{OnLost, SubmitTaskRequest};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::store::PROMPT_BYTES_MAX;
use crate::near::nearest;
use crate::units::{parse_duration, parse_instant};
use crate::view::secret::parse_secret;
use crate::view::word::{parse_word, wire_duration, wire_time};

/// The keys a line may have.
const KEYS: [&str; 19] = [
    "prompt",
    "run",
    "capabilities",
    "agent",
    "priority",
    "timeout",
    "idleTimeout",
    "queueTimeout",
    "retries",
    "after",
    "key",
    "labels",
    "env",
    "onLost",
    "notBefore",
    "concurrencyKey",
    "hold",
    "secrets",
    "workdir",
];

/// Reads one line, which is not empty. `now` is what a relative `notBefore` starts from.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<SubmitTaskRequest, String> {
    let Fields(fields) =
        serde_json::from_str::<Fields<Field>>(text).map_err(|error| match error.is_data() {
            true => "not a JSON object such as {\"prompt\": \"…\"}".to_owned(),
            false => format!("not valid JSON: {}", without_line(&error)),
        })?;
    let mut seen = HashSet::new();
    let mut request = SubmitTaskRequest::default();
    let mut contents = 0;
    for (key, field) in fields {
        if !seen.insert(key.clone()) {
            return Err(format!("{key:?} is given twice"));
        }
        let value = field.value().map_err(|twice| format!("{key:?}: {twice:?} is given twice"))?;
        contents += u32::from(matches!(key.as_str(), "prompt" | "run"));
        set(&mut request, &key, value, now)?;
    }
    match contents {
        1 => Ok(request),
        0 => Err("neither \"prompt\" nor \"run\" is given".to_owned()),
        _ => Err("\"prompt\" and \"run\" are both given; a task has one of them".to_owned()),
    }
}

/// What stands behind a key. Of an object all fields are kept, as names must not stand twice in it either.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Object(Fields<Value>),
    Other(Value),
}

impl Field {
    /// The value, or the key that stands twice in it.
    fn value(self) -> Result<Value, String> {
        let Fields(fields) = match self {
            Self::Object(fields) => fields,
            Self::Other(value) => return Ok(value),
        };
        let mut object = Map::new();
        for (key, value) in fields {
            if object.contains_key(&key) {
                return Err(key);
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The fields of an object, with those that stand there twice.
struct Fields<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
            type Value = Fields<V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<V>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Reader(PhantomData))
    }
}

fn set(request: &mut SubmitTaskRequest, key: &str, value: Value, now: Timestamp) -> Result<(), String> {
    let quoted = |problem: String| format!("{key:?}: {problem}");
    let time = |value| -> Result<_, String> {
        let text = string(value, "a duration such as \"10m\"")?;
        parse_duration(&text).map(wire_duration).map(Some)
    };
    match key {
        "prompt" => request.prompt = prompt(value).map_err(quoted)?,
        "run" => request.run = command(value).map_err(quoted)?,
        "capabilities" => request.capabilities = strings(value).map_err(quoted)?,
        "agent" => request.agent = string(value, "a string").map_err(quoted)?,
        "priority" => request.priority = Some(number(&value, 9).map_err(quoted)?),
        "timeout" => request.timeout = time(value).map_err(quoted)?,
        "idleTimeout" => request.idle_timeout = time(value).map_err(quoted)?,
        "queueTimeout" => request.queue_timeout = time(value).map_err(quoted)?,
        "retries" => request.retries = Some(number(&value, u32::MAX).map_err(quoted)?),
        "after" => request.after = strings(value).map_err(quoted)?,
        "concurrencyKey" => request.concurrency_key = string(value, "a string").map_err(quoted)?,
        "workdir" => request.workdir = string(value, "an absolute path").map_err(quoted)?,
        "hold" => request.hold = flag(&value).map_err(quoted)?,
        "key" => {
            request.key = string(value, "a string").map_err(quoted)?;
            if request.key.is_empty() {
                return Err(quoted("expected a key that is not empty".to_owned()));
            }
        }
        "labels" => request.labels = pairs(value).map_err(quoted)?,
        "env" => request.env = pairs(value).map_err(quoted)?,
        "onLost" => {
            let text = string(value, "review, retry or fail").map_err(quoted)?;
            request.on_lost = parse_word::<OnLost>(&text).map_err(quoted)?.into();
        }
        "notBefore" => {
            let text = string(value, "a time").map_err(quoted)?;
            request.not_before = Some(wire_time(parse_instant(&text, now).map_err(quoted)?));
        }
        "secrets" => {
            let names = strings(value).map_err(quoted)?;
            request.secrets =
                names.iter().map(|name| parse_secret(name)).collect::<Result<_, _>>().map_err(quoted)?;
        }
        _ => return Err(unknown(key)),
    }
    Ok(())
}

fn string(value: Value, expected: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("expected {expected}"))
        }
    }
}

fn prompt(value: Value) -> Result<String, String> {
    let text = string(value, "a string")?;
    if text.len() > PROMPT_BYTES_MAX {
        return Err(format!("it has {} bytes; at most {PROMPT_BYTES_MAX} are taken", text.len()));
    }
    Ok(text)
}

fn command(value: Value) -> Result<Vec<String>, String> {
    let words = strings(value).map_err(|_| "expected a list such as [\"make\", \"check\"]".to_owned())?;
    if words.is_empty() { Err("the command is empty".to_owned()) } else { Ok(words) }
}

fn strings(value: Value) -> Result<Vec<String>, String> {
    let expected = || "expected a list of strings".to_owned();
    let Value::Array(items) = value else { return Err(expected()) };
    items.into_iter().map(|item| string(item, "").map_err(|_| expected())).collect()
}

fn pairs(value: Value) -> Result<HashMap<String, String>, String> {
    let expected = || "expected an object of strings such as {\"name\": \"value\"}".to_owned();
    let Value::Object(items) = value else { return Err(expected()) };
    items.into_iter().map(|(key, item)| Ok((key, string(item, "").map_err(|_| expected())?))).collect()
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "expected true or false".to_owned())
}

fn number(value: &Value, most: u32) -> Result<u32, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| *number <= most).ok_or_else(|| format!("expected a whole number from 0 to {most}"))
}

fn unknown(key: &str) -> String {
    match nearest(key, KEYS) {
        Some(near) => format!("unknown key {key:?}; the nearest known key is {near:?}"),
        None => format!("unknown key {key:?}; known are {}", KEYS.join(", ")),
    }
}

/// The parser counts lines from the start of what it was given, which here is always one line.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} at column {column}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SubmitTaskRequest, String> {
        parse(text, "2030-01-31T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_full_line_is_read() {
        let request = read(
            r#"{"prompt": "p", "capabilities": ["sh"], "agent": "a", "priority": 0, "timeout": "10m",
                "idleTimeout": "1.5s", "queueTimeout": "1h", "retries": 1, "after": ["key:k1"], "key": "k2",
                "labels": {"k": "v"}, "env": {"A": "b"}, "onLost": "retry", "notBefore": "10m",
                "concurrencyKey": "deploy", "hold": true}"#,
        )
        .unwrap();
        assert_eq!((request.prompt.as_str(), request.agent.as_str(), request.key.as_str()), ("p", "a", "k2"));
        assert_eq!((request.priority, request.retries, request.on_lost()), (Some(0), Some(1), OnLost::Retry));
        assert_eq!(request.idle_timeout, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
        assert_eq!((request.labels["k"].as_str(), request.env["A"].as_str()), ("v", "b"));
        assert_eq!((request.concurrency_key.as_str(), request.hold), ("deploy", true));
        assert_eq!(request.not_before.map(|at| at.seconds), Some(1_896_077_400));
        assert_eq!(read(r#"{"run": ["ls", "-l"]}"#).unwrap().run, ["ls", "-l"]);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let refusal = |text| read(text).unwrap_err();
        assert_eq!(
            refusal(r#"{"prompt": "p", "proirity": 3}"#),
            "unknown key \"proirity\"; the nearest known key is \"priority\""
        );
        for (wrong, right) in
            [("idle_timeout", "idleTimeout"), ("capability", "capabilities"), ("not-before", "notBefore")]
        {
            assert_eq!(nearest(wrong, KEYS), Some(right), "{wrong}");
        }
        let far = refusal(r#"{"prompt": "p", "colour": "red"}"#);
        assert!(far.starts_with("unknown key \"colour\"; known are prompt, run, capabilities"), "{far}");
    }

    #[test]
    fn wrong_lines_are_refused_in_words() {
        for (text, words) in [
            ("{\"prompt\": ", "not valid JSON: EOF while parsing a value at column"),
            ("[1]", "not a JSON object"),
            ("{}", "neither \"prompt\" nor \"run\""),
            (r#"{"prompt": "p", "run": ["a"]}"#, "both given"),
            (r#"{"run": []}"#, "\"run\": the command is empty"),
            (r#"{"run": "ls"}"#, "\"run\": expected a list"),
            (r#"{"prompt": "p", "priority": 10}"#, "\"priority\": expected a whole number from 0 to 9"),
            (r#"{"prompt": "p", "retries": -1}"#, "\"retries\": expected a whole number"),
            (r#"{"prompt": "p", "key": "a", "key": "b"}"#, "\"key\" is given twice"),
            (r#"{"prompt": "p", "key": ""}"#, "\"key\": expected a key that is not empty"),
            (r#"{"prompt": "p", "timeout": 10}"#, "\"timeout\": expected a duration such as \"10m\""),
            (r#"{"prompt": "p", "timeout": "10"}"#, "\"timeout\": \"10\" is not a duration"),
            (r#"{"prompt": "p", "labels": {"a": 1}}"#, "\"labels\": expected an object of strings"),
            (
                r#"{"prompt": "p", "labels": {"a": "1", "b": "2", "a": "3"}}"#,
                "\"labels\": \"a\" is given twice",
            ),
            (r#"{"prompt": "p", "env": {"A": "1", "A": "1"}}"#, "\"env\": \"A\" is given twice"),
            (r#"{"prompt": {"a": 1}}"#, "\"prompt\": expected a string"),
            (r#"{"prompt": "p", "onLost": "never"}"#, "\"onLost\": \"never\" is none of review, retry, fail"),
            (r#"{"prompt": "p", "hold": "yes"}"#, "\"hold\": expected true or false"),
            (r#"{"prompt": null}"#, "\"prompt\": expected a string"),
        ] {
            let refusal = read(text).unwrap_err();
            assert!(refusal.starts_with(words) || refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn an_empty_prompt_is_for_the_daemon_to_judge() {
        assert_eq!(read(r#"{"prompt": ""}"#).unwrap().prompt, "");
    }
}
