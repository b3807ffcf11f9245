//! `task resolve`: a person decides what became of a lost attempt.
//!
//! Not for: the policy `--on-lost`, which decides by itself (`ending`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{TaskState, ending, retry, run};
use crate::workflow::freeze;
use serde::{Deserialize, Serialize};

/// What became of a lost attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// Try again.
    Retry,
    /// It failed.
    Fail,
    /// It succeeded.
    Succeed,
}

impl Resolution {
    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Succeed => "succeed",
        }
    }
}

/// What an agent has no leave for.
pub(crate) const LEAVE: &str = "deciding about lost tasks";

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
    resolution: Resolution,
) -> Result<Done, Reject> {
    let found = retry::find_for_owner(state, caller, task, LEAVE)?;
    let (id, owner) = (found.id, found.owner);
    if !matches!(found.state, TaskState::Lost { .. }) {
        return Err(super::wrong_state(id, &found.state, "resolved"));
    }
    if resolution == Resolution::Retry {
        run::check_target(state, found)?;
    }
    let actor = caller.actor();
    let kind = EventKind::TaskResolved { task: id, resolution: resolution.word().to_owned() };
    state.tell(out, turn.now, actor, Some(owner), kind);
    match resolution {
        Resolution::Retry => {
            let lost = Failure::new(FailureCode::ResolvedFailed, "its attempt was lost");
            if ending::end_spent(state, out, turn, id, &lost) {
                return Ok(Done::Task(id));
            }
            state.alter_task(out, id, |task| retry::queue_afresh(task, Vec::new(), turn.now));
            freeze::keep(state, out, turn, id);
        }
        Resolution::Fail => {
            let failure = Failure::new(FailureCode::ResolvedFailed, format!("decided by {actor}"));
            ending::end(state, out, turn, id, actor, TaskState::Failed { at: turn.now, failure });
        }
        Resolution::Succeed => {
            ending::end(state, out, turn, id, actor, TaskState::Succeeded { at: turn.now });
        }
    }
    Ok(Done::Task(id))
}
