//! `task hold`: keeps a task that has not started from starting until it is released.
//!
//! What it waits for besides goes on: dependencies succeed or fail, instants pass. Its queue timeout
//! stands still. Not for: agents (`agent pause`), nor for what runs already.

use crate::event::EventKind;
use crate::ids::{RunId, TaskId};
use crate::input::{Actor, Caller};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{DeferWhy, TaskSpec, TaskState, retry};
use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};

/// A task that somebody holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Time,
    /// What it waits for besides.
    pub wait: Wait,
    /// The run for which it stands still, when nobody holds the task itself.
    pub run: Option<RunId>,
}

/// What a task that has not started waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Other tasks.
    Tasks {
        /// Those that have not succeeded yet.
        on: Vec<TaskId>,
    },
    /// An instant.
    Instant {
        /// Which; it may have passed.
        until: Time,
        /// Why.
        why: DeferWhy,
    },
    /// An agent.
    Agent {
        /// How long it had waited for one, by its queue timeout.
        waited: Millis,
    },
}

/// What an agent has no leave for.
pub(crate) const LEAVE: &str = "holding tasks";

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
) -> Result<Done, Reject> {
    let found = retry::find_for_owner(state, caller, task, LEAVE)?;
    let id = found.id;
    if let TaskState::Held(held) = &found.state {
        // It stays held when the run for which it stands still goes on.
        if held.run.is_some() {
            let own = Held { run: None, ..held.clone() };
            state.alter_task(out, id, |task| task.state = TaskState::Held(own));
        }
        return Ok(Done::Task(id));
    }
    if Wait::of(&found.state, turn.now).is_none() {
        return Err(super::wrong_state(id, &found.state, "held"));
    }
    hold(state, out, turn, caller.actor(), id, None);
    Ok(Done::Task(id))
}

/// Holds a task that has not started and that nobody holds.
pub(crate) fn hold(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    actor: Actor,
    id: TaskId,
    run: Option<RunId>,
) {
    let Some(task) = state.task(id) else { return };
    let (owner, wait) = (task.owner, Wait::of(&task.state, turn.now));
    if let Some(wait) = wait {
        let held = Held { since: turn.now, wait, run };
        state.alter_task(out, id, |task| task.state = TaskState::Held(held));
        state.tell(out, turn.now, actor, Some(owner), EventKind::TaskHeld { task: id });
    }
}

impl Wait {
    /// What a task waits for first that nobody holds: others, an instant, an agent.
    pub(crate) fn first(spec: &TaskSpec, on: Vec<TaskId>, now: Time) -> Self {
        if !on.is_empty() {
            return Self::Tasks { on };
        }
        match spec.not_before {
            Some(until) if until > now => Self::Instant { until, why: DeferWhy::NotBefore },
            Some(_) | None => Self::Agent { waited: Millis(0) },
        }
    }

    /// What a task in this state waits for; `None` when it has started or ended.
    pub(crate) fn of(state: &TaskState, now: Time) -> Option<Self> {
        match state {
            TaskState::Blocked { on } => Some(Self::Tasks { on: on.clone() }),
            TaskState::Deferred { until, why } => Some(Self::Instant { until: *until, why: *why }),
            TaskState::Queued { since } => Some(Self::Agent { waited: now.since(*since) }),
            TaskState::Held(held) => Some(held.wait.clone()),
            TaskState::Active(_)
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => None,
        }
    }

    /// The state of a task that waits for this and that nobody holds.
    pub(crate) fn into_state(self, now: Time) -> TaskState {
        match self {
            Self::Tasks { on } => TaskState::Blocked { on },
            Self::Instant { until, why } if until > now => TaskState::Deferred { until, why },
            Self::Instant { .. } => TaskState::Queued { since: now },
            Self::Agent { waited } => TaskState::Queued { since: now.minus(waited) },
        }
    }
}
