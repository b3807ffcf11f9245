//! `agent restart`: ends the incarnation and starts the next one; lifts a quarantine.
//!
//! Not for: restarts by policy (`life`).

use crate::agent::{AfterStop, AgentLife, Wish};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::StopWhy;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    agent: &str,
) -> Result<Done, Reject> {
    let found = super::manage(state, caller, agent, "restarting agents")?;
    let (id, life) = (found.id, found.life.clone());
    let grace = state.config.grace;
    match life {
        AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } => {
            state.alter_agent(out, id, |agent| {
                agent.crashes.clear();
                agent.wish = Wish::Run;
            });
            super::life::begin_incarnation(state, out, turn, id, caller.actor());
        }
        AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Starting { .. }
        | AgentLife::Seeding { .. } => {
            state.alter_agent(out, id, |agent| {
                agent.crashes.clear();
                agent.wish = Wish::Run;
            });
            super::terminate::stop_tree(
                state,
                out,
                turn,
                caller.actor(),
                id,
                AfterStop::Restart,
                grace,
                StopWhy::Restarted,
            );
        }
        AgentLife::Stopping { then: AfterStop::Restart, .. } => {}
        life @ (AgentLife::Stopping { .. } | AgentLife::Terminated { .. }) => {
            return Err(super::wrong_state(id, &life, "restarted"));
        }
    }
    Ok(Done::Agent(id))
}
