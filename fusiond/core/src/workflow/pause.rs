//! `workflow pause`: what runs ends, and nothing new begins, also over a restart.
//!
//! Not for: freezing agents (`agent pause`).

use crate::input::Caller;
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
) -> Result<Done, Reject> {
    let found = state.find_run(caller, run)?;
    let id = found.id;
    match &found.state {
        RunState::Running => drive(state, out, turn, id, caller.actor(), News::Pause),
        RunState::Paused { .. } => {}
        ended @ (RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. }) => {
            return Err(Reject::RunState { run: id.to_string(), state: ended.word(), verb: "paused" });
        }
    }
    Ok(Done::Run(id))
}
