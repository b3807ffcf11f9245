//! An agent of a pool has waited long enough, or there are more than its profile allows.
//!
//! Not for: when that is (`PoolIndex::ends_at`).

use crate::agent::terminate;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};

pub(crate) fn expire(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    let grace = state.config.grace;
    terminate::finish(state, out, turn, Actor::Daemon, id, grace);
}
