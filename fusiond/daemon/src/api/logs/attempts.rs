//! The attempts that an agent worked on: those of tasks in memory, and of older ones those that left a log.
//!
//! Not for: what of their output is wanted (`select`), sending it (`pump`).

use crate::api::Door;
use crate::api::refuse::{broken, refuse};
use crate::engine::attempts_by;
use fusion_core::task::Attempt;
use fusion_core::{AgentId, Key, State, TaskId};
use tonic::Status;

/// Where an attempt stands in the life of its agent: incarnation and serial.
pub(super) type Place = (u32, u32);

/// Where this attempt stands.
pub(super) fn place(attempt: &Attempt) -> Place {
    (attempt.lease.incarnation, attempt.lease.serial)
}

impl Door {
    /// The agent's attempts after `last`, oldest first. What left the memory is looked for on disk only if it
    /// has a log; that is one pass over all stored attempts, aside from the engine.
    pub(super) async fn attempts_of_agent(
        &self,
        agent: AgentId,
        last: Place,
    ) -> Result<Vec<(TaskId, Attempt)>, Status> {
        let (runtime, reader) = (self.runtime.clone(), self.engine.reader().clone());
        // Listed first: what leaves the memory meanwhile has its log already.
        let logged = tokio::task::spawn_blocking(move || runtime.logged(agent)).await;
        let logged = logged.map_err(|error| broken("listing logs", &error))?;
        let mut old = logged.map_err(|error| broken("listing logs", &error))?;
        let found = self.engine.look(move |state, _| attempts_on(state, agent, last)).await;
        let mut found = found.map_err(|reject| refuse(&reject))?;
        old.retain(|one| *one > last);
        for (_, attempt) in &found {
            old.remove(&place(attempt));
        }
        if !old.is_empty() {
            let read = tokio::task::spawn_blocking(move || attempts_by(&reader, agent)).await;
            let read = read.map_err(|error| broken("reading attempts", &error))?;
            let read = read.map_err(|error| broken("reading attempts", &error))?;
            found.extend(read.into_iter().filter(|(_, attempt)| old.contains(&place(attempt))));
            found.sort_by_key(|(_, attempt)| place(attempt));
        }
        Ok(found)
    }

    /// Waits until the agent was given an attempt after `last`; the newest that it was given, or `None` when there
    /// will be none.
    pub(super) async fn works_again(&self, agent: AgentId, last: Place) -> Result<Option<Place>, Status> {
        let check = move |state: &State| match state.agent(agent) {
            None => Some(None),
            Some(found) => {
                let newest = (found.incarnation, found.next_serial.saturating_sub(1));
                if newest > last {
                    return Some(Some(newest));
                }
                found.is_terminated().then_some(None)
            }
        };
        self.engine.wait(Key::Agent(agent), check).await.map_err(|reject| refuse(&reject))
    }
}

/// One pass over the tasks in memory.
fn attempts_on(state: &State, agent: AgentId, last: Place) -> Vec<(TaskId, Attempt)> {
    let attempts = state.tasks().flat_map(|task| task.attempts.iter().map(move |attempt| (task.id, attempt)));
    let mut found: Vec<(TaskId, Attempt)> = attempts
        .filter(|(_, attempt)| attempt.lease.agent == agent && place(attempt) > last)
        .map(|(task, attempt)| (task, attempt.clone()))
        .collect();
    found.sort_by_key(|(_, attempt)| place(attempt));
    found
}
