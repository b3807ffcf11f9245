//! A profile as JSON, as a row and as fields.
//!
//! Not for: reading profiles; the daemon does.

use fusion_proto::v1;
use serde::Serialize;

use crate::output::{Listed, Shown};
use crate::table::Cell;

/// A named template of agents.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    prompt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    home: String,
    capabilities: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    sandbox: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    result: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    usage: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    toml: String,
}

impl Profile {
    /// As a file of profiles has it, with where it is from.
    pub(crate) fn text(&self) -> String {
        format!("# {}\n{}", self.source, self.toml.trim_end())
    }
}

impl From<v1::Profile> for Profile {
    fn from(profile: v1::Profile) -> Self {
        Self {
            name: profile.name,
            kind: profile.kind,
            command: profile.command,
            prompt: profile.prompt,
            home: profile.home,
            capabilities: profile.capabilities,
            sandbox: profile.sandbox,
            result: profile.result,
            usage: profile.usage,
            tokens: profile.tokens,
            source: profile.source,
            description: profile.description,
            toml: profile.toml,
        }
    }
}

impl Listed for Profile {
    const HEADER: &'static [&'static str] = &["NAME", "KIND", "CAPABILITIES", "SOURCE", "DESCRIPTION"];
    const LEAST: &'static [&'static str] = &["SOURCE", "KIND", "CAPABILITIES"];
    const NONE: &'static str = "profiles";

    fn id(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            self.name.as_str().into(),
            self.kind.as_str().into(),
            self.capabilities.join(",").into(),
            self.source.as_str().into(),
            self.description.as_str().into(),
        ]
    }
}

impl Shown for Profile {
    fn id(&self) -> &str {
        &self.name
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        vec![("Source", self.source.as_str().into()), ("TOML", self.toml.as_str().into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn a_profile_as_json() {
        let profile = Profile::from(v1::Profile {
            name: "shell".to_owned(),
            kind: "exec".to_owned(),
            command: vec!["/bin/sh".to_owned()],
            source: "built in".to_owned(),
            ..v1::Profile::default()
        });
        assert_eq!(
            json_line(&profile),
            r#"{"name":"shell","kind":"exec","command":["/bin/sh"],"capabilities":[],"source":"built in"}"#
        );
        assert_eq!(profile.row().len(), Profile::HEADER.len());
    }
}
