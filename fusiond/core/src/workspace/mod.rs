//! What is left of a terminated agent: workspace, logs, folders, record. Kept for the retention, then
//! removed together.
//!
//! Not for: making a workspace, which is part of launching an incarnation.

use crate::agent::{AgentLife, Leftovers};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};

/// The retention of a terminated agent has ended.
pub(crate) fn expire(state: &mut State, out: &mut Out, id: AgentId) {
    set_leftovers(state, out, id, Leftovers::Removing);
    out.order(Effect::RemoveWorkspace { agent: id });
}

fn set_leftovers(state: &mut State, out: &mut Out, id: AgentId, now: Leftovers) {
    state.alter_agent(out, id, |agent| {
        if let AgentLife::Terminated { leftovers, .. } = &mut agent.life {
            *leftovers = now;
        }
    });
}

/// Everything of it is gone.
pub(crate) fn removed(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    let Some(agent) = state.agent(id).filter(|agent| agent.is_terminated()) else { return };
    let owner = agent.owner;
    state.remove_agent(out, id);
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::WorkspaceRemoved { agent: id });
}

/// It could not be removed: tried again at the next start of the daemon.
pub(crate) fn kept(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, reason: String) {
    let Some(owner) = state.agent(id).map(|agent| agent.owner) else { return };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::WorkspaceKept { agent: id, reason });
}
