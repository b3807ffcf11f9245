//! `agent resume`: a paused agent goes on where it stood.
//!
//! Not for: `agent restart`, which begins anew.

use crate::agent::life::rest_as_wished;
use crate::agent::{AgentLife, Wish};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::{Actor, Caller};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{TaskState, answer};

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    agent: &str,
) -> Result<Done, Reject> {
    let found = super::manage(state, caller, agent, "resuming agents")?;
    let id = found.id;
    let life = match found.life.clone() {
        AgentLife::Paused { work: Some(work), .. } | AgentLife::Draining { work, .. } => {
            answer::life_with(state, work, turn)
        }
        AgentLife::Paused { work: None, .. } => AgentLife::Idle { since: turn.now },
        life @ (AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. }) => return Err(super::wrong_state(id, &life, "resumed")),
    };
    state.alter_agent(out, id, |agent| agent.wish = Wish::Run);
    go_on(state, out, turn, caller.actor(), id, life);
    Ok(Done::Agent(id))
}

/// Lets an agent go on that stood still for a run; towards what else is wished of it.
pub(crate) fn thaw(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId) {
    let Some(agent) = state.agent(id) else { return };
    let AgentLife::Paused { work, .. } = agent.life else { return };
    let wish = agent.wish;
    match work {
        Some(work) => {
            go_on(state, out, turn, actor, id, answer::life_with(state, work, turn));
            if wish != Wish::Run {
                let life = AgentLife::Draining { since: turn.now, work };
                state.alter_agent(out, id, |agent| agent.life = life);
            }
        }
        None => {
            go_on(state, out, turn, actor, id, AgentLife::Idle { since: turn.now });
            rest_as_wished(state, out, turn, id, wish);
        }
    }
}

fn go_on(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId, life: AgentLife) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, incarnation, idle) = (agent.owner, agent.incarnation, agent.spec.idle_timeout);
    if let AgentLife::Busy { work, .. } = &life {
        state.alter_task(out, work.task, |task| {
            if let TaskState::Active(active) = &mut task.state {
                let timeouts = task.spec.timeouts.or_idle(idle);
                active.clock = active.clock.tick(turn.now).look_again(timeouts, turn.now);
            }
        });
    }
    state.alter_agent(out, id, |agent| agent.life = life);
    state.tell(out, turn.now, actor, Some(owner), EventKind::AgentResumed { agent: id });
    out.order(Effect::Thaw { agent: id, incarnation });
}
