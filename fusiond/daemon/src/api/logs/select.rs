//! What of the output is wanted: since when, how many last lines, which lines; and so where each attempt begins.
//!
//! The last lines are found from the end: ever larger windows are counted, so that the length of a log costs nothing.
//! Not for: sending (`pump`).

use super::cursor_of;
use super::pump::Tap;
use super::sieve::{Shape, Sieve};
use crate::api::Door;
use crate::api::history::refuse_log;
use crate::runtime::logs::{Cursor, Log, LogError, Reader, Stream};
use crate::turns::Turns;
use crate::vault::{End, Mask};
use fusion_core::task::Attempt;
use fusion_core::{Caller, Reject, TaskId, Time};
use fusion_proto::v1;
use regex::bytes::{Regex, RegexBuilder};
use tonic::Status;

/// The longest pattern, and the most memory that its automaton may take.
const PATTERN_BYTES_MAX: usize = 4 << 10;
const AUTOMATON_BYTES_MAX: usize = 1 << 20;

/// Patterns of one user that are read at once; others of theirs wait.
static PATTERNS: Turns = Turns::new(1);

/// How far back the last lines are looked for first.
const WINDOW_BYTES: u64 = 128 << 10;

/// What is wanted of the output.
pub(super) struct Selection {
    pub(super) since: Option<Time>,
    pub(super) tail: Option<u64>,
    pub(super) shape: Shape,
}

/// One attempt, and where its output begins.
pub(super) struct Start {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) cursor: Cursor,
    /// As [`Self::cursor`], as one number of both streams (`TailLogsRequest.offset`).
    pub(super) offset: u64,
    /// Lines from there on that are not wanted.
    pub(super) skip: u64,
    /// Whether the place was told before: a line begins there.
    pub(super) is_resumed: bool,
}

impl Start {
    /// All of an attempt.
    pub(super) fn new(task: TaskId, attempt: Attempt) -> Self {
        Self { task, attempt, cursor: Cursor::default(), offset: 0, skip: 0, is_resumed: false }
    }
}

impl Selection {
    /// Reads what somebody asks for.
    pub(super) async fn read(caller: Caller, filter: v1::LogFilter) -> Result<Self, Reject> {
        let since = filter.since.map(|at| {
            let seconds = u64::try_from(at.seconds).unwrap_or(0);
            Time(seconds.saturating_mul(1000) + u64::try_from(at.nanos).unwrap_or(0) / 1_000_000)
        });
        let pattern = match filter.grep.is_empty() {
            true => None,
            false => Some(read_pattern(caller, filter.grep).await?),
        };
        let by_line = filter.lines || filter.tail.is_some() || pattern.is_some();
        let shape = if by_line { Shape::Lines(pattern) } else { Shape::Bytes };
        Ok(Self { since, tail: filter.tail, shape })
    }
}

/// What stands before the automaton is many times as long as the text, so the length is looked at first; even so, building
/// may take longer than those who serve can wait.
async fn read_pattern(caller: Caller, text: String) -> Result<Regex, Reject> {
    let pattern = text.chars().take(64).collect();
    let invalid = |reason| Reject::PatternInvalid { pattern, reason };
    if text.len() > PATTERN_BYTES_MAX {
        return Err(invalid(format!("it has {} bytes, more than {PATTERN_BYTES_MAX}", text.len())));
    }
    let turn = PATTERNS.take(caller.uid).await;
    let build = tokio::task::spawn_blocking(move || {
        // Held also when nobody waits for it any more.
        let _turn = turn;
        RegexBuilder::new(&text).size_limit(AUTOMATON_BYTES_MAX).build().map_err(|error| mistake(&error))
    });
    let built = build.await.unwrap_or_else(|_| Err("it could not be built".to_owned()));
    built.map_err(invalid)
}

