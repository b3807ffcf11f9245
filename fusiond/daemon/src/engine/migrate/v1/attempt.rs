//! Attempts of schema 1 and the events of their ends: they did not know costs.
//!
//! Not for: other events, whose shapes only got company.

use fusion_core::failure::Failure;
use fusion_core::input::Actor;
use fusion_core::task::attempt::Ended;
use fusion_core::task::{self, Ending, ExitKind, Lease, StopWhy};
use fusion_core::{AgentId, Cost, Event, EventKind, Millis, TaskId, Time, Uid};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Attempt {
    number: u32,
    lease: Lease,
    sandbox: Box<str>,
    dispatched_at: Time,
    started_at: Option<Time>,
    ending: Option<EndedV1>,
}

#[derive(Deserialize)]
struct EndedV1 {
    at: Time,
    how: EndingV1,
    failure: Option<Failure>,
    counted: bool,
}

#[derive(Deserialize)]
enum EndingV1 {
    Exit(Exit),
    Lost,
    NotStarted,
}

#[derive(Deserialize)]
struct Exit {
    kind: ExitKind,
    stop: Option<StopWhy>,
    oom_kills: u32,
    started_at: Time,
    ended_at: Time,
    cpu: Millis,
    peak_memory_bytes: u64,
    out_bytes: u64,
    err_bytes: u64,
    dropped_bytes: u64,
    tail: String,
}

/// What stands before the words of any event: the last is the number of its kind.
#[derive(Deserialize)]
struct Head {
    seq: u64,
    at: Time,
    actor: Actor,
    owner: Option<Uid>,
    kind: u32,
}

/// The number of `attempt.exited` among the kinds.
const EXITED: u32 = 20;

#[derive(Deserialize)]
struct Exited {
    task: TaskId,
    number: u32,
    agent: AgentId,
    incarnation: u32,
    exit: Exit,
}

/// An event of an end in today's shape; `None` for any other.
pub(super) fn exited(body: &[u8]) -> Result<Option<Event>, postcard::Error> {
    let (head, rest) = postcard::take_from_bytes::<Head>(body)?;
    if head.kind != EXITED {
        return Ok(None);
    }
    let Exited { task, number, agent, incarnation, exit } = postcard::from_bytes(rest)?;
    let kind = EventKind::AttemptExited { task, number, agent, incarnation, exit: exit.into() };
    Ok(Some(Event { seq: head.seq, at: head.at, actor: head.actor, owner: head.owner, kind }))
}

impl From<Attempt> for task::Attempt {
    fn from(old: Attempt) -> Self {
        Self {
            number: old.number,
            lease: old.lease,
            sandbox: old.sandbox,
            dispatched_at: old.dispatched_at,
            started_at: old.started_at,
            ending: old.ending.map(Ended::from),
        }
    }
}

impl From<EndedV1> for Ended {
    fn from(old: EndedV1) -> Self {
        let how = match old.how {
            EndingV1::Exit(exit) => Ending::Exit(exit.into()),
            EndingV1::Lost => Ending::Lost,
            EndingV1::NotStarted => Ending::NotStarted,
        };
        Self { at: old.at, how, failure: old.failure, counted: old.counted }
    }
}

impl From<Exit> for task::Exit {
    fn from(old: Exit) -> Self {
        Self {
            kind: old.kind,
            stop: old.stop,
            oom_kills: old.oom_kills,
            started_at: old.started_at,
            ended_at: old.ended_at,
            cpu: old.cpu,
            peak_memory_bytes: old.peak_memory_bytes,
            out_bytes: old.out_bytes,
            err_bytes: old.err_bytes,
            dropped_bytes: old.dropped_bytes,
            tail: old.tail,
            cost: Cost::default(),
        }
    }
}
