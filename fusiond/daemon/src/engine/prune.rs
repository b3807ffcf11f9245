//! The end of history: events, ended tasks, their attempts, inputs and logs go when they are older
//! than the settings say.
//!
//! Events are stored in the order of time, so the oldest stand first and tell what else is old;
//! nothing is scanned. Not for: workspaces (`fusion_core::workspace`).

use crate::engine::workflow::kept::{delete_run, stored_run};
use crate::engine::{record, stored};
use crate::store::{Batch, Direction, ReadError, Reader};
use fusion_core::workflow::{How, NodeState, Output, Place};
use fusion_core::{Event, EventKind, Millis, Run, RunId, State, Task, TaskId, Time};
use std::time::Duration;

/// Events looked at in one turn: bounds the size of its record.
const PORTION: usize = 500;

/// History is removed in portions of at least this much time, so that an idle daemon wakes seldom.
const COARSE: Millis = Millis::from_secs(3600);

/// An attempt whose log is to be removed.
pub(crate) type Lease = fusion_core::task::Lease;

/// When to look, and what for.
#[derive(Debug)]
pub(crate) struct Pruner {
    history: Millis,
    next_at: Option<Time>,
}

/// What one look came to.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// Logs of these attempts go after the commit.
    pub(crate) logs: Vec<Lease>,
}

impl Pruner {
    /// Looks first at the first turn.
    pub(crate) fn new(history: Millis) -> Self {
        Self { history, next_at: Some(Time(0)) }
    }

    /// History is kept for this long from now on.
    pub(crate) fn keep(&mut self, history: Millis) {
        *self = Self::new(history);
    }

    /// How long until the next look; `None` while there is no history.
    pub(crate) fn wait(&self, now: Time) -> Option<Duration> {
        self.next_at.map(|at| Duration::from_millis(at.since(now).0))
    }

    /// Whether the time has come.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    /// New events were written: there is history again.
    pub(crate) fn note_events(&mut self, now: Time) {
        if self.next_at.is_none() {
            self.next_at = Some(now.plus(self.history).plus(COARSE));
        }
    }

    /// Puts the deletion of one portion of old history into the batch.
    ///
    /// # Errors
    /// When the store does not answer; nothing was put then.
    pub(crate) fn look(
        &mut self,
        reader: &Reader,
        state: &mut State,
        batch: &mut Batch,
        now: Time,
    ) -> Result<Pruned, ReadError> {
        let cutoff = Time(now.0.saturating_sub(self.history.0));
        let page = reader.range(record::EVENT, None, PORTION, Direction::Ascending)?;
        let events: Vec<Event> = page.iter().filter_map(|entry| record::decode_event(&entry.body)).collect();
        let mut pruned = Pruned::default();
        // The newest event stays: it carries the sequence over a restart.
        let last = state.seq;
        let old = events.iter().filter(|event| event.at < cutoff && event.seq < last);
        for event in old {
            if let Some(task) = ended_task(&event.kind) {
                prune_task(reader, state, batch, task, cutoff, &mut pruned)?;
            }
            if let EventKind::RunSucceeded { run, .. }
            | EventKind::RunFailed { run, .. }
            | EventKind::RunCancelled { run } = event.kind
            {
                prune_run(reader, state, batch, run, cutoff, &mut pruned)?;
            }
            batch.delete(&record::event_key(event.seq));
        }
        let rest = events.iter().find(|event| event.at >= cutoff || event.seq >= last);
        self.next_at = match rest {
            Some(oldest) if oldest.at >= cutoff => Some(oldest.at.plus(self.history).plus(COARSE)),
            Some(_) | None if page.len() < PORTION => None,
            Some(_) | None => Some(now),
        };
        Ok(pruned)
    }
}

/// The task that this event says has ended.
fn ended_task(kind: &EventKind) -> Option<TaskId> {
    match kind {
        EventKind::TaskSucceeded { task, .. }
        | EventKind::TaskFailed { task, .. }
        | EventKind::TaskTimedOut { task, .. }
        | EventKind::TaskCancelled { task } => Some(*task),
        EventKind::DaemonStarted { .. }
        | EventKind::IntakeClosed
        | EventKind::IntakeOpened
        | EventKind::AgentSpawned { .. }
        | EventKind::AgentReady { .. }
        | EventKind::AgentPaused { .. }
        | EventKind::AgentPausing { .. }
        | EventKind::AgentDraining { .. }
        | EventKind::AgentResumed { .. }
        | EventKind::AgentCrashed { .. }
        | EventKind::AgentBackedOff { .. }
        | EventKind::AgentQuarantined { .. }
        | EventKind::AgentStopping { .. }
        | EventKind::AgentUpdated { .. }
        | EventKind::AgentStopped { .. }
        | EventKind::AgentRestarted { .. }
        | EventKind::AgentTerminated { .. }
        | EventKind::AgentRemoved { .. }
        | EventKind::WorkspaceSeeding { .. }
        | EventKind::WorkspaceSeeded { .. }
        | EventKind::WorkspaceSeedFailed { .. }
        | EventKind::WorkspaceRemoved { .. }
        | EventKind::WorkspaceKept { .. }
        | EventKind::WorkspaceOverQuota { .. }
        | EventKind::WorkspaceWithinQuota { .. }
        | EventKind::TaskSubmitted { .. }
        | EventKind::TaskQueued { .. }
        | EventKind::TaskDeferred { .. }
        | EventKind::TaskStarted { .. }
        | EventKind::AttemptExited { .. }
        | EventKind::AttemptLost { .. }
        | EventKind::AttemptNotStarted { .. }
        | EventKind::StaleNews { .. }
        | EventKind::TaskCancelling { .. }
        | EventKind::TaskLost { .. }
        | EventKind::TaskRetried { .. }
        | EventKind::TaskResolved { .. }
        | EventKind::TaskAsked { .. }
        | EventKind::TaskAnswered { .. }
        | EventKind::TaskHeld { .. }
        | EventKind::TaskReleased { .. }
        | EventKind::TaskUpdated { .. }
        | EventKind::SecretSet { .. }
        | EventKind::SecretRemoved { .. }
        | EventKind::ProfileApplied { .. }
        | EventKind::ProfileRemoved { .. }
        | fusion_core::of_runs!() => None,
    }
}

