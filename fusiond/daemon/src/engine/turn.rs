//! The engine's loop: gather a batch, step, commit, let out.
//!
//! The loop only picks; the core decides. Not for: shapes of values (`record`), what the hands need
//! besides an effect (`orders`).

use crate::engine::clock::Clock;
use crate::engine::ids::Ids;
use crate::engine::prune::Pruner;
use crate::engine::waiters::{Waiters, Watch};
use crate::engine::workflow::kept;
use crate::engine::{
    Answer, Beside, Keep, Kept, KeptAnswer, Look, Message, Parts, name_of, orders, record, secrets, stored,
    unread,
};
use crate::runtime::{InputId, Runtime, TaskInput};
use crate::store::{Batch, CommitError, Store};
use crate::vault::Vault;
use fusion_core::agent::SpawnAgent;
use fusion_core::task::{Past, SubmitTask};
use fusion_core::{
    AgentId, Caller, Command, Done, Input, Key, Out, Outcome, Reject, RunId, SecretId, State, Task, TaskId,
    Time, Turn, WorkflowId, step, wake,
};
use runs::Scripts;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use weigh::is_new_work;

mod gather;
mod runs;
mod weigh;
mod write_back;

/// How long a commit that found the disk full waits before it is tried again.
const NO_SPACE_WAIT: Duration = Duration::from_millis(250);

/// What one batch gathered for after the commit.
#[derive(Default)]
struct After {
    answers: Vec<(Answer, Result<Done, Reject>)>,
    kept: Vec<(KeptAnswer, Result<Kept, Reject>)>,
    looks: Vec<Look>,
    waits: Vec<(Key, Box<dyn Watch>)>,
    stop: Option<oneshot::Sender<Store>>,
}

/// What everybody may know of the loop at any time.
pub(crate) struct Told {
    /// The last event that was written.
    pub(crate) seq: watch::Sender<u64>,
    /// Whether it waits for room on the disk.
    pub(crate) cramped: watch::Sender<bool>,
}

/// The engine thread's own things.
pub(crate) struct Loop {
    state: State,
    store: Store,
    vault: Vault,
    runtime: Runtime,
    handle: tokio::runtime::Handle,
    inbox: mpsc::Receiver<Message>,
    /// The other end of `inbox`, for what is worked on aside; it keeps nobody waiting for the last door.
    own: mpsc::WeakSender<Message>,
    scripts: Scripts,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    told: Told,
    clock: Clock,
    ids: Ids,
    waiters: Waiters,
    pruner: Pruner,
    batch: Batch,
    /// Whether something was put into the batch that a sweep of what stood before might take.
    has_stored: bool,
    /// When to look for prompts and results that nobody needs; `None` while there is nothing to look for.
    sweep_at: Option<Time>,
    out: Out,
    /// Outcomes that the engine itself saw: an input that cannot be read back.
    own_outcomes: Vec<Outcome>,
}

impl Loop {
    pub(crate) fn new(
        parts: Parts,
        inbox: mpsc::Receiver<Message>,
        own: mpsc::WeakSender<Message>,
        told: Told,
    ) -> Self {
        let last = last_instant(&parts);
        Self {
            state: parts.state,
            store: parts.store,
            vault: parts.vault,
            runtime: parts.runtime,
            handle: parts.handle,
            inbox,
            own,
            scripts: Scripts::default(),
            outcomes: parts.outcomes,
            told,
            clock: Clock::start(last),
            ids: Ids::default(),
            waiters: Waiters::default(),
            pruner: Pruner::new(parts.history),
            batch: Batch::new(),
            has_stored: false,
            sweep_at: Some(Time(0)),
            out: Out::default(),
            own_outcomes: Vec::new(),
        }
    }

    /// Runs until [`Message::Stop`] or until every door is gone.
    pub(crate) fn run(mut self, epoch: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a single-threaded runtime with a timer needs no more than memory");
        self.take(vec![Message::Own(Input::Boot { epoch })], Vec::new());
        self.write_back_again();
        loop {
            let (messages, outcomes) = runtime.block_on(self.gather());
            let Some(messages) = messages else { return };
            if let Some(stop) = self.take(messages, outcomes) {
                // The daemon may have given up waiting; then the store is dropped, which loses nothing.
                drop(stop.send(self.store));
                return;
            }
        }
    }

    /// How long until time alone brings something.
    fn next_wait(&self) -> Option<Duration> {
        let now = self.clock.now();
        let due = wake::next_wake(&self.state).map(|at| Duration::from_millis(at.since(now).0));
        let sweep = self.sweep_at.map(|at| Duration::from_millis(at.since(now).0));
        [due, sweep, self.pruner.wait(now)].into_iter().flatten().min()
    }

