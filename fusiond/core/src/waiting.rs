//! `fusionctl why` without a name: what of a user waits, those first that need somebody, and why.
//!
//! Not for: the reasons of one thing ([`crate::explain`]).

use crate::agent::{Agent, AgentLife};
use crate::explain::{Explanation, explain_agent, explain_task};
use crate::ids::{AgentId, RunId, TaskId};
use crate::input::Caller;
use crate::state::State;
use crate::task::{Task, TaskState};
use crate::time::Time;
use crate::workflow::explain::explain_run;
use crate::workflow::{Run, RunState};
use std::cmp::Reverse;

/// Something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
    /// A run of a workflow.
    Run(RunId),
}

/// Something that waits, its state, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What.
    pub thing: Thing,
    /// The word of its state.
    pub state: &'static str,
    /// Why.
    pub why: Explanation,
}

/// How much somebody is needed: the smaller, the more. The declared order is the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// It stands until somebody acts.
    Decision,
    /// Something is wrong, and is tried again.
    Trouble,
    /// It waits for its turn or for an agent.
    Turn,
    /// It waits for others or for time, as it was asked to.
    Others,
}

/// The first `most` things that wait, and how many more do. Looks at every agent and at every task in memory
/// once.
#[must_use]
pub fn waiting(state: &State, caller: Caller, now: Time, most: usize) -> (Vec<Waiting>, u64) {
    let agents = state.agents().filter(|agent| State::sees(caller, agent.owner));
    let agents = agents.filter_map(|agent| Some((agent_need(agent)?, Reverse(0), Thing::Agent(agent.id))));
    let tasks = state.tasks().filter(|task| State::sees(caller, task.owner));
    let tasks = tasks.filter_map(|task| {
        Some((task_need(state, task)?, Reverse(task.spec.priority), Thing::Task(task.id)))
    });
    let runs = state.runs().filter(|run| State::sees(caller, run.owner));
    let runs = runs.filter_map(|run| Some((run_need(run)?, Reverse(0), Thing::Run(run.id))));
    let mut found: Vec<_> = agents.chain(tasks).chain(runs).collect();
    let count = found.len();
    if count > most && most > 0 {
        found.select_nth_unstable(most - 1);
    }
    found.truncate(most);
    found.sort_unstable();
    let shown: Vec<Waiting> =
        found.into_iter().filter_map(|(.., thing)| explain(state, thing, now)).collect();
    (shown, u64::try_from(count.saturating_sub(most)).unwrap_or(u64::MAX))
}

fn explain(state: &State, thing: Thing, now: Time) -> Option<Waiting> {
    let (word, why) = match thing {
        Thing::Agent(id) => (state.agent(id)?.life.word(), explain_agent(state, id, now)?),
        Thing::Task(id) => (state.task(id)?.state.word(), explain_task(state, id, now)?),
        Thing::Run(id) => (state.run(id)?.state.word(), explain_run(state, id, now)?),
    };
    Some(Waiting { thing, state: word, why })
}

fn agent_need(agent: &Agent) -> Option<Need> {
    match &agent.life {
        AgentLife::Quarantined { .. } | AgentLife::Paused { .. } => Some(Need::Decision),
        AgentLife::Backoff { .. } => Some(Need::Trouble),
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Stopping { .. } => Some(Need::Others),
        // Its task asks somebody, and is told of.
        AgentLife::Waiting { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Terminated { .. } => None,
    }
}

fn task_need(state: &State, task: &Task) -> Option<Need> {
    match &task.state {
        TaskState::Queued { .. } if is_stranded(state, task) => Some(Need::Decision),
        TaskState::Active(_) if task.open_question().is_some() => Some(Need::Decision),
        TaskState::Lost { .. } | TaskState::Held(_) => Some(Need::Decision),
        TaskState::Queued { .. } => Some(Need::Turn),
        TaskState::Deferred { .. } | TaskState::Blocked { .. } => Some(Need::Others),
        TaskState::Active(_)
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => None,
    }
}

/// Whether it may run on one agent alone, which never works again.
#[must_use]
pub fn is_stranded(state: &State, task: &Task) -> bool {
    let target = task.spec.target;
    target.is_some_and(|target| state.agent(target).is_none_or(Agent::is_terminated))
}

/// What its tasks wait for is told of them.
fn run_need(run: &Run) -> Option<Need> {
    match &run.state {
        RunState::Running => run.asking().next().map(|_| Need::Decision),
        RunState::Paused { .. } => Some(Need::Decision),
        RunState::Succeeded { .. } | RunState::Failed { .. } | RunState::Cancelled { .. } => None,
    }
}
