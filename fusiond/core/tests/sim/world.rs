//! One machine: the daemon with its state and its store, the shims, the wires between, one clock.
//!
//! A batch is several steps and one commit; a crash forgets everything since the last commit and
//! whatever is still on a wire. Not for: deciding what happens next (`life`, `golden`).

use crate::chooser::Chooser;
use crate::history::History;
use crate::rng::Rng;
use crate::shim::{Fate, Shims, Who};
use crate::store::Store;
use fusion_core::index::{PoolIndex, UserIndex, Words};
use fusion_core::step::Done;
use fusion_core::task::{Past, SubmitTask};
use fusion_core::workflow::{EditMode, Want};
use fusion_core::{
    AgentId, Caller, Command, Config, Effect, Event, Input, Millis, Out, Outcome, Reject, State, Task,
    TaskId, Time, Turn, Uid, step, wake,
};
use std::collections::{BTreeMap, VecDeque};

pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) out: Out,
    pub(crate) store: Store,
    pub(crate) shims: Shims,
    pub(crate) history: History,
    chooser: Chooser,
    /// Orders that were written and not carried out, in order for each agent.
    pub(crate) orders: BTreeMap<AgentId, VecDeque<Effect>>,
    /// News that the daemon has not taken yet, in order for each shim.
    pub(crate) news: BTreeMap<Who, VecDeque<Outcome>>,
    /// What runs want from the engine; a crash forgets it.
    pub(crate) wants: Vec<Want>,
    pub(crate) up: bool,
    /// What a restore brings back.
    backup: Option<(Store, History)>,
    is_restored: bool,
    epoch: u64,
    seeds: Rng,
}

impl World {
    pub(crate) fn new(config: Config, fate: Fate, seed: u64) -> Self {
        Self {
            now: Time(1_000_000),
            state: State::load(config.clone(), None, 0, Vec::new(), Vec::new()),
            config,
            out: Out::default(),
            store: Store::default(),
            shims: Shims::new(fate),
            history: History::default(),
            chooser: Chooser::default(),
            orders: BTreeMap::new(),
            news: BTreeMap::new(),
            wants: Vec::new(),
            up: false,
            backup: None,
            is_restored: false,
            epoch: 0,
            seeds: Rng::new(seed),
        }
    }

    /// The daemon starts: reads the store, compares what is wanted with what is.
    pub(crate) fn boot(&mut self) -> Result<(), String> {
        self.state = self.store.load(self.config.clone()).of_backup(self.is_restored);
        self.state.trim();
        self.chooser.begin(&self.state);
        self.epoch += 1;
        self.up = true;
        self.take(Input::Boot { epoch: self.epoch })?.map_err(|reject| format!("boot: {reject}"))?;
        Ok(())
    }

