//! A secret as JSON, as a row and as fields; and how one is asked for: `NAME` or `NAME=VARIABLE`.
//!
//! Not for: values, which the daemon never tells.

use fusion_proto::v1;
use serde::Serialize;

use super::word::{age, time, with_age};
use crate::output::{Listed, Shown};
use crate::table::Cell;

/// A secret without its value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secret {
    name: String,
    /// Of the present value; people and arguments use the name.
    #[serde(rename = "id", skip_serializing_if = "String::is_empty")]
    value: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_time: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<String>,
}

impl From<v1::Secret> for Secret {
    fn from(secret: v1::Secret) -> Self {
        Self {
            name: secret.name,
            value: secret.id,
            user: secret.user,
            set_time: time(secret.set_time),
            agents: secret.agents,
        }
    }
}

impl Listed for Secret {
    const HEADER: &'static [&'static str] = &["NAME", "USER", "SET", "AGENTS"];
    const NONE: &'static str = "secrets";

    fn id(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            self.name.as_str().into(),
            self.user.as_str().into(),
            age(self.set_time.as_deref()).into(),
            self.agents.len().to_string().into(),
        ]
    }
}

impl Shown for Secret {
    fn id(&self) -> &str {
        &self.name
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("Name", self.name.as_str().into()),
            ("User", self.user.as_str().into()),
            ("Set", with_age(self.set_time.as_deref()).into()),
        ]
    }
}

/// Reads `NAME` or `NAME=VARIABLE`.
pub(crate) fn parse_secret(text: &str) -> Result<v1::SecretUse, String> {
    let (name, env) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() || (env.is_empty() && text.contains('=')) {
        return Err("expected NAME or NAME=VARIABLE".to_owned());
    }
    Ok(v1::SecretUse { name: name.to_owned(), env: env.to_owned() })
}

/// As it was asked for.
pub(crate) fn uses(asked: Vec<v1::SecretUse>) -> Vec<String> {
    let text = |wanted: v1::SecretUse| match wanted.env == wanted.name {
        true => wanted.name,
        false => format!("{}={}", wanted.name, wanted.env),
    };
    asked.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_asked_for_by_name_and_perhaps_variable() {
        let parse = |text| parse_secret(text).map(|wanted| (wanted.name, wanted.env));
        assert_eq!(parse("TOKEN"), Ok(("TOKEN".to_owned(), String::new())));
        assert_eq!(parse("gh=GH_TOKEN"), Ok(("gh".to_owned(), "GH_TOKEN".to_owned())));
        assert!(parse("=X").is_err() && parse("gh=").is_err() && parse("").is_err());
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        assert_eq!(Secret::from(v1::Secret::default()).row().len(), Secret::HEADER.len());
    }
}