/// What is wrong: above the last line the place is drawn.
fn mistake(error: &regex::Error) -> String {
    let told = error.to_string();
    let last = told.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl Tap {
    /// Where each attempt begins; those of which nothing is wanted are left out.
    pub(super) async fn plan(
        &self,
        door: &Door,
        attempts: Vec<(TaskId, Attempt)>,
        from: Option<&v1::LogPlace>,
    ) -> Result<Vec<Start>, Status> {
        if let Some(from) = from {
            return Ok(resume(attempts, from));
        }
        let mut left = self.selection.tail;
        let mut starts = Vec::new();
        for (task, attempt) in attempts.into_iter().rev() {
            // Of a live attempt what comes is wanted, also behind its last line.
            if left == Some(0) && !(self.follow && starts.is_empty()) {
                break;
            }
            if self.is_before(&attempt) {
                continue;
            }
            let mut start = Start::new(task, attempt);
            if self.selection.since.is_some() || left.is_some() {
                let mask = door.mask_for(start.attempt.lease.agent).await?;
                left = self.place(door, &mut start, &mask, left).await?;
            }
            starts.push(start);
        }
        starts.reverse();
        Ok(starts)
    }

    /// Whether an attempt was over before anything is wanted.
    fn is_before(&self, attempt: &Attempt) -> bool {
        let ended = attempt.ending.as_ref().map(|ended| ended.at);
        matches!((ended, self.selection.since), (Some(ended), Some(since)) if ended < since)
    }

    /// Finds the place of one attempt. Returns how many lines of older ones are wanted.
    async fn place(
        &self,
        door: &Door,
        start: &mut Start,
        mask: &Mask,
        left: Option<u64>,
    ) -> Result<Option<u64>, Status> {
        let failed = |error: LogError| refuse_log(start.task, &error);
        let mut log = match door.log_of(start.task, &start.attempt) {
            Ok(log) => log,
            // Told when it is this attempt's turn.
            Err(_) => return Ok(left),
        };
        let since = self.selection.since;
        let first = log.steer(move |reader| first_place(reader, since)).await.map_err(failed)?;
        start.cursor = first;
        let Some(wanted) = left else { return Ok(None) };
        let mut window = WINDOW_BYTES;
        loop {
            let from = log.steer(move |reader| window_place(reader, window, first)).await.map_err(failed)?;
            let lines = self.count(&mut log, from, mask).await.map_err(failed)?;
            if lines >= wanted || from == first {
                (start.cursor, start.skip) = (from, lines.saturating_sub(wanted));
                return Ok(Some(wanted.saturating_sub(lines)));
            }
            window = window.saturating_mul(4);
        }
    }

    /// The lines that would be served from there to the present end.
    async fn count(&self, log: &mut Log, from: Cursor, mask: &Mask) -> Result<u64, LogError> {
        let mut sieve = begin(log, mask, self.selection.shape.clone(), from, false).await?;
        let (mut pieces, mut lines) = (Vec::new(), 0);
        let mut count = |pieces: &mut Vec<super::sieve::Piece>| {
            lines += pieces.drain(..).filter(|piece| !piece.is_part && !piece.bytes.is_empty()).count();
        };
        while let Some(chunk) = log.next().await? {
            sieve.push(chunk, &mut pieces);
            count(&mut pieces);
        }
        sieve.finish(End::Whole, &mut pieces);
        count(&mut pieces);
        Ok(u64::try_from(lines).unwrap_or(u64::MAX))
    }
}

/// Goes to a place in a log; a line that began before it is left out, unless the place was told before.
pub(super) async fn begin(
    log: &mut Log,
    mask: &Mask,
    shape: Shape,
    from: Cursor,
    is_told: bool,
) -> Result<Sieve, LogError> {
    let mut sieve = Sieve::new(mask, shape.clone(), from);
    let whole = log
        .steer(move |reader| {
            reader.seek(from);
            Ok([reader.begins_line(Stream::Out, from.out)?, reader.begins_line(Stream::Err, from.err)?])
        })
        .await?;
    if !is_told && matches!(shape, Shape::Lines(_)) {
        for (stream, begins) in Stream::ALL.into_iter().zip(whole) {
            if !begins {
                sieve.skip_line(stream);
            }
        }
    }
    Ok(sieve)
}

/// The first byte that may be wanted: a line that began earlier is not.
fn first_place(reader: &mut Reader, since: Option<Time>) -> std::io::Result<Cursor> {
    match since {
        None => Ok(Cursor::default()),
        Some(since) => {
            reader.seek_time(since.0)?;
            Ok(reader.cursor())
        }
    }
}

/// Where the last `window` bytes begin, not before `first` nor before what is left of the log.
fn window_place(reader: &mut Reader, window: u64, first: Cursor) -> std::io::Result<Cursor> {
    let kept = reader.first()?;
    reader.seek_back(window)?;
    let back = reader.cursor();
    if back.out <= kept.out && back.err <= kept.err {
        return Ok(first);
    }
    Ok(Cursor { out: back.out.max(first.out), err: back.err.max(first.err) })
}

/// From a place that was told before, then all attempts after it.
fn resume(attempts: Vec<(TaskId, Attempt)>, from: &v1::LogPlace) -> Vec<Start> {
    let is_there = |task: &TaskId, attempt: &Attempt| {
        attempt.number == from.attempt && (from.task.is_empty() || task.to_string() == from.task)
    };
    let reached = attempts.iter().position(|(task, attempt)| is_there(task, attempt)).unwrap_or(0);
    let rest = attempts.into_iter().skip(reached).map(|(task, attempt)| {
        let mut start = Start::new(task, attempt);
        if is_there(&start.task, &start.attempt) {
            (start.cursor, start.is_resumed) = (cursor_of(from), true);
        }
        start
    });
    rest.collect()
}
