//! What is left of a terminated agent: workspace, logs, folders, record. Kept for the retention, then
//! removed together; or earlier, as somebody asks.
//!
//! ```text
//!           workspace remove             WorkspaceRemoved
//!   Kept ─────────────────────► Clearing ─────────────────► Bare
//!    │ agent remove, retention                               │ agent remove, retention
//!    ├──────────► Removing ──► (no record)                   ▼
//!    └──────────► Sparing ───► (no record) ◄────────────── Sparing
//!      agent remove --keep-workspace
//! ```
//!
//! Not for: making a workspace, which is part of launching an incarnation.

pub mod quota;
pub mod remove;
pub mod seed;

pub use quota::Disk;
pub use seed::{Seed, SeedHow, Seeded};

use crate::agent::{Agent, AgentLife, Leftovers};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Out, Turn};

/// How much of what an agent left is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removal {
    /// Workspace, logs and folders.
    All,
    /// Logs and folders.
    AllButWorkspace,
    /// The workspace.
    WorkspaceAlone,
}

impl Leftovers {
    /// The removal that is under way.
    #[must_use]
    pub const fn removal(self) -> Option<Removal> {
        match self {
            Self::Removing => Some(Removal::All),
            Self::Sparing => Some(Removal::AllButWorkspace),
            Self::Clearing => Some(Removal::WorkspaceAlone),
            Self::Kept | Self::Bare => None,
        }
    }
}

/// What is left of an agent; a living one is refused.
pub(crate) fn left(agent: &Agent) -> Result<Leftovers, Reject> {
    let alive = || Reject::AgentAlive { agent: agent.id.to_string(), state: agent.life.word() };
    agent.leftovers().ok_or_else(alive)
}

/// The retention of a terminated agent has ended.
pub(crate) fn expire(state: &mut State, out: &mut Out, id: AgentId) {
    let Some(Ok(leftovers)) = state.agent(id).map(left) else { return };
    let next = match leftovers {
        Leftovers::Bare | Leftovers::Sparing => Leftovers::Sparing,
        Leftovers::Kept | Leftovers::Removing | Leftovers::Clearing => Leftovers::Removing,
    };
    order(state, out, id, next);
}

/// Orders a removal, also once more.
pub(crate) fn order(state: &mut State, out: &mut Out, id: AgentId, next: Leftovers) {
    set_leftovers(state, out, id, next, None);
    if let Some(what) = next.removal() {
        out.order(Effect::RemoveWorkspace { agent: id, what });
    }
}

fn set_leftovers(state: &mut State, out: &mut Out, id: AgentId, now: Leftovers, trouble: Option<String>) {
    state.alter_agent(out, id, |agent| {
        if let AgentLife::Terminated { leftovers, .. } = &mut agent.life {
            *leftovers = now;
            agent.trouble = trouble;
        }
    });
}

/// A removal has come to its end. One that a later order has overtaken changes nothing: that one ends, too.
pub(crate) fn removed(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, what: Removal) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, Ok(leftovers)) = (agent.owner, left(agent)) else { return };
    if leftovers.removal() != Some(what) {
        return;
    }
    let mut tell = |kind| state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    match what {
        Removal::All => {
            tell(EventKind::WorkspaceRemoved { agent: id });
            tell(EventKind::AgentRemoved { agent: id });
            state.remove_agent(out, id);
        }
        Removal::AllButWorkspace => {
            tell(EventKind::AgentRemoved { agent: id });
            state.remove_agent(out, id);
        }
        Removal::WorkspaceAlone => {
            tell(EventKind::WorkspaceRemoved { agent: id });
            set_leftovers(state, out, id, Leftovers::Bare, None);
        }
    }
}

/// A removal failed. The whole of an agent is tried again at the next start of the daemon or when somebody asks; a
/// workspace alone is kept again, until its retention ends.
pub(crate) fn kept(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, what: Removal, reason: String) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, Ok(leftovers)) = (agent.owner, left(agent)) else { return };
    if leftovers.removal() != Some(what) {
        return;
    }
    let now = match leftovers {
        Leftovers::Clearing => Leftovers::Kept,
        Leftovers::Removing | Leftovers::Sparing | Leftovers::Kept | Leftovers::Bare => leftovers,
    };
    set_leftovers(state, out, id, now, Some(reason.clone()));
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::WorkspaceKept { agent: id, reason });
}
