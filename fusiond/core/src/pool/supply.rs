//! Which pool grows, and for whom. One agent at a time, for the user who has the fewest: nobody's
//! thousand tasks take the room of another's one.
//!
//! A pool grows only while every agent of it that is on its way is needed, and never while those that it
//! has do not come up: their own backoff and quarantine are the only retries. Not for: the limits
//! (`agent::spawn`).

use crate::agent::{SpawnAgent, Stay, spawn};
use crate::delegate;
use crate::ids::{AgentId, Capabilities, Uid};
use crate::index::UserIndex;
use crate::input::{Actor, Intake};
use crate::pool::Pool;
use crate::state::{RootAgents, State};
use crate::step::{Out, Turn};
use std::collections::{BTreeMap, BTreeSet};

/// What one user's waiting tasks ask of the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing.
    Nothing,
    /// One more agent of this pool.
    Agent(String),
    /// One more agent, when there is room again.
    Later,
}

/// Lets the pools grow as far as needed. `users` are those for whom something has changed.
pub(crate) fn supply(state: &mut State, out: &mut Out, turn: Turn, users: BTreeSet<Uid>) {
    if state.config.pools.is_empty() {
        state.wanting.clear();
        return;
    }
    state.wanting.extend(users);
    if state.meta.intake == Intake::Closed || !delegate::has_slot(state) {
        return;
    }
    let mut nth = 0;
    loop {
        let mut asked: BTreeMap<Uid, Want> = BTreeMap::new();
        for uid in &state.wanting {
            asked.insert(*uid, want(state, *uid));
        }
        state.wanting.retain(|uid| asked.get(uid).is_some_and(|want| *want != Want::Nothing));
        let agents = |uid: &Uid| state.index.users.get(uid).map_or(0, |user| user.agents);
        let next = asked.iter().filter_map(|(uid, want)| match want {
            Want::Agent(pool) => Some((agents(uid), *uid, pool.clone())),
            Want::Nothing | Want::Later => None,
        });
        let Some((_, uid, pool)) = next.min() else { return };
        grow(state, out, turn, uid, &pool, nth);
        nth += 1;
    }
}

/// What a user's waiting tasks ask of the pools now.
pub(crate) fn want(state: &State, uid: Uid) -> Want {
    let nobody = UserIndex::default();
    let user = state.index.users.get(&uid).unwrap_or(&nobody);
    if uid == Uid(0) && state.config.root_agents == RootAgents::Refused {
        return Want::Nothing;
    }
    let Some(wanted) = needed(state, user, uid) else { return Want::Nothing };
    // After a start of the daemon the agents there are must be found before more are made.
    let is_unsure =
        state.unseen.iter().any(|(id, _)| state.agent(*id).is_some_and(|agent| agent.owner == uid));
    let name = name_of(state, uid);
    match wanted {
        Some(pool) if !is_unsure && spawn::check_limits(state, uid, name, 1).is_ok() => Want::Agent(pool),
        Some(_) | None => Want::Later,
    }
}

/// The pool that should grow; `Some(None)`: one should, but its agents do not come up.
fn needed(state: &State, user: &UserIndex, uid: Uid) -> Option<Option<String>> {
    let mut is_stuck = false;
    let mut coming: BTreeMap<&str, usize> =
        user.pools.iter().map(|(name, pool)| (name.as_str(), pool.coming as usize)).collect();
    for (wanted, lane) in &user.open {
        let waiting = without_coming(state, uid, wanted, lane.len(), &mut coming);
        if waiting == 0 {
            continue;
        }
        for (name, pool) in able(state, uid, wanted) {
            match room(user, name, pool) {
                Room::Free => return Some(Some(name.clone())),
                Room::Stuck => is_stuck = true,
                Room::None => {}
            }
        }
    }
    let below_min = |(name, pool): &(&String, &Pool)| {
        let staying = user.pools.get(*name).map_or(0, |found| found.staying());
        let is_used = staying > 0 || pool.warm.contains(&uid);
        is_used && staying < pool.min && room(user, name, pool) == Room::Free
    };
    match state.config.pools.of(uid).iter().find(below_min) {
        Some((name, _)) => Some(Some(name.clone())),
        None => is_stuck.then_some(None),
    }
}

/// How many of `waiting` tasks nobody comes for yet; whoever comes is counted for one alone.
fn without_coming<'a>(
    state: &'a State,
    uid: Uid,
    wanted: &Capabilities,
    mut waiting: usize,
    coming: &mut BTreeMap<&'a str, usize>,
) -> usize {
    for (name, _) in able(state, uid, wanted) {
        if let Some(left) = coming.get_mut(name.as_str()) {
            let taken = waiting.min(*left);
            *left -= taken;
            waiting -= taken;
        }
    }
    waiting
}

fn able<'a>(
    state: &'a State,
    uid: Uid,
    wanted: &Capabilities,
) -> impl Iterator<Item = (&'a String, &'a Pool)> {
    state.config.pools.of(uid).iter().filter(|(name, pool)| pool.suits(name, wanted))
}

#[derive(PartialEq, Eq)]
enum Room {
    Free,
    Stuck,
    None,
}

fn room(user: &UserIndex, name: &str, pool: &Pool) -> Room {
    match user.pools.get(name) {
        Some(found) if found.agents >= pool.max => Room::None,
        Some(found) if found.is_stuck() => Room::Stuck,
        Some(_) => Room::Free,
        None if pool.max == 0 => Room::None,
        None => Room::Free,
    }
}

/// The user's name as far as it is known, for the path of the workspace and for people.
pub(crate) fn name_of(state: &State, uid: Uid) -> String {
    state.names.get(&uid).cloned().unwrap_or_else(|| uid.0.to_string())
}

fn grow(state: &mut State, out: &mut Out, turn: Turn, uid: Uid, name: &str, nth: u64) {
    let Some(pool) = state.config.pools.of(uid).get(name) else { return };
    let id = AgentId(turn.id(nth));
    let owner_name = name_of(state, uid);
    let mut spec = pool.spec.clone();
    spec.stay = Stay::Pool;
    spec.name = free_name(state, turn, uid, name, nth);
    spec.recipe.workspace = format!("{}/{owner_name}/{id}", spec.recipe.workspace);
    let ask = SpawnAgent { id, owner: uid, owner_name, spec, request: 0 };
    spawn::accept(state, out, turn, Actor::Daemon, ask);
}

/// A name that is not taken: the profile's, and some drawn letters.
fn free_name(state: &State, turn: Turn, uid: Uid, profile: &str, nth: u64) -> String {
    let stem: String = profile.chars().take(50).collect();
    (0..)
        .map(|again: u64| format!("{stem}-{:06x}", turn.draw(nth ^ (again << 32) ^ 0x706F_6F6C) & 0xFF_FFFF))
        .find(|name| !state.index.names.contains_key(&(uid, name.clone())))
        .expect("there are more names than agents")
}
