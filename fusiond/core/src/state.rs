//! All that the daemon knows, in memory: the entities, the settings, and the index over them.
//!
//! Entities change only through [`State::alter_agent`] and [`State::alter_task`], which keep the
//! index true. Not for: deciding; the rooms do.

use crate::agent::{Agent, AgentLife};
use crate::event::{Event, EventKind};
use crate::ids::{AgentId, RunId, SecretId, TaskId, Uid, WorkflowId};
use crate::index::Index;
use crate::input::{Actor, Caller, Intake, Rights};
use crate::pool::AllPools;
use crate::profile::UserProfiles;
use crate::secret::{self, Secret};
use crate::step::Out;
use crate::task::Task;
use crate::time::{Millis, Time};
use crate::workflow::{Run, Want, Workflow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Settings that decisions depend on. Not stored: the configuration files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Agents that are not terminated, overall.
    pub agents_max: u32,
    /// Attempts at once, overall; 0: as many as there are agents.
    pub running_max: u32,
    /// Limits of a user without an entry in `users`.
    pub per_user: UserLimits,
    /// Limits of single users.
    pub users: BTreeMap<Uid, UserLimits>,
    /// Whether root may own agents.
    pub root_agents: RootAgents,
    /// Backoff of a shim that crashed: first wait, then doubled.
    pub restart_base: Millis,
    /// Longest backoff of a shim.
    pub restart_max: Millis,
    /// Crashes within the window that quarantine an agent.
    pub quarantine_crashes: u32,
    /// The window.
    pub quarantine_window: Millis,
    /// Backoff of a task's retry: upper bound of the first wait, then doubled.
    pub retry_base: Millis,
    /// Longest backoff of a task's retry.
    pub retry_max: Millis,
    /// How long workspace and logs of a terminated agent are kept.
    pub retention: Millis,
    /// Ended tasks kept in memory; older ones stay on disk.
    pub ended_in_memory: u32,
    /// Between SIGTERM and the kill, where nobody says otherwise.
    pub grace: Millis,
    /// How long the seeding of a workspace may take.
    pub seed_timeout: Millis,
    /// How much the workspace of a new agent may take on the disk, where nobody says otherwise.
    pub disk_bytes: Option<u64>,
    /// Pools of profiles.
    pub pools: AllPools,
}

/// Whether root may own agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootAgents {
    /// Refused.
    Refused,
    /// Allowed (`allow_root_agents`, `--root`).
    Allowed,
}

/// Limits of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLimits {
    /// Agents that are not terminated.
    pub agents_max: u32,
    /// Tasks that have not ended.
    pub tasks_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agents_max: 200,
            running_max: 0,
            per_user: UserLimits { agents_max: 20, tasks_max: 200_000 },
            users: BTreeMap::new(),
            root_agents: RootAgents::Refused,
            restart_base: Millis(500),
            restart_max: Millis::from_secs(300),
            quarantine_crashes: 5,
            quarantine_window: Millis::from_secs(600),
            retry_base: Millis::from_secs(2),
            retry_max: Millis::from_secs(600),
            retention: Millis::from_secs(7 * 86_400),
            ended_in_memory: 10_000,
            grace: Millis::from_secs(10),
            seed_timeout: Millis::from_secs(600),
            disk_bytes: None,
            pools: AllPools::default(),
        }
    }
}

impl Config {
    /// The limits of one user.
    #[must_use]
    pub fn limits_of(&self, uid: Uid) -> UserLimits {
        self.users.get(&uid).copied().unwrap_or(self.per_user)
    }
}

/// What is stored of the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The number of the newest start.
    pub epoch: u64,
    /// Whether new attempts may begin.
    pub intake: Intake,
}

/// Names a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// [`Meta`].
    Meta,
    /// An [`Agent`].
    Agent(AgentId),
    /// A [`Task`].
    Task(TaskId),
    /// One attempt of a task, by number.
    Attempt(TaskId, u32),
    /// A [`Secret`], and with it its sealed value.
    Secret(SecretId),
    /// The profiles that a user applied.
    Profiles(Uid),
    /// A [`Workflow`], and with it its definition.
    Workflow(WorkflowId),
    /// A [`Run`], without its plan and its nodes.
    Run(RunId),
    /// The [`crate::workflow::Plan`] of a run.
    Plan(RunId),
    /// A node of a run, or an item of it, once it has begun.
    Node(RunId, u32, Option<u32>),
}

