//! What lies behind the present state: ended tasks on disk, results, prompts.
//!
//! The engine's memory holds the newest ended tasks alone; everything that it ever committed is read
//! from the store here, aside from the engine. Not for: changing anything.

use super::refuse::{broken, refuse};
use super::{Door, view};
use crate::engine::workflow::missing_bytes;
use crate::engine::{input_key, stored_task};
use crate::profile::result::extract;
use crate::runtime::TaskInput;
use crate::runtime::logs::{Log, LogError};
use crate::vault::Cut;
use fusion_core::task::{Attempt, Task, TaskKind};
use fusion_core::{AgentId, Caller, Reject, State, TaskId, TaskState, Time};
use fusion_proto::v1;
use tonic::Status;

/// The longest result that is served whole.
pub(crate) const RESULT_BYTES_MAX: usize = 1 << 20;

/// How much of a result `task show` carries.
const RESULT_SHOWN_BYTES: usize = 64 << 10;

impl Door {
    /// A task in memory, or, by its full id, on disk.
    pub(crate) async fn find_task(&self, caller: Caller, text: String) -> Result<Task, Status> {
        let id = TaskId::parse(&text);
        let look = move |state: &State, _: Time| state.find_task(caller, &text).cloned();
        let found = self.engine.look(look).await.and_then(|found| found);
        match (found, id) {
            (Err(reject @ Reject::TaskNotFound { .. }), Some(id)) => {
                let old = self.find_old(id).await?.filter(|task| State::sees(caller, task.owner));
                old.ok_or_else(|| refuse(&reject))
            }
            (found, _) => found.map_err(|reject| refuse(&reject)),
        }
    }

    /// A task on disk.
    pub(crate) async fn find_old(&self, id: TaskId) -> Result<Option<Task>, Status> {
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || stored_task(&reader, id));
        let task = read.await.map_err(|error| broken("reading a task", &error))?;
        task.map_err(|error| broken("reading a task", &error))
    }

    /// The task as `task show` has it: with its input, its result and the reason of its state.
    pub(crate) async fn with_details(&self, task: Task) -> Result<v1::Task, Status> {
        let mut shown = self.named_task(view::task::task(&task));
        if let Some(input) = self.input_of(task.id).await? {
            shown.workdir = input.workdir().map(str::to_owned);
            shown.prompt = (!input.prompt.is_empty()).then_some(input.prompt);
            shown.run = input.run;
            shown.input = input.stored.map(|stored| stored.id.to_string());
            shown.input_bytes = input.stored.map_or(0, |stored| stored.bytes.into());
        }
        let id = task.id;
        let why = move |state: &State, now: Time| fusion_core::explain::explain_task(state, id, now);
        if let Ok(Some(why)) = self.engine.look(why).await {
            shown.reason = why.summary;
        }
        if matches!(task.state, TaskState::Succeeded { .. }) {
            shown.result = self.shown_result(&task).await;
        }
        Ok(shown)
    }

    /// The result within a task.
    pub(crate) async fn shown_result(&self, task: &Task) -> Option<String> {
        let result = self.result_of(task, RESULT_SHOWN_BYTES).await.ok()?;
        Some(String::from_utf8_lossy(&result.data).into_owned())
    }

    /// Prompt or command and environment of a task.
    pub(crate) async fn input_of(&self, id: TaskId) -> Result<Option<TaskInput>, Status> {
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || reader.get(&input_key(id)));
        let body = read.await.map_err(|error| broken("reading a prompt", &error))?;
        let body = body.map_err(|error| broken("reading a prompt", &error))?;
        Ok(body.and_then(|body| TaskInput::decode(&body).ok()))
    }

    /// The result of an ended task: what its last attempt wrote, by the agent's result format, to standard output or
    /// to the file that `FUSION_OUTPUT` named.
    pub(crate) async fn result_of(&self, task: &Task, limit: usize) -> Result<v1::TaskResult, Status> {
        let state = task.state.word();
        let no_result = || refuse(&Reject::NoResult { task: task.id.to_string(), state });
        let attempt =
            task.attempts.last().filter(|_| task.state.ended_at().is_some()).ok_or_else(no_result)?;
        let agent = attempt.lease.agent;
        let format = self
            .engine
            .look(move |state, _| state.agent(agent).map(|agent| agent.spec.recipe.result.clone()));
        let format = format.await.ok().flatten().filter(|_| task.spec.kind == TaskKind::Prompt);
        if format.as_deref() == Some("file") {
            let mut result = self.result_file(task.id, attempt, limit).await?;
            result.data = self.masked(agent, result.data, result.truncated).await?;
            return Ok(result);
        }
        if attempt.exit().is_some_and(|exit| exit.out_bytes == 0) {
            return Ok(v1::TaskResult::default());
        }
        let output = self.log_of(task.id, attempt)?.output(limit).await;
        let output = output.map_err(|error| refuse_log(task.id, &error))?;
        let missing_bytes = missing_bytes(&output, attempt.exit());
        let is_whole = !output.truncated && missing_bytes == 0;
        let data = match format {
            Some(format) if is_whole => extract(&format, &output.bytes).unwrap_or(output.bytes),
            Some(_) | None => output.bytes,
        };
        let data = self.masked(agent, data, output.truncated).await?;
        Ok(v1::TaskResult { data, truncated: output.truncated, missing_bytes })
    }

    /// What an agent wrote, without its secrets.
    pub(super) async fn masked(
        &self,
        agent: AgentId,
        data: Vec<u8>,
        is_cut: bool,
    ) -> Result<Vec<u8>, Status> {
        let mask = self.mask_for(agent).await?;
        let cut = if is_cut { Cut::Behind } else { Cut::Nowhere };
        Ok(if mask.is_empty() { data } else { mask.text(&data, cut) })
    }

    /// What the program left in its output file, as the shim has kept it.
    async fn result_file(
        &self,
        task: TaskId,
        attempt: &Attempt,
        limit: usize,
    ) -> Result<v1::TaskResult, Status> {
        let (runtime, lease) = (self.runtime.clone(), attempt.lease);
        let read = tokio::task::spawn_blocking(move || runtime.result(lease)).await;
        let read = read.map_err(|error| broken("reading a result", &error))?;
        let mut data = read.map_err(|error| refuse_log(task, &error))?;
        let truncated = data.len() > limit;
        data.truncate(limit);
        Ok(v1::TaskResult { data, truncated, missing_bytes: 0 })
    }

    pub(super) fn log_of(&self, task: TaskId, attempt: &Attempt) -> Result<Log, Status> {
        let lease = attempt.lease;
        let log = self.runtime.log(lease.agent, lease.incarnation, lease.serial);
        log.map_err(|error| refuse_log(task, &error))
    }
}

pub(super) fn refuse_log(task: TaskId, error: &LogError) -> Status {
    match error {
        LogError::Gone { .. } => refuse(&Reject::LogsGone { task: task.to_string() }),
        LogError::Read { .. } => broken("reading the log", error),
    }
}
