//! What runs of workflows need from the engine within a turn: places prepared, results collected.
//!
//! Where nothing is to be filled in, a node begins in the turn in which it can. Everything else is worked on aside, after
//! the commit, so that nobody's template holds up the engine. Not for: how (`engine::workflow`).

use super::Loop;
use crate::engine::Message;
use crate::engine::workflow::{
    Beside, For, News, Part, Prep, ResultLook, Revision, Script, collect, failed, filled, kept, last_attempt,
    literal, outputs, stored_run,
};
use crate::engine::{particulars, record, secrets, unread};
use crate::runtime::Runtime;
use crate::store::Reader;
use crate::turns::Turns;
use crate::vault::Vault;
use fusion_core::task::TaskKind;
use fusion_core::workflow::{Changes, NodeState, Output, Place, Prepared, Want};
use fusion_core::{Caller, Command, Input, Key, Reject, RunId, TaskId, Time, Uid, step};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Templates of one user that are filled in, and results that are looked at, at once.
static ASIDE: Turns = Turns::new(2);
/// Of all: each may take some megabytes.
static ASIDE_OF_ALL: Semaphore = Semaphore::const_new(8);

/// Definitions of runs that go on, as far as they were needed.
#[derive(Default)]
pub(super) struct Scripts(HashMap<RunId, Arc<Script>>);

/// Something to be done aside.
pub(super) enum Errand {
    Prepare { script: Arc<Script>, whom: Box<For>, run: Part, ticket: u64, looks: Vec<ResultLook> },
    Collect(Box<ResultLook>),
}

impl Errand {
    const fn owner(&self) -> Uid {
        match self {
            Self::Prepare { whom, .. } => whom.owner,
            Self::Collect(look) => look.owner,
        }
    }
}

impl Loop {
    /// Serves all that runs want, until nothing is left that can be done at once. Returns the rest.
    pub(super) fn serve_runs(&mut self, now: Time) -> Vec<Errand> {
        let mut errands = Vec::new();
        loop {
            let wants = self.state.take_wants();
            if wants.is_empty() {
                return errands;
            }
            for want in wants {
                match want {
                    Want::Prepare { run, place, ticket } => {
                        errands.extend(self.serve_place(now, run, place, ticket));
                    }
                    Want::Collect { run, place, task } => {
                        let look = self.plan_look(run, place, task);
                        errands.extend(look.map(Box::new).map(Errand::Collect));
                    }
                    Want::Keep { run, node, seq } => self.keep_event(now, run, node, seq),
                }
            }
        }
    }

    fn serve_place(&mut self, now: Time, id: RunId, place: Place, ticket: u64) -> Option<Errand> {
        let script = self.script(id)?;
        let run = self.state.run(id)?;
        let mut whom = For::of(run, place, now);
        if script.is_literal(place.node) {
            let prep = literal(&script, &whom);
            self.take_prep(now, id, place, ticket, prep);
            return None;
        }
        let inner = script.inner_name(place.node);
        whom.inner = inner.and_then(|name| self.state.newest_workflow(run.owner, name)).cloned();
        let part = Part::of(run, script.uses_of(place));
        // Where an edit made somebody use what nobody used when it ended.
        let left: Vec<(Place, TaskId)> = part.left().collect();
        let looks = left.into_iter().filter_map(|(place, task)| self.plan_look(id, place, task)).collect();
        Some(Errand::Prepare { script, whom: Box::new(whom), run: part, ticket, looks })
    }

    /// The event stands in this batch: a node heard of it in the step that told it.
    fn keep_event(&mut self, now: Time, run: RunId, node: u32, seq: u64) {
        if let Some(event) = self.out.events.iter().rev().find(|event| event.seq == seq) {
            let body = particulars::whole(event).to_string();
            self.keep_output(now, run, Place::whole(node), body.as_bytes());
        }
    }

