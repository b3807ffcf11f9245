//! What the hands saw of an agent's shim and attempts, and what follows for its life.
//!
//! Every outcome names the incarnation; news of another one is recorded and ignored. Not for: what
//! the end of an attempt means for its task (`task::ending`).

use crate::agent::{Agent, AgentLife, Freeze, Wish, Work, pause, terminate};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::ids::{AgentId, Uid};
use crate::input::Actor;
use crate::secret;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::{Active, Clock, Ending, Exit, Phase, StopWhy, TaskState, ending};
use crate::time::{Millis, Time};
use crate::workspace::{Seeded, seed};

/// What a shim that answers says of itself.
pub(crate) struct Seen {
    pub(crate) highest_started: u32,
    pub(crate) running: Option<(u32, Time)>,
    pub(crate) exits: Vec<(u32, Exit)>,
    pub(crate) frozen: bool,
}

/// Starts the next incarnation.
pub(crate) fn begin_incarnation(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, actor: Actor) {
    let begun = state.alter_agent(out, id, |agent| {
        advance(agent, turn);
        (agent.owner, agent.incarnation)
    });
    if let Some((owner, incarnation)) = begun {
        state.tell(out, turn.now, actor, Some(owner), EventKind::AgentRestarted { agent: id, incarnation });
        out.order(Effect::Launch { agent: id, incarnation });
    }
}

/// The next incarnation is due, but only the next start of the daemon launches it.
pub(crate) fn rest(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    state.alter_agent(out, id, |agent| advance(agent, turn));
}

fn advance(agent: &mut Agent, turn: Turn) {
    agent.incarnation += 1;
    agent.next_serial = 1;
    agent.nonce = turn.nonce(agent.id);
    agent.forget_count();
    agent.life = AgentLife::Starting { since: turn.now };
}

/// The shim of an incarnation answers, new or adopted.
pub(crate) fn shim_up(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    seen: Seen,
) {
    let current = state.agent(id).filter(|agent| agent.incarnation == incarnation);
    let Some(agent) = current.filter(|agent| agent.life.wants_shim()) else {
        out.order(Effect::StopShim { agent: id, incarnation, grace: Millis(0) });
        return;
    };
    let (owner, wish, life, first) = (agent.owner, agent.wish, agent.life.clone(), agent.next_serial);
    let is_new = matches!(life, AgentLife::Starting { .. });
    if state.unseen.remove(&(id, incarnation)) {
        state.ready.insert(owner);
    }
    if seen.highest_started >= first {
        // A state that was restored is older than the shim: what it gave out since is not free.
        state.alter_agent(out, id, |agent| agent.next_serial = seen.highest_started + 1);
    }
    if is_new {
        come_up(state, out, turn, id, first);
    } else if !matches!(life, AgentLife::Seeding { .. }) {
        let kind = EventKind::AgentReady { agent: id, incarnation, adopted: true };
        state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    }
    for (serial, exit) in seen.exits {
        attempt_exited(state, out, turn, id, incarnation, serial, exit);
    }
    if seen.frozen {
        // Before the work: a start is refused while the tree stands still.
        thaw_if_wanted(state, out, id, incarnation);
    }
    let running = seen.running.map(|(serial, _)| serial);
    adopt_work(state, out, turn, id, incarnation, seen.highest_started, seen.running);
    seed::adopt(state, out, turn, id, seen.highest_started, running);
    adopt_life(state, out, turn, id, incarnation, seen.frozen);
    if is_new && state.agent(id).is_some_and(|agent| matches!(agent.life, AgentLife::Idle { .. })) {
        rest_as_wished(state, out, turn, id, wish);
    }
}

/// The first that is heard of an incarnation, which a state that was restored may not know to have worked already: `first`
/// is the serial that it has its first work under.
fn come_up(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, first: u32) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, incarnation) = (agent.owner, agent.incarnation);
    if agent.seeded == Seeded::Due {
        return seed::begin(state, out, turn, id, first);
    }
    state.alter_agent(out, id, |agent| {
        agent.life = AgentLife::Idle { since: turn.now };
        agent.trouble = None;
    });
    tell_ready(state, out, turn, id, incarnation, owner);
}

/// It takes work now.
pub(crate) fn tell_ready(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    owner: Uid,
) {
    let kind = EventKind::AgentReady { agent: id, incarnation, adopted: false };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
}

