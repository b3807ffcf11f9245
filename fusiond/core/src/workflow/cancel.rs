//! `workflow cancel`: ends what runs, skips the rest. What is done always is still done; a second cancel ends that, too.
//!
//! Not for: single tasks (`task cancel`).

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
        RunState::Running | RunState::Paused { .. } => {
            drive(state, out, turn, id, caller.actor(), News::Cancel);
        }
        RunState::Cancelled { .. } => {}
        ended @ (RunState::Succeeded { .. } | RunState::Failed { .. }) => {
            return Err(Reject::RunState { run: id.to_string(), state: ended.word(), verb: "cancelled" });
        }
    }
    Ok(Done::Run(id))
}