    /// One turn. Returns who asked for the end.
    fn take(&mut self, messages: Vec<Message>, outcomes: Vec<Outcome>) -> Option<oneshot::Sender<Store>> {
        let now = self.clock.now();
        let mut after = After::default();
        for outcome in outcomes {
            self.step_outcome(now, outcome);
        }
        let room = messages.iter().any(is_new_work).then(|| self.store.space().ok);
        for message in messages {
            self.step_message(now, room != Some(false), message, &mut after);
        }
        if wake::next_wake(&self.state).is_some_and(|at| at <= now) {
            self.step_own(now, Input::Tick);
        }
        let errands = self.serve_runs(now);
        let logs = self.prune(now);
        self.sweep(now);
        self.commit();
        self.outgrow_backup();
        self.has_stored = false;
        self.write_back();
        self.send_aside(errands);
        self.state.trim();
        self.runtime.remove_logs(logs, &self.handle);
        let out = std::mem::take(&mut self.out);
        for event in &out.events {
            super::tell::tell(&self.state, event);
        }
        self.let_out(&out);
        for (answer, result) in after.answers {
            answer(&self.state, now, result);
        }
        for (answer, kept) in after.kept {
            // Whoever stores may have hung up; the piece stands until it is swept.
            drop(answer.send(kept));
        }
        for look in after.looks {
            look(&self.state, now);
        }
        self.waiters.wake(&self.state, &out.touched);
        for (key, watch) in after.waits {
            self.waiters.add(&self.state, key, watch);
        }
        after.stop
    }

    fn turn(now: Time) -> Turn {
        let mut seed = [0; 8];
        // Jitter and nonces: without entropy neither is safe.
        getrandom::fill(&mut seed).expect("the kernel gives entropy after boot");
        Turn { now, seed: u64::from_le_bytes(seed) }
    }

    fn step_outcome(&mut self, now: Time, outcome: Outcome) {
        let (agent, name) = name_of(&outcome);
        tracing::debug!(%agent, outcome = name);
        let outcome = secrets::veil(&self.state, &self.store.reader(), &self.vault, outcome);
        self.step_own(now, Input::Outcome(outcome));
    }

    fn step_own(&mut self, now: Time, input: Input) {
        let done = step(&mut self.state, &mut self.out, Self::turn(now), input);
        debug_assert!(done.is_ok(), "only commands are refused");
    }

    fn step_message(&mut self, now: Time, room: bool, message: Message, after: &mut After) {
        match message {
            Message::Ask { answer, .. } if !room => after.answers.push((answer, Err(Reject::NoSpace))),
            Message::Ask { caller, command, beside, answer } => {
                let result = self.step_command(now, caller, command, beside);
                after.answers.push((answer, result));
            }
            Message::Keep { answer, .. } if !room => after.kept.push((answer, Err(Reject::NoSpace))),
            Message::Keep { id, step, answer } => after.kept.push((answer, self.keep(now, id, step))),
            Message::Look(look) => after.looks.push(look),
            Message::Wait(key, watch) => after.waits.push((key, watch)),
            Message::Run(news) => self.take_news(now, *news),
            Message::Own(input) => self.step_own(now, input),
            Message::History(history) => self.pruner.keep(history),
            Message::Stop(sender) => after.stop = Some(sender),
        }
    }

    fn step_command(
        &mut self,
        now: Time,
        caller: Caller,
        mut command: Command,
        beside: Option<Beside>,
    ) -> Result<Done, Reject> {
        let stored = match &beside {
            Some(Beside::Task(input)) => input.stored,
            Some(Beside::Sealed(_) | Beside::Definition(_) | Beside::Run(_) | Beside::Edit(..)) | None => {
                None
            }
        };
        if let Some(stored) = stored {
            let kept = stored::is_kept(&self.store.reader(), now, stored.id);
            if !kept.map_err(|error| unread::refuse("the stored prompt", &error))? {
                return Err(Reject::InputNotFound { input: stored.id.to_string() });
            }
        }
        let turn = Self::turn(now);
        self.assign_id(turn, &mut command);
        self.recall(&mut command)?;
        let past = Past::of(&command);
        let result = step(&mut self.state, &mut self.out, turn, Input::Command { caller, command });
        let result = self.remember(caller, past, result);
        match (&result, beside) {
            (Ok(Done::Task(id)), Some(Beside::Task(input))) => {
                self.batch.put(&record::input_key(*id), &input.encode());
                self.keep_key(*id);
                if let Some(stored) = stored {
                    stored::need(&mut self.batch, stored.id, &id.0.to_be_bytes());
                }
            }
            (Ok(Done::Secret(id)), Some(Beside::Sealed(bytes))) => {
                self.batch.put(&record::sealed_key(*id), &bytes);
            }
            (Ok(Done::Workflow(id)), Some(Beside::Definition(text))) => {
                self.batch.put(&kept::definition_key(*id), text.as_bytes());
            }
            (Ok(Done::Run(id)), Some(Beside::Run(script))) => self.keep_script(*id, script),
            (Ok(Done::Run(id)), Some(Beside::Edit(script, changes))) => {
                self.keep_revision(now, caller, *id, script, changes);
            }
            (Ok(_) | Err(_), _) => {}
        }
        result
    }

