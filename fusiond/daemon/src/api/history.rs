//! What lies behind the present state: ended tasks on disk, logs, results, prompts.
//!
//! The engine's memory holds the newest ended tasks alone; everything that it ever committed is read
//! from the store here, aside from the engine. Not for: changing anything.

use super::refuse::{broken, refuse};
use super::{Door, view};
use crate::engine::{input_key, stored_task};
use crate::profile::result::extract;
use crate::runtime::TaskInput;
use crate::runtime::logs::{Chunk, Log, LogError, Stream as LogKind};
use fusion_core::task::{Attempt, Task, TaskKind};
use fusion_core::{AgentId, Caller, Key, Reject, State, TaskId, TaskState, Time};
use fusion_proto::v1;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A stream of output.
pub(crate) type LogStream = Pin<Box<dyn Stream<Item = Result<v1::LogChunk, Status>> + Send>>;

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
            let result = self.result_of(&task, RESULT_SHOWN_BYTES).await.ok();
            shown.result = result.map(|result| String::from_utf8_lossy(&result.data).into_owned());
        }
        Ok(shown)
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
            return self.result_file(task.id, attempt, limit).await;
        }
        if attempt.exit().is_some_and(|exit| exit.out_bytes == 0) {
            return Ok(v1::TaskResult::default());
        }
        let output = self.log_of(task.id, attempt)?.output(limit).await;
        let output = output.map_err(|error| refuse_log(task.id, &error))?;
        let data = match format {
            Some(format) if !output.truncated => extract(&format, &output.bytes).unwrap_or(output.bytes),
            Some(_) | None => output.bytes,
        };
        Ok(v1::TaskResult { data, truncated: output.truncated })
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
        Ok(v1::TaskResult { data, truncated })
    }

    fn log_of(&self, task: TaskId, attempt: &Attempt) -> Result<Log, Status> {
        let lease = attempt.lease;
        let log = self.runtime.log(lease.agent, lease.incarnation, lease.serial);
        log.map_err(|error| refuse_log(task, &error))
    }

    /// The output of one attempt.
    pub(crate) async fn task_logs(
        &self,
        caller: Caller,
        ask: v1::TailTaskLogsRequest,
    ) -> Result<LogStream, Status> {
        let task = self.find_task(caller, ask.task).await?;
        let attempt = match ask.attempt {
            None => task.attempts.last().cloned(),
            Some(number) => {
                let found = task.attempts.iter().find(|attempt| attempt.number == number).cloned();
                let invalid = || Reject::FieldInvalid {
                    field: "attempt",
                    value: number.to_string(),
                    expected: "the number of an attempt of this task",
                };
                Some(found.ok_or_else(|| refuse(&invalid()))?)
            }
        };
        let (sender, stream) = mpsc::channel(16);
        let door = self.clone();
        tokio::spawn(async move {
            let result = door.pump_task(task.id, attempt, ask.offset, ask.follow, &sender).await;
            if let Err(status) = result {
                // The client may be gone already.
                drop(sender.send(Err(status)).await);
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    /// One attempt after the other, as long as `follow` says and the task has not ended.
    async fn pump_task(
        &self,
        task: TaskId,
        first: Option<Attempt>,
        offset: u64,
        follow: bool,
        sender: &mpsc::Sender<Result<v1::LogChunk, Status>>,
    ) -> Result<(), Status> {
        let mut next = first;
        let mut offset = offset;
        loop {
            let done = match &next {
                Some(attempt) => {
                    self.pump_attempt(task, attempt, offset, follow, sender).await?;
                    attempt.number
                }
                None => 0,
            };
            if !follow || sender.is_closed() {
                return Ok(());
            }
            offset = 0;
            next = self.attempt_after(task, done).await?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the attempt after number `done`; `None` when the task ends without one.
    async fn attempt_after(&self, id: TaskId, done: u32) -> Result<Option<Attempt>, Status> {
        let check = move |state: &State| {
            let Some(task) = state.task(id) else { return Some(None) };
            let next = task.attempts.iter().find(|attempt| attempt.number > done).cloned();
            match (next, task.state.ended_at()) {
                (Some(next), _) => Some(Some(next)),
                (None, Some(_)) => Some(None),
                (None, None) => None,
            }
        };
        self.engine.wait(Key::Task(id), check).await.map_err(|reject| refuse(&reject))
    }

    async fn pump_attempt(
        &self,
        task: TaskId,
        attempt: &Attempt,
        offset: u64,
        follow: bool,
        sender: &mpsc::Sender<Result<v1::LogChunk, Status>>,
    ) -> Result<(), Status> {
        let mut log = self.log_of(task, attempt)?;
        let failed = |error: LogError| refuse_log(task, &error);
        if offset > 0 {
            log.seek(offset).await.map_err(failed)?;
        }
        if follow && !attempt.is_over() {
            let (engine, number) = (self.engine.clone(), attempt.number);
            let ended = async move {
                let over = move |state: &State| {
                    let found = state.task(task).and_then(|task| {
                        task.attempts.iter().find(|attempt| attempt.number == number).cloned()
                    });
                    found.is_none_or(|attempt| attempt.is_over()).then_some(())
                };
                // A stopping engine ends the log too: the client comes back to the next daemon.
                drop(engine.wait(Key::Task(task), over).await);
            };
            log = log.follow(ended).map_err(failed)?;
        }
        while let Some(chunk) = log.next().await.map_err(failed)? {
            let chunk = show_chunk(task, attempt.number, chunk);
            if sender.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The output of all attempts that an agent worked on, oldest first.
    pub(crate) async fn agent_logs(
        &self,
        caller: Caller,
        ask: v1::TailAgentLogsRequest,
    ) -> Result<LogStream, Status> {
        let text = ask.agent;
        let found =
            self.engine.look(move |state, _| state.find_agent(caller, &text).map(|agent| agent.id)).await;
        let agent = found.and_then(|found| found).map_err(|reject| refuse(&reject))?;
        let (sender, stream) = mpsc::channel(16);
        let door = self.clone();
        tokio::spawn(async move {
            if let Err(status) = door.pump_agent(agent, ask.follow, &sender).await {
                // The client may be gone already.
                drop(sender.send(Err(status)).await);
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    async fn pump_agent(
        &self,
        agent: AgentId,
        follow: bool,
        sender: &mpsc::Sender<Result<v1::LogChunk, Status>>,
    ) -> Result<(), Status> {
        let mut last = (0, 0);
        loop {
            let known = self.engine.look(move |state, _| attempts_on(state, agent, last)).await;
            let known = known.map_err(|reject| refuse(&reject))?;
            let is_idle = known.is_empty();
            for (task, attempt) in known {
                last = place(&attempt);
                self.pump_attempt(task, &attempt, 0, follow, sender).await?;
                if sender.is_closed() {
                    return Ok(());
                }
            }
            if is_idle && !(follow && self.works_again(agent, last).await?) {
                return Ok(());
            }
        }
    }

    /// Waits until the agent has an attempt after `last`; false when it will have none.
    async fn works_again(&self, agent: AgentId, last: (u32, u32)) -> Result<bool, Status> {
        let check = move |state: &State| match state.agent(agent) {
            None => Some(false),
            Some(agent) if agent.is_terminated() => Some(false),
            Some(agent) => {
                agent.life.work().filter(|work| (agent.incarnation, work.serial) > last).map(|_| true)
            }
        };
        self.engine.wait(Key::Agent(agent), check).await.map_err(|reject| refuse(&reject))
    }
}

/// Where an attempt stands in the life of its agent.
fn place(attempt: &Attempt) -> (u32, u32) {
    (attempt.lease.incarnation, attempt.lease.serial)
}

/// The agent's attempts after `last`, oldest first. One pass over the tasks in memory.
fn attempts_on(state: &State, agent: AgentId, last: (u32, u32)) -> Vec<(TaskId, Attempt)> {
    let attempts = state.tasks().flat_map(|task| task.attempts.iter().map(move |attempt| (task.id, attempt)));
    let mut found: Vec<(TaskId, Attempt)> = attempts
        .filter(|(_, attempt)| attempt.lease.agent == agent && place(attempt) > last)
        .map(|(task, attempt)| (task, attempt.clone()))
        .collect();
    found.sort_by_key(|(_, attempt)| place(attempt));
    found
}

fn show_chunk(task: TaskId, attempt: u32, chunk: Chunk) -> v1::LogChunk {
    let stream = match chunk.stream {
        LogKind::Out => v1::LogStream::Stdout,
        LogKind::Err => v1::LogStream::Stderr,
    };
    v1::LogChunk {
        stream: stream.into(),
        data: chunk.bytes,
        task: task.to_string(),
        attempt,
        next_offset: chunk.next_offset,
        dropped_bytes: chunk.dropped_before,
    }
}

fn refuse_log(task: TaskId, error: &LogError) -> Status {
    match error {
        LogError::Gone { .. } => refuse(&Reject::LogsGone { task: task.to_string() }),
        LogError::Read { .. } => broken("reading the log", error),
    }
}
