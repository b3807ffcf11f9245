//! `ChangeTasks`: one verb, many tasks. Each is a command of its own to the core; the engine takes them in
//! batches, so that the cancel of a hundred thousand costs as many syncs as batches, not as tasks.
//!
//! Also what an update means. Not for: deciding; `fusion_core::task` does.

use super::refuse::{refusal_of, refuse};
use super::submit::{input_bytes, plan_input, plan_instant, plan_on_lost, sorted, title};
use super::tasks::task_of;
use super::{Door, millis, view};
use crate::engine::Beside;
use crate::runtime::TaskInput;
use fusion_core::task::update::{Edit, NewPrompt};
use fusion_core::task::{Resolution, UpdateTask};
use fusion_core::{Caller, Command, Done, Key, Millis, Reject, State, TaskId, TaskState};
use fusion_proto::v1;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// Changes of one stream that may be under way; bounds memory when the client does not read.
const CHANGES_IN_FLIGHT: usize = 4096;

/// The same where each task may have to be read from disk before the engine goes on: bounds how long
/// others wait for their turn.
const RECALLS_IN_FLIGHT: usize = 256;

/// What is done to each task.
#[derive(Clone)]
enum Verb {
    Cancel(Millis),
    Retry,
    Hold,
    Release,
    Resolve(Resolution),
    Update(Arc<v1::UpdateTaskRequest>),
}

impl Verb {
    const fn in_flight(&self) -> usize {
        match self {
            Self::Retry => RECALLS_IN_FLIGHT,
            Self::Cancel(_) | Self::Hold | Self::Release | Self::Resolve(_) | Self::Update(_) => {
                CHANGES_IN_FLIGHT
            }
        }
    }
}

/// What became of one task; the permit is freed when the transport has taken it.
type Answered = (String, Result<Changed, Box<Status>>, OwnedSemaphorePermit);

/// A task after a change.
pub(super) enum Changed {
    /// As it is in memory.
    Task(Box<v1::Task>),
    /// It is on disk alone: it ended long ago, or with this change.
    Gone(TaskId),
}

impl Changed {
    /// The task as it is now.
    pub(super) fn of(state: &State, id: TaskId) -> Self {
        state.task(id).map_or(Self::Gone(id), |task| Self::Task(Box::new(view::task::task(task))))
    }
}

/// How a lost attempt is decided.
pub(crate) fn plan_resolution(asked: v1::Resolution) -> Result<Resolution, Reject> {
    match asked {
        v1::Resolution::Retry => Ok(Resolution::Retry),
        v1::Resolution::Fail => Ok(Resolution::Fail),
        v1::Resolution::Succeed => Ok(Resolution::Succeed),
        v1::Resolution::Unspecified => Err(Reject::FieldMissing { field: "resolution" }),
    }
}

impl Door {
    fn plan_verb(&self, ask: &v1::ChangeTasksRequest) -> Result<Verb, Reject> {
        match ask.verb() {
            v1::TaskVerb::Cancel => self.grace(ask.grace).map(Verb::Cancel),
            v1::TaskVerb::Retry => Ok(Verb::Retry),
            v1::TaskVerb::Hold => Ok(Verb::Hold),
            v1::TaskVerb::Release => Ok(Verb::Release),
            v1::TaskVerb::Resolve => plan_resolution(ask.resolution()).map(Verb::Resolve),
            v1::TaskVerb::Update => {
                let update = ask.update.clone().ok_or(Reject::FieldMissing { field: "update" })?;
                Ok(Verb::Update(Arc::new(update)))
            }
            v1::TaskVerb::Unspecified => Err(Reject::FieldMissing { field: "verb" }),
        }
    }

