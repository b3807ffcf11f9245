//! Pools: agents that are started when tasks wait for them and ended when nothing does. A profile says
//! between how many and how many, for each user who has work.
//!
//! ```text
//!   a task waits, no agent is free, the pool has room ──► one more (supply)
//!   idle for longer than the pool's timeout, more than its min ──► the longest idle ends (expire)
//! ```
//!
//! Not for: which task an agent gets (`delegate`); an agent of a pool is an agent like any other.

pub(crate) mod expire;
pub(crate) mod supply;

use crate::agent::{Agent, AgentLife, AgentSpec, Stay};
use crate::explain::Reason;
use crate::ids::{AgentId, Capabilities, Uid};
use crate::index::PoolIndex;
use crate::state::State;
use crate::task::Task;
use crate::time::{Millis, Time};
use std::collections::BTreeMap;

/// All pools, by the name of their profile.
pub type Pools = BTreeMap<String, Pool>;

/// Whose pools there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllPools {
    /// Of users without profiles of their own.
    pub shared: Pools,
    /// Of users with profiles of their own: all that are theirs, also those of profiles for everybody.
    pub own: BTreeMap<Uid, Pools>,
}

impl AllPools {
    /// The pools that one user's tasks may use.
    #[must_use]
    pub fn of(&self, uid: Uid) -> &Pools {
        self.own.get(&uid).unwrap_or(&self.shared)
    }

    /// Whether nobody has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.own.values().all(BTreeMap::is_empty)
    }

    /// For whom some are kept before there was any work.
    pub(crate) fn warm(&self) -> impl Iterator<Item = &Uid> {
        self.own.values().chain([&self.shared]).flat_map(BTreeMap::values).flat_map(|pool| &pool.warm)
    }
}

/// What a profile says of its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// So many stay for each user who has used the pool, and for `warm` from the start.
    pub min: u32,
    /// More than these are never alive for one user.
    pub max: u32,
    /// One beyond `min` that waits longer than this for a task ends.
    pub idle_timeout: Millis,
    /// For whom `min` are kept also before there was any work.
    pub warm: Vec<Uid>,
    /// Whom it is for.
    pub takes: Takes,
    /// What its agents are made of. Their workspaces lie below the recipe's.
    pub spec: AgentSpec,
}

/// Which tasks a pool grows for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// For all that its agents can do.
    Any,
    /// For those that ask for its profile by name.
    Named,
}

/// Agents at once for one user of a profile that says nothing of a pool, for tasks that ask for the profile.
pub const NAMED_MAX: u32 = 16;
/// How long one of them waits for another task.
pub const NAMED_IDLE: Millis = Millis(60_000);

impl Pool {
    /// Whether it grows for a task that asks for these; `name` is its profile.
    pub(crate) fn suits(&self, name: &str, wanted: &Capabilities) -> bool {
        let is_for = match self.takes {
            Takes::Any => true,
            Takes::Named => wanted.profiles().any(|profile| profile == name),
        };
        is_for && wanted.within(&self.spec.capabilities)
    }
}

impl State {
    /// Remembers what a user is called.
    pub fn learn_name(&mut self, uid: Uid, name: &str) {
        if self.names.get(&uid).is_none_or(|known| known != name) {
            self.names.insert(uid, name.to_owned());
        }
    }

    /// Puts the pools of other profiles in force.
    pub fn set_pools(&mut self, pools: AllPools) {
        self.config.pools = pools;
        self.reindex();
    }

    /// The users who own something here.
    pub fn owners(&self) -> impl Iterator<Item = Uid> {
        self.index.users.keys().copied()
    }

    /// Everybody's tasks and pools are looked at again.
    pub(crate) fn ready_all(&mut self) {
        self.ready.extend(self.index.users.keys().chain(self.config.pools.warm()));
    }
}

impl PoolIndex {
    /// How many work or wait for work.
    pub(crate) fn healthy(&self) -> u32 {
        self.agents.saturating_sub(self.ending + self.coming + self.failing)
    }

    /// How many there will be when nothing else is decided.
    pub(crate) fn staying(&self) -> u32 {
        self.agents.saturating_sub(self.ending)
    }

