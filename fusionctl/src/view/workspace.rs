//! A workspace as JSON, as a row and as fields.
//!
//! Not for: its content.

use fusion_proto::v1;
use serde::Serialize;

use super::word::{age, is_false, is_zero, short_id, time, tone, with_age, word};
use crate::output::{Listed, Shown};
use crate::table::{Cell, Tone};
use crate::units::format_size;

/// A workspace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workspace {
    pub(crate) agent: String,
    pub(crate) name: String,
    user: String,
    state: String,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_time: Option<String>,
    /// When it was last counted, and what it took on the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measure_time: Option<String>,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
}

/// How much is in one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    bytes: u64,
    disk_bytes: u64,
    files: u64,
    folders: u64,
    #[serde(skip_serializing_if = "is_zero")]
    unread_folders: u64,
    #[serde(skip_serializing_if = "is_false")]
    partial: bool,
}

impl From<v1::WorkspaceUsage> for Usage {
    fn from(usage: v1::WorkspaceUsage) -> Self {
        let v1::WorkspaceUsage { bytes, disk_bytes, files, folders, unread_folders, partial } = usage;
        Self { bytes, disk_bytes, files, folders, unread_folders, partial }
    }
}

impl Usage {
    /// What it takes on the disk, at least.
    pub(crate) const fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// What it takes on the disk.
    fn disk_words(&self) -> String {
        self.at_least(format_size(self.disk_bytes))
    }

    fn at_least(&self, amount: String) -> String {
        if self.partial { format!("> {amount}") } else { amount }
    }

    /// What keeps the figures from being all there is.
    fn note(&self) -> String {
        let unread =
            (self.unread_folders > 0).then(|| format!("{} folders could not be read", self.unread_folders));
        let partial = self.partial.then(|| "counting took too long: there is more".to_owned());
        [partial, unread].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn words(&self) -> String {
        let Self { bytes, files, folders, .. } = self;
        let bytes = format_size(*bytes);
        let counted = format!("{} on disk: {bytes} in {files} files, {folders} folders", self.disk_words());
        match self.note() {
            note if note.is_empty() => counted,
            note => format!("{counted}\n{note}"),
        }
    }
}

/// A workspace with what is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    agent: String,
    name: String,
    user: String,
    state: String,
    #[serde(flatten)]
    usage: Usage,
}

impl Measured {
    /// Of both.
    pub(crate) fn new(workspace: Workspace, usage: v1::WorkspaceUsage) -> Self {
        let Workspace { agent, name, user, state, .. } = workspace;
        Self { agent, name, user, state, usage: usage.into() }
    }
}

impl Listed for Measured {
    const HEADER: &'static [&'static str] =
        &["AGENT", "NAME", "USER", "STATE", "DISK", "SIZE", "FILES", "FOLDERS", "NOTE"];
    const LEAST: &'static [&'static str] = &["FOLDERS", "USER", "STATE"];
    const NONE: &'static str = "workspaces";

    fn id(&self) -> &str {
        &self.agent
    }

    fn row(&self) -> Vec<Cell> {
        let usage = &self.usage;
        vec![
            short_id(&self.agent).into(),
            self.name.as_str().into(),
            self.user.as_str().into(),
            Cell::toned(&self.state, tone(&self.state)),
            usage.disk_words().into(),
            usage.at_least(format_size(usage.bytes)).into(),
            usage.files.to_string().into(),
            usage.folders.to_string().into(),
            Cell::toned(usage.note(), Tone::Wary),
        ]
    }
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
            end_time: time(workspace.end_time),
            disk_bytes: workspace.disk_bytes,
            measure_time: time(workspace.measure_time),
            usage: None,
        }
    }
}

impl Listed for Workspace {
    const HEADER: &'static [&'static str] = &["AGENT", "NAME", "USER", "STATE", "AGE", "DISK", "PATH"];
    const LEAST: &'static [&'static str] = &["USER", "AGE"];
    const NONE: &'static str = "workspaces";

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
            self.disk_words().into(),
            self.path.as_str().into(),
        ]
    }
}

impl Workspace {
    /// What it takes on the disk: counted now, or when it last was.
    fn disk_words(&self) -> String {
        let last = || self.disk_bytes.map(format_size).unwrap_or_default();
        self.usage.as_ref().map_or_else(last, Usage::disk_words)
    }

    /// The last count, where none was asked for.
    fn last_words(&self) -> String {
        let Some(bytes) = self.disk_bytes.filter(|_| self.usage.is_none()) else { return String::new() };
        format!("{} on disk, counted {}", format_size(bytes), with_age(self.measure_time.as_deref()))
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
            ("Size", self.usage.as_ref().map_or_else(|| self.last_words(), Usage::words).into()),
            ("Created", with_age(self.create_time.as_deref()).into()),
            ("Ended", with_age(self.end_time.as_deref()).into()),
            ("Expires", self.expire_time.as_deref().unwrap_or_default().into()),
        ]
    }
}

/// A workspace that goes, or would.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Pruned(pub(crate) Workspace);

impl Listed for Pruned {
    const HEADER: &'static [&'static str] = &["AGENT", "NAME", "USER", "ENDED", "DISK", "EXPIRES", "PATH"];
    const LEAST: &'static [&'static str] = &["EXPIRES", "USER"];
    const NONE: &'static str = "workspaces to remove";

    fn id(&self) -> &str {
        &self.0.agent
    }

    fn row(&self) -> Vec<Cell> {
        let Self(workspace) = self;
        vec![
            short_id(&workspace.agent).into(),
            workspace.name.as_str().into(),
            workspace.user.as_str().into(),
            age(workspace.end_time.as_deref()).into(),
            workspace.usage.as_ref().map(Usage::disk_words).unwrap_or_default().into(),
            workspace.expire_time.as_deref().unwrap_or_default().into(),
            workspace.path.as_str().into(),
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
        assert_eq!(Pruned(Workspace::from(v1::Workspace::default())).row().len(), Pruned::HEADER.len());
        let measured = Measured::new(workspace, v1::WorkspaceUsage::default());
        assert_eq!(measured.row().len(), Measured::HEADER.len());
    }
}
