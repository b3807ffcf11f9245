//! Tells a run its news, and does what else follows: submits and ends tasks, starts runs within runs, writes events.
//!
//! Not for: what the news mean (`run`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::ids::{RunId, TaskId, Uid};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::submit::{self, Place as At, SubmitTask};
use crate::task::{TaskState, cancel, ending};
use crate::workflow::budget::{Reached, Spent};
use crate::workflow::node::{How, NodeRef, Output, Place};
use crate::workflow::plan::Occasion;
use crate::workflow::run::{Act, News};
use crate::workflow::{Prepared, RunState, freeze, start, watch};

/// What a run needs from the engine, which answers with [`crate::Input::Prepared`] and [`crate::Input::Collected`].
/// Nothing of it leaves the daemon; a restart asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Fill in the templates of a place.
    Prepare {
        /// The run.
        run: RunId,
        /// The node, and the item of it.
        place: Place,
        /// The number of the order.
        ticket: u64,
    },
    /// Look at the result of a task, and keep it.
    Collect {
        /// The run.
        run: RunId,
        /// The node, and the item of it.
        place: Place,
        /// The task.
        task: TaskId,
    },
    /// Keep an event of this batch as the result of a node. There is no answer.
    Keep {
        /// The run.
        run: RunId,
        /// The node.
        node: u32,
        /// The number of the event.
        seq: u64,
    },
}

/// Tells a run its news.
pub(crate) fn drive(state: &mut State, out: &mut Out, turn: Turn, id: RunId, actor: Actor, news: News) {
    let mut acts = Vec::new();
    state.alter_run(id, |run| run.take(turn.now, news, &mut acts));
    perform(state, out, turn, id, actor, acts);
}

/// Does what follows from a run's news.
pub(crate) fn perform(state: &mut State, out: &mut Out, turn: Turn, id: RunId, actor: Actor, acts: Vec<Act>) {
    let Some(owner) = state.run(id).map(|run| run.owner) else { return };
    // What they end is news for the run, and comes after all that is told of it now.
    let is_late = |act: &Act| matches!(act, Act::Withdraw(_) | Act::Exhausted(_));
    let (late, acts): (Vec<Act>, Vec<Act>) = acts.into_iter().partition(is_late);
    for act in acts.into_iter().chain(late) {
        match act {
            Act::Touch(key) => out.touch(key),
            Act::Tell(kind) => state.tell(out, turn.now, actor, Some(owner), kind),
            Act::Prepare { place, ticket } => state.wants.push(Want::Prepare { run: id, place, ticket }),
            Act::Collect { place, task } => state.wants.push(Want::Collect { run: id, place, task }),
            Act::Keep { node, seq } => state.wants.push(Want::Keep { run: id, node, seq }),
            Act::Submit { place, task } => {
                if let Err(reject) = submit_task(state, out, turn, id, place, *task) {
                    let failure = Failure::new(FailureCode::NodeRefused, reject.to_string());
                    drive(state, out, turn, id, Actor::Daemon, News::Refused { place, failure });
                }
            }
            Act::CancelTask(task) => cancel::order(state, out, turn, actor, task),
            Act::Withdraw(task) => freeze::withdraw(state, out, turn, actor, task),
            Act::Exhausted(place) => exhaust(state, out, turn, id, place),
            Act::Start { place, run } => {
                let inner = run.id;
                if let Err(reject) = start::begin(state, out, turn, actor, *run) {
                    let failure = Failure::new(FailureCode::NodeRefused, reject.to_string());
                    let how = How::Failed(Box::new(failure));
                    let news = News::InnerEnded { place, run: inner, how, spent: Spent::default() };
                    drive(state, out, turn, id, Actor::Daemon, news);
                }
            }
            Act::CancelRun(inner) => cancel_run(state, out, turn, actor, inner),
            Act::PauseRun(inner, how) => super::pause::pause(state, out, turn, actor, inner, how),
            Act::Freeze(task) => freeze::stop(state, out, turn, actor, id, task),
            Act::Thaw => freeze::go_on(state, out, turn, actor, id),
            Act::ResumeRun(inner) => super::resume::resume(state, out, turn, actor, inner),
            Act::Over => over(state, out, turn, id),
        }
    }
}

pub(crate) fn cancel_run(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: RunId) {
    if state.run(id).is_some_and(|run| run.state.ended_at().is_none()) {
        drive(state, out, turn, id, actor, News::Cancel);
    }
}

/// A run has ended: so has the node that it is the work of.
fn over(state: &mut State, out: &mut Out, turn: Turn, id: RunId) {
    let Some(run) = state.run(id) else { return };
    let Some((parent, place)) = run.spec.parent else { return };
    let spent = run.spent();
    let how = match &run.state {
        RunState::Succeeded { .. } => How::Succeeded(Output::Run(id)),
        RunState::Failed { failure, .. } => How::Failed(Box::new(Failure::new(
            failure.code,
            format!("{}: {}", run.spec.workflow, failure.message),
        ))),
        RunState::Cancelled { .. } => How::Cancelled,
        RunState::Running | RunState::Paused { .. } => return,
    };
    drive(state, out, turn, parent, Actor::Daemon, News::InnerEnded { place, run: id, how, spent });
}

