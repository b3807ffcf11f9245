//! What a caller means by a name: agents and tasks by name, id, key, or a part of an id.
//!
//! Not for: runs of workflows (`workflow::runs`), nor what may be done to what is found.

use crate::agent::Agent;
use crate::ids::{AgentId, TaskId};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::task::Task;

impl State {
    /// The agent that `text` names for this caller: a name, an id, or a unique part of one. Names of the living come
    /// first, those of the terminated last.
    ///
    /// # Errors
    /// [`Reject::AgentNotFound`], also for what the caller may not see; [`Reject::AmbiguousId`].
    pub fn find_agent(&self, caller: Caller, text: &str) -> Result<&Agent, Reject> {
        let not_found = || Reject::AgentNotFound { agent: text.to_owned() };
        if let Some(id) = AgentId::parse(text) {
            return self.agent(id).filter(|agent| Self::sees_agent(caller, agent)).ok_or_else(not_found);
        }
        if let Some(agent) = self.living_named(caller, text)? {
            return Ok(agent);
        }
        let part = text.strip_prefix(AgentId::PREFIX).unwrap_or(text);
        let matching = self.agents_of(caller).filter(|agent| is_id_part(part) && agent.id.matches(part));
        if let Some(agent) = only("agent", text, matching)? {
            return Ok(agent);
        }
        self.terminated_named(caller, text)?.ok_or_else(not_found)
    }

    /// The agent that goes by this very name for this caller, one that lives before those that are terminated.
    ///
    /// # Errors
    /// [`Reject::AmbiguousId`].
    pub fn agent_named(&self, caller: Caller, name: &str) -> Result<Option<&Agent>, Reject> {
        match self.living_named(caller, name)? {
            None => self.terminated_named(caller, name),
            found => Ok(found),
        }
    }

    /// The caller's own before those of others.
    fn living_named(&self, caller: Caller, name: &str) -> Result<Option<&Agent>, Reject> {
        if let Some(id) = self.index.names.get(&(caller.uid, name.to_owned())) {
            return Ok(self.agent(*id).filter(|agent| Self::sees_agent(caller, agent)));
        }
        let named = |agent: &&Agent| !agent.is_terminated() && agent.spec.name == name;
        only("agent", name, self.agents_of(caller).filter(named))
    }

    fn terminated_named(&self, caller: Caller, name: &str) -> Result<Option<&Agent>, Reject> {
        let named = |agent: &&Agent| agent.is_terminated() && agent.spec.name == name;
        only("agent", name, self.agents_of(caller).filter(named))
    }

    fn agents_of(&self, caller: Caller) -> impl Iterator<Item = &Agent> {
        self.agents().filter(move |agent| Self::sees_agent(caller, agent))
    }

    /// The task in memory that `text` names for this caller: an id, a unique part of one, or
    /// `key:K`.
    ///
    /// # Errors
    /// [`Reject::TaskNotFound`], also for what the caller may not see; [`Reject::AmbiguousId`].
    pub fn find_task(&self, caller: Caller, text: &str) -> Result<&Task, Reject> {
        let not_found = || Reject::TaskNotFound { task: text.to_owned() };
        let seen =
            |id: TaskId| self.task(id).filter(|task| self.sees_task(caller, task)).ok_or_else(not_found);
        if let Some(id) = TaskId::parse(text) {
            return seen(id);
        }
        if let Some(key) = text.strip_prefix("key:") {
            return seen(*self.index.keys.get(&(caller.uid, key.into())).ok_or_else(not_found)?);
        }
        let part = text.strip_prefix(TaskId::PREFIX).unwrap_or(text);
        if !is_id_part(part) {
            return Err(not_found());
        }
        let matching = self.tasks().filter(|task| task.id.matches(part) && self.sees_task(caller, task));
        only("task", text, matching)?.ok_or_else(not_found)
    }
}

pub(crate) fn is_id_part(part: &str) -> bool {
    part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

pub(crate) fn only<'a, T>(
    kind: &'static str,
    part: &str,
    mut found: impl Iterator<Item = &'a T>,
) -> Result<Option<&'a T>, Reject> {
    let Some(first) = found.next() else { return Ok(None) };
    match found.count() {
        0 => Ok(Some(first)),
        more => Err(Reject::AmbiguousId { kind, part: part.to_owned(), count: more + 1 }),
    }
}
