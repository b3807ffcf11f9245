//! What the end of an attempt means for its task: success, another attempt, or the end; and what the
//! end of a task means for those that come after it.
//!
//! Not for: the agent's side (`agent::life`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode, RetriedBy, TRANSIENT_RETRIES};
use crate::ids::TaskId;
use crate::input::Actor;
use crate::state::{Key, State};
use crate::step::{Out, Turn};
use crate::task::attempt::Ended;
use crate::task::{DeferWhy, Ending, Exit, ExitKind, Lease, OnLost, StopWhy, Task, TaskState, Wait, run};
use crate::time::{Millis, Time};
use crate::workflow::{drive, freeze};

/// The exit code by which a program asks to be run again later: `EX_TEMPFAIL` of sysexits.h.
pub const EXIT_TRY_AGAIN: i32 = 75;
/// How often it may ask.
pub const SNOOZES_MAX: u32 = 100;
/// How often in a row an attempt may be handed out again at once after it never began: then waits follow,
/// so that an agent that declines every start does not get the same task without end.
const REFUSALS_AT_ONCE: u32 = 3;
/// Lost attempts after which a task with `--on-lost retry` is taken for the cause.
pub const LOST_MAX: usize = 3;

const ENOMEM: i32 = 12;
const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOEXEC: i32 = 8;

/// What an end says about the task.
enum Verdict {
    Success,
    Cancelled,
    /// Queue it again; the attempt is not counted.
    Again(Failure),
    /// The program asked to be run again later.
    Snooze(Failure),
    Failure(Failure),
}

/// Whether an end is a success.
pub(crate) fn is_success(exit: &Exit) -> bool {
    exit.stop.is_none() && exit.kind == ExitKind::Exited { code: 0 }
}

/// Writes when an attempt began. Returns its number.
pub(crate) fn mark_started(state: &mut State, out: &mut Out, id: TaskId, at: Time) -> u32 {
    let number = state.alter_task(out, id, |task| {
        task.attempts.last_mut().map_or(0, |attempt| {
            attempt.started_at.get_or_insert(at.max(attempt.dispatched_at));
            attempt.number
        })
    });
    let number = number.unwrap_or(0);
    out.touch(Key::Attempt(id, number));
    number
}

/// An attempt has ended, and the shim saw how.
pub(crate) fn attempt_exited(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, exit: Exit) {
    let given =
        state.task(id).and_then(|task| task.attempts.last()).map_or(turn.now, |last| last.dispatched_at);
    let exit = exit.within(given, turn.now);
    let asked = state.task(id).and_then(stop_asked);
    let verdict = judge(&exit, asked);
    let (failure, counted) = match &verdict {
        Verdict::Success => (None, true),
        Verdict::Cancelled => (Some(Failure::new(FailureCode::Cancelled, "cancelled while it ran")), true),
        Verdict::Again(failure) | Verdict::Snooze(failure) => (Some(failure.clone()), false),
        Verdict::Failure(failure) => (Some(failure.clone()), true),
    };
    let ended = Ended { at: exit.ended_at, how: Ending::Exit(exit.clone()), failure, counted };
    let started_at = exit.started_at;
    if let Some((number, lease)) = close(state, out, id, ended) {
        match exit.kind {
            ExitKind::Exited { .. } | ExitKind::Signaled { .. } | ExitKind::OutputInvalid { .. } => {
                mark_started(state, out, id, started_at);
            }
            ExitKind::StartFailed { .. } => {}
        }
        let kind = EventKind::AttemptExited {
            task: id,
            number,
            agent: lease.agent,
            incarnation: lease.incarnation,
            exit,
        };
        tell(state, out, turn, id, kind);
        drive::attempt_ended(state, out, turn, id);
    }
    follow(state, out, turn, id, verdict);
}

