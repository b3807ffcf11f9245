//! Workflows in the simulated world: what users ask of runs, and what the engine finds out about their nodes.
//!
//! Not for: what the events of runs promise (`runs`).

use crate::clients::{self, fresh};
use crate::edits;
use crate::rng::Rng;
use fusion_core::input::PauseHow;
use fusion_core::workflow::plan::{Lapse, Rejection, ResultUse};
use fusion_core::workflow::{
    ApplyWorkflow, ApproveNode, AskWatch, Budget, Graph, NodeKind, NodePlan, NodeState, Occasion, OnFailure,
    Output, Place, Plan, Prepared, Run, RunState, StartRun, Verdict, Want,
};
use fusion_core::{
    Caller, Command, Cost, Failure, FailureCode, Input, Millis, RunId, State, Time, Uid, Usd, WorkflowId,
};

/// How deep runs stand within runs here.
const DEPTH: u8 = 2;

/// Something that a user asks of workflows.
pub(crate) fn draw(rng: &mut Rng, state: &State, caller: Caller, now: Time) -> Command {
    match rng.below(100) {
        0..=25 => Command::StartRun(Box::new(draw_start(rng, caller, now))),
        26..=28 => Command::ApplyWorkflow(ApplyWorkflow {
            id: WorkflowId(fresh(rng, now)),
            owner: clients::draw_owner(rng, caller),
            owner_name: String::new(),
            name: format!("w{}", rng.below(3)),
            fingerprint: rng.below(4),
            nodes: 1,
        }),
        29..=42 => Command::PauseRun {
            run: run_text(rng, state, |run| run.state == RunState::Running),
            how: if rng.permille(500) { PauseHow::Freeze } else { PauseHow::Drain },
        },
        43..=52 => Command::ResumeRun {
            run: run_text(rng, state, |run| matches!(run.state, RunState::Paused { .. })),
        },
        53..=60 => Command::CancelRun { run: run_text(rng, state, |run| run.state.ended_at().is_none()) },
        61..=71 => Command::ApproveNode(draw_decision(rng, state)),
        72..=91 => edits::draw(rng, state, 250),
        _ => draw_rerun(rng, state),
    }
}

fn draw_start(rng: &mut Rng, caller: Caller, now: Time) -> StartRun {
    let owner = clients::draw_owner(rng, caller);
    let mut ask = start(RunId(fresh(rng, now)), owner, draw_plan(rng, 0));
    if rng.permille(200) {
        ask.key = format!("r{}", rng.below(4));
        ask.fingerprint = rng.below(2);
    }
    if rng.permille(100) {
        ask.request = 1 + rng.below(5);
    }
    ask
}

/// A run that is asked for.
pub(crate) fn start(id: RunId, owner: Uid, plan: Plan) -> StartRun {
    StartRun {
        id,
        owner,
        owner_name: format!("user{}", owner.0),
        workflow: "w".to_owned(),
        version: 0,
        plan,
        labels: Vec::new(),
        key: String::new(),
        request: 0,
        fingerprint: 0,
        parent: None,
        bound: Budget::default(),
    }
}

/// Mostly one that is meant, sometimes any, sometimes none.
fn run_text(rng: &mut Rng, state: &State, is_meant: impl Fn(&Run) -> bool) -> String {
    let any = rng.permille(150);
    let runs: Vec<&Run> = state.runs().filter(|run| any || is_meant(run)).collect();
    if runs.is_empty() || rng.permille(30) {
        return "run_nothing".to_owned();
    }
    let run = rng.pick(&runs);
    match (&run.spec.key, rng.below(4)) {
        (Some(key), 0) => format!("key:{key}"),
        (_, 1) => run.id.short(),
        (Some(_) | None, _) => run.id.to_string(),
    }
}

fn draw_decision(rng: &mut Rng, state: &State) -> ApproveNode {
    let asking = asking(state);
    let (run, node) = if asking.is_empty() || rng.permille(100) {
        (run_text(rng, state, |_| true), format!("n{}", rng.below(6)))
    } else {
        let (run, node) = rng.pick(&asking);
        (run.to_string(), node.clone())
    };
    let verdict = if rng.permille(700) { Verdict::Approved } else { Verdict::Rejected };
    ApproveNode { run, node, verdict, comment: "so be it".to_owned() }
}

/// All nodes that wait for a person.
fn asking(state: &State) -> Vec<(RunId, String)> {
    let of = |run: &Run| {
        let id = run.id;
        let nodes = run.plan.nodes.iter().zip(run.nodes());
        let asking = nodes.filter(|(_, node)| matches!(node.state, NodeState::Asking { .. }));
        asking.map(|(plan, _)| (id, plan.id.to_string())).collect::<Vec<_>>()
    };
    state.runs().flat_map(of).collect()
}