    fn plan_look(&mut self, id: RunId, place: Place, task: TaskId) -> Option<ResultLook> {
        let script = self.script(id)?;
        let node = script.node(place.node)?.clone();
        let owner = self.state.run(id)?.owner;
        let found = match self.state.task(task) {
            Some(task) => Ok(Some(task.clone())),
            None => record::stored_task(&self.store.reader(), task),
        };
        let found = found.inspect_err(|error| unread::note("the task of a node", error));
        let kind = found.as_ref().ok().and_then(Option::as_ref).map_or(TaskKind::Run, |task| task.spec.kind);
        let attempt = last_attempt(found);
        let agent = attempt.as_ref().ok().map(|attempt| attempt.lease.agent);
        let format =
            agent.and_then(|agent| self.state.agent(agent)).map(|agent| agent.spec.recipe.result.clone());
        let given = agent.map(|agent| secrets::given_to(&self.state, agent)).unwrap_or_default();
        let secrets = given.into_iter().cloned().collect();
        Some(ResultLook { run: id, owner, place, task, kind, attempt, format, secrets, node })
    }

    /// Lets go of what is done aside; it comes back as [`Message::Run`].
    pub(super) fn send_aside(&mut self, errands: Vec<Errand>) {
        self.forget_scripts();
        for errand in errands {
            let Some(own) = self.own.upgrade() else { return };
            let (runtime, reader, vault) = (self.runtime.clone(), self.store.reader(), self.vault.clone());
            let owner = errand.owner();
            self.handle.spawn(async move {
                // The user's own first: nobody waits for them while they hold a slot of all.
                let _turn = ASIDE.take(owner).await;
                let Ok(_slot) = ASIDE_OF_ALL.acquire().await else { return };
                let news = match errand {
                    Errand::Collect(look) => News::Collected(collect(*look, runtime, reader, vault).await),
                    Errand::Prepare { script, whom, run, ticket, looks } => {
                        let (id, place) = (whom.run, whom.place);
                        let prep = match with_late(run, looks, runtime, &reader, vault).await {
                            Ok(run) => {
                                let fill = move || filled(&script, &whom, &run, &reader);
                                let Ok(prep) = tokio::task::spawn_blocking(fill).await else { return };
                                prep
                            }
                            Err(problem) => failed(problem),
                        };
                        News::Prepared { run: id, place, ticket, prep }
                    }
                };
                // An engine that is gone asks again when it is back.
                drop(own.send(Message::Run(Box::new(news))).await);
            });
        }
    }

    pub(super) fn take_news(&mut self, now: Time, news: News) {
        match news {
            News::Prepared { run, place, ticket, prep } => self.take_prep(now, run, place, ticket, prep),
            News::Collected(found) => {
                let (run, place, task) = (found.run, found.place, found.task);
                let (what, bytes) = match found.what {
                    Ok(bytes) => {
                        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                        (Ok(Output::Kept { bytes: length }), Some(bytes))
                    }
                    Err(failure) => (Err(failure), None),
                };
                self.step_own(now, Input::Collected { run, place, task, what });
                let is_kept = self.state_of(run, place).is_some_and(|state| state.task() == Some(task));
                if let Some(bytes) = bytes.filter(|_| is_kept) {
                    self.keep_output(now, run, place, &bytes);
                }
            }
        }
    }

    /// A result stands with its run from now on, in the same record as the end of its node.
    fn keep_output(&mut self, now: Time, id: RunId, place: Place, bytes: &[u8]) {
        let Some(run) = self.state.run(id) else { return };
        let reader = self.store.reader();
        if let Err(error) = outputs::put(&reader, &mut self.batch, now, run.owner, id, place, bytes) {
            tracing::error!(run = %id, "what stood there before could not be looked at: {error}");
        }
        self.note_stored(now);
    }

    fn state_of(&self, run: RunId, place: Place) -> Option<&NodeState> {
        self.state.run(run)?.node(place).map(|node| &node.state)
    }

