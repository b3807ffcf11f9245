//! One attempt after the other into the stream of a client, followed as long as that is wanted.
//!
//! Not for: which attempts (`super`), where they begin (`select`).

use super::select::{Selection, Start, begin};
use super::sieve::{Piece, Sieve};
use crate::api::history::refuse_log;
use crate::api::refuse::refuse;
use crate::api::{Door, view};
use crate::runtime::logs::{Cursor, Log, LogError, Stream};
use crate::vault::End;
use fusion_core::task::Attempt;
use fusion_core::{Key, State, TaskId};
use fusion_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

/// The way to one client.
pub(super) struct Tap {
    sender: mpsc::Sender<Result<v1::LogChunk, Status>>,
    pub(super) selection: Selection,
    pub(super) follow: bool,
}

/// The client is gone.
struct Gone;

impl Tap {
    pub(super) fn new(
        sender: mpsc::Sender<Result<v1::LogChunk, Status>>,
        selection: Selection,
        follow: bool,
    ) -> Self {
        Self { sender, selection, follow }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Serves these attempts.
    pub(super) async fn pump_all(&mut self, door: &Door, starts: Vec<Start>) -> Result<(), Status> {
        for start in starts {
            if self.is_closed() {
                break;
            }
            self.pump(door, start).await?;
        }
        Ok(())
    }

    async fn pump(&mut self, door: &Door, start: Start) -> Result<(), Status> {
        let (task, attempt) = (start.task, &start.attempt);
        let failed = |error: LogError| refuse_log(task, &error);
        let mask = door.mask_for(attempt.lease.agent).await?;
        let mut log = door.log_of(task, attempt)?;
        let mut from = start.cursor;
        if start.offset > 0 {
            log.seek(start.offset).await.map_err(failed)?;
            from = log.steer(|reader| Ok(reader.cursor())).await.map_err(failed)?;
        }
        let shape = self.selection.shape.clone();
        let sieve = begin(&mut log, &mask, shape, from, start.is_resumed).await.map_err(failed)?;
        let is_live = !attempt.is_over();
        if self.follow && is_live {
            log = log.follow(door.end_of(task, attempt.number)).map_err(failed)?;
        }
        let mut flow = Flow { task, number: attempt.number, skip: start.skip, sieve };
        if flow.run(&mut log, &self.sender).await.map_err(failed)?.is_err() {
            return Ok(());
        }
        let over = !is_live || door.is_over(task, attempt.number).await?;
        flow.finish(if over { End::Whole } else { End::Cut }, &self.sender).await;
        Ok(())
    }
}

/// The output of one attempt on its way.
struct Flow {
    task: TaskId,
    number: u32,
    /// Lines that are left out first.
    skip: u64,
    sieve: Sieve,
}

impl Flow {
    async fn run(
        &mut self,
        log: &mut Log,
        sender: &mpsc::Sender<Result<v1::LogChunk, Status>>,
    ) -> Result<Result<(), Gone>, LogError> {
        let mut pieces = Vec::new();
        loop {
            let chunk = tokio::select! {
                chunk = log.next() => chunk?,
                () = sender.closed() => return Ok(Err(Gone)),
            };
            let Some(chunk) = chunk else { return Ok(Ok(())) };
            self.sieve.push(chunk, &mut pieces);
            if let Err(gone) = self.send(&mut pieces, sender).await {
                return Ok(Err(gone));
            }
        }
    }

    async fn finish(&mut self, end: End, sender: &mpsc::Sender<Result<v1::LogChunk, Status>>) {
        let mut pieces = Vec::new();
        self.sieve.finish(end, &mut pieces);
        // Whoever is gone misses nothing.
        let _gone = self.send(&mut pieces, sender).await;
    }

    async fn send(
        &mut self,
        pieces: &mut Vec<Piece>,
        sender: &mpsc::Sender<Result<v1::LogChunk, Status>>,
    ) -> Result<(), Gone> {
        for piece in pieces.drain(..) {
            if self.skip > 0 && !piece.bytes.is_empty() {
                self.skip -= u64::from(!piece.is_part);
                continue;
            }
            let chunk = show(self.task, self.number, piece);
            sender.send(Ok(chunk)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }
}

impl Door {
    /// Comes when an attempt is over, or when the daemon ends: the client comes back to the next one.
    fn end_of(&self, task: TaskId, number: u32) -> impl Future<Output = ()> + Send + 'static {
        let engine = self.engine.clone();
        let over = move |state: &State| is_over(state, task, number).then_some(());
        async move { drop(engine.wait(Key::Task(task), over).await) }
    }

    /// Whether an attempt is over; an error when the daemon ends.
    async fn is_over(&self, task: TaskId, number: u32) -> Result<bool, Status> {
        let look = move |state: &State, _| is_over(state, task, number);
        self.engine.look(look).await.map_err(|reject| refuse(&reject))
    }
}

fn is_over(state: &State, task: TaskId, number: u32) -> bool {
    let attempt = state.task(task).and_then(|task| task.attempts.iter().find(|one| one.number == number));
    attempt.is_none_or(Attempt::is_over)
}

fn show(task: TaskId, attempt: u32, piece: Piece) -> v1::LogChunk {
    let stream = match piece.stream {
        Stream::Out => v1::LogStream::Stdout,
        Stream::Err => v1::LogStream::Stderr,
    };
    let Cursor { out: stdout, err: stderr } = piece.next;
    v1::LogChunk {
        stream: stream.into(),
        data: piece.bytes,
        task: task.to_string(),
        attempt,
        next_offset: stdout + stderr,
        dropped_bytes: piece.dropped_before,
        time: Some(view::timestamp(piece.at)),
        next: Some(v1::LogPlace { task: task.to_string(), attempt, stdout, stderr }),
        part: piece.is_part,
    }
}