/// An attempt is over, and nobody saw how; or it never began.
pub(crate) fn attempt_lost(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: TaskId,
    how: Ending,
    failure: Failure,
) {
    let asked = state.task(id).and_then(stop_asked);
    let began = how == Ending::Lost;
    let reason = failure.message.clone();
    let failure = match asked {
        Some(StopWhy::TimedOut) if began => overtime(),
        Some(StopWhy::IdleTimedOut) if began => silence(),
        Some(
            StopWhy::Cancelled
            | StopWhy::TimedOut
            | StopWhy::IdleTimedOut
            | StopWhy::Terminated
            | StopWhy::Restarted,
        )
        | None => failure,
    };
    let ended = Ended { at: turn.now, how, failure: Some(failure.clone()), counted: began };
    if let Some((number, lease)) = close(state, out, id, ended) {
        let (task, agent, incarnation) = (id, lease.agent, lease.incarnation);
        let kind = if began {
            EventKind::AttemptLost { task, number, agent, incarnation, reason }
        } else {
            EventKind::AttemptNotStarted { task, number, agent, incarnation, reason }
        };
        tell(state, out, turn, id, kind);
        drive::attempt_ended(state, out, turn, id);
    }
    let verdict = match (asked, began) {
        (Some(StopWhy::Cancelled), _) => Verdict::Cancelled,
        (Some(StopWhy::TimedOut | StopWhy::IdleTimedOut), true) => Verdict::Failure(failure),
        (_, false) => Verdict::Again(failure),
        (None | Some(StopWhy::Terminated | StopWhy::Restarted), true) => {
            lost(state, out, turn, id, failure);
            return;
        }
    };
    follow(state, out, turn, id, verdict);
}

fn stop_asked(task: &Task) -> Option<StopWhy> {
    match &task.state {
        TaskState::Active(active) => active.stop.map(|stop| stop.why),
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => None,
    }
}

fn close(state: &mut State, out: &mut Out, id: TaskId, ended: Ended) -> Option<(u32, Lease)> {
    let closed = state.alter_task(out, id, |task| {
        let attempt = task.attempts.last_mut()?;
        attempt.ending = Some(ended);
        Some((attempt.number, attempt.lease))
    })??;
    out.touch(Key::Attempt(id, closed.0));
    Some(closed)
}

fn tell(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, kind: EventKind) {
    let owner = state.task(id).map(|task| task.owner);
    state.tell(out, turn.now, Actor::Daemon, owner, kind);
}

fn judge(exit: &Exit, asked: Option<StopWhy>) -> Verdict {
    // The shim keeps the first reason it was told; a cancel that came later counts all the same.
    let stop = exit.stop.map(|why| asked.filter(|asked| *asked == StopWhy::Cancelled).unwrap_or(why));
    match stop {
        Some(StopWhy::Cancelled) => return Verdict::Cancelled,
        Some(StopWhy::TimedOut) => return Verdict::Failure(overtime()),
        Some(StopWhy::IdleTimedOut) => return Verdict::Failure(silence()),
        Some(StopWhy::Terminated | StopWhy::Restarted) => {
            return Verdict::Again(Failure::new(FailureCode::AgentTerminated, "its agent was ended"));
        }
        None => {}
    }
    let verdict = judge_kind(exit);
    match (verdict, asked) {
        (Verdict::Failure(_) | Verdict::Snooze(_), Some(StopWhy::Cancelled)) => Verdict::Cancelled,
        (verdict, _) => verdict,
    }
}

fn overtime() -> Failure {
    Failure::new(FailureCode::TimeoutRun, "it ran longer than its timeout")
}

fn silence() -> Failure {
    Failure::new(FailureCode::TimeoutIdle, "it neither wrote nor computed for longer than its idle timeout")
}

