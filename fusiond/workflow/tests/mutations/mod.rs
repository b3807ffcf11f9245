//! A definition with one value in it replaced by another, for each value and many others.

use serde_json::{Value, json};

/// A definition in which one value is another.
pub(crate) struct Mutation {
    /// Which, and by what it was replaced.
    pub(crate) what: String,
    /// All of it.
    pub(crate) whole: Value,
}

/// All of one definition.
pub(crate) fn of(whole: &Value) -> impl Iterator<Item = Mutation> {
    let mut places = Vec::new();
    walk(whole, String::new(), &mut places);
    places.into_iter().flat_map(move |place| {
        others().into_iter().map(move |other| {
            let mut whole = whole.clone();
            let what = format!("{place} as {other}");
            *whole.pointer_mut(&place).expect("it was found there") = other;
            Mutation { what, whole }
        })
    })
}

fn others() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(3),
        json!(-1.5),
        json!(100_000_000),
        json!(""),
        json!("two words"),
        json!("word"),
        json!([]),
        json!([null, [], {}]),
        json!(["word", "other"]),
        json!({}),
        json!({"other": {"more": 1}}),
    ]
}

fn walk(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, format!("{place}/{at}"), places);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                walk(value, format!("{place}/{name}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(place);
}