/// All that the daemon knows.
#[derive(Clone, Debug)]
pub struct State {
    /// Settings in force.
    pub config: Config,
    /// The daemon itself.
    pub meta: Meta,
    /// Sequence number of the last event.
    pub seq: u64,
    /// Sequence number of the last event that runs which wait for one have heard of: between steps, of the last one.
    pub(crate) heard: u64,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) tasks: BTreeMap<TaskId, Box<Task>>,
    pub(crate) secrets: BTreeMap<SecretId, Secret>,
    pub(crate) profiles: BTreeMap<Uid, UserProfiles>,
    pub(crate) workflows: BTreeMap<WorkflowId, Workflow>,
    pub(crate) runs: BTreeMap<RunId, Box<Run>>,
    pub(crate) index: Index,
    /// What runs need from the engine.
    pub(crate) wants: Vec<Want>,
    /// Users for whom something changed since the last look for a match.
    pub(crate) ready: BTreeSet<Uid>,
    /// When each user last got a slot, as a count; the tie-breaker of fair share. A restart forgets
    /// it, which costs one turn.
    pub(crate) served: BTreeMap<Uid, u64>,
    pub(crate) turns: u64,
    /// Incarnations whose shim should live and was not heard of since the start of the daemon. They get
    /// no work: an order on its way could not be told from one that the last daemon did not let out.
    pub(crate) unseen: BTreeSet<(AgentId, u32)>,
    /// Whether it is that of a backup, which knows nothing of what was stopped since, perhaps to put it back.
    pub(crate) is_restored: bool,
    /// Users whose tasks wait for a pool to grow, or may.
    pub(crate) wanting: BTreeSet<Uid>,
    /// Names of users, as far as somebody told them. Not stored: the machine has them.
    pub(crate) names: BTreeMap<Uid, String>,
}

impl Default for State {
    fn default() -> Self {
        Self::load(Config::default(), None, 0, Vec::new(), Vec::new())
    }
}

impl State {
    /// The same, as it was in a backup: what was stopped or ended since, it does not know.
    #[must_use]
    pub fn of_backup(mut self, is_restored: bool) -> Self {
        self.is_restored = is_restored;
        self
    }

    /// Whether this is the moment from which it knows as much as any state: all shims that it looked for have been heard of.
    pub fn outgrows_backup(&mut self) -> bool {
        let is_open = |(id, incarnation): &(AgentId, u32)| {
            let agent = self.agents.get(id).filter(|agent| agent.incarnation == *incarnation);
            agent.is_some_and(|agent| agent.life.wants_shim())
        };
        let is_over = self.is_restored && !self.unseen.iter().any(is_open);
        self.is_restored &= !is_over;
        is_over
    }

    /// The state as stored. Tasks carry their attempts already.
    #[must_use]
    pub fn load<T>(config: Config, meta: Option<Meta>, seq: u64, agents: Vec<Agent>, tasks: T) -> Self
    where
        T: IntoIterator<Item = Task>,
    {
        let mut state = Self {
            config,
            meta: meta.unwrap_or(Meta { epoch: 0, intake: Intake::Open }),
            seq,
            heard: seq,
            agents: BTreeMap::new(),
            tasks: BTreeMap::new(),
            secrets: BTreeMap::new(),
            profiles: BTreeMap::new(),
            workflows: BTreeMap::new(),
            runs: BTreeMap::new(),
            index: Index::default(),
            wants: Vec::new(),
            ready: BTreeSet::new(),
            served: BTreeMap::new(),
            turns: 0,
            unseen: BTreeSet::new(),
            is_restored: false,
            wanting: BTreeSet::new(),
            names: BTreeMap::new(),
        };
        for agent in agents {
            state.index.enter_agent(&agent, &state.config);
            state.ready.insert(agent.owner);
            state.agents.insert(agent.id, agent);
        }
        for task in tasks {
            state.load_task(task);
        }
        state
    }

    /// A key may be used again when its task has ended and left the memory: then both are stored, and
    /// the one that ended first stays out.
    fn load_task(&mut self, task: Task) {
        let key = task.spec.key.clone().and_then(|key| self.index.keys.get(&(task.owner, key)));
        let request = self.index.requests.get(&(task.owner, task.spec.request));
        let others: BTreeSet<TaskId> = key.into_iter().chain(request).copied().collect();
        for id in others {
            let Some(other) = self.tasks.get(&id).and_then(|other| other.state.ended_at()) else { return };
            if task.state.ended_at().is_some_and(|at| at < other) {
                return;
            }
            if let Some(other) = self.tasks.remove(&id) {
                self.index.leave_task(&other);
            }
        }
        self.index.enter_task(&task);
        self.tasks.insert(task.id, Box::new(task));
    }

    /// Drops ended tasks beyond [`Config::ended_in_memory`] from memory, oldest first. They stay on
    /// disk: call it after the batch that ended them is written.
    pub fn trim(&mut self) {
        while self.index.ended.len() > self.config.ended_in_memory as usize {
            let Some((_, id)) = self.index.ended.first().copied() else { return };
            if let Some(task) = self.tasks.remove(&id) {
                self.index.leave_task(&task);
            }
        }
        self.trim_runs();
    }

