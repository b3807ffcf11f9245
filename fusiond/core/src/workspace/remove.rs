//! `workspace remove`: the folder of a terminated agent goes now; its record and its logs stay until the retention ends.
//!
//! Not for: removing the agent with it (`agent::remove`).

use crate::agent::{Leftovers, manage};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out};

pub(crate) fn decide(state: &mut State, out: &mut Out, caller: Caller, agent: &str) -> Result<Done, Reject> {
    let found = manage(state, caller, agent, "removing workspaces")?;
    let id = found.id;
    let next = match super::left(found)? {
        Leftovers::Kept | Leftovers::Clearing => Leftovers::Clearing,
        Leftovers::Removing | Leftovers::Sparing => Leftovers::Removing,
        Leftovers::Bare => return Ok(Done::Agent(id)),
    };
    super::order(state, out, id, next);
    Ok(Done::Agent(id))
}
