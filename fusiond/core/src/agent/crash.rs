//! What follows an end of a shim that the daemon did not order: the restart policy, backoff, quarantine.
//!
//! Not for: noticing the end, and what it means for the attempt (`life`).

use crate::agent::life::begin_incarnation;
use crate::agent::{AgentLife, Cause, RestartPolicy, Wish, terminate};
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::time::Millis;

/// Why a shim ended although nobody asked for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It never came up: counts towards the quarantine.
    Unborn,
    /// The shim's own end: counts towards the quarantine.
    Died,
    /// The machine's: does not.
    Reboot,
}

/// Somebody has asked the shim itself to end, past the daemon (`kill`, a scope that is stopped): no failure.
pub(crate) fn stopped(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    let Some((owner, incarnation, policy)) = state.alter_agent(out, id, |agent| {
        agent.trouble = Some("its shim was asked to end from outside".to_owned());
        let is_over = agent.wish == Wish::End;
        let policy = if is_over { RestartPolicy::Never } else { agent.spec.restart };
        (agent.owner, agent.incarnation, policy)
    }) else {
        return;
    };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::AgentStopped { agent: id, incarnation });
    match policy {
        RestartPolicy::Never | RestartPolicy::OnFailure => {
            terminate::end(state, out, turn, Actor::Daemon, id, Cause::Policy);
        }
        RestartPolicy::Always => begin_incarnation(state, out, turn, id, Actor::Daemon),
    }
}

/// What follows an end that nobody asked for.
pub(crate) fn crashed(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    crash: Crash,
    reason: String,
) {
    let (window, quarantine) = (state.config.quarantine_window, state.config.quarantine_crashes);
    let Some((owner, incarnation, policy, crashes)) = state.alter_agent(out, id, |agent| {
        if crash != Crash::Reboot {
            agent.crashes.retain(|at| turn.now.since(*at) < window);
            agent.crashes.push(turn.now);
        }
        agent.trouble = Some(reason.clone());
        let crashes = u32::try_from(agent.crashes.len()).unwrap_or(u32::MAX);
        // Whoever waits for its one task is told at once, not after the last of many tries.
        let hopeless = agent.errand().is_some() && (crash == Crash::Unborn || crashes >= quarantine);
        let is_over = hopeless || agent.wish == Wish::End;
        let policy = if is_over { RestartPolicy::Never } else { agent.spec.restart };
        (agent.owner, agent.incarnation, policy, crashes)
    }) else {
        return;
    };
    let kind = EventKind::AgentCrashed { agent: id, incarnation, reason };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    match policy {
        RestartPolicy::Never => terminate::end(state, out, turn, Actor::Daemon, id, Cause::Policy),
        RestartPolicy::OnFailure | RestartPolicy::Always => {
            restart_after(state, out, turn, id, crash, crashes);
        }
    }
}

fn restart_after(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, crash: Crash, crashes: u32) {
    if crash == Crash::Reboot || crashes <= 1 {
        begin_incarnation(state, out, turn, id, Actor::Daemon);
        return;
    }
    let Some(owner) = state.agent(id).map(|agent| agent.owner) else { return };
    if crashes >= state.config.quarantine_crashes {
        state.alter_agent(out, id, |agent| agent.life = AgentLife::Quarantined { since: turn.now });
        let kind = EventKind::AgentQuarantined { agent: id, crashes };
        state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
        return;
    }
    let wait = backoff(
        state.config.restart_base,
        state.config.restart_max,
        crashes - 2,
        turn.draw(id.salt() ^ u64::from(crashes)),
    );
    let until = turn.now.plus(wait);
    state.alter_agent(out, id, |agent| agent.life = AgentLife::Backoff { since: turn.now, until });
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::AgentBackedOff { agent: id, until });
}

/// Exponential backoff of which the upper half is jitter, so that agents that died together do not
/// come back together, and none comes back at once.
fn backoff(base: Millis, max: Millis, doublings: u32, draw: u64) -> Millis {
    let full = base.0.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(max.0);
    Millis(full / 2 + draw % (full / 2 + 1))
}