    /// The daemon dies. Shims live on.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        if self.out.is_empty() && self.up {
            self.store.compare(&self.state)?;
        }
        self.out = Out::default();
        self.orders.clear();
        self.news.clear();
        self.wants.clear();
        self.shims.hang_up();
        self.up = false;
        Ok(())
    }

    /// Everything that was committed.
    pub(crate) fn back_up(&mut self) {
        self.backup = Some((self.store.clone(), self.history.clone()));
    }

    /// The daemon ends, and an older state takes the place of its own. Shims live on.
    pub(crate) fn restore(&mut self) -> Result<(), String> {
        self.crash()?;
        (self.store, self.history) = self.backup.clone().ok_or("there is no backup")?;
        self.shims.outlive(&self.store.load(self.config.clone()));
        self.is_restored = true;
        Ok(())
    }

    /// Whether there is something to be restored.
    pub(crate) const fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// One step, and all that must hold after it.
    pub(crate) fn take(&mut self, input: Input) -> Result<Result<Done, Reject>, String> {
        let turn = Turn { now: self.now, seed: self.seeds.next() };
        let idle = Chooser::idle(&self.state);
        let effects = self.out.effects.len();
        let pooled = self.pooled();
        let may_refuse = matches!(input, Input::Command { .. });
        let only_looks = matches!(&input, Input::Command { command: Command::EditRun(ask), .. } if ask.mode == EditMode::Try);
        let before =
            (may_refuse && turn.seed.is_multiple_of(4)).then(|| (self.state.clone(), self.out.clone()));
        let result = step(&mut self.state, &mut self.out, turn, input);
        self.serve()?;
        match &result {
            Err(reject) if !may_refuse => return Err(format!("an outcome was refused: {reject}")),
            Ok(_) if !only_looks => self.store.keep_plans(&self.state, &self.out),
            Ok(_) | Err(_) => {
                if let Some((state, out)) = before {
                    self.unchanged(&state, &out)?;
                }
            }
        }
        self.state.check().map_err(|broken| broken.join("; "))?;
        self.counted_well()?;
        if result.is_ok() {
            self.state.check_work_conserving()?;
            self.state.check_supplied()?;
            self.pools_grew_well(&pooled)?;
            if wake::next_wake(&self.state).is_some_and(|at| at <= self.now) {
                return Err("a timer is due after the step".to_owned());
            }
        }
        self.chooser.verify(&idle, &self.state, &self.out.effects[effects..], self.now)?;
        Ok(result)
    }

    /// An event is kept in the batch that tells it; everything else that runs want is for later.
    fn serve(&mut self) -> Result<(), String> {
        for want in self.state.take_wants() {
            if let Want::Keep { run, seq, .. } = want {
                if !self.out.events.iter().any(|event| event.seq == seq) {
                    return Err(format!("{run} keeps event {seq}, which is not in the batch"));
                }
            } else {
                self.wants.push(want);
            }
        }
        Ok(())
    }

    /// What is counted of each user is what there is of theirs.
    fn counted_well(&self) -> Result<(), String> {
        let mut there: BTreeMap<Uid, Words> = BTreeMap::new();
        for agent in self.state.agents() {
            *there.entry(agent.owner).or_default().agents.entry(agent.life.word()).or_default() += 1;
        }
        for task in self.state.tasks() {
            *there.entry(task.owner).or_default().tasks.entry(task.state.word()).or_default() += 1;
        }
        let counted = &self.state.index().words;
        if *counted == there { Ok(()) } else { Err(format!("{counted:?} is counted of {there:?}")) }
    }

    /// How many agents each pool has for each user.
    fn pooled(&self) -> BTreeMap<(Uid, String), PoolIndex> {
        let users = self.state.index().users.iter();
        let pools = |(uid, user): (&Uid, &UserIndex)| {
            let named = user.pools.clone().into_iter();
            named.map(|(name, pool)| ((*uid, name), pool)).collect::<Vec<_>>()
        };
        users.flat_map(pools).collect()
    }

    /// No pool grew beyond its max or its user's limit, and none in which nothing comes up.
    fn pools_grew_well(&self, before: &BTreeMap<(Uid, String), PoolIndex>) -> Result<(), String> {
        for ((uid, name), now) in self.pooled() {
            let empty = PoolIndex::default();
            let then = before.get(&(uid, name.clone())).unwrap_or(&empty);
            if now.agents <= then.agents {
                continue;
            }
            let max = self.state.config.pools.of(uid).get(&name).map_or(0, |pool| pool.max);
            let limit = self.state.config.limits_of(uid).agents_max;
            let all = self.state.index().users.get(&uid).map_or(0, |user| user.agents);
            let is_stuck = |pool: &PoolIndex| {
                pool.failing > 0 && pool.failing + pool.coming + pool.ending == pool.agents
            };
            if now.agents > max || all > limit || self.state.index().agents > self.state.config.agents_max {
                return Err(format!("the pool {name} of {} has {} agents", uid.0, now.agents));
            }
            if is_stuck(then) && is_stuck(&now) {
                return Err(format!("the pool {name} of {} grew although nothing comes up", uid.0));
            }
        }
        Ok(())
    }

    fn unchanged(&self, state: &State, out: &Out) -> Result<(), String> {
        let same = state.agents().eq(self.state.agents())
            && state.tasks().eq(self.state.tasks())
            && state.runs().eq(self.state.runs())
            && state.workflows().eq(self.state.workflows())
            && state.index() == self.state.index()
            && (&state.meta, state.seq) == (&self.state.meta, self.state.seq)
            && *out == self.out;
        if same { Ok(()) } else { Err("a refusal, or a look, changed something".to_owned()) }
    }

    pub(crate) fn ask(
        &mut self,
        caller: Caller,
        mut command: Command,
    ) -> Result<Result<Done, Reject>, String> {
        if let Command::RetryTask { task, recalled } = &mut command
            && let Some(id) = TaskId::parse(task).filter(|id| self.state.task(*id).is_none())
        {
            *recalled = self.store.task(id).map(Box::new);
        }
        if let Command::SubmitTask(ask) = &mut command {
            self.recall_key(ask);
        } else if let Command::RunTask(ask) = &mut command {
            self.recall_key(&mut ask.task);
        }
        let past = Past::of(&command);
        let forgotten = past.and_then(|past| self.store.task(past.task));
        let reply = self.take(Input::Command { caller, command: command.clone() })?;
        match (&reply, past, forgotten) {
            (Err(Reject::TaskNotFound { .. }), Some(past), Some(stored)) => {
                let said = past.decide(&self.state, caller, &stored);
                self.said_as_remembered(caller, command, stored, &said)?;
                Ok(said)
            }
            (Ok(_) | Err(_), _, _) => Ok(reply),
        }
    }

    fn recall_key(&self, ask: &mut SubmitTask) {
        if !ask.key.is_empty() && !self.state.index().keys.contains_key(&(ask.owner, ask.key.as_str().into()))
        {
            let found = self.store.task_of_key(ask.owner, &ask.key);
            ask.recalled = found.map(|task| (task.id, task.spec.fingerprint));
        }
    }

    /// Of a task that left the memory the same is said as of one that is still there.
    fn said_as_remembered(
        &self,
        caller: Caller,
        command: Command,
        stored: Task,
        said: &Result<Done, Reject>,
    ) -> Result<(), String> {
        let agents = self.state.agents().cloned().collect();
        let mut state = State::load(
            self.config.clone(),
            Some(self.state.meta.clone()),
            self.state.seq,
            agents,
            vec![stored],
        );
        let turn = Turn { now: self.now, seed: 0 };
        let remembered = step(&mut state, &mut Out::default(), turn, Input::Command { caller, command });
        if remembered == *said { Ok(()) } else { Err(format!("{said:?} is said instead of {remembered:?}")) }
    }

    /// Writes the batch; then its orders are on the wire. Returns the new events and orders.
    pub(crate) fn commit(&mut self) -> Result<(Vec<Event>, Vec<Effect>), String> {
        let out = std::mem::take(&mut self.out);
        self.store.commit(&self.state, &out)?;
        self.is_restored &= !self.state.outgrows_backup();
        for event in &out.events {
            self.history.record(event, &self.shims, &self.store)?;
        }
        for effect in &out.effects {
            self.orders.entry(agent_of(effect)).or_default().push_back(effect.clone());
        }
        self.state.trim();
        if self.state.index().ended.len() > self.config.ended_in_memory as usize {
            return Err("more ended tasks in memory than configured".to_owned());
        }
        Ok((out.events, out.effects))
    }

    /// Carries out the oldest order for one agent.
    pub(crate) fn carry_out(&mut self, agent: AgentId) -> Result<(), String> {
        let Some(queue) = self.orders.get_mut(&agent) else { return Ok(()) };
        let effect = queue.pop_front();
        if queue.is_empty() {
            self.orders.remove(&agent);
        }
        let Some(effect) = effect else { return Ok(()) };
        let lease = if let Effect::Start { agent, incarnation, serial, .. }
        | Effect::Seed { agent, incarnation, serial } = effect
        {
            Some((agent, incarnation, serial))
        } else {
            None
        };
        let news = self.shims.obey(effect, self.now)?;
        if let Some(lease) = lease.filter(|lease| self.shims.began.contains(lease)) {
            self.history.may_start(lease)?;
        }
        self.hear(news);
        Ok(())
    }

    /// News for the daemon; nobody hears it while it is down.
    pub(crate) fn hear(&mut self, news: Vec<(Who, Outcome)>) {
        if self.up {
            for (who, outcome) in news {
                self.news.entry(who).or_default().push_back(outcome);
            }
        }
    }

    /// The daemon takes the oldest news of one shim.
    pub(crate) fn take_news(&mut self, who: Who) -> Result<(), String> {
        let Some(queue) = self.news.get_mut(&who) else { return Ok(()) };
        let outcome = queue.pop_front();
        if queue.is_empty() {
            self.news.remove(&who);
        }
        if let Some(outcome) = outcome {
            self.take(Input::Outcome(outcome))?.map_err(|reject| reject.to_string())?;
        }
        Ok(())
    }

    /// Time goes on, in the world and, if it is up, in the daemon.
    pub(crate) fn pass(&mut self, span: Millis) -> Result<(), String> {
        self.now = self.now.plus(span);
        let news = self.shims.pass(self.now, span);
        self.hear(news);
        if self.up && wake::next_wake(&self.state).is_some_and(|at| at <= self.now) {
            self.take(Input::Tick)?.map_err(|reject| reject.to_string())?;
        }
        Ok(())
    }
}

fn agent_of(effect: &Effect) -> AgentId {
    match effect {
        Effect::Launch { agent, .. }
        | Effect::Adopt { agent, .. }
        | Effect::Start { agent, .. }
        | Effect::Seed { agent, .. }
        | Effect::Stop { agent, .. }
        | Effect::Ack { agent, .. }
        | Effect::Freeze { agent, .. }
        | Effect::Thaw { agent, .. }
        | Effect::Observe { agent, .. }
        | Effect::Refresh { agent, .. }
        | Effect::StopShim { agent, .. }
        | Effect::Measure { agent, .. }
        | Effect::RemoveWorkspace { agent, .. } => *agent,
    }
}
