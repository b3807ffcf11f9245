//! What can be asked of the state without scanning it: queues, idle agents, timers, names, counts.
//!
//! A pure function of the entities: `enter` and `leave` are exact opposites, and
//! [`crate::State::check`] rebuilds all of it and compares. Not for: choosing (`delegate`).

use crate::agent::{AfterStop, Agent, AgentLife, Stay};
use crate::ids::{AgentId, Capabilities, RunId, SecretId, TaskId, Uid, WorkflowId};
use crate::secret::Secret;
use crate::state::Config;
use crate::task::{Task, TaskState};
use crate::time::{Millis, Time};
use crate::workspace::quota::Excess;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

mod runs;

/// A place in a queue: priority 9 first, then the oldest.
pub type Place = (Reverse<u8>, TaskId);

/// Queued tasks by what they require.
pub type Lanes = BTreeMap<Capabilities, BTreeSet<Place>>;

/// Who is waited for by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
    /// A run.
    Run(RunId),
}

/// All indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Per user.
    pub users: BTreeMap<Uid, UserIndex>,
    /// Agents by name that are not terminated.
    pub names: BTreeMap<(Uid, String), AgentId>,
    /// Tasks by idempotency key.
    pub keys: BTreeMap<(Uid, Box<str>), TaskId>,
    /// Tasks by the hash of the request that made them.
    pub requests: BTreeMap<(Uid, u64), TaskId>,
    /// Who is blocked by a task.
    pub dependents: BTreeMap<TaskId, BTreeSet<TaskId>>,
    /// Sub-tasks that have not ended.
    pub children: BTreeMap<TaskId, u32>,
    /// What time alone will change.
    pub timers: BTreeSet<(Time, Timer)>,
    /// Ended tasks, oldest end first.
    pub ended: BTreeSet<(Time, TaskId)>,
    /// Attempts at this moment.
    pub running: u32,
    /// Agents that are not terminated.
    pub agents: u32,
    /// How much each user has in memory, by the words of states.
    pub words: BTreeMap<Uid, Words>,
    /// All values of secrets by owner, oldest first.
    pub secrets: BTreeMap<Uid, BTreeSet<SecretId>>,
    /// The current ones by name.
    pub secret_names: BTreeMap<Uid, BTreeMap<Box<str>, SecretId>>,
    /// Idle agents whose workspaces are to be counted.
    pub uncounted: BTreeSet<AgentId>,
    /// Runs in memory by the word of their state.
    pub run_words: BTreeMap<&'static str, u64>,
    /// Versions of workflows by owner and name, oldest first.
    pub workflows: BTreeMap<Uid, BTreeMap<Box<str>, BTreeSet<WorkflowId>>>,
    /// Runs by idempotency key.
    pub run_keys: BTreeMap<(Uid, Box<str>), RunId>,
    /// Runs by the hash of the request that made them.
    pub run_requests: BTreeMap<(Uid, u64), RunId>,
    /// Ended runs in memory, oldest end first.
    pub ended_runs: BTreeSet<(Time, RunId)>,
    /// Runs that have not ended, by owner.
    pub open_runs: BTreeMap<Uid, u32>,
    /// Runs of which a node waits for an event, by owner.
    pub listening: BTreeMap<Uid, BTreeSet<RunId>>,
}

/// How many there are, by the word of their state.
pub type Counts = BTreeMap<&'static str, u64>;

/// What one user has in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Agents, also terminated ones.
    pub agents: Counts,
    /// Tasks, also ended ones.
    pub tasks: Counts,
}

/// What concerns one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserIndex {
    /// Agents that are not terminated.
    pub agents: u32,
    /// Tasks that have not ended.
    pub tasks: u32,
    /// Attempts at this moment.
    pub running: u32,
    /// Idle agents that may work, longest idle first.
    pub idle: BTreeSet<(Time, AgentId)>,
    /// Queued tasks that any fitting agent may take.
    pub open: Lanes,
    /// Queued tasks for one agent.
    pub aimed: BTreeMap<AgentId, Lanes>,
    /// Queued and active tasks by their concurrency key.
    pub gates: BTreeMap<Box<str>, Gate>,
    /// Agents of pools, by profile.
    pub pools: BTreeMap<String, PoolIndex>,
}