fn judge_kind(exit: &Exit) -> Verdict {
    match &exit.kind {
        ExitKind::Exited { code: 0 } => Verdict::Success,
        ExitKind::Exited { code } if *code == EXIT_TRY_AGAIN => {
            Verdict::Snooze(Failure::new(FailureCode::TryAgainLater, "exit code 75"))
        }
        ExitKind::Exited { .. } | ExitKind::Signaled { .. } if exit.oom_kills > 0 => {
            let message = format!("{} process(es) killed for want of memory", exit.oom_kills);
            Verdict::Failure(Failure::new(FailureCode::OomKilled, message))
        }
        ExitKind::Exited { code } => {
            Verdict::Failure(Failure::new(FailureCode::ExitNonzero, format!("exit code {code}")))
        }
        ExitKind::Signaled { signal } => {
            Verdict::Failure(Failure::new(FailureCode::Signaled, format!("signal {signal}")))
        }
        ExitKind::OutputInvalid { message } => {
            Verdict::Failure(Failure::new(FailureCode::OutputInvalid, message.clone()))
        }
        ExitKind::StartFailed { stage, errno, message } => {
            let code = match *errno {
                _ if stage == "input" => FailureCode::InputUnreadable,
                _ if stage == "secret" => FailureCode::SecretMissing,
                ENOENT | EACCES | ENOTDIR | ENOEXEC if stage == "execve" => FailureCode::ProgramNotFound,
                EAGAIN | ENOMEM | EMFILE | ENFILE => FailureCode::StartResources,
                _ => FailureCode::StartFailed,
            };
            Verdict::Failure(Failure::new(code, message.clone()))
        }
    }
}

fn follow(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, verdict: Verdict) {
    match verdict {
        Verdict::Success => end(state, out, turn, id, Actor::Daemon, TaskState::Succeeded { at: turn.now }),
        Verdict::Cancelled => end(state, out, turn, id, Actor::Daemon, TaskState::Cancelled { at: turn.now }),
        Verdict::Again(failure) => {
            if end_spent(state, out, turn, id, &failure) {
                return;
            }
            let refusals = state.task(id).map_or(0, never_began);
            if refusals > REFUSALS_AT_ONCE {
                let nth = refusals - REFUSALS_AT_ONCE;
                defer(state, out, turn, id, DeferWhy::Retry, nth, failure.message);
                return;
            }
            state.alter_task(out, id, |task| task.state = TaskState::Queued { since: turn.now });
            tell(state, out, turn, id, EventKind::TaskQueued { task: id, reason: failure.message });
            freeze::keep(state, out, turn, id);
        }
        Verdict::Snooze(failure) => snooze(state, out, turn, id, failure),
        Verdict::Failure(failure) => fail(state, out, turn, id, failure),
    }
}

/// How many of the last attempts never began.
fn never_began(task: &Task) -> u32 {
    let last = task.attempts.iter().rev();
    let refused = last.take_while(|attempt| {
        attempt.ending.as_ref().is_some_and(|ended| matches!(ended.how, Ending::NotStarted))
    });
    u32::try_from(refused.count()).unwrap_or(u32::MAX)
}

fn snooze(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, failure: Failure) {
    let snoozes = state.alter_task(out, id, |task| {
        task.snoozes += 1;
        task.snoozes
    });
    let snoozes = snoozes.unwrap_or(0);
    if snoozes > SNOOZES_MAX {
        let failure =
            Failure::new(FailureCode::TryAgainExhausted, format!("{SNOOZES_MAX} times exit code 75"));
        end(state, out, turn, id, Actor::Daemon, TaskState::Failed { at: turn.now, failure });
        return;
    }
    if end_spent(state, out, turn, id, &failure) {
        return;
    }
    defer(state, out, turn, id, DeferWhy::Snooze, snoozes, failure.message);
}

/// How long the nth try waits, with full jitter: `rand(0, min(max, base * 2^n))` (Brooker 2015, "Exponential backoff
/// and jitter").
pub(crate) fn pause(state: &State, turn: Turn, id: TaskId, nth: u32) -> Millis {
    let (base, max) = (state.config.retry_base.0, state.config.retry_max.0);
    let doublings = nth.saturating_sub(1);
    let bound = base.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(max);
    Millis(turn.draw(id.salt() ^ u64::from(nth)) % bound.saturating_add(1))
}

