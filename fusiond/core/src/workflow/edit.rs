//! `workflow edit`: another definition for what a run has not begun. What it has begun stays as it is.
//!
//! A node keeps its number for the life of its run: results, tasks and items are stored under it. So new nodes are
//! numbered behind the old ones, and a number whose node is gone stays empty ([`Occasion::Never`]). Not for: what
//! definitions say; the engine compares them, and keeps all that a run ever had.

use crate::event::EventKind;
use crate::ids::TaskId;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};
use crate::task::cancel;
use crate::time::{Millis, Time};
use crate::workflow::book::Book;
use crate::workflow::drive::drive;
use crate::workflow::node::{End, How, Node, NodeState, Place, SkipWhy};
use crate::workflow::plan::{Occasion, Plan};
use crate::workflow::run::{Act, News};
use crate::workflow::start::{NODES_MAX, check_caller};
use crate::workflow::{Doom, Run, RunClock, RunState, freeze, rerun};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most definitions that one run may have had.
pub const REVISIONS_MAX: u32 = 100;

/// The most nodes that a refusal names besides the first.
const NAMED_MAX: usize = 20;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct EditRun {
    /// Which.
    pub run: String,
    /// The revision that the new definition was made from.
    pub base: u32,
    /// What is to be done from now on; nodes that stay have the numbers that they had.
    pub plan: Plan,
    /// Nodes that say something else than before, by number.
    pub changed: Vec<u32>,
    /// How much is different.
    pub changes: Changes,
    /// Whether it is only looked at.
    pub mode: EditMode,
    /// The run as it is stored, when it ended and left the memory.
    pub recalled: Option<Box<Run>>,
}

/// How many nodes an edit touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// New ones.
    pub added: u32,
    /// Those that say something else.
    pub changed: u32,
    /// Those that are gone.
    pub removed: u32,
}

/// Whether an edit is only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditMode {
    /// Say whether it would be accepted.
    Try,
    /// Do it.
    Do,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: EditRun,
) -> Result<Done, Reject> {
    let recalled = ask.recalled.as_deref().filter(|run| State::sees(caller, run.owner));
    let found = match recalled.filter(|run| state.run(run.id).is_none()) {
        Some(recalled) => recalled,
        None => state.find_run(caller, &ask.run)?,
    };
    check_caller(caller, found.owner)?;
    check(state, found, &ask)?;
    let id = found.id;
    let given = untouched(state, found, &ask);
    if ask.mode == EditMode::Try {
        return Ok(Done::Run(id));
    }
    if let Some(recalled) = ask.recalled.filter(|run| run.id == id && state.run(id).is_none()) {
        state.recall_run(*recalled);
    }
    for (node, task) in given {
        drive(state, out, turn, id, caller.actor(), News::Recalled { node });
        cancel::order(state, out, turn, caller.actor(), task);
    }
    let news = News::Edited { plan: Arc::new(ask.plan), changes: ask.changes };
    drive(state, out, turn, id, caller.actor(), news);
    Ok(Done::Run(id))
}

/// Nodes that say something else, or are gone, whose tasks wait for an agent that never began them.
fn untouched(state: &State, run: &Run, ask: &EditRun) -> Vec<(u32, TaskId)> {
    let gone = (0..run.plan.graph.len()).filter(|node| is_gone(run, ask, *node));
    let nodes: BTreeSet<u32> = ask.changed.iter().copied().chain(gone).collect();
    let given = nodes.into_iter().filter_map(|node| Some((node, waits(state, run, node)?)));
    given.collect()
}

/// The task of a node that no agent has begun.
fn waits(state: &State, run: &Run, node: u32) -> Option<TaskId> {
    let own = &run.nodes.get(node as usize)?.state;
    let task = state.task(own.task().filter(|_| own.is_active())?)?;
    (task.attempts.is_empty() && freeze::is_waiting(state, task.id)).then_some(task.id)
}

fn is_gone(run: &Run, ask: &EditRun, node: u32) -> bool {
    let never = |plan: &Plan| plan.node(node).occasion == Occasion::Never;
    !never(&run.plan) && never(&ask.plan)
}

fn check(state: &State, run: &Run, ask: &EditRun) -> Result<(), Reject> {
    let id = || run.id.to_string();
    if ask.base != run.revision {
        return Err(Reject::EditConflict { run: id(), revision: run.revision, base: ask.base });
    }
    if run.revision >= REVISIONS_MAX {
        return Err(Reject::RevisionLimit { run: id(), limit: REVISIONS_MAX });
    }
    if let Some(state) = too_late(run) {
        return Err(Reject::RunState { run: id(), state, verb: "edited" });
    }
    if let (Some((parent, _)), Some(_)) = (run.spec.parent, run.state.ended_at()) {
        return Err(Reject::RunWithin { run: id(), parent: parent.to_string() });
    }
    if ask.plan.nodes.len() > NODES_MAX {
        return Err(Reject::NodeLimit { count: ask.plan.nodes.len() });
    }
    check_begun(state, run, ask)
}

