//! `agent remove`: what a terminated agent left goes now instead of when its retention ends.
//!
//! Not for: ending an agent (`terminate`), its workspace alone (`workspace::remove`).

use crate::agent::Leftovers;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out};
use crate::workspace;

/// What of a removed agent stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// Its workspace, which nobody but its owner looks after any more.
    Workspace,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    caller: Caller,
    agent: &str,
    keep: Keep,
) -> Result<Done, Reject> {
    let found = super::manage(state, caller, agent, "removing agents")?;
    let id = found.id;
    let next = match (workspace::left(found)?, keep) {
        (Leftovers::Bare, _) | (Leftovers::Kept | Leftovers::Sparing, Keep::Workspace) => Leftovers::Sparing,
        // What is being removed cannot be kept any more.
        (Leftovers::Removing | Leftovers::Clearing, _)
        | (Leftovers::Kept | Leftovers::Sparing, Keep::Nothing) => Leftovers::Removing,
    };
    workspace::order(state, out, id, next);
    Ok(Done::Agent(id))
}
