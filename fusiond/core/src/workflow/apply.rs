//! `workflow apply`: keeps a definition as the newest version of its name. The same again is the same version.
//!
//! Runs keep the version that they began with. Not for: the definition itself; the engine keeps it.

use crate::event::EventKind;
use crate::ids::{Uid, WorkflowId};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};
use crate::workflow::Workflow;
use crate::workflow::start::check_caller;

/// The most names of one user.
pub const NAMES_MAX: usize = 1000;
/// The most versions of one name; the oldest are forgotten.
pub const VERSIONS_MAX: u32 = 100;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ApplyWorkflow {
    /// The id it will have.
    pub id: WorkflowId,
    /// Who will own it.
    pub owner: Uid,
    /// The owner's name, for messages.
    pub owner_name: String,
    /// Its name.
    pub name: String,
    /// Hash of the definition.
    pub fingerprint: u64,
    /// How many nodes it has.
    pub nodes: u32,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: ApplyWorkflow,
) -> Result<Done, Reject> {
    check_caller(caller, ask.owner)?;
    let versions = state.index.workflows.get(&ask.owner).and_then(|names| names.get(ask.name.as_str()));
    let latest = versions.and_then(|versions| state.workflow(*versions.last()?));
    if let Some(same) = latest.filter(|latest| latest.fingerprint == ask.fingerprint) {
        return Ok(Done::SameWorkflow(same.id));
    }
    let names = state.index.workflows.get(&ask.owner).map_or(0, std::collections::BTreeMap::len);
    if latest.is_none() && names >= NAMES_MAX {
        return Err(Reject::WorkflowLimit { limit: NAMES_MAX, user: ask.owner_name });
    }
    let version = latest.map_or(1, |latest| latest.version + 1);
    let old = versions.and_then(|versions| versions.iter().rev().nth(VERSIONS_MAX as usize - 1)).copied();
    if let Some(old) = old {
        state.remove_workflow(out, old);
    }
    let ApplyWorkflow { id, owner, name, fingerprint, nodes, .. } = ask;
    let kept =
        Workflow { id, owner, name: name.as_str().into(), version, applied_at: turn.now, fingerprint, nodes };
    state.add_workflow(out, kept);
    let kind = EventKind::WorkflowApplied { workflow: id, name, version };
    state.tell(out, turn.now, caller.actor(), Some(owner), kind);
    Ok(Done::Workflow(id))
}

impl State {
    fn add_workflow(&mut self, out: &mut Out, workflow: Workflow) {
        self.index.enter_workflow(&workflow);
        out.touch(Key::Workflow(workflow.id));
        self.workflows.insert(workflow.id, workflow);
    }

    fn remove_workflow(&mut self, out: &mut Out, id: WorkflowId) {
        if let Some(workflow) = self.workflows.remove(&id) {
            self.index.leave_workflow(&workflow);
            out.touch(Key::Workflow(id));
        }
    }
}
