//! The end of an incarnation: what became of its attempt, and what follows for the agent.
//!
//! Not for: ends that were ordered (`terminate`), the restart policy (`crash`).

use crate::agent::crash::{self, Crash};
use crate::agent::life::{attempt_exited, begin_incarnation, lose_work, rest, stop_of};
use crate::agent::{AfterStop, AgentLife, Cause, Wish, Work, terminate};
use crate::failure::{Failure, FailureCode};
use crate::ids::AgentId;
use crate::input::{Actor, Witness};
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::{Ending, Exit, StopWhy};
use crate::workspace::{Seeded, seed};

/// The shim of an incarnation is gone, and so is every process of it.
pub(crate) fn shim_gone(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    witness: Witness,
) {
    let highest =
        witness.started.iter().copied().chain(witness.exits.iter().map(|(serial, _)| *serial)).max();
    for (serial, exit) in witness.exits {
        if !(witness.rebooted && went_with_the_machine(state, id, serial, &exit)) {
            attempt_exited(state, out, turn, id, incarnation, serial, exit);
        }
    }
    if state.agent(id).is_none_or(|agent| agent.incarnation != incarnation) {
        return;
    }
    let is_first_news = state.unseen.remove(&(id, incarnation));
    if let Some(highest) = highest {
        seed::outlived(state, out, turn, id, highest);
    }
    let is_of_backup = state.is_restored && is_first_news;
    let work = state.agent(id).and_then(|agent| agent.life.work());
    if let Some(work) = work {
        let (how, failure) = if is_of_backup {
            (
                Ending::Lost,
                Failure::new(FailureCode::LostShim, "what became of it since the backup is not on record"),
            )
        } else {
            judge_absence(work, highest, witness.rebooted)
        };
        lose_work(state, out, turn, id, work, how, failure);
    }
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Stopping { then: AfterStop::Terminate, .. } => {
            let cause = if agent.seeded == Seeded::Failed { Cause::Seed } else { Cause::Asked };
            terminate::end(state, out, turn, Actor::Daemon, id, cause);
        }
        AgentLife::Stopping { then: AfterStop::Restart, .. } => {
            begin_incarnation(state, out, turn, id, Actor::Daemon);
        }
        AgentLife::Stopping { then: AfterStop::Rest, .. } => rest(state, out, turn, id),
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. } => {
            if is_of_backup && (witness.rebooted || witness.stopped) && agent.wish != Wish::End {
                // Whoever puts a backup back stops them for it, or has another machine.
                return begin_incarnation(state, out, turn, id, Actor::Daemon);
            }
            let (cause, reason) = match (witness.rebooted, witness.stopped) {
                // A machine that goes down asks every process to end.
                (true, _) => (Crash::Reboot, "the machine was restarted"),
                (false, true) => return crash::stopped(state, out, turn, id),
                (false, false) => (Crash::Died, "its shim died"),
            };
            crash::crashed(state, out, turn, id, cause, reason.to_owned());
        }
        AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } | AgentLife::Terminated { .. } => {}
    }
}

/// A machine that goes down in order ends each attempt, and its record tells of that end: not of what the attempt would
/// have come to.
fn went_with_the_machine(state: &State, id: AgentId, serial: u32, exit: &Exit) -> bool {
    let Some(agent) = state.agent(id) else { return false };
    let is_asked = matches!(agent.life, AgentLife::Stopping { .. });
    let unasked = |work: Work| !is_asked && stop_of(state, work).is_none();
    let work = agent.life.work().filter(|work| work.serial == serial);
    exit.stop == Some(StopWhy::Terminated) && work.is_some_and(unasked)
}

/// `highest` is the highest serial of which the records tell: what a shim has begun before it, it may have told to a state
/// that is lost.
fn judge_absence(work: Work, highest: Option<u32>, rebooted: bool) -> (Ending, Failure) {
    if rebooted {
        let failure = Failure::new(FailureCode::LostReboot, "the machine was restarted during the attempt");
        return (Ending::Lost, failure);
    }
    if highest.is_some_and(|highest| highest >= work.serial) {
        let failure = Failure::new(FailureCode::LostShim, "the agent's shim died during the attempt");
        return (Ending::Lost, failure);
    }
    (
        Ending::NotStarted,
        Failure::new(FailureCode::AgentTerminated, "the agent's shim died before the attempt began"),
    )
}

/// No shim could be started.
pub(crate) fn shim_failed(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    reason: String,
) {
    let Some(agent) = state.agent(id).filter(|agent| agent.incarnation == incarnation) else { return };
    match agent.life {
        AgentLife::Starting { .. } => crash::crashed(state, out, turn, id, Crash::Unborn, reason),
        AgentLife::Stopping { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. } => {
            // Nobody read its records: an attempt of it may have begun.
            let started = agent.life.work().map(|work| work.serial).into_iter().collect();
            let witness = Witness { started, ..Witness::default() };
            shim_gone(state, out, turn, id, incarnation, witness);
        }
        AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } | AgentLife::Terminated { .. } => {}
    }
}
