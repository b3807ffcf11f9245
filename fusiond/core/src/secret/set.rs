//! `secret set`: a new value under a name; the one before is retired.
//!
//! Not for: what a name may be and how long a value (the door).

use crate::event::EventKind;
use crate::ids::{SecretId, Uid};
use crate::input::Caller;
use crate::reject::Reject;
use crate::secret::{SECRETS_MAX, Secret, check_caller, retire};
use crate::state::State;
use crate::step::{Done, Out, Turn};
use std::collections::BTreeSet;

/// What is asked for. The value is stored beside it, sealed.
#[derive(Clone, Debug)]
pub struct SetSecret {
    /// The id that the value will have.
    pub id: SecretId,
    /// Who will own it.
    pub owner: Uid,
    /// The owner's name, for messages.
    pub owner_name: String,
    /// The name.
    pub name: String,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: SetSecret,
) -> Result<Done, Reject> {
    check_caller(caller, ask.owner)?;
    if state.secrets_of(ask.owner).count() >= SECRETS_MAX {
        return Err(Reject::SecretLimit { limit: SECRETS_MAX, user: ask.owner_name });
    }
    let before = state.secret_named(ask.owner, &ask.name).map(|value| value.id);
    if let Some(before) = before {
        retire(state, out, before, turn.now);
    }
    let (id, owner) = (ask.id, ask.owner);
    let kind = EventKind::SecretSet { secret: id, name: ask.name.clone() };
    let value = Secret {
        id,
        owner,
        name: ask.name.into(),
        set_at: turn.now,
        retired_at: None,
        given: BTreeSet::new(),
    };
    state.add_secret(out, value);
    state.tell(out, turn.now, caller.actor(), Some(owner), kind);
    Ok(Done::Secret(id))
}