    fn keep(&mut self, now: Time, id: InputId, step: Keep) -> Result<Kept, Reject> {
        let reader = self.store.reader();
        self.note_stored(now);
        let kept = stored::keep(&reader, &mut self.batch, now, id, step);
        kept.map_err(|error| unread::refuse("the stored prompt", &error))
    }

    fn note_stored(&mut self, now: Time) {
        self.has_stored = true;
        self.sweep_at.get_or_insert(now.plus(stored::UNNAMED_FOR));
    }

    /// Puts the end of prompts and results that nobody needs into the batch.
    fn sweep(&mut self, now: Time) {
        if self.has_stored || self.sweep_at.is_none_or(|at| at > now) {
            return;
        }
        self.sweep_at = stored::sweep(&self.store.reader(), &mut self.batch, now).unwrap_or_else(|error| {
            tracing::error!("stored prompts could not be looked through; they are kept: {error}");
            Some(now.plus(stored::UNNAMED_FOR))
        });
    }

    fn assign_id(&mut self, turn: Turn, command: &mut Command) {
        let id = || (turn.draw(1), turn.draw(2));
        match command {
            Command::SpawnAgent(ask) => self.assign_agent(turn, ask),
            Command::SubmitTask(ask) => {
                let (high, low) = id();
                ask.id = TaskId(self.ids.next(turn.now, high, low));
            }
            Command::RunTask(ask) => {
                self.assign_agent(turn, &mut ask.agent);
                ask.task.id = TaskId(self.ids.next(turn.now, turn.draw(3), turn.draw(4)));
            }
            Command::ApplyWorkflow(ask) => {
                let (high, low) = id();
                ask.id = WorkflowId(self.ids.next(turn.now, high, low));
            }
            Command::StartRun(ask) => {
                let (high, low) = id();
                ask.id = RunId(self.ids.next(turn.now, high, low));
            }
            Command::SetSecret(ask) => {
                let (high, low) = id();
                ask.id = SecretId(self.ids.next(turn.now, high, low));
            }
            Command::RemoveSecret { .. }
            // What these make is numbered by the core.
            | Command::SpawnGroup { .. }
            | Command::ScaleAgents { .. }
            | Command::UpdateAgent { .. }
            | Command::PauseAgent { .. }
            | Command::ResumeAgent { .. }
            | Command::RestartAgent { .. }
            | Command::TerminateAgent { .. }
            | Command::RemoveAgent { .. }
            | Command::RemoveWorkspace { .. }
            | Command::CancelTask { .. }
            | Command::RetryTask { .. }
            | Command::ResolveTask { .. }
            | Command::AskTask(_)
            | Command::WithdrawQuestion { .. }
            | Command::AnswerTask { .. }
            | Command::HoldTask { .. }
            | Command::ReleaseTask { .. }
            | Command::UpdateTask(_)
            | Command::ApplyProfiles { .. }
            | Command::RemoveProfile { .. }
            | Command::PauseRun { .. }
            | Command::ResumeRun { .. }
            | Command::CancelRun { .. }
            | Command::ApproveNode(_)
            | Command::RerunRun { .. }
            | Command::EditRun(_)
            | Command::SetIntake(_)
            | Command::StopAll { .. } => {}
        }
    }

    fn assign_agent(&mut self, turn: Turn, ask: &mut SpawnAgent) {
        ask.id = AgentId(self.ids.next(turn.now, turn.draw(1), turn.draw(2)));
        // The door named the owner's folder; the agent's own lies below.
        ask.spec.recipe.workspace = format!("{}/{}", ask.spec.recipe.workspace, ask.id);
    }

    /// The key names this task also when that has left the memory.
    fn keep_key(&mut self, id: TaskId) {
        let Some(task) = self.state.task(id) else { return };
        if let Some(key) = &task.spec.key {
            self.batch.put(&record::key_key(task.owner, key), &record::encode(&id));
        }
    }

    /// Reads what a command means and has left the memory: a task that is to be retried, the one of a key.
    fn recall(&self, command: &mut Command) -> Result<(), Reject> {
        if let Command::RetryTask { task, recalled } = command {
            if let Some(id) = TaskId::parse(task).filter(|id| self.state.task(*id).is_none()) {
                *recalled = self.read_task(id)?.map(Box::new);
            }
        } else if let Command::SubmitTask(ask) = command {
            self.recall_key(ask)?;
        } else if let Command::RunTask(ask) = command {
            self.recall_key(&mut ask.task)?;
        }
        self.recall_run(command)
    }

