//! `workflow approve`: what a person decides about a node that waits for them.
//!
//! Not for: questions of running tasks (`task approve`).

use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::question::TEXT_BYTES_MAX;
use crate::workflow::drive::drive;
use crate::workflow::node::{Decision, NodeState, Place, Verdict};
use crate::workflow::run::News;

/// What is decided.
#[derive(Clone, Debug)]
pub struct ApproveNode {
    /// The run.
    pub run: String,
    /// The node, by its name in the definition.
    pub node: String,
    /// Yes or no.
    pub verdict: Verdict,
    /// What the person says.
    pub comment: String,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: ApproveNode,
) -> Result<Done, Reject> {
    if let Rights::Agent(_) = caller.rights {
        let who = caller.actor().to_string();
        return Err(Reject::NotPermitted { who, what: "approving" });
    }
    let run = state.find_run(caller, &ask.run)?;
    let id = run.id;
    if ask.comment.len() > TEXT_BYTES_MAX {
        return Err(Reject::TooLarge {
            what: "the comment",
            bytes: ask.comment.len(),
            limit: TEXT_BYTES_MAX,
        });
    }
    let not_found = || Reject::NodeNotFound { run: id.to_string(), node: ask.node.clone() };
    let node = run.plan.find(&ask.node).ok_or_else(not_found)?;
    let found = run.node(Place::whole(node)).map(|node| &node.state);
    if !matches!(found, Some(NodeState::Asking { .. })) {
        let state = found.map_or("pending", NodeState::word);
        return Err(Reject::NodeState { run: id.to_string(), node: ask.node, state });
    }
    let by = caller.actor();
    let decision = Decision { verdict: ask.verdict, by, comment: ask.comment.into() };
    drive(state, out, turn, id, by, News::Decided { node, decision });
    Ok(Done::Run(id))
}