    fn take_prep(&mut self, now: Time, run: RunId, place: Place, ticket: u64, mut prep: Prep) {
        let turn = Self::turn(now);
        let made = self.ids.next(now, turn.draw(1), turn.draw(2));
        match &mut prep.what {
            Prepared::Task(ask) => ask.id = TaskId(made),
            Prepared::Inner(start) => start.id = RunId(made),
            Prepared::Skip
            | Prepared::Done
            | Prepared::Items(_)
            | Prepared::Gate
            | Prepared::Sleep(_)
            | Prepared::Watch(_)
            | Prepared::Failed(_) => {}
        }
        // An order that does not stand any more changes nothing: what it found is not kept either.
        let is_new = self.state_of(run, place).is_none_or(|state| *state == NodeState::Pending);
        let input = Input::Prepared { run, place, ticket, what: Box::new(prep.what) };
        let done = step(&mut self.state, &mut self.out, turn, input);
        debug_assert!(done.is_ok(), "only commands are refused");
        match prep.beside {
            Beside::Items(_) | Beside::Question(_) if !is_new => {}
            Beside::Task(input) if self.state.task(TaskId(made)).is_some() => {
                self.batch.put(&record::input_key(TaskId(made)), &input.encode());
            }
            Beside::Items(items) if matches!(self.state_of(run, place), Some(NodeState::Fanned { .. })) => {
                for (item, bytes) in (0..).zip(items) {
                    self.batch.put(&kept::item_key(run, place.node, item), &bytes);
                }
            }
            Beside::Question(words)
                if matches!(self.state_of(run, place), Some(NodeState::Asking { .. })) =>
            {
                self.batch.put(&kept::question_key(run, place.node), words.as_bytes());
            }
            Beside::Run(script) if self.state.run(RunId(made)).is_some() => {
                self.keep_script(RunId(made), script)
            }
            Beside::Task(_) | Beside::Items(_) | Beside::Question(_) | Beside::Run(_) | Beside::Nothing => {}
        }
    }

    /// A run begins: its definition is stored with it.
    pub(super) fn keep_script(&mut self, id: RunId, script: Arc<Script>) {
        self.batch.put(&kept::script_key(id), &script.encode());
        self.scripts.0.insert(id, script);
    }

    /// A run has another definition, which stands beside all that it has had.
    pub(super) fn keep_revision(
        &mut self,
        now: Time,
        caller: Caller,
        id: RunId,
        script: Arc<Script>,
        changes: Changes,
    ) {
        let old = self.script(id);
        let Some(run) = self.state.run(id) else { return };
        let first = old.filter(|_| run.revision == 2);
        let first = first.map(|old| Revision::first(run, old.definition().clone()));
        let definition = script.definition().clone();
        let by = caller.actor().to_string();
        let new = Revision { number: run.revision, at: now, by, changes, definition };
        for revision in first.iter().chain([&new]) {
            let body = serde_json::to_vec(revision).expect("a definition always has a JSON form");
            self.batch.put(&kept::revision_key(id, revision.number), &body);
        }
        self.keep_script(id, script);
    }

    pub(super) fn script(&mut self, id: RunId) -> Option<Arc<Script>> {
        if let Some(script) = self.scripts.0.get(&id) {
            return Some(Arc::clone(script));
        }
        let read = self.store.reader().get(&kept::script_key(id));
        let body = unread::or_nothing("the definition of a run", read);
        let script = body.and_then(|body| Script::decode(&body)).map(Arc::new);
        match script {
            Some(script) => {
                self.scripts.0.insert(id, Arc::clone(&script));
                Some(script)
            }
            None => {
                tracing::error!(run = %id, "the definition of a run cannot be read: it stands still");
                None
            }
        }
    }

    /// Runs that have ended need their definitions no more.
    fn forget_scripts(&mut self) {
        for key in &self.out.touched {
            if let Key::Run(id) = key
                && self.state.run(*id).is_none_or(|run| run.state.ended_at().is_some())
            {
                self.scripts.0.remove(id);
            }
        }
    }

    /// Reads a run that is to be run again, or edited before, and left the memory.
    pub(super) fn recall_run(&self, command: &mut Command) -> Result<(), Reject> {
        let (run, recalled) = if let Command::EditRun(edit) = command {
            (&edit.run, &mut edit.recalled)
        } else if let Command::RerunRun { run, recalled, .. } = command {
            (&*run, recalled)
        } else {
            return Ok(());
        };
        if let Some(id) = RunId::parse(run).filter(|id| self.state.run(*id).is_none()) {
            let found = stored_run(&self.store.reader(), id);
            *recalled = found.map_err(|error| unread::refuse("the run", &error))?.map(Box::new);
        }
        Ok(())
    }
}

/// What a node uses, with results that stay with their tasks read from there.
async fn with_late(
    mut run: Part,
    looks: Vec<ResultLook>,
    runtime: Runtime,
    reader: &Reader,
    vault: Vault,
) -> Result<Part, String> {
    for look in looks {
        let found = collect(look, runtime.clone(), reader.clone(), vault.clone()).await;
        let bytes = found.what.map_err(|failure| failure.message)?;
        run.add(found.place, serde_json::from_slice(&bytes).unwrap_or_default());
    }
    Ok(run)
}
