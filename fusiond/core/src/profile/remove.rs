//! `profile apply --remove`: forgets a profile of a user. Agents made of it go on as they are.
//!
//! Not for: profiles from folders; who owns the folder removes those.

use super::apply::demand_owner;
use crate::event::EventKind;
use crate::ids::Uid;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    owner: Uid,
    name: String,
) -> Result<Done, Reject> {
    demand_owner(caller, owner)?;
    let kept = state.profiles.get_mut(&owner);
    let Some(kept) = kept.filter(|kept| kept.texts.contains_key(&name)) else {
        return Err(Reject::ProfileNotFound { profile: name, nearest: None });
    };
    kept.texts.remove(&name);
    if kept.texts.is_empty() {
        state.profiles.remove(&owner);
    }
    out.touch(Key::Profiles(owner));
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::ProfileRemoved { owner, name });
    Ok(Done::Daemon)
}
