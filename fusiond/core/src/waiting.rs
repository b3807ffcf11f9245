//! `fusionctl why` without a name: what of a user waits, those first that need somebody, and why.
//!
//! Not for: the reasons of one thing ([`crate::explain`]).

use crate::agent::{Agent, AgentLife};
use crate::explain::{Explanation, explain_agent, explain_task};
use crate::ids::{AgentId, TaskId};
use crate::input::Caller;
use crate::state::State;
use crate::task::{Task, TaskState};
use crate::time::Time;
use std::cmp::Reverse;

/// Something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
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
    let tasks =
        tasks.filter_map(|task| Some((task_need(task)?, Reverse(task.spec.priority), Thing::Task(task.id))));
    let mut found: Vec<_> = agents.chain(tasks).collect();
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

fn task_need(task: &Task) -> Option<Need> {
    match &task.state {
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