fn submit_task(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    run: RunId,
    place: Place,
    mut ask: SubmitTask,
) -> Result<(), Reject> {
    let found = state.run(run);
    let Some((owner, id)) = found.map(|run| (run.owner, run.plan.node(place.node).id.clone())) else {
        return Ok(());
    };
    // One whose result was not what it should be is done again as any task is tried again: not at once.
    let tries = found.and_then(|run| run.node(place)).map_or(0, |node| node.tries);
    if tries > 0 {
        ask.not_before = Some(turn.now.plus(ending::pause(state, turn, ask.id, tries)));
    }
    let caller = Caller { uid: owner, rights: Rights::User };
    check_profiles(state, owner, &ask)?;
    let target = submit::find_target(state, caller, &ask.agent)?;
    submit::check_target(state, target, ask.kind, ask.input_bytes)?;
    let needed = submit::check(state, caller, &ask)?;
    ask.node = Some(Box::new(NodeRef { run, place, id }));
    submit::accept(state, out, turn, caller, ask, At { parent: None, target, needed });
    Ok(())
}

/// A node that asks for a profile that there is not would wait without end.
fn check_profiles(state: &State, owner: Uid, ask: &SubmitTask) -> Result<(), Reject> {
    let pools = state.config.pools.of(owner);
    let has_agent = |profile: &str| {
        state
            .agents()
            .any(|agent| agent.owner == owner && agent.spec.profile == profile && !agent.is_ending())
    };
    let unknown = ask.capabilities.profiles().find(|name| !pools.contains_key(*name) && !has_agent(name));
    match unknown {
        Some(profile) => Err(Reject::ProfileNotFound { profile: profile.to_owned(), nearest: None }),
        None => Ok(()),
    }
}

/// A task has ended: if it was a node's, its run hears of it.
pub(crate) fn task_ended(state: &mut State, out: &mut Out, turn: Turn, id: TaskId) {
    let Some(task) = state.task(id) else { return };
    let Some((run, place)) = task.spec.node.as_ref().map(|node| (node.run, node.place)) else { return };
    let how = match &task.state {
        TaskState::Succeeded { .. } => How::Succeeded(Output::Task),
        TaskState::Failed { failure, .. } | TaskState::TimedOut { failure, .. } => {
            How::Failed(Box::new(failure.clone()))
        }
        TaskState::Cancelled { .. } => How::Cancelled,
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_)
        | TaskState::Held(_)
        | TaskState::Lost { .. } => return,
    };
    drive(state, out, turn, run, Actor::Daemon, News::TaskEnded { place, task: id, how });
}

/// An attempt of a task has ended: if it was a node's, its run counts what it used.
pub(crate) fn attempt_ended(state: &mut State, out: &mut Out, turn: Turn, id: TaskId) {
    let Some(task) = state.task(id) else { return };
    let (Some(node), Some(attempt)) = (&task.spec.node, task.attempts.last()) else { return };
    let (run, place, spent) = (node.run, node.place, Spent::of(attempt));
    drive(state, out, turn, run, Actor::Daemon, News::Spent { place, task: id, spent });
}

/// A budget is used up: what waits in a run, or in a node with items, does not begin any more.
fn exhaust(state: &mut State, out: &mut Out, turn: Turn, id: RunId, place: Place) {
    let Some(run) = state.run(id) else { return };
    let Some(reached) = run.used_up(place) else { return };
    let is_bound = |at: &Place| run.plan.node(at.node).occasion == Occasion::Needs;
    let waiting = run.places().filter(|(at, _)| is_bound(at)).filter_map(|(at, node)| {
        let task =
            node.state.task().filter(|task| node.state.is_active() && freeze::is_waiting(state, *task))?;
        Some((at, task))
    });
    let waiting: Vec<(Place, TaskId)> = waiting.collect();
    match reached {
        Reached::Run(failure) if !waiting.is_empty() => {
            drive(state, out, turn, id, Actor::Daemon, News::Exhausted { failure });
        }
        Reached::Node(failure) => {
            for (_, task) in waiting.into_iter().filter(|(at, _)| at.node == place.node) {
                let failed = TaskState::Failed { at: turn.now, failure: failure.clone() };
                ending::end(state, out, turn, task, Actor::Daemon, failed);
            }
        }
        Reached::Run(_) => {}
    }
}

/// The engine knows what a place will be.
pub(crate) fn prepared(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    run: RunId,
    place: Place,
    ticket: u64,
    what: Prepared,
) {
    let news = preparation(state, run, place, ticket, what);
    drive(state, out, turn, run, Actor::Daemon, news);
}

/// What a wait for an event is about is looked up now. It means what comes after the event that tells of the wait, which is
/// the next one.
fn preparation(state: &State, run: RunId, place: Place, ticket: u64, what: Prepared) -> News {
    let (owner, ask) = match (state.run(run), what) {
        (Some(run), Prepared::Watch(ask)) => (run.owner, *ask),
        (_, what) => return News::Prepared { place, ticket, what },
    };
    let timeout = ask.timeout;
    match watch::find(state, owner, ask) {
        Ok(watch) => News::Listens { place, ticket, watch: Box::new(watch), timeout, after: state.seq + 1 },
        Err(reject) => {
            let failure = Failure::new(FailureCode::NodeRefused, reject.to_string());
            News::Prepared { place, ticket, what: Prepared::Failed(failure) }
        }
    }
}

/// The engine has looked at a result.
pub(crate) fn collected(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    run: RunId,
    place: Place,
    task: TaskId,
    what: Result<Output, Failure>,
) {
    drive(state, out, turn, run, Actor::Daemon, News::Collected { place, task, what });
}

/// After a start of the daemon: what was on its way goes on.
pub(crate) fn boot(state: &mut State, out: &mut Out, turn: Turn) {
    let unended = state.runs().filter(|run| run.state.ended_at().is_none());
    let ids: Vec<RunId> = unended.map(|run| run.id).collect();
    for id in ids {
        drive(state, out, turn, id, Actor::Daemon, News::GoOn);
    }
}

/// The event that a run begins.
pub(crate) fn started(run: RunId, workflow: &str, version: u32) -> EventKind {
    EventKind::RunStarted { run, workflow: workflow.to_owned(), version }
}