/// A run whose end is certain begins no node that is new: what is it doing instead?
pub(super) fn too_late(run: &Run) -> Option<&'static str> {
    match (&run.doom, run.state.ended_at()) {
        (_, Some(_)) => None,
        (Some(Doom::Failed(_)), None) => Some("failing"),
        (Some(Doom::Cancelled | Doom::Killed), None) => Some("being cancelled"),
        (None, None) => (run.book.open() == 0).then_some("ending"),
    }
}

/// Nothing that a run has begun may say something else, or go.
fn check_begun(state: &State, run: &Run, ask: &EditRun) -> Result<(), Reject> {
    let gone =
        (0..run.plan.graph.len()).filter(|node| is_gone(run, ask, *node)).map(|node| (node, "removed"));
    let changed = ask.changed.iter().map(|node| (*node, "changed"));
    let mut begun = changed.chain(gone).filter(|(node, _)| !may_change(state, run, *node));
    let Some((node, act)) = begun.next() else { return Ok(()) };
    let word = |node: u32| run.nodes[node as usize].state.word();
    let others: Vec<String> = begun
        .take(NAMED_MAX)
        .map(|(node, act)| format!("{} is {}: it cannot be {act}", run.plan.node(node).id, word(node)))
        .collect();
    let (run_id, name) = (run.id.to_string(), run.plan.node(node).id.to_string());
    Err(Reject::NodeBegun { run: run_id, node: name, state: word(node), act, others: others.join("; ") })
}

/// Whether a node has not begun, or was given to nobody yet; of an ended run, whether a rerun would do it once more.
fn may_change(state: &State, run: &Run, node: u32) -> bool {
    match run.state {
        RunState::Running | RunState::Paused { .. } => {
            run.nodes[node as usize].state == NodeState::Pending || waits(state, run, node).is_some()
        }
        RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. } => {
            rerun::is_done_again(run, node)
        }
    }
}

impl Run {
    /// Takes another plan for what has not begun.
    pub(super) fn edit(&mut self, now: Time, mut plan: Arc<Plan>, changes: Changes, acts: &mut Vec<Act>) {
        self.revision += 1;
        let budget = plan.budget.tighter(self.spec.bound);
        if budget != plan.budget {
            Arc::make_mut(&mut plan).budget = budget;
        }
        self.clock = moved(self.clock, self.plan.timeout, plan.timeout, &self.state, now);
        let known = self.nodes.len();
        self.nodes.resize(plan.nodes.len(), Node::default());
        self.plan = plan;
        for node in 0..self.plan.graph.len() {
            let is_new = node as usize >= known;
            if let Some(state) = self.state_by_edit(node, is_new, now) {
                self.set(Place::whole(node), state, acts);
            }
        }
        self.book = Book::of(&self.plan, &self.nodes, &self.items, self.doom.as_ref());
        self.head(acts);
        acts.push(Act::Touch(Key::Plan(self.id)));
        let (run, revision) = (self.id, self.revision);
        acts.push(Act::Tell(EventKind::RunEdited { run, revision, changes }));
        if self.state.ended_at().is_none() {
            self.release(now, acts);
            (0..self.plan.graph.len()).for_each(|node| self.tell_exhausted(Place::whole(node), acts));
        }
    }

    /// What an edit alone makes of a node: gone, new, or back.
    fn state_by_edit(&self, node: u32, is_new: bool, now: Time) -> Option<NodeState> {
        let was_gone = self.nodes[node as usize].state.is_removed();
        let skipped =
            |why| NodeState::Ended(End { since: None, at: now, task: None, how: How::Skipped(why) });
        match (self.plan.node(node).occasion, was_gone || is_new) {
            (Occasion::Never, _) => (!was_gone).then(|| skipped(SkipWhy::Removed)),
            (Occasion::Needs | Occasion::Always | Occasion::Success | Occasion::Failure, false) => None,
            (Occasion::Needs | Occasion::Always | Occasion::Success | Occasion::Failure, true) => {
                // Nothing of an ended run is open; a rerun does what was left over.
                let is_over = self.state.ended_at().is_some();
                Some(if is_over { skipped(SkipWhy::RunOver) } else { NodeState::Pending })
            }
        }
    }
}

/// The instant at which the run has taken too long, when it may take another time than before.
fn moved(clock: RunClock, old: Option<Millis>, new: Option<Millis>, state: &RunState, now: Time) -> RunClock {
    let (Some(new), true) = (new, old != new) else {
        return if new.is_none() { RunClock::None } else { clock };
    };
    let old = old.unwrap_or_default();
    match (clock, state) {
        (RunClock::At(at), _) => RunClock::At(Time(at.0.saturating_sub(old.0)).plus(new)),
        (RunClock::Left(left), _) => RunClock::Left(Millis((left.0 + new.0).saturating_sub(old.0))),
        (RunClock::None, RunState::Paused { .. }) => RunClock::Left(new),
        (RunClock::None, _) => RunClock::At(now.plus(new)),
    }
}
