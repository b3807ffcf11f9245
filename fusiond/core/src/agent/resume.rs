//! `agent resume`: a paused agent goes on where it stood.
//!
//! Not for: `agent restart`, which begins anew.

use crate::agent::{AgentLife, Wish};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::input::Caller;
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
    let (id, owner, incarnation) = (found.id, found.owner, found.incarnation);
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
    let idle = found.spec.idle_timeout;
    if let AgentLife::Busy { work, .. } = &life {
        state.alter_task(out, work.task, |task| {
            if let TaskState::Active(active) = &mut task.state {
                let timeouts = task.spec.timeouts.or_idle(idle);
                active.clock = active.clock.tick(turn.now).look_again(timeouts, turn.now);
            }
        });
    }
    state.alter_agent(out, id, |agent| {
        agent.wish = Wish::Run;
        agent.life = life;
    });
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::AgentResumed { agent: id });
    out.order(Effect::Thaw { agent: id, incarnation });
    Ok(Done::Agent(id))
}
