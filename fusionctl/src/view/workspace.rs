//! A workspace as JSON, as a row and as fields.
//!
//! Not for: its content.

use fusion_proto::v1;
use serde::Serialize;

use super::word::{age, is_false, short_id, time, tone, with_age, word};
use crate::output::{Listed, Shown};
use crate::table::Cell;

/// A workspace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workspace {
    agent: String,
    name: String,
    user: String,
    state: String,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
}

/// What it was filled with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seed {
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reference: String,
    #[serde(skip_serializing_if = "is_false")]
    worktree: bool,
}

impl Seed {
    fn words(&self) -> String {
        let reference =
            if self.reference.is_empty() { String::new() } else { format!("#{}", self.reference) };
        let worktree = if self.worktree { " (worktree)" } else { "" };
        format!("{}{reference}{worktree}", self.source)
    }
}

impl From<v1::Workspace> for Workspace {
    fn from(workspace: v1::Workspace) -> Self {
        Self {
            agent: workspace.agent,
            name: workspace.name,
            user: workspace.user,
            state: word::<v1::WorkspaceState>(workspace.state),
            path: workspace.path,
            seed: workspace.seed.map(|seed| Seed {
                source: seed.source,
                reference: seed.reference,
                worktree: seed.worktree,
            }),
            create_time: time(workspace.create_time),
            expire_time: time(workspace.expire_time),
        }
    }
}

impl Listed for Workspace {
    const HEADER: &'static [&'static str] = &["AGENT", "NAME", "USER", "STATE", "AGE", "PATH"];
    const LEAST: &'static [&'static str] = &["USER", "AGE"];

    fn id(&self) -> &str {
        &self.agent
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            short_id(&self.agent).into(),
            self.name.as_str().into(),
            self.user.as_str().into(),
            Cell::toned(&self.state, tone(&self.state)),
            age(self.create_time.as_deref()).into(),
            self.path.as_str().into(),
        ]
    }
}

impl Shown for Workspace {
    fn id(&self) -> &str {
        &self.agent
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("Agent", self.agent.as_str().into()),
            ("Name", self.name.as_str().into()),
            ("User", self.user.as_str().into()),
            ("State", Cell::toned(&self.state, tone(&self.state))),
            ("Path", self.path.as_str().into()),
            ("From", self.seed.as_ref().map(Seed::words).unwrap_or_default().into()),
            ("Created", with_age(self.create_time.as_deref()).into()),
            ("Expires", self.expire_time.as_deref().unwrap_or_default().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let workspace = Workspace::from(v1::Workspace::default());
        assert_eq!(workspace.row().len(), Workspace::HEADER.len());
    }
}
