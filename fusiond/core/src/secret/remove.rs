//! `secret remove`: attempts that start from now on are not given it any more.
//!
//! Not for: attempts that run; they keep what they were given.

use crate::event::EventKind;
use crate::ids::Uid;
use crate::input::Caller;
use crate::reject::Reject;
use crate::secret::{check_caller, retire};
use crate::state::State;
use crate::step::{Done, Out, Turn};

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    owner: Uid,
    name: &str,
) -> Result<Done, Reject> {
    check_caller(caller, owner)?;
    let value = state.secret_named(owner, name);
    let id = value.ok_or_else(|| Reject::SecretNotFound { name: name.to_owned() })?.id;
    retire(state, out, id, turn.now);
    let kind = EventKind::SecretRemoved { secret: id, name: name.to_owned() };
    state.tell(out, turn.now, caller.actor(), Some(owner), kind);
    Ok(Done::Secret(id))
}
