//! `task release`: lets a held task go on to what it would be by now.
//!
//! Not for: tasks that nobody holds; of these it is true already.

use crate::event::EventKind;
use crate::ids::TaskId;
use crate::input::{Actor, Caller};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{Held, TaskState, retry};
use crate::workflow::freeze;

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
    let id = found.id;
    match &found.state {
        // It goes on with its run, and not before.
        held @ TaskState::Held(Held { run: Some(_), .. }) => {
            return Err(super::wrong_state(id, held, "released"));
        }
        TaskState::Held(_) => {
            let_go(state, out, turn, caller.actor(), id);
            freeze::keep(state, out, turn, id);
        }
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_) => {}
        ended @ (TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. }) => return Err(super::wrong_state(id, ended, "released")),
    }
    Ok(Done::Task(id))
}

/// Lets a held task go on.
pub(crate) fn let_go(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: TaskId) {
    let Some(task) = state.task(id) else { return };
    let TaskState::Held(held) = &task.state else { return };
    let (owner, next) = (task.owner, held.wait.clone().into_state(turn.now));
    state.alter_task(out, id, |task| task.state = next);
    state.tell(out, turn.now, actor, Some(owner), EventKind::TaskReleased { task: id });
}
