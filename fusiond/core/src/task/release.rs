//! `task release`: lets a held task go on to what it would be by now.
//!
//! Not for: tasks that nobody holds; of these it is true already.

use crate::event::EventKind;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{TaskState, retry};

/// What an agent has no leave for.
pub(crate) const LEAVE: &str = "releasing tasks";

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
) -> Result<Done, Reject> {
    let found = retry::find_for_owner(state, caller, task, LEAVE)?;
    let (id, owner) = (found.id, found.owner);
    let next = match &found.state {
        TaskState::Held(held) => held.wait.clone().into_state(turn.now),
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_) => return Ok(Done::Task(id)),
        ended @ (TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. }) => return Err(super::wrong_state(id, ended, "released")),
    };
    state.alter_task(out, id, |task| task.state = next);
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::TaskReleased { task: id });
    Ok(Done::Task(id))
}