/// Compares the lease with what the shim runs.
fn adopt_work(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    highest: u32,
    running: Option<(u32, Time)>,
) {
    let work = state.agent(id).and_then(|agent| agent.life.work());
    if let Some((serial, since)) = running {
        if seed::is_under_way(state, id, incarnation, serial) {
            return;
        }
        if work.is_some_and(|work| work.serial == serial) {
            attempt_started(state, out, turn, id, incarnation, serial, since);
            repeat_stop(state, out, turn, id, incarnation);
            return;
        }
        // Nobody's any more; what became of the leased one is judged all the same.
        let (grace, why) = (Millis(0), StopWhy::Terminated);
        out.order(Effect::Stop { agent: id, incarnation, serial, grace, why });
    }
    let Some(work) = work else { return };
    if highest >= work.serial {
        lose_work(state, out, turn, id, work, Ending::Lost, no_record());
    } else if stop_of(state, work).is_some() {
        let failure = Failure::new(FailureCode::AgentTerminated, "stopped before it began");
        lose_work(state, out, turn, id, work, Ending::NotStarted, failure);
    } else {
        let number =
            state.task(work.task).map_or(0, |task| u32::try_from(task.attempts.len()).unwrap_or(u32::MAX));
        secret::give(state, out, work.task, id);
        out.order(Effect::Start { agent: id, incarnation, serial: work.serial, task: work.task, number });
    }
}

fn no_record() -> Failure {
    Failure::new(FailureCode::LostShim, "the shim started the attempt but has no record of its end")
}

pub(crate) fn stop_of(state: &State, work: Work) -> Option<crate::task::Stop> {
    match &state.task(work.task)?.state {
        TaskState::Active(active) => active.stop,
        TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::Held(_)
        | TaskState::TimedOut { .. } => None,
    }
}

fn repeat_stop(state: &State, out: &mut Out, turn: Turn, id: AgentId, incarnation: u32) {
    let Some(work) = state.agent(id).and_then(|agent| agent.life.work()) else { return };
    if let Some(stop) = stop_of(state, work) {
        let grace = stop.kill_at.since(turn.now);
        out.order(Effect::Stop { agent: id, incarnation, serial: work.serial, grace, why: stop.why });
    }
}

/// Lets a tree go on that stands still although its agent should work.
fn thaw_if_wanted(state: &State, out: &mut Out, id: AgentId, incarnation: u32) {
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. } => {
            out.order(Effect::Thaw { agent: id, incarnation });
        }
        AgentLife::Starting { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. } => {}
    }
}

/// Repeats the order under which the tree stands still or is being ended.
fn adopt_life(state: &State, out: &mut Out, turn: Turn, id: AgentId, incarnation: u32, frozen: bool) {
    let Some(agent) = state.agent(id) else { return };
    match (&agent.life, frozen) {
        (AgentLife::Stopping { kill_at, .. }, _) => {
            out.order(Effect::StopShim { agent: id, incarnation, grace: kill_at.since(turn.now) });
        }
        (AgentLife::Paused { freeze: Freeze::Asked, .. }, _) | (AgentLife::Paused { .. }, false) => {
            out.order(Effect::Freeze { agent: id, incarnation });
        }
        (AgentLife::Paused { freeze: Freeze::Done, .. }, true)
        | (
            AgentLife::Starting { .. }
            | AgentLife::Seeding { .. }
            | AgentLife::Idle { .. }
            | AgentLife::Busy { .. }
            | AgentLife::Waiting { .. }
            | AgentLife::Draining { .. }
            | AgentLife::Backoff { .. }
            | AgentLife::Quarantined { .. }
            | AgentLife::Terminated { .. },
            _,
        ) => {}
    }
}

/// The program of an attempt runs.
pub(crate) fn attempt_started(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
    at: Time,
) {
    let Some((work, paused)) = leased(state, id, incarnation, serial) else {
        stale(state, out, turn, id, incarnation, serial, "started");
        return;
    };
    let at = at.min(turn.now);
    let number = ending::mark_started(state, out, work.task, at);
    let idle = state.agent(id).and_then(|agent| agent.spec.idle_timeout);
    let node = state.task(work.task).and_then(|task| task.spec.node.as_ref());
    let left = node.and_then(|node| state.run(node.run)?.time_left(node.place));
    let told = state.alter_task(out, work.task, |task| {
        let TaskState::Active(active) = &mut task.state else { return None };
        let fresh = active.phase == Phase::Dispatched;
        let mut timeouts = task.spec.timeouts.or_idle(idle);
        timeouts.run = timeouts.run.into_iter().chain(left).min();
        let clock = Clock::start(timeouts, turn.now);
        let clock = if fresh || active.clock != Clock::Unset { rearm(active, clock) } else { clock };
        (active.phase, active.clock) = (Phase::Running { since: at }, clock);
        if paused || active.open_question().is_some() {
            active.clock = active.clock.stand(turn.now);
        }
        fresh.then_some(task.owner)
    });
    if let Some(Some(owner)) = told {
        let kind = EventKind::TaskStarted { task: work.task, number, agent: id, incarnation };
        state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    }
}

