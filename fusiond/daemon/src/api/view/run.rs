//! Workflows, runs and nodes, as the wire shows them.
//!
//! Not for: results and questions; the services add those that were asked for.

use super::{duration, task, timestamp};
use crate::engine::workflow::Revision;
use fusion_core::Usd;
use fusion_core::input::PauseHow;
use fusion_core::workflow::{
    Budget, Decision, Doom, End, How, Node, NodeState, Output, Place, Plan, Run, RunState, Spent, Workflow,
};
use fusion_proto::v1;

/// One version of a workflow, without its definition.
pub(crate) fn workflow(workflow: &Workflow) -> v1::Workflow {
    v1::Workflow {
        id: workflow.id.to_string(),
        name: workflow.name.to_string(),
        version: workflow.version,
        user: workflow.owner.0.to_string(),
        apply_time: Some(timestamp(workflow.applied_at)),
        nodes: workflow.nodes,
        definition: String::new(),
    }
}

/// A run without its nodes.
pub(crate) fn brief(run: &Run) -> v1::Run {
    let spec = &run.spec;
    // One that is failing says so before all that it has begun has ended.
    let failure = match (&run.state, &run.doom) {
        (RunState::Failed { failure, .. }, _)
        | (RunState::Running | RunState::Paused { .. }, Some(Doom::Failed(failure))) => {
            Some(v1::Failure { hint: run.hint(failure), ..task::failure(failure) })
        }
        (RunState::Running | RunState::Paused { .. }, Some(Doom::Cancelled | Doom::Killed) | None)
        | (RunState::Succeeded { .. } | RunState::Cancelled { .. }, _) => None,
    };
    let ended = run.nodes().iter().filter(|node| node.state.end().is_some()).count();
    v1::Run {
        id: run.id.to_string(),
        workflow: spec.workflow.to_string(),
        version: spec.version,
        state: state(&run.state).into(),
        user: run.owner.0.to_string(),
        labels: spec.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        key: spec.key.as_ref().map(ToString::to_string),
        create_time: Some(timestamp(run.created_at)),
        end_time: run.state.ended_at().map(timestamp),
        failure,
        nodes: Vec::new(),
        generation: run.generation,
        parent: spec.parent.map(|(parent, _)| parent.to_string()),
        inputs: String::new(),
        node_count: u32::try_from(run.nodes().len()).unwrap_or(u32::MAX),
        ended_count: u32::try_from(ended).unwrap_or(u32::MAX),
        revision: run.revision,
        frozen: matches!(run.state, RunState::Paused { how: PauseHow::Freeze, .. }),
        budget: budget(run.plan.budget),
        usage: Some(usage(run.spent())),
        asking: run.asking().collect(),
    }
}

fn budget(budget: Budget) -> Option<v1::RunBudget> {
    let Budget { time, attempts, cost } = budget;
    let usd = cost.usd.map(Usd::dollars);
    let said = v1::RunBudget { time: time.map(duration), attempts, usd, tokens: cost.tokens };
    (budget != Budget::default()).then_some(said)
}

fn usage(spent: Spent) -> v1::RunUsage {
    let Spent { time, attempts, cost } = spent;
    v1::RunUsage {
        time: Some(duration(time)),
        attempts,
        usd: cost.usd.map(Usd::dollars),
        tokens: cost.tokens,
    }
}

/// A run with its nodes, without their results.
pub(crate) fn run(run: &Run) -> v1::Run {
    let nodes = (0..).zip(run.nodes()).map(|(at, own)| whole_node(run, at, own));
    v1::Run { nodes: nodes.collect(), ..brief(run) }
}

/// Puts the nodes of a run, which stand by their numbers, into the order of its definition.
pub(crate) fn put_in_order(nodes: &mut Vec<v1::Node>, plan: &Plan) {
    let mut by_number: Vec<Option<v1::Node>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(plan.in_order().iter().filter_map(|at| by_number.get_mut(*at as usize)?.take()));
}

/// A definition that a run has had, without what it says.
pub(crate) fn revision(run: &Run, revision: &Revision) -> v1::RunRevision {
    let changes = revision.changes;
    v1::RunRevision {
        run: run.id.to_string(),
        revision: revision.number,
        actor: revision.by.clone(),
        create_time: Some(timestamp(revision.at)),
        added: changes.added,
        changed: changes.changed,
        removed: changes.removed,
        definition: String::new(),
    }
}

fn used(spent: Spent) -> Option<v1::RunUsage> {
    (spent != Spent::default()).then(|| usage(spent))
}