    /// Does it to all; the outcomes come as they are known.
    pub(crate) fn change_all(
        &self,
        caller: Caller,
        ask: v1::ChangeTasksRequest,
    ) -> Result<impl Stream<Item = Result<v1::ChangeTasksResponse, Status>> + use<>, Reject> {
        let verb = self.plan_verb(&ask)?;
        #[expect(clippy::disallowed_methods, reason = "bounded by the permits that travel with the answers")]
        let (answers, stream) = mpsc::unbounded_channel();
        let door = self.clone();
        tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(verb.in_flight()));
            for name in ask.tasks {
                let Ok(permit) = slots.clone().acquire_owned().await else { return };
                // A client that has gone wants no more of it; a stopped engine takes no more.
                if answers.is_closed() || door.change(caller, &verb, name, permit, &answers).await.is_err() {
                    return;
                }
            }
        });
        let door = self.clone();
        Ok(UnboundedReceiverStream::new(stream).then(move |answered| {
            let door = door.clone();
            async move { door.show_change(answered).await }
        }))
    }

    async fn change(
        &self,
        caller: Caller,
        verb: &Verb,
        name: String,
        permit: OwnedSemaphorePermit,
        answers: &mpsc::UnboundedSender<Answered>,
    ) -> Result<(), Reject> {
        let (command, beside) = match self.plan_change(caller, verb, name.clone()).await {
            Ok(planned) => planned,
            Err(refusal) => {
                drop(answers.send((name, Err(Box::new(refusal)), permit)));
                return Ok(());
            }
        };
        let (door, answers) = (self.clone(), answers.clone());
        let is_cancel = matches!(verb, Verb::Cancel(_));
        let runtime = tokio::runtime::Handle::current();
        let answer = move |state: &State, _, result: Result<Done, Reject>| {
            let id = result.map(task_of).map_err(|reject| Box::new(refuse(&reject)));
            // Cancelled is said only when nothing of the attempt is left.
            if let Ok(id) = id
                && is_cancel
                && state.task(id).is_some_and(|task| matches!(task.state, TaskState::Active(_)))
            {
                runtime.spawn(async move {
                    let changed = door.cancelled(id).await.map_err(|reject| Box::new(refuse(&reject)));
                    drop(answers.send((name, changed, permit)));
                });
                return;
            }
            // The client may have gone; what was changed stands.
            drop(answers.send((name, id.map(|id| Changed::of(state, id)), permit)));
        };
        self.engine.ask_later(caller, command, beside, Box::new(answer)).await
    }

    async fn plan_change(
        &self,
        caller: Caller,
        verb: &Verb,
        task: String,
    ) -> Result<(Command, Option<Beside>), Status> {
        let command = match verb {
            Verb::Cancel(grace) => Command::CancelTask { task, grace: *grace },
            Verb::Retry => Command::RetryTask { task, recalled: None },
            Verb::Hold => Command::HoldTask { task },
            Verb::Release => Command::ReleaseTask { task },
            Verb::Resolve(resolution) => Command::ResolveTask { task, resolution: *resolution },
            Verb::Update(update) => {
                let ask = v1::UpdateTaskRequest { task, ..v1::UpdateTaskRequest::clone(update) };
                let (update, input) = self.plan_update(caller, ask).await?;
                return Ok((Command::UpdateTask(Box::new(update)), input.map(Beside::Task)));
            }
        };
        Ok((command, None))
    }

    /// Waits until nothing of a cancelled task runs any more.
    pub(super) async fn cancelled(&self, id: TaskId) -> Result<Changed, Reject> {
        let ended = move |state: &State| match state.task(id) {
            Some(task) if matches!(task.state, TaskState::Active(_)) => None,
            Some(_) | None => Some(Changed::of(state, id)),
        };
        self.engine.wait(Key::Task(id), ended).await
    }

    async fn show_change(
        &self,
        (name, changed, permit): Answered,
    ) -> Result<v1::ChangeTasksResponse, Status> {
        let (changed, refusal) = match changed {
            Ok(changed) => (Some(self.show_changed(changed).await?), None),
            Err(refusal) => (None, Some(refusal_of(&refusal))),
        };
        drop(permit);
        Ok(v1::ChangeTasksResponse { task: name, changed, refusal })
    }

    /// The task as the caller sees it.
    pub(super) async fn show_changed(&self, changed: Changed) -> Result<v1::Task, Status> {
        let task = match changed {
            Changed::Task(task) => *task,
            Changed::Gone(id) => {
                let old = self.find_old(id).await?;
                let gone = || refuse(&Reject::TaskNotFound { task: id.to_string() });
                view::task::task(&old.ok_or_else(gone)?)
            }
        };
        Ok(self.named_task(task))
    }

    /// The command of an update and, with a new prompt, the bytes that are stored beside the task.
    pub(crate) async fn plan_update(
        &self,
        caller: Caller,
        ask: v1::UpdateTaskRequest,
    ) -> Result<(UpdateTask, Option<TaskInput>), Status> {
        let (mut prompt, mut input) = (None, None);
        if let Some(text) = ask.prompt.clone() {
            let task = self.find_task(caller, ask.task.clone()).await?;
            let env = self.input_of(task.id).await?.map(|old| old.env).unwrap_or_default();
            let new = plan_input(text, Vec::new(), env, false).map_err(|reject| refuse(&reject))?;
            prompt = Some(NewPrompt { title: title(&new), input_bytes: input_bytes(&new) });
            input = Some(new);
        }
        let update = plan_fields(ask, prompt).map_err(|reject| refuse(&reject))?;
        Ok((update, input))
    }
}

fn plan_fields(ask: v1::UpdateTaskRequest, prompt: Option<NewPrompt>) -> Result<UpdateTask, Reject> {
    check_unset(&ask.unset)?;
    let on_lost = Some(ask.on_lost()).filter(|asked| *asked != v1::OnLost::Unspecified).map(plan_on_lost);
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let unset = ask.unset;
    let capabilities =
        match edit(&unset, "capabilities", Some(ask.capabilities).filter(|some| !some.is_empty())) {
            Edit::Keep => None,
            Edit::Unset => Some(Default::default()),
            Edit::Set(names) => Some(names.into_iter().collect()),
        };
    Ok(UpdateTask {
        task: ask.task,
        priority: ask.priority,
        prompt,
        capabilities,
        agent: edit(&unset, "agent", text(ask.agent)),
        labels: sorted(ask.labels),
        labels_removed: ask.remove_labels,
        run_timeout: edit(&unset, "timeout", millis("timeout", ask.timeout)?),
        idle_timeout: edit(&unset, "idle_timeout", millis("idle_timeout", ask.idle_timeout)?),
        queue_timeout: edit(&unset, "queue_timeout", millis("queue_timeout", ask.queue_timeout)?),
        retries: ask.retries,
        on_lost,
        not_before: edit(&unset, "not_before", plan_instant("not_before", ask.not_before)?),
        concurrency_key: edit(&unset, "concurrency_key", text(ask.concurrency_key)),
    })
}

/// The fields that may be unset.
const UNSET: [&str; 7] =
    ["agent", "capabilities", "timeout", "idle_timeout", "queue_timeout", "not_before", "concurrency_key"];

fn check_unset(names: &[String]) -> Result<(), Reject> {
    match names.iter().find(|name| !UNSET.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Reject::FieldInvalid {
            field: "unset",
            value: name.chars().take(64).collect(),
            expected: "agent, capabilities, timeout, idle_timeout, queue_timeout, not_before or concurrency_key",
        }),
    }
}

fn edit<T>(unset: &[String], name: &str, value: Option<T>) -> Edit<T> {
    match value {
        Some(value) => Edit::Set(value),
        None if unset.iter().any(|unset| unset == name) => Edit::Unset,
        None => Edit::Keep,
    }
}