fn defer(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, why: DeferWhy, nth: u32, reason: String) {
    let until = turn.now.plus(pause(state, turn, id, nth));
    state.alter_task(out, id, |task| task.state = TaskState::Deferred { until, why });
    tell(state, out, turn, id, EventKind::TaskDeferred { task: id, until, reason });
    freeze::keep(state, out, turn, id);
}

/// Ends a task that would be tried again where its budget has nothing left for that. Whether it did.
pub(crate) fn end_spent(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, failure: &Failure) -> bool {
    let node = state.task(id).and_then(|task| task.spec.node.as_ref());
    let reached = node.and_then(|node| state.run(node.run)?.spent_up(node.place));
    let Some(reached) = reached else { return false };
    let message = format!("{}; no further attempt: {}", failure.message, reached.message);
    let failure = Failure::new(FailureCode::BudgetExhausted, message);
    end(state, out, turn, id, Actor::Daemon, TaskState::Failed { at: turn.now, failure });
    true
}

fn fail(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, failure: Failure) {
    let Some(task) = state.task(id) else { return };
    let failed = task
        .attempts
        .iter()
        .filter(|attempt| attempt.number >= task.counted_from)
        .filter(|attempt| {
            attempt.ending.as_ref().is_some_and(|ended| ended.counted && ended.failure.is_some())
        })
        .count();
    let failed = u32::try_from(failed).unwrap_or(u32::MAX);
    let allowed = match failure.code.retried() {
        RetriedBy::Request => task.spec.retries,
        RetriedBy::Default => task.spec.retries.max(TRANSIENT_RETRIES),
        RetriedBy::Always | RetriedBy::Never => 0,
    };
    if failed <= allowed {
        if end_spent(state, out, turn, id, &failure) {
            return;
        }
        defer(state, out, turn, id, DeferWhy::Retry, failed, failure.message);
        return;
    }
    let end_state = match failure.code {
        FailureCode::TimeoutRun | FailureCode::TimeoutIdle | FailureCode::TimeoutQueue => {
            TaskState::TimedOut { at: turn.now, failure }
        }
        FailureCode::ExitNonzero
        | FailureCode::Signaled
        | FailureCode::OomKilled
        | FailureCode::ProgramNotFound
        | FailureCode::StartFailed
        | FailureCode::StartResources
        | FailureCode::TryAgainLater
        | FailureCode::Cancelled
        | FailureCode::AgentTerminated
        | FailureCode::DependencyFailed
        | FailureCode::LostShim
        | FailureCode::LostReboot
        | FailureCode::Poison
        | FailureCode::TryAgainExhausted
        | FailureCode::InputUnreadable
        | FailureCode::ResolvedFailed
        | FailureCode::OutputInvalid
        | FailureCode::AgentGone
        | FailureCode::SecretMissing
        | FailureCode::Rejected
        | FailureCode::ItemsFailed
        | FailureCode::TimeoutWorkflow
        | FailureCode::TimeoutEvent
        | FailureCode::TemplateFailed
        | FailureCode::BudgetExhausted
        | FailureCode::NodeRefused => TaskState::Failed { at: turn.now, failure },
    };
    end(state, out, turn, id, Actor::Daemon, end_state);
}

