//! `profile apply`: keeps profiles of a user, all of a file or none. The same text again changes nothing.
//!
//! Agents that exist keep what they were made of. Not for: what the texts say.

use super::{Applied, PROFILES_BYTES_MAX, PROFILES_MAX, UserProfiles};
use crate::event::EventKind;
use crate::ids::Uid;
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};

/// A profile that was read and found in order: its name, and itself as TOML.
pub type ProfileText = (String, String);

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    owner: Uid,
    profiles: Vec<ProfileText>,
) -> Result<Done, Reject> {
    demand_owner(caller, owner)?;
    let mut kept = state.profiles_of(owner).cloned();
    let kept = kept.get_or_insert_with(|| UserProfiles { owner, texts: Default::default() });
    let mut changed = Vec::new();
    for (name, toml) in profiles {
        if kept.texts.get(&name).is_none_or(|applied| applied.toml != toml) {
            kept.texts.insert(name.clone(), Applied { toml, at: turn.now });
            changed.push(name);
        }
    }
    check_room(kept)?;
    if changed.is_empty() {
        return Ok(Done::Daemon);
    }
    let kept = kept.clone();
    state.profiles.insert(owner, kept);
    out.touch(Key::Profiles(owner));
    for name in changed {
        state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::ProfileApplied { owner, name });
    }
    Ok(Done::Daemon)
}

/// An agent could otherwise change what the next agent of its user is made of.
pub(super) fn demand_owner(caller: Caller, owner: Uid) -> Result<(), Reject> {
    match caller.rights {
        Rights::Admin => Ok(()),
        Rights::User if caller.uid == owner => Ok(()),
        Rights::User | Rights::Agent(_) => {
            Err(Reject::NotPermitted { who: caller.actor().to_string(), what: "changing these profiles" })
        }
    }
}

fn check_room(kept: &UserProfiles) -> Result<(), Reject> {
    let count = kept.texts.len();
    if count > PROFILES_MAX {
        return Err(Reject::ProfileLimit { count, limit: PROFILES_MAX });
    }
    let bytes = kept.texts.iter().map(|(name, applied)| name.len() + applied.toml.len()).sum();
    if bytes > PROFILES_BYTES_MAX {
        let what = "your profiles together";
        return Err(Reject::TooLarge { what, bytes, limit: PROFILES_BYTES_MAX });
    }
    Ok(())
}
