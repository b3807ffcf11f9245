//! What time alone changes. One instant for the whole state: no timer per entity.
//!
//! Not for: clocks that the shim keeps (the grace between SIGTERM and the kill).

use crate::agent::{AgentLife, life};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::ids::{AgentId, TaskId};
use crate::index::Timer;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::{Active, Clock, Reply, StopWhy, TaskState, answer, cancel, clock, ending};
use crate::time::{Millis, Time};
use crate::workflow::drive::drive;
use crate::workflow::run::News;
use crate::{pool, workspace};

/// The next instant at which the engine should step, if any.
#[must_use]
pub fn next_wake(state: &State) -> Option<Time> {
    state.index.timers.first().map(|(at, _)| *at)
}

/// Handles everything that is due.
pub(crate) fn strike(state: &mut State, out: &mut Out, turn: Turn) {
    while let Some((at, timer)) = state.index.timers.first().copied() {
        if at > turn.now {
            return;
        }
        match timer {
            Timer::Agent(id) => strike_agent(state, out, turn, id),
            Timer::Task(id) => strike_task(state, out, turn, id),
            Timer::Run(id) => drive(state, out, turn, id, Actor::Daemon, News::Due),
        }
    }
}

fn strike_agent(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Backoff { .. } => life::begin_incarnation(state, out, turn, id, Actor::Daemon),
        AgentLife::Terminated { .. } => workspace::expire(state, out, id),
        AgentLife::Seeding { .. } => workspace::seed::strike(state, out, id),
        AgentLife::Idle { .. } => pool::expire::expire(state, out, turn, id),
        AgentLife::Starting { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. } => {}
    }
}

fn strike_task(state: &mut State, out: &mut Out, turn: Turn, id: TaskId) {
    let Some(task) = state.task(id) else { return };
    match &task.state {
        TaskState::Deferred { .. } => {
            let owner = task.owner;
            state.alter_task(out, id, |task| task.state = TaskState::Queued { since: turn.now });
            let kind = EventKind::TaskQueued { task: id, reason: "its time has come".to_owned() };
            state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
        }
        TaskState::Queued { .. } => {
            let span = task.spec.timeouts.queue.unwrap_or_default();
            let failure = Failure::new(FailureCode::TimeoutQueue, format!("no agent took it within {span}"));
            ending::end(state, out, turn, id, Actor::Daemon, TaskState::TimedOut { at: turn.now, failure });
        }
        TaskState::Active(active) if active.open_question().is_some() => {
            answer::settle(state, out, turn, id, Actor::Daemon, Reply::Expired);
        }
        TaskState::Active(Active { clock: Clock::Ticking { run_at, .. }, .. }) => {
            if run_at.is_some_and(|at| at <= turn.now) {
                let grace = state.config.grace;
                cancel::stop(state, out, turn, id, StopWhy::TimedOut, grace);
            } else {
                look(state, out, id);
            }
        }
        TaskState::Active(_)
        | TaskState::Blocked { .. }
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => {}
    }
}

/// Asks the shim for signs of life.
fn look(state: &mut State, out: &mut Out, id: TaskId) {
    state.alter_task(out, id, |task| {
        if let TaskState::Active(Active { clock: Clock::Ticking { idle_at, .. }, .. }) = &mut task.state {
            *idle_at = None;
        }
    });
    if let Some(lease) = state.task(id).and_then(crate::Task::lease) {
        out.order(Effect::Observe { agent: lease.agent, incarnation: lease.incarnation });
    }
}

/// The shim's answer: the attempt goes on if it wrote or computed since the last look.
#[expect(clippy::too_many_arguments, reason = "the fields of one outcome")]
pub(crate) fn observed(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: Option<u32>,
    quiet: Millis,
    cpu: Millis,
) {
    let Some(agent) = state.agent(id).filter(|agent| agent.incarnation == incarnation) else { return };
    let Some(work) = agent.life.work().filter(|work| Some(work.serial) == serial) else { return };
    // Nothing can be heard of a frozen tree: silence counts from the thaw at the earliest.
    let heard = Time(turn.now.0.saturating_sub(quiet.0)).max(agent.life.since());
    let Some(task) = state.task(work.task) else { return };
    let Some(span) = task.spec.timeouts.or_idle(agent.spec.idle_timeout).idle else { return };
    let TaskState::Active(Active {
        clock: Clock::Ticking { idle_at: None, cpu_seen, .. }, stop: None, ..
    }) = task.state
    else {
        return;
    };
    let computed = cpu.0 > cpu_seen.0 + clock::CPU_NOISE.0.max(span.0 / 1000);
    let next = if computed { turn.now.plus(span) } else { heard.plus(span) };
    if next <= turn.now {
        let grace = state.config.grace;
        cancel::stop(state, out, turn, work.task, StopWhy::IdleTimedOut, grace);
        return;
    }
    state.alter_task(out, work.task, |task| {
        if let TaskState::Active(Active { clock: Clock::Ticking { idle_at, cpu_seen, .. }, .. }) =
            &mut task.state
        {
            *idle_at = Some(next);
            *cpu_seen = cpu;
        }
    });
}