/// Some nodes of an ended run are done once more.
pub(crate) fn draw_rerun(rng: &mut Rng, state: &State) -> Command {
    let run = run_text(rng, state, |run| run.state.ended_at().is_some() && run.spec.parent.is_none());
    let from = if rng.permille(400) { String::new() } else { format!("n{}", rng.below(5)) };
    Command::RerunRun { run, from, recalled: None }
}

/// Nodes of all kinds, in any order that is one.
pub(crate) fn draw_plan(rng: &mut Rng, depth: u8) -> Plan {
    let count = 1 + small(rng, 6);
    let mut edges = Vec::new();
    for to in 0..count {
        edges.extend((0..to).filter(|_| rng.permille(350)).map(|from| (from, to)));
    }
    let hooks: Vec<Occasion> = match rng.below(4) {
        0 => vec![Occasion::Success, Occasion::Failure],
        1 => vec![Occasion::Failure],
        _ => Vec::new(),
    };
    let mut nodes: Vec<NodePlan> = (0..count).map(|at| draw_node(rng, at, depth)).collect();
    for (at, occasion) in (count..).zip(hooks) {
        let hook = NodePlan { kind: NodeKind::Task, fan: None, occasion, ..draw_node(rng, at, DEPTH) };
        nodes.push(hook);
    }
    let graph = Graph::new(u32::try_from(nodes.len()).expect("few"), &edges).expect("edges go forward");
    let timeout = rng.permille(150).then(|| Millis(1 + rng.below(30_000)));
    let budget = draw_budget(rng, 100);
    Plan { graph, nodes: nodes.into(), order: Box::default(), concurrency: small(rng, 4), timeout, budget }
}

/// 0 to `n` - 1.
pub(crate) fn small(rng: &mut Rng, n: u64) -> u32 {
    u32::try_from(rng.below(n)).expect("small")
}

pub(crate) fn draw_budget(rng: &mut Rng, permille: u64) -> Budget {
    let attempts = rng.permille(permille).then(|| u32::try_from(1 + rng.below(5)).expect("small"));
    let time = rng.permille(permille).then(|| Millis(1 + rng.below(20_000)));
    let cost = Cost {
        usd: rng.permille(permille).then(|| Usd(rng.below(3_000_000))),
        tokens: rng.permille(permille).then(|| rng.below(3000)),
    };
    Budget { attempts, time, cost }
}

pub(crate) fn draw_node(rng: &mut Rng, at: u32, depth: u8) -> NodePlan {
    let kind = match rng.below(20) {
        0..=2 => NodeKind::Approval {
            timeout: rng.permille(500).then(|| Millis(rng.below(9000))),
            lapse: *rng.pick(&[Lapse::Approve, Lapse::Reject]),
            rejection: *rng.pick(&[Rejection::Result, Rejection::Failure]),
        },
        3 | 4 => NodeKind::Wait,
        5 | 6 if depth < DEPTH => NodeKind::Workflow,
        _ => NodeKind::Task,
    };
    let fans = matches!(kind, NodeKind::Task | NodeKind::Workflow) && rng.permille(200);
    NodePlan {
        id: format!("n{at}").into(),
        kind,
        on_failure: *rng.pick(&[
            OnFailure::Fail,
            OnFailure::Fail,
            OnFailure::Continue,
            OnFailure::SkipDependents,
        ]),
        occasion: if rng.permille(150) { Occasion::Always } else { Occasion::Needs },
        fan: fans.then(|| u32::try_from(rng.below(3)).expect("small")),
        result: *rng.pick(&[ResultUse::Kept, ResultUse::Left]),
        retries: u32::try_from(rng.below(2)).expect("small"),
        budget: draw_budget(rng, 50),
    }
}

/// What the engine finds out when it does what a run wants. `None`: it can be found out no more.
pub(crate) fn answer(rng: &mut Rng, state: &State, now: Time, want: Want) -> Option<Input> {
    match want {
        Want::Prepare { run, place, ticket } => {
            let what = Box::new(prepare(rng, state.run(run)?, now, place));
            Some(Input::Prepared { run, place, ticket, what })
        }
        Want::Collect { run, place, task } => {
            let what = if rng.permille(200) {
                Err(Failure::new(FailureCode::OutputInvalid, "it is not JSON"))
            } else {
                Ok(Output::Kept { bytes: 1 })
            };
            Some(Input::Collected { run, place, task, what })
        }
        Want::Keep { .. } => None,
    }
}

