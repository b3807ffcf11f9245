//! `why` of a run and of its nodes: what they wait for, and what would change that.
//!
//! Not for: tasks; theirs are explained by the rules that decide about them.

use crate::explain::{Explanation, Reason, explain_task};
use crate::ids::RunId;
use crate::input::PauseHow;
use crate::state::State;
use crate::time::Time;
use crate::workflow::node::{How, NodeState, Place};
use crate::workflow::{Run, RunState};

/// The most nodes of a run that are explained.
const NODES_MAX: usize = 10;

/// Why a run is where it is.
#[must_use]
pub fn explain_run(state: &State, id: RunId, now: Time) -> Option<Explanation> {
    let run = state.run(id)?;
    let (summary, first) = match &run.state {
        RunState::Succeeded { .. } => return Some(answer("it is done", Vec::new())),
        RunState::Cancelled { .. } => {
            let again = format!("`fusionctl workflow rerun {id}`");
            let reason = Reason::new("cancelled", "it will not go on", again);
            return Some(answer("somebody cancelled it", vec![reason]));
        }
        RunState::Failed { failure, .. } => {
            let reason = Reason::new(failure.code.code(), failure.code.meaning(), failure.code.hint());
            return Some(answer(&failure.message, vec![reason]));
        }
        RunState::Paused { how, .. } => {
            let resume = format!("`fusionctl workflow resume {id}`");
            let (summary, text) = match how {
                PauseHow::Drain => ("it is paused", "nothing new begins"),
                PauseHow::Freeze => ("it is frozen", "nothing new begins, and what runs stands still"),
            };
            (summary, Some(Reason::new("paused", text, resume)))
        }
        RunState::Running => ("its nodes are on their way", None),
    };
    let open = (0..run.plan.graph.len()).filter(|node| is_open(run, *node));
    let nodes = open.filter_map(|node| node_reason(state, run, node, now)).take(NODES_MAX);
    let reasons: Vec<Reason> = first.into_iter().chain(nodes).collect();
    let summary = if let [only] = reasons.as_slice() { only.text.clone() } else { summary.to_owned() };
    Some(Explanation { summary, reasons })
}

/// Why a node of a run is where it is.
#[must_use]
pub fn explain_node(state: &State, id: RunId, node: u32, now: Time) -> Option<Explanation> {
    let run = state.run(id)?;
    let name = &run.plan.node(node).id;
    let found = run.node(Place::whole(node))?;
    Some(match &found.state {
        NodeState::Ended(end) => match &end.how {
            How::Succeeded(_) => answer("it is done", Vec::new()),
            How::Failed(failure) => {
                let again = format!("`fusionctl workflow rerun {id} --from {name}`");
                answer(
                    &failure.message,
                    vec![Reason::new(failure.code.code(), failure.code.meaning(), again)],
                )
            }
            How::Skipped(why) => answer(&run.why_skipped(*why), Vec::new()),
            How::Cancelled => answer("somebody ended it", Vec::new()),
        },
        NodeState::Pending => pending(run, node),
        NodeState::Active { .. }
        | NodeState::Collecting { .. }
        | NodeState::Asking { .. }
        | NodeState::Sleeping { .. }
        | NodeState::Watching { .. }
        | NodeState::Inside { .. }
        | NodeState::Fanned { .. } => {
            let reasons: Vec<Reason> = node_reason(state, run, node, now).into_iter().collect();
            let summary = reasons.first().map_or("it is on its way", |reason| reason.text.as_str());
            Explanation { summary: summary.to_owned(), reasons }
        }
    })
}

fn answer(summary: &str, reasons: Vec<Reason>) -> Explanation {
    Explanation { summary: summary.to_owned(), reasons }
}

fn is_open(run: &Run, node: u32) -> bool {
    let state = &run.nodes[node as usize].state;
    *state != NodeState::Pending && state.end().is_none()
}

/// What a node that has not begun waits for.
fn pending(run: &Run, node: u32) -> Explanation {
    let needs = run.plan.graph.needs(node).iter();
    let open = needs.filter(|need| run.nodes[**need as usize].state.end().is_none());
    let reasons: Vec<Reason> = open
        .map(|need| {
            let (name, word) = (&run.plan.node(*need).id, run.nodes[*need as usize].state.word());
            Reason::new("needs", format!("{name} is {word}"), format!("`fusionctl why {}/{name}`", run.id))
        })
        .collect();
    if !reasons.is_empty() {
        return answer(&format!("it needs {} node(s) that have not ended", reasons.len()), reasons);
    }
    let (text, remedy) = match run.state {
        RunState::Paused { .. } => ("the run is paused", format!("`fusionctl workflow resume {}`", run.id)),
        RunState::Running
        | RunState::Succeeded { .. }
        | RunState::Failed { .. }
        | RunState::Cancelled { .. } => ("all places that `concurrency` allows are taken", String::new()),
    };
    answer(text, vec![Reason::new("slot", text, remedy)])
}

fn node_reason(state: &State, run: &Run, node: u32, now: Time) -> Option<Reason> {
    let name = &run.plan.node(node).id;
    let reason = |code, text: String, remedy: String| Some(Reason::new(code, text, remedy));
    match &run.nodes[node as usize].state {
        NodeState::Asking { .. } => {
            let approve = format!("`fusionctl workflow approve {} {name} [--reject]`", run.id);
            reason("approval", format!("{name} waits for a person"), approve)
        }
        NodeState::Sleeping { until, .. } => {
            reason("time", format!("{name} goes on in {}", until.since(now)), String::new())
        }
        NodeState::Watching { watch, expires_at, .. } => {
            let within = expires_at.map(|at| format!("within {}", at.since(now))).unwrap_or_default();
            let text = format!("{name} waits for {watch} {within}");
            reason(
                "event",
                text.trim_end().to_owned(),
                "`fusionctl event tail` shows what happens".to_owned(),
            )
        }
        NodeState::Inside { run: inner, .. } => {
            reason("run", format!("{name} is the run {inner}"), format!("`fusionctl why {inner}`"))
        }
        NodeState::Collecting { .. } => {
            reason("result", format!("the result of {name} is looked at"), String::new())
        }
        NodeState::Active { task, .. } => {
            let why = explain_task(state, *task, now).map(|why| why.summary).unwrap_or_default();
            let word = state.task(*task).map_or("gone", |task| task.state.word());
            reason("task", format!("{name} is {word}: {why}"), format!("`fusionctl why {task}`"))
        }
        NodeState::Fanned { count, .. } => {
            let ended = run.items(node).filter(|(_, item)| item.state.end().is_some()).count();
            reason("items", format!("{ended} of {count} items of {name} have ended"), String::new())
        }
        NodeState::Pending | NodeState::Ended(_) => None,
    }
}