/// The outcome cannot be known: the task's policy decides.
fn lost(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, failure: Failure) {
    let Some(task) = state.task(id) else { return };
    match task.spec.on_lost {
        OnLost::Review => {
            let kind = EventKind::TaskLost {
                task: id,
                code: failure.code.code().to_owned(),
                message: failure.message.clone(),
            };
            state.alter_task(out, id, |task| task.state = TaskState::Lost { since: turn.now, failure });
            tell(state, out, turn, id, kind);
        }
        OnLost::Fail => {
            end(state, out, turn, id, Actor::Daemon, TaskState::Failed { at: turn.now, failure });
        }
        OnLost::Retry => {
            let counted = |attempt: &&crate::Attempt| attempt.number >= task.counted_from;
            let times =
                task.attempts.iter().filter(counted).filter(|attempt| died_with_shim(attempt)).count();
            if times >= LOST_MAX {
                let failure = Failure::new(FailureCode::Poison, format!("{times} shims died under it"));
                end(state, out, turn, id, Actor::Daemon, TaskState::Failed { at: turn.now, failure });
            } else {
                let nth = u32::try_from(times).unwrap_or(u32::MAX).max(1);
                if end_spent(state, out, turn, id, &failure) {
                    return;
                }
                defer(state, out, turn, id, DeferWhy::Retry, nth, failure.message);
            }
        }
    }
}

fn died_with_shim(attempt: &crate::Attempt) -> bool {
    attempt.ending.as_ref().is_some_and(|ended| {
        ended.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::LostShim)
    })
}

/// Ends a task for good, and frees or fails those that come after it.
pub(crate) fn end(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, actor: Actor, ended: TaskState) {
    let mut work = vec![(id, ended)];
    while let Some((id, ended)) = work.pop() {
        if state.task(id).is_some_and(|task| task.state.ended_at().is_some()) {
            // Two of the tasks that it comes after ended in this cascade.
            continue;
        }
        let success = matches!(ended, TaskState::Succeeded { .. });
        let Some((owner, created_at)) = state.alter_task(out, id, |task| {
            task.state = ended.clone();
            (task.owner, task.created_at)
        }) else {
            continue;
        };
        state.tell(out, turn.now, actor, Some(owner), end_event(id, &ended, turn.now.since(created_at)));
        run::task_ended(state, out, turn, id);
        drive::task_ended(state, out, turn, id);
        let waiting: Vec<TaskId> = state.index.dependents.get(&id).into_iter().flatten().copied().collect();
        for dependent in waiting {
            if success {
                free(state, out, turn, dependent, id);
            } else {
                let message = format!("{id} ended as {}", ended.word());
                let failure = Failure::new(FailureCode::DependencyFailed, message);
                work.push((dependent, TaskState::Failed { at: turn.now, failure }));
            }
        }
    }
}

fn free(state: &mut State, out: &mut Out, turn: Turn, dependent: TaskId, needed: TaskId) {
    let is_queued = state.alter_task(out, dependent, |task| {
        let mut on = task.blocked_on().to_vec();
        on.retain(|id| *id != needed);
        let wait = Wait::first(&task.spec, on, turn.now);
        if let TaskState::Held(held) = &mut task.state {
            held.wait = wait;
        } else {
            task.state = wait.into_state(turn.now);
        }
        matches!(task.state, TaskState::Queued { .. })
    });
    if is_queued == Some(true) {
        let reason = "all that it comes after has succeeded".to_owned();
        tell(state, out, turn, dependent, EventKind::TaskQueued { task: dependent, reason });
    }
}

fn end_event(id: TaskId, ended: &TaskState, took: Millis) -> EventKind {
    match ended {
        TaskState::Failed { failure, .. } => EventKind::TaskFailed {
            task: id,
            code: failure.code.code().to_owned(),
            message: failure.message.clone(),
        },
        TaskState::TimedOut { failure, .. } => EventKind::TaskTimedOut {
            task: id,
            code: failure.code.code().to_owned(),
            message: failure.message.clone(),
        },
        TaskState::Cancelled { .. } => EventKind::TaskCancelled { task: id },
        TaskState::Succeeded { .. }
        | TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_)
        | TaskState::Held(_)
        | TaskState::Lost { .. } => EventKind::TaskSucceeded { task: id, took },
    }
}