/// What a queued task asks of an agent: which one, and what it must be able to do.
pub type Demand = (Option<AgentId>, Capabilities);

/// The tasks of one concurrency key. While none of them is active, the first of each demand stands in the
/// lanes of its user; the others wait here, so that the lanes never have to be searched for one that may
/// start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The active one.
    pub holder: Option<TaskId>,
    /// Those that are queued.
    pub waiting: BTreeMap<Demand, BTreeSet<Place>>,
}

/// What concerns one user's agents of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolIndex {
    /// Those that are not terminated.
    pub agents: u32,
    /// Those that are being ended for good.
    pub ending: u32,
    /// Those whose shim is being started for the first time, or has never failed; and those whose workspace is being
    /// counted.
    pub coming: u32,
    /// Those whose shim does not stay up, and is perhaps being tried again just now.
    pub failing: u32,
    /// Those that wait for a task, longest idle first.
    pub idle: BTreeSet<(Time, AgentId)>,
    /// Between how many the profile wants, and for how long one may wait; `None`: it has no pool any more.
    pub(crate) size: Option<(u32, u32, Millis)>,
    /// Who ends next for want of work, and when.
    pub(crate) due: Option<(Time, AgentId)>,
}

impl UserIndex {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn count(words: &mut Counts, word: &'static str, by: Step) {
    match by {
        Step::Enter => *words.entry(word).or_default() += 1,
        Step::Leave => {
            let left = words.get_mut(word).map_or(0, |n| {
                *n -= 1;
                *n
            });
            if left == 0 {
                words.remove(word);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Enter,
    Leave,
}

fn shift(number: &mut u32, by: Step) {
    match by {
        Step::Enter => *number += 1,
        Step::Leave => *number -= 1,
    }
}

fn place<T: Ord>(set: &mut BTreeSet<T>, value: T, by: Step) {
    match by {
        Step::Enter => set.insert(value),
        Step::Leave => set.remove(&value),
    };
}

impl Index {
    pub(crate) fn enter_agent(&mut self, agent: &Agent, config: &Config) {
        self.move_agent(agent, config, Step::Enter);
    }

    pub(crate) fn leave_agent(&mut self, agent: &Agent, config: &Config) {
        self.move_agent(agent, config, Step::Leave);
    }

    pub(crate) fn enter_task(&mut self, task: &Task) {
        self.move_task(task, Step::Enter);
    }

    pub(crate) fn leave_task(&mut self, task: &Task) {
        self.move_task(task, Step::Leave);
    }

    pub(crate) fn enter_secret(&mut self, secret: &Secret) {
        self.secrets.entry(secret.owner).or_default().insert(secret.id);
        if secret.is_current() {
            self.secret_names.entry(secret.owner).or_default().insert(secret.name.clone(), secret.id);
        }
    }

    pub(crate) fn leave_secret(&mut self, secret: &Secret) {
        let all = self.secrets.entry(secret.owner).or_default();
        all.remove(&secret.id);
        if all.is_empty() {
            self.secrets.remove(&secret.owner);
        }
        if !secret.is_current() {
            return;
        }
        let names = self.secret_names.entry(secret.owner).or_default();
        names.remove(&secret.name);
        if names.is_empty() {
            self.secret_names.remove(&secret.owner);
        }
    }

    fn count(&mut self, owner: Uid, by: Step, pick: impl FnOnce(&mut Words) -> (&mut Counts, &'static str)) {
        let words = self.words.entry(owner).or_default();
        let (counts, word) = pick(words);
        count(counts, word, by);
        if words.agents.is_empty() && words.tasks.is_empty() {
            self.words.remove(&owner);
        }
    }

    fn move_agent(&mut self, agent: &Agent, config: &Config, by: Step) {
        self.count(agent.owner, by, |words| (&mut words.agents, agent.life.word()));
        if let Some(at) = agent.due(config.retention) {
            place(&mut self.timers, (at, Timer::Agent(agent.id)), by);
        }
        if agent.is_terminated() {
            return;
        }
        shift(&mut self.agents, by);
        if agent.wants_count() {
            place(&mut self.uncounted, agent.id, by);
        }
        let name = (agent.owner, agent.spec.name.clone());
        match by {
            Step::Enter => self.names.insert(name, agent.id),
            Step::Leave => self.names.remove(&name),
        };
        let user = self.users.entry(agent.owner).or_default();
        shift(&mut user.agents, by);
        if let AgentLife::Idle { since } = agent.life
            && agent.excess().is_none()
        {
            place(&mut user.idle, (since, agent.id), by);
        }
        if agent.spec.stay == Stay::Pool {
            user.move_pooled(agent, config, by);
            user.retime(&mut self.timers);
        }
        if user.is_empty() {
            self.users.remove(&agent.owner);
        }
    }

    fn move_task(&mut self, task: &Task, by: Step) {
        self.count(task.owner, by, |words| (&mut words.tasks, task.state.word()));
        if let Some(at) = task.due() {
            place(&mut self.timers, (at, Timer::Task(task.id)), by);
        }
        if let Some(key) = &task.spec.key {
            let key = (task.owner, key.clone());
            match by {
                Step::Enter => self.keys.insert(key, task.id),
                Step::Leave => self.keys.remove(&key),
            };
        }
        if task.spec.request != 0 {
            let request = (task.owner, task.spec.request);
            match by {
                Step::Enter => self.requests.insert(request, task.id),
                Step::Leave => self.requests.remove(&request),
            };
        }
        if let Some(at) = task.state.ended_at() {
            place(&mut self.ended, (at, task.id), by);
            return;
        }
        if let Some(parent) = task.parent() {
            self.move_child(parent, by);
        }
        match &task.state {
            TaskState::Active(_) => shift(&mut self.running, by),
            TaskState::Blocked { .. } | TaskState::Held(_) => {
                self.move_dependent(task.id, task.blocked_on(), by);
            }
            TaskState::Deferred { .. }
            | TaskState::Queued { .. }
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => {}
        }
        let user = self.users.entry(task.owner).or_default();
        shift(&mut user.tasks, by);
        user.move_task(task, by);
        // Behind a concurrency key another task may have moved instead.
        if task.spec.target.is_some() || task.spec.concurrency_key.is_some() {
            user.retime(&mut self.timers);
        }
        if user.is_empty() {
            self.users.remove(&task.owner);
        }
    }

    fn move_child(&mut self, parent: TaskId, by: Step) {
        let children = self.children.entry(parent).or_default();
        shift(children, by);
        if *children == 0 {
            self.children.remove(&parent);
        }
    }

    fn move_dependent(&mut self, task: TaskId, on: &[TaskId], by: Step) {
        for needed in on {
            let waiting = self.dependents.entry(*needed).or_default();
            place(waiting, task, by);
            if waiting.is_empty() {
                self.dependents.remove(needed);
            }
        }
    }
}

impl PoolIndex {
    fn move_agent(&mut self, agent: &Agent, by: Step) {
        shift(&mut self.agents, by);
        match agent.life {
            AgentLife::Starting { .. } if agent.crashes.is_empty() => shift(&mut self.coming, by),
            AgentLife::Starting { .. } => shift(&mut self.failing, by),
            AgentLife::Seeding { .. } => shift(&mut self.coming, by),
            AgentLife::Idle { since } => {
                place(&mut self.idle, (since, agent.id), by);
                if agent.excess() == Some(Excess::Uncounted) {
                    shift(&mut self.coming, by);
                }
            }
            AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } => shift(&mut self.failing, by),
            AgentLife::Stopping { then: AfterStop::Terminate, .. } => shift(&mut self.ending, by),
            AgentLife::Busy { .. }
            | AgentLife::Waiting { .. }
            | AgentLife::Draining { .. }
            | AgentLife::Paused { .. }
            | AgentLife::Stopping { .. }
            | AgentLife::Terminated { .. } => {}
        }
    }
}

impl UserIndex {
    fn move_pooled(&mut self, agent: &Agent, config: &Config, by: Step) {
        let pool = self.pools.entry(agent.spec.profile.clone()).or_default();
        let asked = config.pools.of(agent.owner).get(&agent.spec.profile);
        pool.size = asked.map(|pool| (pool.min, pool.max, pool.idle_timeout));
        pool.move_agent(agent, by);
    }

    /// Sets the timers of the pools by what there is now. An agent that a waiting task names has work.
    fn retime(&mut self, timers: &mut BTreeSet<(Time, Timer)>) {
        for pool in self.pools.values_mut() {
            let next = pool.idle.iter().find(|(_, id)| !self.aimed.contains_key(id)).copied();
            let due = next.and_then(|(since, id)| Some((pool.ends_at(since)?, id)));
            for (at, by) in [(pool.due, Step::Leave), (due, Step::Enter)] {
                if let Some((at, id)) = at {
                    place(timers, (at, Timer::Agent(id)), by);
                }
            }
            pool.due = due;
        }
        self.pools.retain(|_, pool| pool.agents > 0);
    }

    fn move_task(&mut self, task: &Task, by: Step) {
        match &task.state {
            TaskState::Queued { .. } => self.move_queued(task, by),
            TaskState::Active(_) => {
                shift(&mut self.running, by);
                if let Some(key) = &task.spec.concurrency_key {
                    self.move_holder(key, task.id, by);
                }
            }
            TaskState::Blocked { .. }
            | TaskState::Deferred { .. }
            | TaskState::Held(_)
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => {}
        }
    }

    fn move_queued(&mut self, task: &Task, by: Step) {
        let at = (Reverse(task.spec.priority), task.id);
        match &task.spec.concurrency_key {
            None => self.move_offer(task.spec.target, &task.spec.capabilities, at, by),
            Some(key) => self.move_waiting(key, task, at, by),
        }
    }

    /// Puts a task where the choice for an agent looks, or takes it away from there.
    fn move_offer(&mut self, target: Option<AgentId>, wanted: &Capabilities, at: Place, by: Step) {
        let Some(agent) = target else { return move_lane(&mut self.open, wanted, at, by) };
        let lanes = self.aimed.entry(agent).or_default();
        move_lane(lanes, wanted, at, by);
        if lanes.is_empty() {
            self.aimed.remove(&agent);
        }
    }

    /// One more or less that waits at a gate: of each demand only the first may be offered.
    fn move_waiting(&mut self, key: &str, task: &Task, at: Place, by: Step) {
        let gate = self.gates.entry(key.into()).or_default();
        let is_free = gate.holder.is_none();
        let demand = (task.spec.target, task.spec.capabilities.clone());
        let waiting = gate.waiting.entry(demand.clone()).or_default();
        let before = waiting.first().copied();
        place(waiting, at, by);
        let after = waiting.first().copied();
        if waiting.is_empty() {
            gate.waiting.remove(&demand);
        }
        self.drop_unused_gate(key);
        if is_free && before != after {
            before.into_iter().for_each(|first| self.move_offer(demand.0, &demand.1, first, Step::Leave));
            after.into_iter().for_each(|first| self.move_offer(demand.0, &demand.1, first, Step::Enter));
        }
    }

    /// A task of this key begins or ends to be active: nothing else of it may be offered meanwhile.
    fn move_holder(&mut self, key: &str, task: TaskId, by: Step) {
        let gate = self.gates.entry(key.into()).or_default();
        let firsts =
            gate.waiting.iter().filter_map(|(demand, waiting)| Some((demand.clone(), *waiting.first()?)));
        let firsts: Vec<(Demand, Place)> = firsts.collect();
        let (holder, offers) = match by {
            Step::Enter => (Some(task), Step::Leave),
            Step::Leave => (None, Step::Enter),
        };
        gate.holder = holder;
        self.drop_unused_gate(key);
        for ((target, wanted), first) in firsts {
            self.move_offer(target, &wanted, first, offers);
        }
    }

    fn drop_unused_gate(&mut self, key: &str) {
        if self.gates.get(key).is_some_and(|gate| gate.holder.is_none() && gate.waiting.is_empty()) {
            self.gates.remove(key);
        }
    }
}

fn move_lane(lanes: &mut Lanes, wanted: &Capabilities, at: Place, by: Step) {
    match lanes.get_mut(wanted) {
        Some(lane) => {
            place(lane, at, by);
            if lane.is_empty() {
                lanes.remove(wanted);
            }
        }
        None if by == Step::Enter => {
            lanes.insert(wanted.clone(), BTreeSet::from([at]));
        }
        None => {}
    }
}
