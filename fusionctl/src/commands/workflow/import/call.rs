//! How a command of spec-kit is called by the agent that a project is set up for: `speckit.git.commit` is
//! `/speckit.git.commit` for one, and `$speckit-git-commit` for another.
//!
//! Not for: what the command does.

use std::path::Path;

use serde_json::Value;

use crate::files;

/// The files in the project's `.specify` that say it, newest form first.
const STATE: &str = "integration.json";
const OPTIONS: &str = "init-options.json";
/// Those files have a few lines.
const FILE_BYTES_MAX: usize = 256 << 10;

/// How commands are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    /// `/speckit.git.commit`
    #[default]
    Command,
    /// `/speckit-git-commit`
    Skill,
    /// `$speckit-git-commit`
    Dollar,
    /// `/skill:speckit-git-commit`
    Colon,
}

impl Style {
    /// As the files in `.specify` say; what is wrong with them, in words.
    pub(super) fn of(specify: &Path) -> Result<Self, String> {
        if let Some(state) = object(specify, STATE)? {
            let key = ["default_integration", "integration"].iter().find_map(|name| state[*name].as_str());
            let separator =
                key.and_then(|key| state["integration_settings"][key]["invoke_separator"].as_str());
            if let (Some(key), Some(separator)) = (key, separator) {
                return Ok(Self::new(key, separator == "-"));
            }
        }
        let Some(options) = object(specify, OPTIONS)? else { return Ok(Self::default()) };
        let key = options["ai"].as_str().unwrap_or_default();
        Ok(Self::new(key, options["ai_skills"] == true))
    }

    fn new(key: &str, is_skill: bool) -> Self {
        match key {
            _ if !is_skill => Self::Command,
            "codex" | "zcode" | "command-code" => Self::Dollar,
            "kimi" => Self::Colon,
            _ => Self::Skill,
        }
    }

    /// The words that call it.
    pub(super) fn call(self, command: &str) -> String {
        let before = match self {
            Self::Skill => "/",
            Self::Dollar => "$",
            Self::Colon => "/skill:",
            Self::Command => return format!("/{command}"),
        };
        if command.starts_with("speckit.") {
            format!("{before}{}", command.replace('.', "-"))
        } else {
            format!("/{command}")
        }
    }
}

fn object(specify: &Path, name: &str) -> Result<Option<Value>, String> {
    let wrong = |why: String| format!(".specify/{name}: {why}");
    let bytes = files::read(&specify.join(name), FILE_BYTES_MAX).map_err(|error| wrong(error.to_string()))?;
    bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(state: &str, options: &str) -> Result<Style, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [(STATE, state), (OPTIONS, options)] {
            if !text.is_empty() {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
        }
        Style::of(folder.path())
    }

    fn state(key: &str, separator: &str) -> String {
        format!(
            r#"{{"integration":"{key}","integration_settings":{{"{key}":{{"invoke_separator":"{separator}"}}}}}}"#
        )
    }

    #[test]
    fn commands_are_called_as_the_agent_of_the_project_knows_them() {
        for (key, separator, called) in [
            ("claude", "-", "/speckit-git-commit"),
            ("gemini", ".", "/speckit.git.commit"),
            ("codex", "-", "$speckit-git-commit"),
            ("kimi", "-", "/skill:speckit-git-commit"),
        ] {
            assert_eq!(
                style(&state(key, separator), "").unwrap().call("speckit.git.commit"),
                called,
                "{key}"
            );
        }
        assert_eq!(style("", "").unwrap(), Style::Command);
        assert_eq!(style("", r#"{"ai": "claude", "ai_skills": true}"#).unwrap(), Style::Skill);
        assert_eq!(style("{}", r#"{"ai": "claude"}"#).unwrap(), Style::Command);
        assert_eq!(style("[1]", "").unwrap(), Style::Command);
        assert_eq!(Style::Dollar.call("other.command"), "/other.command");
        assert!(style("{", "").unwrap_err().starts_with(".specify/integration.json: EOF"));
    }
}
