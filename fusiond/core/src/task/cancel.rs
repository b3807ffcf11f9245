//! `task cancel`: ends a task that has not ended. It wins over a finish only if the shim has no
//! record of that finish.
//!
//! Not for: ending the agent (`agent terminate`).

use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::TaskId;
use crate::input::{Actor, Caller};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{Stop, StopWhy, TaskState, ending};
use crate::time::Millis;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
    grace: Millis,
) -> Result<Done, Reject> {
    let found = state.find_task(caller, task)?;
    let id = found.id;
    match &found.state {
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Active(_)
        | TaskState::Cancelled { .. } => end(state, out, turn, caller.actor(), id, grace),
        ended @ (TaskState::Succeeded { .. } | TaskState::Failed { .. } | TaskState::TimedOut { .. }) => {
            return Err(super::wrong_state(id, ended, "cancelled"));
        }
    }
    Ok(Done::Task(id))
}

/// Ends a task because what it is for is ended; one that has ended stays as it is.
pub(crate) fn order(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: TaskId) {
    let grace = state.config.grace;
    end(state, out, turn, actor, id, grace);
}

fn end(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: TaskId, grace: Millis) {
    let Some(task) = state.task(id) else { return };
    let owner = task.owner;
    match &task.state {
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Held(_)
        | TaskState::Lost { .. } => {
            ending::end(state, out, turn, id, actor, TaskState::Cancelled { at: turn.now });
        }
        TaskState::Active(_) => {
            state.tell(out, turn.now, actor, Some(owner), EventKind::TaskCancelling { task: id });
            stop(state, out, turn, id, StopWhy::Cancelled, grace);
        }
        TaskState::Cancelled { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::TimedOut { .. } => {}
    }
}

/// Orders the end of the running attempt. The first reason stays, but a cancel is more than any: the
/// task must not come back. Of two kills the earlier counts.
pub(crate) fn stop(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, why: StopWhy, grace: Millis) {
    let asked = Stop { why, kill_at: turn.now.plus(grace) };
    let stop = state.alter_task(out, id, |task| {
        let TaskState::Active(active) = &mut task.state else { return None };
        let stop = active.stop.get_or_insert(asked);
        stop.kill_at = stop.kill_at.min(asked.kill_at);
        if why == StopWhy::Cancelled {
            stop.why = why;
        }
        Some(*stop)
    });
    let lease = state.task(id).and_then(crate::Task::lease);
    if let (Some(Some(stop)), Some(lease)) = (stop, lease) {
        out.order(Effect::Stop {
            agent: lease.agent,
            incarnation: lease.incarnation,
            serial: lease.serial,
            grace: stop.kill_at.since(turn.now),
            why: stop.why,
        });
    }
}
