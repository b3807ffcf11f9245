//! What must be true of every state, between any two steps.
//!
//! For tests and for the start of the daemon: a stored state that breaks one is refused. Not for the
//! hot path.

use crate::agent::{AfterStop, Agent, AgentLife};
use crate::delegate;
use crate::index::Index;
use crate::input::{Intake, PauseHow};
use crate::pool::supply;
use crate::profile::PROFILES_MAX;
use crate::state::State;
use crate::task::{Attempt, Clock, Held, TaskState, Wait};
use crate::time::Time;
use crate::workflow::{NodeState, Occasion, Place, RunState};
use crate::workspace::Seeded;
use crate::workspace::quota::Standing;
use std::collections::BTreeSet;

impl State {
    /// Checks every invariant.
    ///
    /// # Errors
    /// A sentence for each that is broken.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut broken = Vec::new();
        self.check_index(&mut broken);
        self.check_times(&mut broken);
        broken.extend(self.check_entities().err().into_iter().flatten());
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }

    /// Checks what entities say of one another: all that can be wrong with a state that has just been loaded,
    /// as its index was made from them.
    ///
    /// # Errors
    /// A sentence for each contradiction.
    pub fn check_entities(&self) -> Result<(), Vec<String>> {
        let mut broken = Vec::new();
        self.check_leases(&mut broken);
        self.check_attempts(&mut broken);
        self.check_dependencies(&mut broken);
        self.check_errands(&mut broken);
        self.check_questions(&mut broken);
        self.check_concurrency(&mut broken);
        self.check_secrets(&mut broken);
        self.check_profiles(&mut broken);
        self.check_runs(&mut broken);
        self.check_frozen(&mut broken);
        if self.heard != self.seq {
            broken.push(format!("runs have heard {} of {} events", self.heard, self.seq));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }

    /// Checks that no idle agent stands beside a task that it could take.
    ///
    /// # Errors
    /// The user, the task and the agent.
    pub fn check_work_conserving(&self) -> Result<(), String> {
        if self.meta.intake == Intake::Closed || !delegate::has_slot(self) {
            return Ok(());
        }
        for uid in self.index.users.keys() {
            if let Some((task, agent)) = delegate::choose_match(self, *uid) {
                return Err(format!("user {}: {task} waits although {agent} is idle", uid.0));
            }
        }
        Ok(())
    }

    /// Checks that no pool should have grown and did not.
    ///
    /// # Errors
    /// The user and the pool.
    pub fn check_supplied(&self) -> Result<(), String> {
        if self.meta.intake == Intake::Closed || !delegate::has_slot(self) || self.config.pools.is_empty() {
            return Ok(());
        }
        for uid in self.index.users.keys().chain(self.config.pools.warm()) {
            if let supply::Want::Agent(pool) = supply::want(self, *uid) {
                return Err(format!("user {}: the pool {pool} should have grown", uid.0));
            }
        }
        Ok(())
    }

    fn check_index(&self, broken: &mut Vec<String>) {
        let mut fresh = Index::default();
        for agent in self.agents.values() {
            fresh.enter_agent(agent, &self.config);
        }
        for task in self.tasks.values() {
            fresh.enter_task(task);
        }
        for secret in self.secrets.values() {
            fresh.enter_secret(secret);
        }
        for workflow in self.workflows.values() {
            fresh.enter_workflow(workflow);
        }
        for run in self.runs.values() {
            fresh.enter_run(run);
        }
        if fresh != self.index {
            broken.push("the index differs from one made anew".to_owned());
        }
    }

    /// Every active task is leased to exactly the agent that works on it, and the other way round.
    fn check_leases(&self, broken: &mut Vec<String>) {
        let mut leased = BTreeSet::new();
        for task in self.tasks.values() {
            let Some(lease) = task.lease() else { continue };
            leased.insert(lease.agent);
            let work = self.agent(lease.agent).filter(|agent| agent.incarnation == lease.incarnation);
            let work = work.and_then(|agent| agent.life.work());
            if work.is_none_or(|work| work.task != task.id || work.serial != lease.serial) {
                broken.push(format!("{} is leased to {}, which does not work on it", task.id, lease.agent));
            }
        }
        for agent in self.agents.values() {
            if let Some(work) = agent.life.work()
                && !leased.contains(&agent.id)
            {
                broken.push(format!("{} works on {} without a lease", agent.id, work.task));
            }
            if agent.life.work().is_some_and(|work| work.serial >= agent.next_serial) {
                broken.push(format!("{} would give out a serial twice", agent.id));
            }
            self.check_seed(agent, broken);
            check_count(agent, broken);
            if matches!(agent.life, AgentLife::Idle { .. }) && agent.wish != crate::agent::Wish::Run {
                broken.push(format!("{} is idle although it should not be", agent.id));
            }
        }
    }

    /// Nobody works in a workspace that is not filled yet, and nobody fills one twice.
    fn check_seed(&self, agent: &Agent, broken: &mut Vec<String>) {
        let is_due = agent.seeded == Seeded::Due;
        let fits = match agent.life {
            AgentLife::Idle { .. }
            | AgentLife::Busy { .. }
            | AgentLife::Waiting { .. }
            | AgentLife::Draining { .. }
            | AgentLife::Paused { .. } => !is_due && agent.seeded != Seeded::Failed,
            AgentLife::Seeding { serial, .. } => is_due && serial < agent.next_serial,
            AgentLife::Starting { .. }
            | AgentLife::Backoff { .. }
            | AgentLife::Quarantined { .. }
            | AgentLife::Stopping { .. }
            | AgentLife::Terminated { .. } => true,
        };
        if !fits {
            broken.push(format!("{} is {} and its seed is {:?}", agent.id, agent.life.word(), agent.seeded));
        }
    }

    /// Attempts are numbered without gaps, and only the last of an active task is open.
    fn check_attempts(&self, broken: &mut Vec<String>) {
        for task in self.tasks.values() {
            let numbered = task.attempts.iter().zip(1u32..).all(|(attempt, number)| attempt.number == number);
            if !numbered {
                broken.push(format!("the attempts of {} are not numbered 1, 2, 3 …", task.id));
            }
            let open = task.attempts.iter().filter(|attempt| !attempt.is_over()).count();
            let active = matches!(task.state, TaskState::Active(_));
            let last_open = task.attempts.last().is_some_and(|attempt: &Attempt| !attempt.is_over());
            if open != usize::from(active) || (active && !last_open) {
                broken.push(format!("{} is {} with {open} open attempts", task.id, task.state.word()));
            }
        }
    }

    /// An attempt is given, begins and ends in this order, and the next is given after its end.
    fn check_times(&self, broken: &mut Vec<String>) {
        for task in self.tasks.values() {
            let mut last = Time(0);
            for attempt in &task.attempts {
                let ended = attempt.ending.as_ref().map(|ended| ended.at);
                for at in [Some(attempt.dispatched_at), attempt.started_at, ended].into_iter().flatten() {
                    if at < last {
                        broken.push(format!("attempt {} of {} runs back in time", attempt.number, task.id));
                    }
                    last = at;
                }
            }
        }
    }

    /// An agent that was made for one task ends with it, and the task does not wait for an agent that is over.
    fn check_errands(&self, broken: &mut Vec<String>) {
        for agent in self.agents.values() {
            let Some(id) = agent.errand() else { continue };
            let ending = matches!(agent.life, AgentLife::Stopping { then: AfterStop::Terminate, .. });
            let task = self.task(id);
            if task.is_none_or(|task| task.state.ended_at().is_some()) && !ending && !agent.is_terminated() {
                broken.push(format!("{} outlives {id}, which it was made for", agent.id));
            }
            if task.is_some_and(|task| matches!(task.state, TaskState::Queued { .. }))
                && agent.is_terminated()
            {
                broken.push(format!("{id} waits for {}, which is over", agent.id));
            }
        }
    }

    /// An agent waits exactly while its task asks, unless it is drained, frozen or ended meanwhile; and no clock
    /// ticks then.
    fn check_questions(&self, broken: &mut Vec<String>) {
        for agent in self.agents.values() {
            let Some(work) = agent.life.work() else { continue };
            let asks =
                self.task(work.task).and_then(crate::Task::open_question).map(|question| question.kind);
            let fits = match &agent.life {
                AgentLife::Waiting { reason, .. } => asks == Some(*reason),
                AgentLife::Busy { .. } => asks.is_none(),
                AgentLife::Starting { .. }
                | AgentLife::Seeding { .. }
                | AgentLife::Idle { .. }
                | AgentLife::Draining { .. }
                | AgentLife::Paused { .. }
                | AgentLife::Backoff { .. }
                | AgentLife::Quarantined { .. }
                | AgentLife::Stopping { .. }
                | AgentLife::Terminated { .. } => true,
            };
            if !fits {
                broken.push(format!(
                    "{} is {} while its task asks for {asks:?}",
                    agent.id,
                    agent.life.word()
                ));
            }
        }
        for task in self.tasks.values().filter(|task| task.open_question().is_some()) {
            if task.state.active().is_some_and(|active| matches!(active.clock, Clock::Ticking { .. })) {
                broken.push(format!("a clock of {} ticks while it waits for a person", task.id));
            }
        }
    }

    /// Of an owner's tasks with one concurrency key at most one is active.
    fn check_concurrency(&self, broken: &mut Vec<String>) {
        let mut active = BTreeSet::new();
        for task in self.tasks.values().filter(|task| matches!(task.state, TaskState::Active(_))) {
            let Some(key) = &task.spec.concurrency_key else { continue };
            if !active.insert((task.owner, key)) {
                broken.push(format!("{} is active beside another task with its concurrency key", task.id));
            }
        }
    }

    /// A name has one current value, and an older one is kept only for an agent that was given it and exists.
    fn check_secrets(&self, broken: &mut Vec<String>) {
        let mut names = BTreeSet::new();
        for secret in self.secrets.values() {
            if secret.is_current() && !names.insert((secret.owner, &secret.name)) {
                broken.push(format!("{} is a second current value of \"{}\"", secret.id, secret.name));
            }
            if !secret.is_current() && secret.given.is_empty() {
                broken.push(format!("{} is kept for nobody", secret.id));
            }
            if let Some(gone) = secret.given.iter().find(|id| self.agent(**id).is_none()) {
                broken.push(format!("{} was given to {gone}, which does not exist", secret.id));
            }
        }
    }

    /// For a run stands still only what works on it, and only while the run does.
    fn check_frozen(&self, broken: &mut Vec<String>) {
        let state = |run| self.run(run).map(|run| &run.state);
        let is_frozen = |run| matches!(state(run), Some(RunState::Paused { how: PauseHow::Freeze, .. }));
        let is_paused = |run| matches!(state(run), Some(RunState::Paused { .. }));
        for agent in self.agents.values() {
            let Some(run) = agent.frozen_for else { continue };
            if !is_frozen(run) || !matches!(agent.life, AgentLife::Paused { .. }) {
                broken.push(format!("{} stands still for {run}, which does not", agent.id));
            }
        }
        for task in self.tasks.values() {
            if let TaskState::Held(Held { run: Some(run), .. }) = &task.state
                && !is_paused(*run)
            {
                broken.push(format!("{} is held for {run}, which goes on", task.id));
            }
        }
    }

    /// Profiles stand under their owner, within their limits, and nobody has an empty set.
    fn check_profiles(&self, broken: &mut Vec<String>) {
        for (owner, kept) in &self.profiles {
            if kept.owner != *owner || kept.texts.is_empty() || kept.texts.len() > PROFILES_MAX {
                broken.push(format!("the profiles of user {} are not in order", owner.0));
            }
        }
    }

    /// What is known of a run follows from its nodes; a node that an agent works on has a task that has not ended, and
    /// nothing of an ended run is on its way.
    fn check_runs(&self, broken: &mut Vec<String>) {
        for run in self.runs.values() {
            if !run.is_consistent() {
                broken.push(format!("what is known of {} differs from what its nodes say", run.id));
            }
            for (place, node) in run.places() {
                if let NodeState::Active { task, .. } = node.state {
                    let task = self.task(task).filter(|task| task.state.ended_at().is_none());
                    let own = task.and_then(|task| task.spec.node.as_ref());
                    if own.is_none_or(|own| own.run != run.id || own.place != place) {
                        broken.push(format!("{place:?} of {} is active without a task", run.id));
                    }
                }
                let has_all = |place: &Place| {
                    let needs = run.plan.graph.needs(place.node);
                    needs.iter().all(|need| run.nodes[*need as usize].state.end().is_some())
                };
                if node.state.since().is_some() && !has_all(&place) {
                    broken.push(format!("{place:?} of {} began before what it needs had ended", run.id));
                }
                let is_gone = run.plan.node(place.node).occasion == Occasion::Never;
                if place.item.is_none() && is_gone != node.state.is_removed() {
                    broken.push(format!("{place:?} of {} is not what the last edit made of it", run.id));
                }
                if let NodeState::Watching { after, .. } = &node.state
                    && *after > self.seq
                {
                    broken
                        .push(format!("{place:?} of {} waits for events after one that is to come", run.id));
                }
                let is_over = matches!(node.state, NodeState::Ended(_));
                if run.state.ended_at().is_some() && !is_over && place.item.is_none() {
                    broken.push(format!(
                        "{place:?} of {} is {} although the run ended",
                        run.id,
                        node.state.word()
                    ));
                }
            }
        }
        for task in self.tasks.values().filter(|task| task.state.ended_at().is_none()) {
            let Some(own) = &task.spec.node else { continue };
            let node = self.run(own.run).and_then(|run| run.node(own.place));
            if !matches!(node.map(|node| &node.state), Some(NodeState::Active { task: own, .. }) if *own == task.id)
            {
                broken.push(format!("{} is for a node that does not wait for it", task.id));
            }
        }
    }

    /// A blocked task waits for something, and for nothing that has ended.
    fn check_dependencies(&self, broken: &mut Vec<String>) {
        for task in self.tasks.values() {
            let on = task.blocked_on();
            let is_blocked = matches!(
                task.state,
                TaskState::Blocked { .. } | TaskState::Held(Held { wait: Wait::Tasks { .. }, .. })
            );
            let ended =
                |id: &crate::TaskId| self.task(*id).is_none_or(|task| task.state.ended_at().is_some());
            if (is_blocked && on.is_empty()) || on.iter().any(ended) {
                broken.push(format!("{} is blocked by something that has ended", task.id));
            }
        }
    }
}

/// Whoever waits for work under a disk limit is counted or being counted, and nothing is counted while it works.
fn check_count(agent: &Agent, broken: &mut Vec<String>) {
    let standing = &agent.disk.standing;
    if agent.wants_count() {
        broken.push(format!("{} has a disk limit, and nobody counts what it has", agent.id));
    }
    if agent.life.work().is_some() && *standing != Standing::Unknown {
        broken.push(format!("{} works, and what it has stands as {standing:?}", agent.id));
    }
}