/// A clock that ran before a restart of the daemon keeps its run deadline; the idle look begins anew.
fn rearm(active: &Active, fresh: Clock) -> Clock {
    match (active.clock, fresh) {
        (Clock::Ticking { run_at, cpu_seen, .. }, Clock::Ticking { idle_at, .. }) => {
            Clock::Ticking { run_at, idle_at, cpu_seen }
        }
        (old @ Clock::Standing { .. }, _) => old,
        (Clock::Unset | Clock::Ticking { .. }, fresh) => fresh,
    }
}

fn leased(state: &State, id: AgentId, incarnation: u32, serial: u32) -> Option<(Work, bool)> {
    let agent = state.agent(id).filter(|agent| agent.incarnation == incarnation)?;
    let work = agent.life.work().filter(|work| work.serial == serial)?;
    Some((work, matches!(agent.life, AgentLife::Paused { .. })))
}

fn stale(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
    what: &str,
) {
    let Some(agent) = state.agent(id) else { return };
    if agent.incarnation == incarnation {
        // Told twice by the same shim: the acknowledgement was lost in a crash.
        return;
    }
    let owner = agent.owner;
    let kind = EventKind::StaleNews { agent: id, incarnation, serial, what: what.to_owned() };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
}

/// The shim declined a start: the attempt never ran, and it is not known to have run.
pub(crate) fn attempt_refused(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
    reason: String,
) {
    if seed::is_under_way(state, id, incarnation, serial) {
        seed::failed(state, out, turn, id, &reason);
        return;
    }
    match leased(state, id, incarnation, serial) {
        Some((work, _)) => {
            let failure = Failure::new(FailureCode::AgentTerminated, reason);
            lose_work(state, out, turn, id, work, Ending::NotStarted, failure);
        }
        None => stale(state, out, turn, id, incarnation, serial, "refused"),
    }
}

/// The shim started the attempt once, runs it no more, and has no record of its end.
pub(crate) fn attempt_forgotten(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
) {
    if seed::is_under_way(state, id, incarnation, serial) {
        seed::adopt(state, out, turn, id, serial, None);
        return;
    }
    match leased(state, id, incarnation, serial) {
        Some((work, _)) => lose_work(state, out, turn, id, work, Ending::Lost, no_record()),
        None => stale(state, out, turn, id, incarnation, serial, "forgotten"),
    }
}

/// An attempt has ended and nothing of it is left.
pub(crate) fn attempt_exited(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
    exit: Exit,
) {
    out.order(Effect::Ack { agent: id, incarnation, serial });
    if seed::is_under_way(state, id, incarnation, serial) {
        seed::ended(state, out, turn, id, &exit);
        return;
    }
    let Some((work, _)) = leased(state, id, incarnation, serial) else {
        stale(state, out, turn, id, incarnation, serial, "exited");
        return;
    };
    release(state, out, turn, id, ending::is_success(&exit));
    ending::attempt_exited(state, out, turn, work.task, exit);
}

pub(crate) fn lose_work(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    work: Work,
    how: Ending,
    failure: Failure,
) {
    release(state, out, turn, id, false);
    ending::attempt_lost(state, out, turn, work.task, how, failure);
}

/// An idle agent that should not be.
pub(crate) fn rest_as_wished(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, wish: Wish) {
    match wish {
        Wish::Run => {}
        Wish::Pause => pause::freeze(state, out, turn, id, None),
        Wish::End => {
            let grace = state.config.grace;
            terminate::finish(state, out, turn, Actor::Daemon, id, grace);
        }
    }
}

/// The agent has no attempt any more.
fn release(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, success: bool) {
    let idle = state.alter_agent(out, id, |agent| {
        if success {
            agent.succeeded += 1;
        } else {
            agent.failed += 1;
        }
        agent.life = without_work(&agent.life, turn.now);
        matches!(agent.life, AgentLife::Idle { .. }).then_some(agent.wish)
    });
    if let Some(Some(wish)) = idle {
        rest_as_wished(state, out, turn, id, wish);
    }
}

fn without_work(life: &AgentLife, now: Time) -> AgentLife {
    match life {
        AgentLife::Busy { .. } | AgentLife::Waiting { .. } | AgentLife::Draining { .. } => {
            AgentLife::Idle { since: now }
        }
        AgentLife::Paused { since, freeze, .. } => {
            AgentLife::Paused { since: *since, freeze: *freeze, work: None }
        }
        AgentLife::Stopping { since, kill_at, then, .. } => {
            AgentLife::Stopping { since: *since, kill_at: *kill_at, then: *then, work: None }
        }
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Terminated { .. } => life.clone(),
    }
}