    /// Whether its agents do not come up: none that is well shows that another would.
    pub(crate) fn is_stuck(&self) -> bool {
        self.failing > 0 && self.healthy() == 0
    }

    /// When one that waits since then ends for want of work. Nobody is kept for a profile that has no pool any
    /// more, nor beyond its max.
    pub(crate) fn ends_at(&self, since: Time) -> Option<Time> {
        match self.size {
            Some((min, ..)) if self.staying() <= min => None,
            Some((_, max, idle_timeout)) if self.staying() <= max => Some(since.plus(idle_timeout)),
            Some(_) | None => Some(since),
        }
    }
}

/// An agent of the pool that waits for work and is what `spec` asks for, the longest idle. One that was made for tasks that
/// name its profile is none: it has a workspace and a PATH that nobody chose for this.
pub(crate) fn idle_member(state: &State, owner: Uid, spec: &AgentSpec) -> Option<AgentId> {
    let pool = state.index.users.get(&owner)?.pools.get(&spec.profile)?;
    let is_declared =
        state.config.pools.of(owner).get(&spec.profile).is_some_and(|pool| pool.takes == Takes::Any);
    if !is_declared || spec.seed.is_some() || spec.retention.is_some() || !spec.secrets.is_empty() {
        return None;
    }
    let suits = |agent: &&Agent| {
        state.is_free(agent)
            && spec.capabilities.within(&agent.spec.capabilities)
            && agent.spec.limits == spec.limits
            && agent.spec.disk_bytes == spec.disk_bytes.or(state.config.disk_bytes)
            && agent.spec.recipe.command == spec.recipe.command
            && agent.spec.recipe.sandbox == spec.recipe.sandbox
    };
    pool.idle.iter().filter_map(|(_, id)| state.agent(*id)).find(suits).map(|agent| agent.id)
}

/// What the pools do about a task that waits; `None` when no pool would take it.
pub(crate) fn outlook(state: &State, task: &Task) -> Option<Reason> {
    if task.spec.target.is_some() {
        return None;
    }
    let able = |(name, pool): &(&String, &Pool)| pool.suits(name, &task.spec.capabilities);
    let pools = state.config.pools.of(task.owner).iter().filter(able);
    let mut told = pools.map(|(name, pool)| tell(state, task, name, pool));
    let first = told.next()?;
    // One that is on its way is the better news.
    Some(if first.code == "pool_starting" { first } else { told.find(is_starting).unwrap_or(first) })
}

fn is_starting(reason: &Reason) -> bool {
    reason.code == "pool_starting"
}

fn tell(state: &State, task: &Task, name: &str, pool: &Pool) -> Reason {
    let none = PoolIndex::default();
    let found = state.index.users.get(&task.owner).and_then(|user| user.pools.get(name)).unwrap_or(&none);
    if found.is_stuck() {
        return failing(state, task.owner, name);
    }
    if found.coming > 0 {
        return Reason::new("pool_starting", format!("an agent of the pool {name} is being started"), "");
    }
    if found.agents >= pool.max {
        let text = format!("the pool {name} is at its max of {}", pool.max);
        return Reason::new("pool_full", text, format!("wait, or raise pool.max of the profile {name}"));
    }
    match crate::agent::spawn::check_limits(state, task.owner, supply::name_of(state, task.owner), 1) {
        Err(reject) => {
            let text = format!("the pool {name} cannot grow: {reject}");
            Reason::new(reject.code(), text, reject.hint())
        }
        Ok(()) => Reason::new("pool_waiting", format!("the pool {name} grows as soon as a slot is free"), ""),
    }
}

fn failing(state: &State, owner: Uid, name: &str) -> Reason {
    let ill = |agent: &&Agent| {
        agent.owner == owner
            && agent.spec.stay == Stay::Pool
            && agent.spec.profile == name
            && matches!(agent.life, AgentLife::Backoff { .. } | AgentLife::Quarantined { .. })
    };
    let agent = state.agents().find(ill);
    let trouble = agent.and_then(|agent| agent.trouble.as_deref()).unwrap_or("its agents end");
    let remedy =
        agent.map_or_else(String::new, |agent| format!("`fusionctl agent restart {}`", agent.spec.name));
    Reason::new("pool_failing", format!("the pool {name} does not come up: {trouble}"), remedy)
}
