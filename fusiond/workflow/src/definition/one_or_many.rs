//! Serde of names: a list of them, or one alone. Not for: what they name.

use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    One(String),
    Many(Vec<String>),
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match Form::deserialize(from)? {
        Form::One(name) => vec![name],
        Form::Many(names) => names,
    })
}

pub(super) fn serialize<S: Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
    names.serialize(to)
}
