//! A second opinion on who gets what: the rule of the queue, written as a plain scan.
//!
//! Every lease that a step gives is compared with what the rule would give. Not for: speed.

use fusion_core::input::Intake;
use fusion_core::{Agent, AgentId, AgentLife, Effect, State, Task, TaskId, TaskState, Time, Uid};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct Chooser {
    /// When each user was last served, as a count.
    served: BTreeMap<Uid, u64>,
    turns: u64,
    /// Leases whose start was ordered already: a repeated order is not a choice.
    given: BTreeSet<(AgentId, u32, u32)>,
}

struct Scene<'a> {
    queued: Vec<&'a Task>,
    idle: BTreeMap<AgentId, (Time, &'a Agent)>,
    running: BTreeMap<Uid, usize>,
    /// Concurrency keys of which a task is active.
    taken: BTreeSet<(Uid, &'a str)>,
}

impl Chooser {
    /// A daemon has started: it remembers leases, not turns.
    pub(crate) fn begin(&mut self, state: &State) {
        *self = Self::default();
        let leases = state.tasks().filter_map(Task::lease);
        self.given = leases.map(|lease| (lease.agent, lease.incarnation, lease.serial)).collect();
    }

    /// Who is idle, and since when.
    pub(crate) fn idle(state: &State) -> BTreeMap<AgentId, Time> {
        state.agents().filter_map(|agent| Some((agent.id, idle_since(agent)?))).collect()
    }

    /// Compares the leases of one step with the rule.
    pub(crate) fn verify(
        &mut self,
        before: &BTreeMap<AgentId, Time>,
        after: &State,
        effects: &[Effect],
        now: Time,
    ) -> Result<(), String> {
        let mut starts = Vec::new();
        for effect in effects {
            if let Effect::Start { agent, incarnation, serial, task, .. } = effect
                && self.given.insert((*agent, *incarnation, *serial))
            {
                starts.push((*task, *agent));
            }
        }
        if after.meta.intake == Intake::Closed {
            return if starts.is_empty() { Ok(()) } else { Err("a start while drained".to_owned()) };
        }
        if starts.is_empty() {
            return Ok(());
        }
        let mut scene = Scene::before_dispatch(after, &starts, before, now);
        for (task, agent) in starts {
            let expected = self.choose(&scene, after);
            if expected != Some((task, agent)) {
                return Err(format!("{task} went to {agent}; the rule says {expected:?}"));
            }
            let owner = scene.take(task, agent);
            self.turns += 1;
            self.served.insert(owner, self.turns);
        }
        match self.choose(&scene, after) {
            Some((task, agent)) => Err(format!("{task} could have gone to {agent}")),
            None => Ok(()),
        }
    }

    fn choose(&self, scene: &Scene<'_>, state: &State) -> Option<(TaskId, AgentId)> {
        let slots = state.config.running_max as usize;
        if slots != 0 && scene.running.values().sum::<usize>() >= slots {
            return None;
        }
        let free = |task: &&&Task| key_of(task).is_none_or(|key| !scene.taken.contains(&key));
        let pairs = scene.queued.iter().filter(free).filter_map(|task| {
            let fitting = scene.idle.values().filter(|(_, agent)| fits(agent, task));
            let (_, agent) = fitting.min_by_key(|(since, agent)| (*since, agent.id))?;
            let running = scene.running.get(&task.owner).copied().unwrap_or(0);
            let served = self.served.get(&task.owner).copied().unwrap_or(0);
            let order = (running, served, task.owner, Reverse(task.spec.priority), task.id);
            Some((order, agent.id))
        });
        pairs.min().map(|((.., task), agent)| (task, agent))
    }
}

impl<'a> Scene<'a> {
    /// As it was before the leases: nothing else happens in a step after the first of them.
    fn before_dispatch(
        after: &'a State,
        starts: &[(TaskId, AgentId)],
        before: &BTreeMap<AgentId, Time>,
        now: Time,
    ) -> Self {
        let leased: BTreeSet<TaskId> = starts.iter().map(|(task, _)| *task).collect();
        let takers: BTreeSet<AgentId> = starts.iter().map(|(_, agent)| *agent).collect();
        let (mut running, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for task in after.tasks().filter(|task| matches!(task.state, TaskState::Active(_))) {
            let was_active = !leased.contains(&task.id);
            *running.entry(task.owner).or_default() += usize::from(was_active);
            taken.extend(key_of(task).filter(|_| was_active));
        }
        let waits =
            |task: &&Task| matches!(task.state, TaskState::Queued { .. }) || leased.contains(&task.id);
        let since = |agent: &Agent| {
            let taker = takers.contains(&agent.id);
            if taker {
                Some(before.get(&agent.id).copied().unwrap_or(now))
            } else {
                idle_since(agent).filter(|_| after.is_free(agent))
            }
        };
        let idle = after.agents().filter_map(|agent| Some((agent.id, (since(agent)?, agent)))).collect();
        Self { queued: after.tasks().filter(waits).collect(), idle, running, taken }
    }

    fn take(&mut self, task: TaskId, agent: AgentId) -> Uid {
        let key = self.queued.iter().find(|other| other.id == task).and_then(|task| key_of(task));
        self.taken.extend(key);
        self.queued.retain(|other| other.id != task);
        let (_, taker) = self.idle.remove(&agent).expect("chosen from the idle");
        *self.running.entry(taker.owner).or_default() += 1;
        taker.owner
    }
}

fn key_of(task: &Task) -> Option<(Uid, &str)> {
    Some((task.owner, task.spec.concurrency_key.as_deref()?))
}

fn idle_since(agent: &Agent) -> Option<Time> {
    match agent.life {
        AgentLife::Idle { since } => Some(since),
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. } => None,
    }
}

fn fits(agent: &Agent, task: &Task) -> bool {
    let has = |wanted: &str| agent.spec.capabilities.iter().any(|have| have == wanted);
    agent.owner == task.owner
        && agent.errand().is_none_or(|errand| errand == task.id)
        && task.spec.target.is_none_or(|target| target == agent.id)
        && task.spec.capabilities.iter().all(has)
}
