//! Workspaces, as the wire shows them. What a workspace is follows from its agent.
//!
//! Not for: what lies in one.

use super::timestamp;
use fusion_core::agent::{Agent, Leftovers};
use fusion_core::workspace::SeedHow;
use fusion_core::{State, Time};
use fusion_proto::v1;
use fusion_shim::usage::{Count, Usage};

/// The whole workspace.
pub(crate) fn workspace(whole: &State, agent: &Agent) -> v1::Workspace {
    v1::Workspace {
        agent: agent.id.to_string(),
        name: agent.spec.name.clone(),
        user: agent.owner.0.to_string(),
        path: agent.spec.recipe.workspace.clone(),
        state: state(agent).into(),
        disk_bytes: agent.disk.last.as_ref().map(|last| last.bytes),
        measure_time: agent.disk.last.as_ref().map(|last| timestamp(last.at)),
        end_time: agent.is_terminated().then(|| timestamp(agent.life.since())),
        create_time: Some(timestamp(agent.created_at)),
        expire_time: expiry(whole, agent).map(timestamp),
        seed: agent.spec.seed.as_ref().map(|seed| v1::WorkspaceSeed {
            source: seed.source.clone(),
            reference: seed.reference.clone(),
            worktree: seed.how == SeedHow::Worktree,
        }),
    }
}

/// How much is in it.
pub(crate) fn usage(usage: &Usage) -> v1::WorkspaceUsage {
    let Usage { bytes, disk_bytes, files, folders, unread, count } = *usage;
    let partial = count == Count::Cut;
    v1::WorkspaceUsage { bytes, disk_bytes, files, folders, unread_folders: unread, partial }
}

fn expiry(whole: &State, agent: &Agent) -> Option<Time> {
    agent.leftovers().filter(|left| *left == Leftovers::Kept)?;
    agent.due(whole.config.retention)
}

/// What becomes of it.
pub(crate) fn state(agent: &Agent) -> v1::WorkspaceState {
    match agent.leftovers() {
        None => v1::WorkspaceState::InUse,
        Some(Leftovers::Kept | Leftovers::Sparing) => v1::WorkspaceState::Kept,
        Some(Leftovers::Removing | Leftovers::Clearing) => v1::WorkspaceState::Removing,
        Some(Leftovers::Bare) => v1::WorkspaceState::Removed,
    }
}
