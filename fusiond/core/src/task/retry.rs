//! `task retry`: an ended task is queued again, with fresh retries.
//!
//! Not for: retries by policy (`ending`), nor for lost tasks (`resolve`).

use crate::event::EventKind;
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{Task, TaskState, Wait, submit};
use crate::time::Time;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
    recalled: Option<Task>,
) -> Result<Done, Reject> {
    let recalled = recalled.filter(|old| is_recallable(state, caller, old));
    let found = match &recalled {
        Some(old) => old,
        None => state.find_task(caller, task)?,
    };
    demand_owner(caller, "deciding about ended tasks")?;
    let (id, owner) = (found.id, found.owner);
    if let Some(node) = &found.spec.node {
        return Err(Reject::TaskOfRun { task: id.to_string(), run: node.run.to_string() });
    }
    match &found.state {
        TaskState::Failed { .. } | TaskState::Cancelled { .. } | TaskState::TimedOut { .. } => {}
        other @ (TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_)
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }) => return Err(super::wrong_state(id, other, "retried")),
    }
    super::run::check_target(state, found)?;
    let on = needed(state, found)?;
    submit::check_room(state, owner, &owner.0.to_string())?;
    if let Some(old) = recalled {
        check_key(state, &old)?;
        state.add_task(out, without_request(state, old));
    }
    state.alter_task(out, id, |task| queue_afresh(task, on, turn.now));
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::TaskRetried { task: id });
    Ok(Done::Task(id))
}

/// Whether this stored task is the one to look at: what is in memory is newer, and nobody is told of
/// tasks that are not theirs.
fn is_recallable(state: &State, caller: Caller, old: &Task) -> bool {
    state.task(old.id).is_none() && old.state.ended_at().is_some() && State::sees(caller, old.owner)
}

/// A key is free again when its task has left the memory.
fn check_key(state: &State, old: &Task) -> Result<(), Reject> {
    let Some(key) = &old.spec.key else { return Ok(()) };
    match state.index.keys.get(&(old.owner, key.clone())) {
        None => Ok(()),
        Some(taken) => Err(Reject::KeyConflict { key: key.to_string(), task: taken.to_string() }),
    }
}

/// So is a request; a task that was made by the same one since keeps it.
fn without_request(state: &State, mut old: Task) -> Task {
    if state.index.requests.contains_key(&(old.owner, old.spec.request)) {
        old.spec.request = 0;
    }
    old
}

/// The task that `text` names, for a verb that agents have no leave for.
pub(crate) fn find_for_owner<'a>(
    state: &'a State,
    caller: Caller,
    text: &str,
    leave: &'static str,
) -> Result<&'a Task, Reject> {
    let found = state.find_task(caller, text)?;
    demand_owner(caller, leave)?;
    Ok(found)
}

/// Only people decide about tasks that do not run.
pub(crate) fn demand_owner(caller: Caller, what: &'static str) -> Result<(), Reject> {
    match caller.rights {
        Rights::Admin | Rights::User => Ok(()),
        Rights::Agent(_) => Err(Reject::NotPermitted { who: caller.actor().to_string(), what }),
    }
}

/// Which of its dependencies it has to wait for again. Of one that left the memory nobody can tell how
/// it ended, unless this task was free to run before: then all had succeeded, which is for good.
fn needed(state: &State, task: &Task) -> Result<Vec<crate::TaskId>, Reject> {
    let was_free = !task.attempts.is_empty() || matches!(task.state, TaskState::TimedOut { .. });
    let mut on = Vec::new();
    for id in &task.spec.after {
        let needed = match state.task(*id) {
            Some(needed) => needed,
            None if was_free => continue,
            None => return Err(Reject::TaskNotFound { task: id.to_string() }),
        };
        if needed.state.ended_badly() {
            return Err(Reject::DependencyEnded { task: id.to_string() });
        }
        if needed.state.ended_at().is_none() {
            on.push(*id);
        }
    }
    Ok(on)
}

/// Back into the queue, with fresh retries.
pub(crate) fn queue_afresh(task: &mut Task, on: Vec<crate::TaskId>, now: Time) {
    task.counted_from = u32::try_from(task.attempts.len()).unwrap_or(u32::MAX - 1) + 1;
    task.snoozes = 0;
    task.state = Wait::first(&task.spec, on, now).into_state(now);
}
