//! What stands still with a run that was paused: its tasks that wait for an agent, and with `--freeze` also agents in the
//! middle of its tasks. What waits in a run that is lost does not begin any more.
//!
//! Who is paused or held by somebody else stays so when the run goes on. Not for: `agent pause`, `task hold`.

use crate::agent::{AgentLife, pause, resume};
use crate::ids::{AgentId, RunId, TaskId};
use crate::input::{Actor, PauseHow};
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::{Held, TaskState, cancel, hold, release};
use crate::workflow::RunState;

/// A task of a run stands still with it.
pub(crate) fn stop(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, run: RunId, id: TaskId) {
    let Some(task) = state.task(id) else { return };
    match &task.state {
        TaskState::Active(_) if is_frozen(state, run) => {
            if let Some(agent) = task.attempts.last().map(|attempt| attempt.lease.agent) {
                stop_agent(state, out, turn, run, agent, id);
            }
        }
        TaskState::Blocked { .. } | TaskState::Deferred { .. } | TaskState::Queued { .. } => {
            hold::hold(state, out, turn, actor, id, Some(run));
        }
        TaskState::Active(_)
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => {}
    }
}

fn stop_agent(state: &mut State, out: &mut Out, turn: Turn, run: RunId, id: AgentId, task: TaskId) {
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Busy { work, .. } | AgentLife::Waiting { work, .. } | AgentLife::Draining { work, .. }
            if work.task == task =>
        {
            pause::stand(state, out, turn, id, Some(work), Some(run));
        }
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. } => {}
    }
}

fn is_frozen(state: &State, run: RunId) -> bool {
    let state = state.run(run).map(|run| &run.state);
    matches!(state, Some(RunState::Paused { how: PauseHow::Freeze, .. }))
}

/// A task that would begin once more does not, while its run stands still, or when that is lost.
pub(crate) fn keep(state: &mut State, out: &mut Out, turn: Turn, id: TaskId) {
    let Some((run, place)) =
        state.task(id).and_then(|task| task.spec.node.as_ref()).map(|node| (node.run, node.place))
    else {
        return;
    };
    let Some(found) = state.run(run) else { return };
    if !found.goes_on_with(place) {
        cancel::order(state, out, turn, Actor::Daemon, id);
    } else if matches!(found.state, RunState::Paused { .. }) {
        stop(state, out, turn, Actor::Daemon, run, id);
    }
}

/// A task that waits does not begin any more; one that runs goes on to its end.
pub(crate) fn withdraw(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: TaskId) {
    if is_waiting(state, id) {
        cancel::order(state, out, turn, actor, id);
    }
}

/// Whether a task is to begin, or to begin once more.
pub(crate) fn is_waiting(state: &State, id: TaskId) -> bool {
    state.task(id).is_some_and(|task| match &task.state {
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Held(_) => true,
        TaskState::Active(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => false,
    })
}

/// Everything that stands still for a run alone goes on.
pub(crate) fn go_on(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, run: RunId) {
    let held: Vec<TaskId> = state
        .run(run)
        .into_iter()
        .flat_map(|run| run.places().filter_map(|(_, node)| node.state.task()))
        .filter(|task| is_held_for(state, *task, run))
        .collect();
    for task in held {
        release::let_go(state, out, turn, actor, task);
    }
    let frozen = state.agents().filter(|agent| agent.frozen_for == Some(run));
    let frozen: Vec<AgentId> = frozen.map(|agent| agent.id).collect();
    for agent in frozen {
        resume::thaw(state, out, turn, actor, agent);
    }
}

fn is_held_for(state: &State, task: TaskId, run: RunId) -> bool {
    let found = state.task(task).map(|task| &task.state);
    matches!(found, Some(TaskState::Held(Held { run: Some(own), .. })) if *own == run)
}
