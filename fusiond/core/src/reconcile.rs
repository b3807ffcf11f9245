//! At boot: what is wanted against what is seen. Nothing is known of the world yet, so every agent
//! that should have a shim is looked for, and every unfinished order is let out again.
//!
//! Not for: what the look finds; that comes back as outcomes (`agent::life`).

use crate::agent::{AfterStop, Agent, AgentLife};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::input::Actor;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};
use crate::workflow::drive;
use crate::workspace::quota;

pub(crate) fn boot(state: &mut State, out: &mut Out, turn: Turn, epoch: u64) -> Done {
    state.meta.epoch = epoch;
    out.touch(Key::Meta);
    state.tell(out, turn.now, Actor::Daemon, None, EventKind::DaemonStarted { epoch });
    resume_rest(state, out);
    drive::boot(state, out, turn);
    quota::resume(state, out);
    let plan = plan_agents(state);
    let sought = plan.iter().filter_map(|effect| match effect {
        Effect::Adopt { agent, incarnation } => Some((*agent, *incarnation)),
        Effect::Launch { .. }
        | Effect::Start { .. }
        | Effect::Seed { .. }
        | Effect::Stop { .. }
        | Effect::Ack { .. }
        | Effect::Freeze { .. }
        | Effect::Thaw { .. }
        | Effect::Observe { .. }
        | Effect::Refresh { .. }
        | Effect::StopShim { .. }
        | Effect::Measure { .. }
        | Effect::RemoveWorkspace { .. } => None,
    });
    state.unseen = sought.collect();
    out.effects.extend(plan);
    state.ready_all();
    Done::Daemon
}

/// Agents whose rest until the next start of the daemon was still being prepared: this is that start.
fn resume_rest(state: &mut State, out: &mut Out) {
    let resting = |agent: &&Agent| matches!(agent.life, AgentLife::Stopping { then: AfterStop::Rest, .. });
    let ids: Vec<_> = state.agents().filter(resting).map(|agent| agent.id).collect();
    for id in ids {
        state.alter_agent(out, id, |agent| {
            if let AgentLife::Stopping { then, .. } = &mut agent.life {
                *then = AfterStop::Restart;
            }
        });
    }
}

/// The order that brings each agent's world to what is wanted.
#[must_use]
pub fn plan_agents(state: &State) -> Vec<Effect> {
    state.agents().filter_map(plan_agent).collect()
}

fn plan_agent(agent: &Agent) -> Option<Effect> {
    let (id, incarnation) = (agent.id, agent.incarnation);
    match agent.life {
        AgentLife::Starting { .. } => Some(Effect::Launch { agent: id, incarnation }),
        AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Stopping { .. } => Some(Effect::Adopt { agent: id, incarnation }),
        AgentLife::Terminated { leftovers, .. } => {
            leftovers.removal().map(|what| Effect::RemoveWorkspace { agent: id, what })
        }
        AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } => None,
    }
}
