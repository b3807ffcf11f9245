//! Words for a program that runs: from a client's stream, piece by piece, to the pipe of an attempt.
//!
//! The stream stands still while the program does not read. Nothing is kept here: a client that was not
//! answered says it again, and the shim knows what it took. Not for: who reads the output (`history`).

use super::Door;
use super::refuse::refuse;
use crate::runtime::{InputNews, InputPiece};
use fusion_core::task::Lease;
use fusion_core::{Caller, Key, Reject, Rights, State, TaskId, TaskState};
use fusion_proto::v1;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub(crate) type InputStream = Pin<Box<dyn Stream<Item = Result<v1::SendInputResponse, Status>> + Send>>;

/// The attempt that is written to.
#[derive(Clone, Copy)]
struct Target {
    task: TaskId,
    number: u32,
    lease: Lease,
}

impl Door {
    /// Serves one writer until its stream ends or the attempt does.
    pub(crate) async fn take_input(
        &self,
        caller: Caller,
        mut pieces: Streaming<v1::SendInputRequest>,
    ) -> Result<InputStream, Status> {
        let missing = || refuse(&Reject::FieldMissing { field: "agent" });
        let first = pieces.message().await?.ok_or_else(missing)?;
        let (agent, attempt) = (first.agent.clone(), Some(first.attempt).filter(|number| *number > 0));
        let task = first.task.clone();
        if let (Some(id), None) = (TaskId::parse(&task), attempt) {
            self.wait_begun(id).await?;
        }
        let look = move |state: &State, _| find_target(state, caller, &agent, &task, attempt);
        let found = self.engine.look(look).await.and_then(|found| found);
        let target = found.map_err(|reject| refuse(&reject))?;
        let (sender, stream) = mpsc::channel(4);
        let door = self.clone();
        tokio::spawn(async move {
            if let Err(status) = door.pump_input(target, first, pieces, &sender).await {
                // The client may be gone already.
                drop(sender.send(Err(status)).await);
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    /// A writer that names a task and no attempt waits until one runs.
    async fn wait_begun(&self, id: TaskId) -> Result<(), Status> {
        let begun = move |state: &State| match state.task(id).map(|task| &task.state) {
            Some(
                TaskState::Held(_)
                | TaskState::Blocked { .. }
                | TaskState::Deferred { .. }
                | TaskState::Queued { .. },
            ) => None,
            Some(
                TaskState::Active(_)
                | TaskState::Lost { .. }
                | TaskState::Succeeded { .. }
                | TaskState::Failed { .. }
                | TaskState::Cancelled { .. }
                | TaskState::TimedOut { .. },
            )
            | None => Some(()),
        };
        self.engine.wait(Key::Task(id), begun).await.map_err(|reject| refuse(&reject))
    }

    async fn pump_input(
        &self,
        target: Target,
        first: v1::SendInputRequest,
        mut pieces: Streaming<v1::SendInputRequest>,
        sender: &mpsc::Sender<Result<v1::SendInputResponse, Status>>,
    ) -> Result<(), Status> {
        let told =
            |offset| v1::SendInputResponse { task: target.task.to_string(), attempt: target.number, offset };
        let mut next = Some(first);
        while let Some(piece) = next {
            let offset = self.pass_on(target, piece).await?;
            if sender.send(Ok(told(offset))).await.is_err() {
                return Ok(());
            }
            next = pieces.message().await?;
        }
        Ok(())
    }

    /// Returns when the pipe has the piece: the place behind it.
    async fn pass_on(&self, target: Target, piece: v1::SendInputRequest) -> Result<u64, Status> {
        let most = crate::runtime::INPUT_PIECE_BYTES_MAX;
        if piece.data.len() > most {
            let too_large =
                Reject::TooLarge { what: "a piece of input", bytes: piece.data.len(), limit: most };
            return Err(refuse(&too_large));
        }
        if piece.data.is_empty() && !piece.close {
            return Ok(piece.offset);
        }
        let end = piece.offset + piece.data.len() as u64;
        let (taken, mut news) = mpsc::channel(1);
        let words = InputPiece {
            writer: piece.writer.max(1),
            offset: piece.offset,
            bytes: piece.data,
            is_last: piece.close,
        };
        self.runtime.send_input(target.lease, words, taken);
        match news.recv().await {
            Some(InputNews::Taken) => Ok(end),
            Some(InputNews::Refused(why)) => {
                Err(refuse(&Reject::InputRefused { task: target.task.to_string(), reason: why }))
            }
            // The shim is being looked for, or the daemon ends: the client says it again.
            None => Err(Status::unavailable("the agent's shim does not serve just now")),
        }
    }
}

fn find_target(
    state: &State,
    caller: Caller,
    text: &str,
    task: &str,
    attempt: Option<u32>,
) -> Result<Target, Reject> {
    let agent = state.find_agent(caller, text)?;
    if let Rights::Agent(_) = caller.rights {
        return Err(Reject::NotPermitted { who: caller.actor().to_string(), what: "writing to agents" });
    }
    let idle =
        || Reject::AgentState { agent: agent.id.to_string(), state: agent.life.word(), verb: "written to" };
    let work = agent.life.work().ok_or_else(idle)?;
    let running = state.task(work.task).ok_or_else(idle)?;
    let last = running.attempts.last().ok_or_else(idle)?;
    let is_other = TaskId::parse(task).is_some_and(|task| task != running.id)
        || attempt.is_some_and(|number| number != last.number);
    if is_other {
        return Err(Reject::InputRefused { task: task.to_owned(), reason: "it does not run any more" });
    }
    if !running.spec.stdin.is_open() && !agent.spec.recipe.keeps_stdin_open() {
        return Err(Reject::StdinClosed { agent: agent.spec.name.clone(), task: running.id.to_string() });
    }
    Ok(Target { task: running.id, number: last.number, lease: last.lease })
}