    /// A key is never taken for a new one because the store does not answer.
    fn recall_key(&self, ask: &mut SubmitTask) -> Result<(), Reject> {
        let key = (ask.owner, ask.key.as_str().into());
        if ask.key.is_empty() || self.state.index().keys.contains_key(&key) {
            return Ok(());
        }
        let found = record::task_of_key(&self.store.reader(), ask.owner, &ask.key);
        let found = found.map_err(|error| unread::refuse("the task of the key", &error))?;
        ask.recalled = found.map(|task| (task.id, task.spec.fingerprint));
        Ok(())
    }

    /// What is not in memory may be on disk.
    fn remember(
        &self,
        caller: Caller,
        past: Option<Past>,
        result: Result<Done, Reject>,
    ) -> Result<Done, Reject> {
        match (result, past) {
            (Err(not_found @ Reject::TaskNotFound { .. }), Some(past)) => match self.read_task(past.task)? {
                Some(task) => past.decide(&self.state, caller, &task),
                None => Err(not_found),
            },
            (result, _) => result,
        }
    }

    fn read_task(&self, id: TaskId) -> Result<Option<Task>, Reject> {
        let read = record::stored_task(&self.store.reader(), id);
        read.map_err(|error| unread::refuse("the task", &error))
    }

    /// Puts the end of old history into the batch; the logs that go with it.
    fn prune(&mut self, now: Time) -> Vec<crate::engine::prune::Lease> {
        if !self.out.events.is_empty() {
            self.pruner.note_events(now);
        }
        if !self.pruner.is_due(now) {
            return Vec::new();
        }
        // What goes may have needed something.
        self.sweep_at.get_or_insert(now.plus(stored::UNNAMED_FOR));
        let reader = self.store.reader();
        match self.pruner.look(&reader, &mut self.state, &mut self.batch, now) {
            Ok(pruned) => pruned.logs,
            Err(error) => {
                tracing::error!("old history could not be read; it is kept: {error}");
                Vec::new()
            }
        }
    }

    /// Writes the whole batch as one record. Returns only when it is durable.
    /// Once nothing is unknown any more that a backup could not know, which is on record now.
    fn outgrow_backup(&mut self) {
        if self.state.outgrows_backup()
            && let Err(error) = self.store.outgrow_backup()
        {
            tracing::warn!("the next start takes the state for that of a backup again: {error}");
        }
    }

    fn commit(&mut self) {
        for key in &self.out.touched {
            record::put(&mut self.batch, &self.state, *key);
        }
        for event in &self.out.events {
            record::put_event(&mut self.batch, event);
        }
        if self.batch.is_empty() {
            return;
        }
        loop {
            match self.store.commit(&mut self.batch) {
                Ok(_) => break,
                Err(CommitError::NoSpace) => {
                    // Nothing was written and nobody was told: agents go on, callers wait.
                    tracing::error!("no room for the journal; trying again until there is");
                    self.told.cramped.send_replace(true);
                    std::thread::park_timeout(NO_SPACE_WAIT);
                }
                Err(error) => {
                    // What is on disk is unknown now. Agents live on in their shims; the service manager
                    // starts the daemon again, and the journal tells what was kept.
                    tracing::error!("the journal failed; ending at once: {error}");
                    std::process::abort();
                }
            }
        }
        self.told.cramped.send_if_modified(std::mem::take);
        self.told.seq.send_replace(self.state.seq);
    }

    /// Hands the effects over, with what the hands need besides.
    fn let_out(&mut self, out: &Out) {
        if out.effects.is_empty() {
            return;
        }
        let reader = self.store.reader();
        let input = |task| {
            let body = unread::or_nothing("the input of a task", reader.get(&record::input_key(task)))?;
            let decoded = TaskInput::decode(&body);
            decoded.inspect_err(|error| tracing::error!(%task, "its input could not be read: {error}")).ok()
        };
        let give = |agent, task| secrets::environment(&self.state, &reader, &self.vault, agent, task);
        let planned = orders::plan(&self.state, &out.effects, input, give);
        self.own_outcomes.extend(planned.impossible);
        let _entered = self.handle.enter();
        self.runtime.order(planned.orders);
    }
}

/// The last instant that was written: the timeline never goes back behind it.
fn last_instant(parts: &Parts) -> Time {
    let body = parts.store.reader().get(&record::event_key(parts.state.seq)).ok().flatten();
    body.and_then(|body| record::decode_event(&body)).map_or(Time(0), |event| event.at)
}
