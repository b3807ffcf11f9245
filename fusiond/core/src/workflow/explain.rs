//! `why` of a run and of its nodes: what they wait for, and what would change that.
//!
//! Not for: tasks; theirs are explained by the rules that decide about them.

use crate::explain::{Explanation, Reason, explain_task};
use crate::failure::{Failure, FailureCode};
use crate::ids::RunId;
use crate::input::PauseHow;
use crate::state::State;
use crate::time::Time;
use crate::workflow::ends::lost_by;
use crate::workflow::node::{How, NodeState, Place};
use crate::workflow::plan::{Lapse, NodeKind, Occasion};
use crate::workflow::{Doom, Run, RunState};

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
            let reason = Reason::new(failure.code.code(), failure.code.meaning(), run.hint(failure));
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
    let nodes = open.filter_map(|node| node_reason(state, run, Place::whole(node), now)).take(NODES_MAX);
    let reasons: Vec<Reason> = first.into_iter().chain(nodes).collect();
    let summary = match (&run.doom, reasons.as_slice()) {
        (Some(Doom::Failed(failure)), _) => {
            format!("it fails, and lets what has begun end: {}", failure.message)
        }
        (Some(Doom::Cancelled | Doom::Killed), _) => {
            "somebody cancelled it, and it lets what has begun end".to_owned()
        }
        (None, [only]) => only.text.clone(),
        (None, _) => summary.to_owned(),
    };
    Some(Explanation { summary, reasons })
}

impl Run {
    /// The places that wait for a person, by name: `gate`, `each[2]`.
    pub fn asking(&self) -> impl Iterator<Item = String> {
        let nodes = (0..self.plan.graph.len()).flat_map(|node| {
            let items = self.items(node).map(move |(item, own)| (Some(item), own));
            let whole = self.nodes.get(node as usize).map(|own| (None, own));
            whole.into_iter().chain(items).map(move |(item, own)| (node, item, own))
        });
        nodes.filter(|(_, _, own)| matches!(own.state, NodeState::Asking { .. })).map(|(node, item, _)| {
            let id = &self.plan.node(node).id;
            item.map_or_else(|| id.to_string(), |item| format!("{id}[{item}]"))
        })
    }
}

impl Run {
    /// What to do about its failure, whose node is found by the words that the run has of it.
    #[must_use]
    pub fn hint(&self, failure: &Failure) -> String {
        let lost = (0..).zip(&self.nodes).find_map(|(at, own)| {
            let (end, id) = (own.state.end()?, &self.plan.node(at).id);
            let is_like = match &end.how {
                How::Failed(its) => its.code == failure.code,
                How::Cancelled => failure.code == FailureCode::Cancelled,
                How::Succeeded(_) | How::Skipped(_) => false,
            };
            let is_it = is_like && lost_by(id, &end.how) == *failure;
            is_it.then_some((id.as_ref(), end.task))
        });
        let (node, task) = lost.map_or((None, None), |(node, task)| (Some(node), task));
        failure.code.hint_in(self.id, node, task)
    }
}

