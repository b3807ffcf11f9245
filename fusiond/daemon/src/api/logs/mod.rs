//! Output, served: which attempts, from where, and what of it; then one attempt after the other.
//!
//! ```text
//!   request ─► selection (since, tail, pattern) ─► attempts, each with its place ─► pump ─► sieve ─► chunks
//! ```
//! Not for: results (`history`), the files (`runtime::logs`), masking itself (`crate::vault`).

mod attempts;
mod pump;
mod select;
mod sieve;

use super::Door;
use super::connect::Holder;
use super::refuse::refuse;
use crate::runtime::logs::Cursor;
use crate::turns::{Seat, Seats};
use attempts::place;
use fusion_core::task::Attempt;
use fusion_core::{Caller, Key, Reject, Rights, State, TaskId};
use fusion_proto::v1;
use pump::Tap;
use select::{Selection, Start};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A stream of output.
pub(crate) type LogStream = Pin<Box<dyn Stream<Item = Result<v1::LogChunk, Status>> + Send>>;

/// Streams that one user follows at once, and one agent: each holds descriptors of the daemon.
const FOLLOWED_BY_USER_MAX: usize = 256;
const FOLLOWED_BY_AGENT_MAX: usize = 64;

/// Who follows how many.
static FOLLOWED: Seats<Holder> = Seats::new();

/// Chunks that wait for the client; bounds the memory of one stream together with the longest line.
const CHUNKS_MAX: usize = 32;

impl Door {
    /// The output of a task.
    pub(crate) async fn task_logs(
        &self,
        caller: Caller,
        ask: v1::TailLogsRequest,
    ) -> Result<LogStream, Status> {
        let task = self.find_task(caller, ask.task).await?;
        let selection = Selection::read(caller, ask.filter.unwrap_or_default()).await;
        let selection = selection.map_err(|reject| refuse(&reject))?;
        let newest = task.attempts.last().map_or(0, |last| last.number);
        let wanted = |attempt: &&Attempt| match (ask.attempt, &ask.from) {
            (Some(number), _) => attempt.number == number,
            (None, Some(from)) => attempt.number >= from.attempt,
            (None, None) => ask.all_attempts || attempt.number == newest,
        };
        let attempts: Vec<_> =
            task.attempts.iter().filter(wanted).map(|one| (task.id, one.clone())).collect();
        if let (Some(number), true) = (ask.attempt, attempts.is_empty()) {
            let (value, expected) = (number.to_string(), "the number of an attempt of this task");
            return Err(refuse(&Reject::FieldInvalid { field: "attempt", value, expected }));
        }
        let ends_with_attempt = ask.attempt.is_some();
        let (id, follow, offset) = (task.id, ask.follow, ask.offset);
        let from = ask.from;
        let seat = follow.then(|| seat_of(caller)).transpose().map_err(|reject| refuse(&reject))?;
        Ok(self.serve(follow, selection, move |door, mut tap| async move {
            let _seat = seat;
            let mut done = attempts.last().map_or(0, |(_, attempt)| attempt.number);
            let mut starts = tap.plan(&door, attempts, from.as_ref()).await?;
            if offset > 0
                && let Some(first) = starts.first_mut()
            {
                first.offset = offset;
            }
            tap.pump_all(&door, starts).await?;
            while follow && !ends_with_attempt && !tap.is_closed() {
                let Some(next) = door.attempt_after(id, done).await? else { break };
                done = next.number;
                tap.pump_all(&door, vec![Start::new(id, next)]).await?;
            }
            Ok(())
        }))
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
        let selection = Selection::read(caller, ask.filter.unwrap_or_default()).await;
        let selection = selection.map_err(|reject| refuse(&reject))?;
        let (follow, from) = (ask.follow, ask.from);
        let seat = follow.then(|| seat_of(caller)).transpose().map_err(|reject| refuse(&reject))?;
        Ok(self.serve(follow, selection, move |door, mut tap| async move {
            let _seat = seat;
            let known = door.attempts_of_agent(agent, (0, 0)).await?;
            let mut last = known.last().map_or((0, 0), |(_, attempt)| place(attempt));
            let starts = tap.plan(&door, known, from.as_ref()).await?;
            tap.pump_all(&door, starts).await?;
            while follow && !tap.is_closed() {
                let Some(newest) = door.works_again(agent, last).await? else { break };
                let fresh = door.attempts_of_agent(agent, last).await?;
                last = fresh.last().map_or(newest, |(_, attempt)| place(attempt).max(newest));
                let starts = fresh.into_iter().map(|(task, attempt)| Start::new(task, attempt)).collect();
                tap.pump_all(&door, starts).await?;
            }
            Ok(())
        }))
    }

    /// Runs `work` beside the stream that it fills.
    fn serve<F: Future<Output = Result<(), Status>> + Send + 'static>(
        &self,
        follow: bool,
        selection: Selection,
        work: impl FnOnce(Self, Tap) -> F + Send + 'static,
    ) -> LogStream {
        let (sender, stream) = mpsc::channel(CHUNKS_MAX);
        let door = self.clone();
        tokio::spawn(async move {
            let tap = Tap::new(sender.clone(), selection, follow);
            let done = tokio::select! {
                done = work(door, tap) => done,
                // Nobody waits any more for what may never come.
                () = sender.closed() => return,
            };
            if let Err(status) = done {
                // The client may be gone already.
                drop(sender.send(Err(status)).await);
            }
        });
        Box::pin(ReceiverStream::new(stream))
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
}

/// One more that is followed.
fn seat_of(caller: Caller) -> Result<Option<Seat<Holder>>, Reject> {
    let (agent, limit) = match caller.rights {
        Rights::Admin => return Ok(None),
        Rights::User => (None, FOLLOWED_BY_USER_MAX),
        Rights::Agent(id) => (Some(id), FOLLOWED_BY_AGENT_MAX),
    };
    let seat = FOLLOWED.take((caller.uid, agent), limit);
    seat.map(Some).ok_or(Reject::FollowLimit { limit })
}

fn cursor_of(place: &v1::LogPlace) -> Cursor {
    Cursor { out: place.stdout, err: place.stderr }
}