fn prepare(rng: &mut Rng, run: &Run, now: Time, place: Place) -> Prepared {
    let plan = run.plan.node(place.node);
    if rng.permille(40) {
        return Prepared::Failed(Failure::new(FailureCode::TemplateFailed, "there is no such word"));
    }
    if place.item.is_none() && rng.permille(60) {
        return Prepared::Skip;
    }
    match plan.kind {
        NodeKind::Approval { .. } => Prepared::Gate,
        NodeKind::Wait if rng.permille(150) => Prepared::Done,
        NodeKind::Wait if rng.permille(700) => Prepared::Watch(Box::new(draw_watch(rng, run))),
        NodeKind::Wait => Prepared::Sleep(now.plus(Millis(rng.below(5000)))),
        NodeKind::Task | NodeKind::Workflow if plan.fan.is_some() && place.item.is_none() => {
            Prepared::Items(u32::try_from(rng.below(4)).expect("small"))
        }
        NodeKind::Task => {
            let mut task = clients::draw_work(rng, run.owner, now);
            if rng.permille(30) {
                "nobody".clone_into(&mut task.agent);
            }
            if rng.permille(150) {
                let profile = *rng.pick(&["p", "q", "o"]);
                task.capabilities = task.capabilities.of_profile(profile);
            }
            Prepared::Task(Box::new(task))
        }
        NodeKind::Workflow => {
            let inner = draw_plan(rng, run.spec.depth + 1);
            let mut ask = start(RunId(fresh(rng, now)), run.owner, inner);
            ask.parent = Some((run.id, place));
            Prepared::Inner(Box::new(ask))
        }
    }
}

fn draw_watch(rng: &mut Rng, run: &Run) -> AskWatch {
    let words = ["task.succeeded", "task.*", "agent.*", "run.failed", "node.succeeded", "attempt.exited"];
    let kinds = (0..=rng.below(2)).map(|_| (*rng.pick(&words)).to_owned()).collect();
    let mut ask = AskWatch {
        kinds,
        timeout: rng.permille(500).then(|| Millis(rng.below(9000))),
        ..AskWatch::default()
    };
    match rng.below(8) {
        0 => format!("a{}", rng.below(5)).clone_into(&mut ask.agent),
        1 => run.id.to_string().clone_into(&mut ask.run),
        2 => format!("key:k{}", rng.below(10)).clone_into(&mut ask.task),
        3 => "tsk_nothing".clone_into(&mut ask.task),
        _ => {}
    }
    ask
}

/// What a patient person does about runs when nothing else moves: lets them go on, decides, and ends tasks that nobody
/// will do. `None`: every run has ended. An error: a run stands still for nothing.
pub(crate) fn attend(rng: &mut Rng, state: &State) -> Result<Option<Command>, String> {
    let open: Vec<&Run> = state.runs().filter(|run| run.state.ended_at().is_none()).collect();
    let Some(first) = open.first() else { return Ok(None) };
    if let Some(paused) = open.iter().find(|run| matches!(run.state, RunState::Paused { .. })) {
        return Ok(Some(Command::ResumeRun { run: paused.id.to_string() }));
    }
    if let Some((run, node)) = asking(state).into_iter().next() {
        let verdict = if rng.permille(700) { Verdict::Approved } else { Verdict::Rejected };
        let (run, comment) = (run.to_string(), String::new());
        return Ok(Some(Command::ApproveNode(ApproveNode { run, node, verdict, comment })));
    }
    let listens =
        |run: &&&Run| run.nodes().iter().any(|node| matches!(node.state, NodeState::Watching { .. }));
    if let Some(listening) = open.iter().find(listens) {
        return Ok(Some(Command::CancelRun { run: listening.id.to_string() }));
    }
    let stuck = open.iter().flat_map(|run| run.places()).find_map(|(_, node)| match node.state {
        NodeState::Active { task, .. } => Some(task),
        NodeState::Pending
        | NodeState::Collecting { .. }
        | NodeState::Asking { .. }
        | NodeState::Sleeping { .. }
        | NodeState::Watching { .. }
        | NodeState::Inside { .. }
        | NodeState::Fanned { .. }
        | NodeState::Ended(_) => None,
    });
    let task = stuck.ok_or_else(|| format!("{} stands still for nothing: {:?}", first.id, first.nodes()))?;
    Ok(Some(Command::CancelTask { task: task.to_string(), grace: Millis(100) }))
}
