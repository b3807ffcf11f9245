//! Definitions that runs have had: as JSON, as rows, and how two of them differ.
//!
//! Not for: the difference of their texts (`commands::workflow::edit`).

use std::collections::BTreeMap;

use fusion_proto::v1;
use fusion_workflow::Definition;
use fusion_workflow::definition::Node;
use serde::Serialize;

use super::word::{age, time};
use crate::output::{Listed, Shown};
use crate::table::Cell;

/// A definition that a run has had, or has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revision {
    run: String,
    revision: u32,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(flatten)]
    changes: Changes,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Definition>,
}

/// How many nodes an edit touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Changes {
    added: u32,
    changed: u32,
    removed: u32,
}

impl Changes {
    /// What `new` says of nodes otherwise than `old`.
    pub(crate) fn between(old: &Definition, new: &Definition) -> Self {
        let (old, new) = (old.all_nodes(), new.all_nodes());
        let by_id = |nodes: &[Node]| -> BTreeMap<String, Node> {
            let plain = |node: &Node| Node { description: None, ..node.clone() };
            nodes.iter().map(|node| (node.id.clone(), plain(node))).collect()
        };
        let (old, new) = (by_id(&old), by_id(&new));
        let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
        Self {
            added: count(new.keys().filter(|id| !old.contains_key(*id)).count()),
            changed: count(
                new.iter().filter(|(id, node)| old.get(*id).is_some_and(|was| was != *node)).count(),
            ),
            removed: count(old.keys().filter(|id| !new.contains_key(*id)).count()),
        }
    }

    /// `1 node added, 2 changed`.
    pub(crate) fn words(self) -> String {
        let all = [(self.added, "added"), (self.changed, "changed"), (self.removed, "removed")];
        let mut said: Vec<String> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        match said.first_mut() {
            Some(first) => {
                let s = if first.starts_with("1 ") { "" } else { "s" };
                *first = first.replacen(' ', &format!(" node{s} "), 1);
                said.join(", ")
            }
            None => "no node, but what holds for all".to_owned(),
        }
    }
}

impl Revision {
    /// What it says, where that was asked for.
    pub(crate) const fn definition(&self) -> Option<&Definition> {
        self.definition.as_ref()
    }
}

impl From<v1::RunRevision> for Revision {
    fn from(revision: v1::RunRevision) -> Self {
        let v1::RunRevision { added, changed, removed, .. } = revision;
        Self {
            run: revision.run,
            revision: revision.revision,
            by: revision.actor,
            create_time: time(revision.create_time),
            changes: Changes { added, changed, removed },
            definition: serde_json::from_str(&revision.definition).ok(),
        }
    }
}

impl Listed for Revision {
    const HEADER: &'static [&'static str] = &["REVISION", "BY", "CHANGES", "AGE"];
    const NONE: &'static str = "definitions";

    fn id(&self) -> &str {
        &self.run
    }

    fn row(&self) -> Vec<Cell> {
        let changes = if self.revision == 1 { "as it began".to_owned() } else { self.changes.words() };
        vec![
            self.revision.to_string().into(),
            self.by.as_str().into(),
            changes.into(),
            age(self.create_time.as_deref()).into(),
        ]
    }
}

impl Shown for Revision {
    fn id(&self) -> &str {
        &self.run
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        Vec::new()
    }
}
