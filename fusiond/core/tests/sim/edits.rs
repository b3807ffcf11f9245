//! Edits of runs in the simulated world: another plan for a run, mostly one that the run can take.
//!
//! Not for: which edits are refused (the core), what their events promise (`runs`).

use crate::flows::{draw_budget, draw_node, draw_plan, small};
use crate::rng::Rng;
use fusion_core::workflow::{
    Changes, EditMode, EditRun, Graph, NodeKind, NodePlan, NodeState, Occasion, Plan, Run, RunState,
};
use fusion_core::{Command, Millis, State};

/// Runs here stay small.
const NODES_MAX: u32 = 12;

/// An edit of a run; mostly of one that has not ended, unless those that have are meant.
pub(crate) fn draw(rng: &mut Rng, state: &State, of_ended: u64) -> Command {
    let is_meant = rng.permille(of_ended);
    let (runs, others): (Vec<&Run>, Vec<&Run>) =
        state.runs().partition(|run| run.state.ended_at().is_some() == is_meant);
    let runs = if runs.is_empty() { others } else { runs };
    let ask = if runs.is_empty() || rng.permille(30) {
        let plan = draw_plan(rng, 0);
        let (run, changed, changes) = ("run_nothing".to_owned(), Vec::new(), Changes::default());
        EditRun { run, base: 1, plan, changed, changes, mode: EditMode::Do, recalled: None }
    } else {
        let run = *rng.pick(&runs);
        draw_edit(rng, state, run)
    };
    Command::EditRun(Box::new(ask))
}

fn draw_edit(rng: &mut Rng, state: &State, run: &Run) -> EditRun {
    // Some edits touch what has begun, too: those are refused.
    let is_bold = rng.permille(150);
    let may_touch = |node: u32| is_bold || is_left(state, run, node);
    let nodes = draw_nodes(rng, run, &may_touch);
    let graph = draw_graph(rng, &run.plan, &nodes, &may_touch);
    let old = &run.plan;
    let has_new_clock = rng.permille(100);
    let timeout =
        if has_new_clock { rng.permille(500).then(|| Millis(1 + rng.below(30_000))) } else { old.timeout };
    let concurrency = if rng.permille(200) { small(rng, 4) } else { old.concurrency };
    let budget = if rng.permille(100) { draw_budget(rng, 300) } else { old.budget };
    let plan = Plan { graph, nodes: nodes.into(), order: Box::default(), concurrency, timeout, budget };
    let (changed, changes) = compare(old, &plan);
    let base = if rng.permille(60) { small(rng, 4) } else { run.revision };
    let mode = if rng.permille(150) { EditMode::Try } else { EditMode::Do };
    EditRun { run: run.id.to_string(), base, plan, changed, changes, mode, recalled: None }
}

/// Whether a node is still to be done, or would be once more.
fn is_left(world: &State, run: &Run, node: u32) -> bool {
    let plan = run.plan.node(node);
    let state = &run.nodes()[node as usize].state;
    let is_missing = plan.occasion == Occasion::Never;
    match run.state {
        RunState::Running | RunState::Paused { .. } => {
            let task = state.task().and_then(|task| world.task(task)).filter(|_| state.is_active());
            let is_new = task.is_some_and(|task| task.attempts.is_empty());
            is_missing || is_new || *state == NodeState::Pending
        }
        RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. } => {
            is_missing
                || plan.occasion.is_hook()
                || state.end().is_some_and(|end| end.how.word() != "succeeded")
        }
    }
}

/// Nodes go, come back, and say something else; new ones stand behind them.
fn draw_nodes(rng: &mut Rng, run: &Run, may_touch: &impl Fn(u32) -> bool) -> Vec<NodePlan> {
    let depth = run.spec.depth;
    let mut nodes = run.plan.nodes.to_vec();
    for (at, node) in (0..).zip(&mut nodes).filter(|(at, _)| may_touch(*at)) {
        match (rng.below(6), node.occasion) {
            (0, Occasion::Never) => *node = draw_node(rng, at, depth),
            (_, Occasion::Never) => {}
            (0, _) => node.occasion = Occasion::Never,
            (1, Occasion::Success | Occasion::Failure) => node.retries += 1,
            (1, Occasion::Needs | Occasion::Always) => *node = draw_node(rng, at, depth),
            (_, _) => {}
        }
    }
    let known = run.plan.graph.len();
    let new = small(rng, 3).min(NODES_MAX.saturating_sub(known));
    nodes.extend((known..known + new).map(|at| draw_node(rng, at, depth)));
    if let Some(last) = nodes.last_mut().filter(|_| new > 0 && rng.permille(150)) {
        let occasion = *rng.pick(&[Occasion::Success, Occasion::Failure]);
        *last = NodePlan { kind: NodeKind::Task, fan: None, occasion, ..last.clone() };
    }
    nodes
}

/// Needs go with their nodes, and between what may be touched; others are added.
fn draw_graph(rng: &mut Rng, old: &Plan, nodes: &[NodePlan], may_touch: &impl Fn(u32) -> bool) -> Graph {
    let count = u32::try_from(nodes.len()).expect("few");
    let known = old.graph.len();
    let is_step = |node: u32| {
        let occasion = nodes[node as usize].occasion;
        occasion != Occasion::Never && !occasion.is_hook()
    };
    let is_free = |node: u32| node >= known || may_touch(node);
    let mut edges: Vec<(u32, u32)> = (0..known)
        .flat_map(|to| old.graph.needs(to).iter().map(move |from| (*from, to)))
        .filter(|(from, to)| is_step(*from) && is_step(*to) && !(is_free(*to) && rng.permille(100)))
        .collect();
    for _ in 0..rng.below(6) {
        let edge = (small(rng, u64::from(count)), small(rng, u64::from(count)));
        if !(is_step(edge.0) && is_step(edge.1) && is_free(edge.1)) || edges.contains(&edge) {
            continue;
        }
        edges.push(edge);
        if Graph::new(count, &edges).is_err() {
            edges.pop();
        }
    }
    Graph::new(count, &edges).expect("only edges that make no circle are added")
}

/// Which nodes say something else, as the engine finds out by comparing definitions.
fn compare(old: &Plan, new: &Plan) -> (Vec<u32>, Changes) {
    let has = |plan: &Plan, node: u32| node < plan.graph.len() && plan.node(node).occasion != Occasion::Never;
    let is_same =
        |node: &u32| old.node(*node) == new.node(*node) && old.graph.needs(*node) == new.graph.needs(*node);
    let all = || 0..new.graph.len();
    let changed: Vec<u32> =
        all().filter(|node| has(old, *node) && has(new, *node) && !is_same(node)).collect();
    let count = |nodes: usize| u32::try_from(nodes).expect("few");
    let changes = Changes {
        added: count(all().filter(|node| !has(old, *node) && has(new, *node)).count()),
        changed: count(changed.len()),
        removed: count(all().filter(|node| has(old, *node) && !has(new, *node)).count()),
    };
    (changed, changes)
}