    /// Drops one task from memory if it has ended before `cutoff`; whether it is not there any more.
    /// For history that is removed from disk, too.
    pub fn forget_ended(&mut self, id: TaskId, cutoff: Time) -> bool {
        match self.tasks.get(&id) {
            None => true,
            Some(task) if task.state.ended_at().is_some_and(|at| at < cutoff) => {
                self.index.leave_task(task);
                self.tasks.remove(&id);
                true
            }
            Some(_) => false,
        }
    }

    /// One agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.get(&id)
    }

    /// One task in memory.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(AsRef::as_ref)
    }

    /// All agents, oldest first.
    pub fn agents(&self) -> impl DoubleEndedIterator<Item = &Agent> {
        self.agents.values()
    }

    /// All tasks in memory, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.values().map(AsRef::as_ref)
    }

    /// The index, for counts.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether `caller` may see things of `owner`.
    #[must_use]
    pub fn sees(caller: Caller, owner: Uid) -> bool {
        match caller.rights {
            Rights::Admin => true,
            Rights::User => caller.uid == owner,
            Rights::Agent(_) => false,
        }
    }

    /// Whether `caller` may see this agent.
    #[must_use]
    pub fn sees_agent(caller: Caller, agent: &Agent) -> bool {
        Self::sees(caller, agent.owner) || caller.rights == Rights::Agent(agent.id)
    }

    /// Whether `caller` may see this task: its owner, or the agent that works on it or on its parent.
    #[must_use]
    pub fn sees_task(&self, caller: Caller, task: &Task) -> bool {
        if Self::sees(caller, task.owner) {
            return true;
        }
        let Rights::Agent(agent) = caller.rights else { return false };
        let Some(own) = self.agent(agent).and_then(|agent| agent.life.work()) else { return false };
        task.id == own.task || task.parent() == Some(own.task)
    }

    /// Whether this agent waits for work and can be given some: its shim was heard of since the start of
    /// the daemon, and its workspace takes no more than it may.
    #[must_use]
    pub fn is_free(&self, agent: &Agent) -> bool {
        matches!(agent.life, AgentLife::Idle { .. })
            && agent.excess().is_none()
            && !self.unseen.contains(&(agent.id, agent.incarnation))
    }

    /// Changes an agent and keeps the index true. `None` when there is no such agent.
    pub(crate) fn alter_agent<R>(
        &mut self,
        out: &mut Out,
        id: AgentId,
        change: impl FnOnce(&mut Agent) -> R,
    ) -> Option<R> {
        let agent = self.agents.get_mut(&id)?;
        self.index.leave_agent(agent, &self.config);
        let result = change(agent);
        agent.forget_run_unless_paused();
        self.index.enter_agent(agent, &self.config);
        self.ready.insert(agent.owner);
        out.touch(Key::Agent(id));
        Some(result)
    }

    /// Changes a task and keeps the index true. `None` when there is no such task.
    pub(crate) fn alter_task<R>(
        &mut self,
        out: &mut Out,
        id: TaskId,
        change: impl FnOnce(&mut Task) -> R,
    ) -> Option<R> {
        let task = self.tasks.get_mut(&id)?;
        self.index.leave_task(task);
        let result = change(task);
        self.index.enter_task(task);
        self.ready.insert(task.owner);
        out.touch(Key::Task(id));
        Some(result)
    }

    pub(crate) fn add_agent(&mut self, out: &mut Out, agent: Agent) {
        self.index.enter_agent(&agent, &self.config);
        out.touch(Key::Agent(agent.id));
        self.agents.insert(agent.id, agent);
    }

    pub(crate) fn remove_agent(&mut self, out: &mut Out, id: AgentId) {
        if let Some(agent) = self.agents.remove(&id) {
            self.index.leave_agent(&agent, &self.config);
            out.touch(Key::Agent(id));
            secret::forget_agent(self, out, id, agent.owner);
        }
    }

    pub(crate) fn add_task(&mut self, out: &mut Out, task: Task) {
        self.index.enter_task(&task);
        self.ready.insert(task.owner);
        out.touch(Key::Task(task.id));
        self.tasks.insert(task.id, Box::new(task));
    }

    /// Puts all entities into the index again, for settings that it depends on.
    pub(crate) fn reindex(&mut self) {
        self.index = Index::default();
        for agent in self.agents.values() {
            self.index.enter_agent(agent, &self.config);
        }
        for task in self.tasks.values() {
            self.index.enter_task(task);
        }
        for secret in self.secrets.values() {
            self.index.enter_secret(secret);
        }
        for workflow in self.workflows.values() {
            self.index.enter_workflow(workflow);
        }
        for run in self.runs.values() {
            self.index.enter_run(run);
        }
        self.ready_all();
    }

    /// Writes an event.
    pub(crate) fn tell(
        &mut self,
        out: &mut Out,
        at: Time,
        actor: Actor,
        owner: Option<Uid>,
        kind: EventKind,
    ) {
        self.seq += 1;
        out.events.push(Event { seq: self.seq, at, actor, owner, kind });
    }
}