fn whole_node(run: &Run, at: u32, own: &Node) -> v1::Node {
    let needs = run.plan.graph.needs(at).iter().map(|need| run.plan.node(*need).id.to_string());
    let items = run
        .items(at)
        .map(|(item, own)| v1::Node { usage: used(own.spent), ..node(run, at, item.to_string(), own) });
    let items: Vec<v1::Node> = items.collect();
    let count = match &own.state {
        NodeState::Fanned { count, .. } => Some(*count),
        NodeState::Ended(End { how: How::Succeeded(Output::Items(count)), .. }) => Some(*count),
        NodeState::Pending
        | NodeState::Active { .. }
        | NodeState::Collecting { .. }
        | NodeState::Asking { .. }
        | NodeState::Sleeping { .. }
        | NodeState::Watching { .. }
        | NodeState::Inside { .. }
        | NodeState::Ended(_) => None,
    };
    v1::Node {
        needs: needs.collect(),
        items,
        item_count: count,
        usage: used(run.spent_by(Place::whole(at))),
        ..node(run, at, run.plan.node(at).id.to_string(), own)
    }
}

/// A node, or the item `id` of the node `at`.
fn node(run: &Run, at: u32, id: String, node: &Node) -> v1::Node {
    let end = node.state.end();
    let (failure, reason) = match end.map(|end| &end.how) {
        Some(How::Failed(failure)) => {
            let name = run.plan.node(at).id.as_ref();
            let hint = failure.code.hint_in(run.id, Some(name), node.state.task());
            (Some(v1::Failure { hint, ..task::failure(failure) }), String::new())
        }
        Some(How::Skipped(why)) => (None, run.why_skipped(*why)),
        Some(How::Succeeded(_) | How::Cancelled) => (None, String::new()),
        None => match &node.state {
            NodeState::Watching { watch, .. } => (None, watch.to_string()),
            NodeState::Pending
            | NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Inside { .. }
            | NodeState::Fanned { .. }
            | NodeState::Ended(_) => (None, String::new()),
        },
    };
    let inner = match (&node.state, end.map(|end| &end.how)) {
        (NodeState::Inside { run, .. }, _) | (_, Some(How::Succeeded(Output::Run(run)))) => {
            Some(run.to_string())
        }
        (_, _) => None,
    };
    v1::Node {
        id,
        state: node_state(&node.state).into(),
        task: node.state.task().map(|task| task.to_string()),
        output: None,
        output_bytes: None,
        output_preview: String::new(),
        failure,
        start_time: node.state.since().map(timestamp),
        end_time: end.map(|end| timestamp(end.at)),
        needs: Vec::new(),
        items: Vec::new(),
        item_count: None,
        reason,
        run: inner,
        until: node.state.due().map(timestamp),
        usage: None,
    }
}

/// Which nodes a person has decided, and what.
pub(crate) fn decisions(run: &Run) -> impl Iterator<Item = (u32, &Decision)> {
    (0..).zip(run.nodes()).filter_map(|(at, node)| match &node.state.end()?.how {
        How::Succeeded(Output::Decision(decision)) => Some((at, decision.as_ref())),
        How::Succeeded(_) | How::Failed(_) | How::Skipped(_) | How::Cancelled => None,
    })
}

/// The state's word on the wire.
pub(crate) fn state(state: &RunState) -> v1::RunState {
    match state {
        RunState::Running => v1::RunState::Running,
        RunState::Paused { .. } => v1::RunState::Paused,
        RunState::Succeeded { .. } => v1::RunState::Succeeded,
        RunState::Failed { .. } => v1::RunState::Failed,
        RunState::Cancelled { .. } => v1::RunState::Cancelled,
    }
}

fn node_state(state: &NodeState) -> v1::NodeState {
    match state {
        NodeState::Pending => v1::NodeState::Pending,
        NodeState::Active { .. }
        | NodeState::Collecting { .. }
        | NodeState::Inside { .. }
        | NodeState::Fanned { .. } => v1::NodeState::Running,
        NodeState::Asking { .. } => v1::NodeState::WaitingApproval,
        NodeState::Sleeping { .. } | NodeState::Watching { .. } => v1::NodeState::Waiting,
        NodeState::Ended(end) => match end.how {
            How::Succeeded(_) => v1::NodeState::Succeeded,
            How::Failed(_) => v1::NodeState::Failed,
            How::Skipped(_) => v1::NodeState::Skipped,
            How::Cancelled => v1::NodeState::Cancelled,
        },
    }
}

/// Where the nodes of a run that wait for a person are.
pub(crate) fn asking(run: &Run) -> impl Iterator<Item = u32> {
    let asks = |node: &Node| matches!(node.state, NodeState::Asking { .. });
    (0..).zip(run.nodes()).filter(move |(_, node)| asks(node)).map(|(at, _)| at)
}
