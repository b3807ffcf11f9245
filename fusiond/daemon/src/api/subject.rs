//! What is meant where a task, an agent or a run may be named: for `why` and `event --subject`.
//!
//! A name is what somebody chose; three letters of it may be a part of the id of any of thousands of tasks. So names come
//! before parts of ids. Not for: verbs of one kind of thing, which ask for that kind alone.

use fusion_core::waiting::Thing;
use fusion_core::{AgentId, Caller, Reject, RunId, State, TaskId};

/// The thing that `text` names for this caller: an id, a key, the name of an agent, or a unique part of an id.
///
/// # Errors
/// Where the text says of what kind it is, as of that kind; else [`Reject::SubjectNotFound`], also for what the caller may
/// not see; [`Reject::AmbiguousId`].
pub(super) fn find_subject(state: &State, caller: Caller, text: &str) -> Result<Thing, Reject> {
    let run = || state.find_run(caller, text).map(|run| Thing::Run(run.id));
    let task = || state.find_task(caller, text).map(|task| Thing::Task(task.id));
    let agent = || state.find_agent(caller, text).map(|agent| Thing::Agent(agent.id));
    let is_id = RunId::parse(text).is_some() || TaskId::parse(text).is_some();
    if !is_id && let Some(agent) = state.agent_named(caller, text)? {
        return Ok(Thing::Agent(agent.id));
    }
    if text.starts_with(RunId::PREFIX) {
        return run();
    }
    if text.starts_with(TaskId::PREFIX) {
        return task();
    }
    if text.starts_with(AgentId::PREFIX) {
        return agent();
    }
    match task() {
        Err(Reject::TaskNotFound { .. }) => {}
        found => return found,
    }
    match agent() {
        Err(Reject::AgentNotFound { .. }) => {}
        found => return found,
    }
    match run() {
        Err(Reject::RunNotFound { .. }) => Err(Reject::SubjectNotFound { subject: text.to_owned() }),
        found => found,
    }
}

/// Its full id.
pub(super) fn id_of(thing: Thing) -> String {
    match thing {
        Thing::Agent(id) => id.to_string(),
        Thing::Task(id) => id.to_string(),
        Thing::Run(id) => id.to_string(),
    }
}