/// Why a node of a run, or an item of it, is where it is.
#[must_use]
pub fn explain_node(state: &State, id: RunId, place: Place, now: Time) -> Option<Explanation> {
    let run = state.run(id)?;
    let name = &run.plan.node(place.node).id;
    let found = match run.node(place) {
        Some(found) => &found.state,
        // Items are written when they begin.
        None => &NodeState::Pending,
    };
    Some(match found {
        NodeState::Ended(end) => match &end.how {
            How::Succeeded(_) => answer("it is done", Vec::new()),
            How::Failed(failure) => {
                // With no more to use it would end in the same way.
                let again = if failure.code == FailureCode::BudgetExhausted {
                    failure.code.hint_in(id, Some(name), end.task)
                } else {
                    format!("`fusionctl workflow rerun {id} --from {name}`")
                };
                answer(
                    &failure.message,
                    vec![Reason::new(failure.code.code(), failure.code.meaning(), again)],
                )
            }
            How::Skipped(why) => answer(&run.why_skipped(*why), Vec::new()),
            How::Cancelled => answer("somebody ended it", Vec::new()),
        },
        NodeState::Pending => pending(run, place),
        NodeState::Active { .. }
        | NodeState::Collecting { .. }
        | NodeState::Asking { .. }
        | NodeState::Sleeping { .. }
        | NodeState::Watching { .. }
        | NodeState::Inside { .. }
        | NodeState::Fanned { .. } => {
            let reasons: Vec<Reason> = reasons_of(state, run, place, now);
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

/// Why it is where it is, and of one with items those of them that have begun.
fn reasons_of(state: &State, run: &Run, place: Place, now: Time) -> Vec<Reason> {
    let items = run.items(place.node).filter(|(_, item)| place.item.is_none() && item.state.end().is_none());
    let items = items.map(|(item, _)| Place { node: place.node, item: Some(item) });
    let places = std::iter::once(place).chain(items);
    places.filter_map(|place| node_reason(state, run, place, now)).take(NODES_MAX).collect()
}

/// What becomes of an approval that nobody gives.
fn lapse_of(run: &Run, node: u32, at: Time, now: Time) -> String {
    let word = match run.plan.node(node).kind {
        NodeKind::Approval { lapse: Lapse::Approve, .. } => "approved",
        NodeKind::Approval { lapse: Lapse::Reject, .. } => "rejected",
        NodeKind::Task | NodeKind::Wait | NodeKind::Workflow => return String::new(),
    };
    format!("; in {} it is {word}", at.since(now).roughly())
}

/// What a node that has not begun waits for.
fn pending(run: &Run, place: Place) -> Explanation {
    let node = place.node;
    let resume = || format!("`fusionctl workflow resume {}`", run.id);
    let is_paused = matches!(run.state, RunState::Paused { .. });
    let paused = is_paused.then(|| Reason::new("paused", "the run is paused", resume()));
    let when = match run.plan.node(node).occasion {
        Occasion::Success => Some("it begins when everything else has ended well"),
        Occasion::Failure => Some("it begins when everything else has ended, and not well"),
        Occasion::Needs | Occasion::Always | Occasion::Never => None,
    };
    if let Some(text) = when {
        let hook = Reason::new("needs", text, format!("`fusionctl why {}`", run.id));
        return answer(text, paused.into_iter().chain([hook]).collect());
    }
    let needs = run.plan.graph.needs(node).iter();
    let open = needs.filter(|need| run.nodes[**need as usize].state.end().is_none());
    let reasons: Vec<Reason> = open
        .map(|need| {
            let (name, word) = (&run.plan.node(*need).id, run.nodes[*need as usize].state.word());
            Reason::new("needs", format!("{name} is {word}"), format!("`fusionctl why {}/{name}`", run.id))
        })
        .collect();
    if !reasons.is_empty() {
        let text = match reasons.len() {
            1 => "it needs a node that has not ended".to_owned(),
            count => format!("it needs {count} nodes that have not ended"),
        };
        return answer(&text, paused.into_iter().chain(reasons).collect());
    }
    if let Some(paused) = paused {
        return answer(&paused.text.clone(), vec![paused]);
    }
    let text = match place.item {
        Some(_) => "all places that `max_parallel` and `concurrency` allow are taken",
        None => "all places that `concurrency` allows are taken",
    };
    answer(text, vec![Reason::new("slot", text, "`fusionctl workflow edit` can raise it".to_owned())])
}

fn node_reason(state: &State, run: &Run, place: Place, now: Time) -> Option<Reason> {
    let node = place.node;
    let id = &run.plan.node(node).id;
    let name = place.item.map_or_else(|| id.to_string(), |item| format!("{id}[{item}]"));
    let reason = |code, text: String, remedy: String| Some(Reason::new(code, text, remedy));
    match &run.node(place)?.state {
        NodeState::Asking { expires_at, .. } => {
            let approve = format!("`fusionctl workflow approve {} {name} [--reject]`", run.id);
            let lapse = expires_at.map(|at| lapse_of(run, node, at, now)).unwrap_or_default();
            reason("approval", format!("{name} waits for a person{lapse}"), approve)
        }
        NodeState::Sleeping { until, .. } => {
            reason("time", format!("{name} goes on in {}", until.since(now).roughly()), String::new())
        }
        NodeState::Watching { watch, expires_at, .. } => {
            let within =
                expires_at.map(|at| format!("within {}", at.since(now).roughly())).unwrap_or_default();
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