/// Removes a run with the tasks and runs whose results are its own, unless it was run again and has not ended, or ended
/// again later, or another one that goes on has its result.
fn prune_run(
    reader: &Reader,
    state: &mut State,
    batch: &mut Batch,
    id: RunId,
    cutoff: Time,
    pruned: &mut Pruned,
) -> Result<(), ReadError> {
    let Some(run) = stored_run(reader, id)? else { return Ok(()) };
    let has_ended = run.state.ended_at().is_some_and(|at| at < cutoff);
    if !has_ended || is_inside_one_that_goes_on(state, &run) || !state.forget_ended_run(id, cutoff) {
        return Ok(());
    }
    delete_run(reader, batch, id)?;
    // Their own events may have gone before.
    for (_, node) in run.places() {
        if let Some(task) = node.state.task() {
            prune_task(reader, state, batch, task, cutoff, pruned)?;
        }
        if let Some(inner) = inner_of(&node.state) {
            prune_run(reader, state, batch, inner, cutoff, pruned)?;
        }
    }
    Ok(())
}

/// The run whose result is that of the node.
fn inner_of(state: &NodeState) -> Option<RunId> {
    match &state.end()?.how {
        How::Succeeded(Output::Run(inner)) => Some(*inner),
        How::Succeeded(_) | How::Failed(_) | How::Skipped(_) | How::Cancelled => None,
    }
}

/// The state of a place of a run that goes on.
fn state_of(state: &State, run: RunId, place: Place) -> Option<&NodeState> {
    let run = state.run(run).filter(|run| run.state.ended_at().is_none())?;
    run.node(place).map(|node| &node.state)
}

fn is_inside_one_that_goes_on(state: &State, run: &Run) -> bool {
    let outer = run.spec.parent.and_then(|(outer, place)| state_of(state, outer, place));
    outer.and_then(inner_of) == Some(run.id)
}

/// Whether its result is that of a node of a run that goes on.
fn is_used(state: &State, task: &Task) -> bool {
    let node = task.spec.node.as_ref().and_then(|node| state_of(state, node.run, node.place));
    node.and_then(NodeState::task) == Some(task.id)
}

/// Removes a task, unless it was retried and has not ended, or ended again later, or a run that goes on has its result.
fn prune_task(
    reader: &Reader,
    state: &mut State,
    batch: &mut Batch,
    id: TaskId,
    cutoff: Time,
    pruned: &mut Pruned,
) -> Result<(), ReadError> {
    let Some(body) = reader.get(&record::task_key(id))? else { return Ok(()) };
    let task = record::decode_task(&body);
    let ended = task.as_ref().and_then(|task| task.state.ended_at());
    let is_used = task.as_ref().is_some_and(|task| is_used(state, task));
    if is_used || ended.is_none_or(|at| at >= cutoff) || !state.forget_ended(id, cutoff) {
        return Ok(());
    }
    for attempt in record::attempts_of(reader, id)? {
        batch.delete(&record::attempt_key(id, attempt.number));
        pruned.logs.push(attempt.lease);
    }
    let key = task.as_ref().and_then(|task| Some((task.owner, task.spec.key.clone()?)));
    if task.is_some_and(|task| task.spec.input_bytes as usize > INLINE_BYTES_MIN) {
        release_prompt(reader, batch, id)?;
    }
    if let Some((owner, key)) = key {
        let key = record::key_key(owner, &key);
        let named = reader.get(&key)?.and_then(|body| record::decode::<TaskId>(&body));
        if named == Some(id) {
            batch.delete(&key);
        }
    }
    batch.delete(&record::input_key(id));
    batch.delete(&record::task_key(id));
    Ok(())
}

/// Shorter inputs name no stored prompt, and are not read to be removed.
const INLINE_BYTES_MIN: usize = 1 << 20;

/// A prompt that is stored apart goes with the last task that names it.
fn release_prompt(reader: &Reader, batch: &mut Batch, id: TaskId) -> Result<(), ReadError> {
    let body = reader.get(&record::input_key(id))?;
    let input = body.and_then(|body| crate::runtime::TaskInput::decode(&body).ok());
    if let Some(prompt) = input.and_then(|input| input.stored) {
        stored::release(batch, prompt.id, &id.0.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_length_of_history_is_looked_at_at_once() {
        let now = Time(1_000_000);
        let mut pruner = Pruner { history: Millis::from_secs(86_400), next_at: None };
        pruner.note_events(now);
        assert!(!pruner.is_due(now));
        pruner.keep(Millis::from_secs(3600));
        assert!(pruner.is_due(now) && pruner.history == Millis::from_secs(3600));
    }
}
