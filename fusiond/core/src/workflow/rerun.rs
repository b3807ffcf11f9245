//! `workflow rerun`: does a node of an ended run once more, with everything that needs it. Other results stay.
//!
//! What did not go well elsewhere is done once more, too: the run could not end well without it. Not for: single tasks.

use crate::input::Caller;
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};
use crate::workflow::drive::drive;
use crate::workflow::node::{How, SkipWhy};
use crate::workflow::plan::{Occasion, OnFailure};
use crate::workflow::run::News;
use crate::workflow::{Run, RunState};

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    run: &str,
    from: &str,
    recalled: Option<Run>,
) -> Result<Done, Reject> {
    let recalled = recalled.filter(|run| State::sees(caller, run.owner) && state.run(run.id).is_none());
    let found = match &recalled {
        Some(recalled) => recalled,
        None => state.find_run(caller, run)?,
    };
    let id = found.id;
    if found.state.ended_at().is_none() {
        return Err(Reject::RunState { run: id.to_string(), state: found.state.word(), verb: "run again" });
    }
    if let Some((parent, _)) = found.spec.parent {
        return Err(Reject::RunWithin { run: id.to_string(), parent: parent.to_string() });
    }
    if from.is_empty() && matches!(found.state, RunState::Succeeded { .. }) {
        return Err(Reject::RunState {
            run: id.to_string(),
            state: found.state.word(),
            verb: "run again as a whole",
        });
    }
    let nodes = choose(found, from)?;
    if let Some(recalled) = recalled {
        state.recall_run(recalled);
    }
    out.touch(Key::Run(id));
    drive(state, out, turn, id, caller.actor(), News::Again { nodes });
    Ok(Done::Run(id))
}

/// The nodes that are done once more.
fn choose(run: &Run, from: &str) -> Result<Vec<bool>, Reject> {
    let mut chosen = Vec::new();
    if !from.is_empty() {
        let not_found = || Reject::NodeNotFound { run: run.id.to_string(), node: from.to_owned() };
        let is_there = |node: &u32| run.plan.node(*node).occasion != Occasion::Never;
        chosen.push(run.plan.find(from).filter(is_there).ok_or_else(not_found)?);
    }
    chosen.extend((0..run.plan.graph.len()).filter(|node| is_done_again(run, *node)));
    Ok(run.plan.graph.downstream(chosen))
}

/// Whether a node of an ended run is done once more without being asked for: the run could not end well without it.
pub(super) fn is_done_again(run: &Run, node: u32) -> bool {
    let plan = run.plan.node(node);
    plan.occasion.is_hook()
        || match run.nodes[node as usize].state.end().map(|end| &end.how) {
            Some(How::Succeeded(_) | How::Skipped(SkipWhy::When | SkipWhy::Hook | SkipWhy::Removed)) => false,
            Some(How::Failed(_)) => plan.on_failure == OnFailure::Fail,
            Some(How::Cancelled | How::Skipped(SkipWhy::RunOver | SkipWhy::Need(_))) | None => true,
        }
}
