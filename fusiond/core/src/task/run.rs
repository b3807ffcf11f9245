//! `run`: a task together with the agent that is made for it, in one decision. The agent ends with the
//! task; the task ends with the agent. An idle agent of the profile's pool is taken before one is made, unless it has a name.
//!
//! Not for: streaming the output and the exit code; the client sees to that.

use crate::agent::{Agent, SpawnAgent, Stay, spawn, terminate};
use crate::failure::{Failure, FailureCode};
use crate::ids::{AgentId, TaskId};
use crate::input::{Actor, Caller};
use crate::pool;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::submit::{self, Place, SubmitTask};
use crate::task::{Task, TaskState, ending};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RunTask {
    /// The agent that is made for it.
    pub agent: SpawnAgent,
    /// The task.
    pub task: SubmitTask,
    /// Whether its agent was given a name: then no other one will do.
    pub is_named: bool,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: RunTask,
) -> Result<Done, Reject> {
    let RunTask { mut agent, task, is_named } = ask;
    spawn::check_caller(state, caller, &agent)?;
    let parent = submit::check_caller(state, caller, &task)?;
    if let Some(same) = submit::find_same(state, &task)? {
        return Ok(Done::Same(same));
    }
    let needed = submit::check(state, Caller { uid: task.owner, ..caller }, &task)?;
    let idle = || pool::idle_member(state, agent.owner, &agent.spec);
    let target = match (!is_named).then(idle).flatten() {
        Some(member) => member,
        None => {
            agent.spec.stay = Stay::Task(task.id);
            spawn::check(state, &agent)?;
            spawn::accept(state, out, turn, caller.actor(), agent)
        }
    };
    let target = Some(target);
    Ok(Done::Task(submit::accept(state, out, turn, caller, task, Place { parent, target, needed })))
}

/// A task has ended: so does the agent that was made for it.
pub(crate) fn task_ended(state: &mut State, out: &mut Out, turn: Turn, id: TaskId) {
    let target = state.task(id).and_then(|task| task.spec.target);
    let made_for_it = |agent: &&Agent| agent.errand() == Some(id);
    if let Some(agent) = target.and_then(|agent| state.agent(agent)).filter(made_for_it) {
        let (agent, grace) = (agent.id, state.config.grace);
        terminate::finish(state, out, turn, Actor::Daemon, agent, grace);
    }
}

/// An agent is over: the task that it was made for cannot go on. One whose outcome is unknown still
/// waits for somebody to decide.
pub(crate) fn agent_ended(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    actor: Actor,
    agent: AgentId,
    id: TaskId,
) {
    let waits = |task: &&Task| match task.state {
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
    };
    if state.task(id).filter(waits).is_none() {
        return;
    }
    let agent = state.agent(agent);
    let name = agent.map_or("its agent", |agent| agent.spec.name.as_str());
    let message = match agent.and_then(|agent| agent.trouble.as_deref()) {
        Some(trouble) => format!("{name} did not stay up: {trouble}"),
        None => format!("{name} was terminated"),
    };
    let failure = Failure::new(FailureCode::AgentGone, message);
    ending::end(state, out, turn, id, actor, TaskState::Failed { at: turn.now, failure });
}

/// Whether the one agent that may do this task is there: a task that only a gone agent may do would
/// wait for ever.
pub(crate) fn check_target(state: &State, task: &Task) -> Result<(), Reject> {
    let Some(target) = task.spec.target else { return Ok(()) };
    match state.agent(target) {
        Some(agent) if agent.is_terminated() => {
            Err(crate::agent::wrong_state(target, &agent.life, "given the task again"))
        }
        Some(_) => Ok(()),
        None => Err(Reject::AgentNotFound { agent: target.to_string() }),
    }
}
