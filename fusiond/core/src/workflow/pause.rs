//! `workflow pause [--freeze]`: nothing new begins, also over a restart; what runs ends, or stands still where it is.
//!
//! Not for: single agents (`agent pause`).

use crate::ids::RunId;
use crate::input::{Actor, Caller, PauseHow};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::workflow::RunState;
use crate::workflow::drive::drive;
use crate::workflow::run::News;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    run: &str,
    how: PauseHow,
) -> Result<Done, Reject> {
    let found = state.find_run(caller, run)?;
    let id = found.id;
    match &found.state {
        RunState::Running | RunState::Paused { .. } => pause(state, out, turn, caller.actor(), id, how),
        ended @ (RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. }) => {
            return Err(Reject::RunState { run: id.to_string(), state: ended.word(), verb: "paused" });
        }
    }
    Ok(Done::Run(id))
}

/// Pauses a run that goes on; one that is paused already can still be frozen.
pub(crate) fn pause(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: RunId, how: PauseHow) {
    let is_more = match state.run(id).map(|run| &run.state) {
        Some(RunState::Running) => true,
        Some(RunState::Paused { how: PauseHow::Drain, .. }) => how == PauseHow::Freeze,
        Some(
            RunState::Paused { how: PauseHow::Freeze, .. }
            | RunState::Succeeded { .. }
            | RunState::Failed { .. }
            | RunState::Cancelled { .. },
        )
        | None => false,
    };
    if is_more {
        drive(state, out, turn, id, actor, News::Pause(how));
    }
}
