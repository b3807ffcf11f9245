//! `workflow resume`: lets a paused run go on.
//!
//! Not for: an ended one (`workflow rerun`).

use crate::ids::RunId;
use crate::input::{Actor, Caller};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::workflow::RunState;
use crate::workflow::drive::perform;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    run: &str,
) -> Result<Done, Reject> {
    let found = state.find_run(caller, run)?;
    let id = found.id;
    match &found.state {
        RunState::Paused { .. } => resume(state, out, turn, caller.actor(), id),
        RunState::Running => {}
        ended @ (RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. }) => {
            return Err(Reject::RunState { run: id.to_string(), state: ended.word(), verb: "resumed" });
        }
    }
    Ok(Done::Run(id))
}

/// Lets a run go on if it stands still.
pub(crate) fn resume(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: RunId) {
    if !state.run(id).is_some_and(|run| matches!(run.state, RunState::Paused { .. })) {
        return;
    }
    let mut acts = Vec::new();
    state.alter_run(id, |run| run.resume(turn.now, &mut acts));
    perform(state, out, turn, id, actor, acts);
}
