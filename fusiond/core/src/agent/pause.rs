//! `agent pause [--drain]`: the whole tree stands still, at once or when the running task has ended.
//!
//! Not for: `system drain`, which concerns the intake of all agents.

use crate::agent::{AgentLife, Freeze, Wish, Work};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::{AgentId, RunId};
use crate::input::{Actor, Caller, PauseHow};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::TaskState;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    agent: &str,
    how: PauseHow,
) -> Result<Done, Reject> {
    let found = super::manage(state, caller, agent, "pausing agents")?;
    let (id, owner, life) = (found.id, found.owner, found.life.clone());
    match (life, how) {
        (AgentLife::Idle { .. }, PauseHow::Freeze | PauseHow::Drain) => {
            state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::AgentPausing { agent: id });
            freeze(state, out, turn, id, None);
        }
        (
            AgentLife::Busy { work, .. } | AgentLife::Waiting { work, .. } | AgentLife::Draining { work, .. },
            PauseHow::Freeze,
        ) => {
            state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::AgentPausing { agent: id });
            freeze(state, out, turn, id, Some(work));
        }
        (AgentLife::Busy { work, .. } | AgentLife::Waiting { work, .. }, PauseHow::Drain) => {
            state.alter_agent(out, id, |agent| {
                agent.wish = Wish::Pause;
                agent.life = AgentLife::Draining { since: turn.now, work };
            });
            state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::AgentDraining { agent: id });
        }
        (AgentLife::Draining { .. }, PauseHow::Drain) => {}
        // It stays so when the run for which it stands still goes on.
        (AgentLife::Paused { .. }, PauseHow::Freeze | PauseHow::Drain) => {
            state.alter_agent(out, id, |agent| (agent.wish, agent.frozen_for) = (Wish::Pause, None));
        }
        (
            life @ (AgentLife::Starting { .. }
            | AgentLife::Seeding { .. }
            | AgentLife::Backoff { .. }
            | AgentLife::Quarantined { .. }
            | AgentLife::Stopping { .. }
            | AgentLife::Terminated { .. }),
            PauseHow::Freeze | PauseHow::Drain,
        ) => return Err(super::wrong_state(id, &life, "paused")),
    }
    Ok(Done::Agent(id))
}

/// Orders the freeze and stops the clocks of the frozen attempt.
pub(crate) fn freeze(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, work: Option<Work>) {
    state.alter_agent(out, id, |agent| agent.wish = Wish::Pause);
    stand(state, out, turn, id, work, None);
}

/// The same without the wish that it stays so: for a run.
pub(crate) fn stand(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    work: Option<Work>,
    run: Option<RunId>,
) {
    let ordered = state.alter_agent(out, id, |agent| {
        agent.life = AgentLife::Paused { since: turn.now, freeze: Freeze::Asked, work };
        agent.frozen_for = run;
        agent.incarnation
    });
    if let Some(work) = work {
        state.alter_task(out, work.task, |task| {
            if let TaskState::Active(active) = &mut task.state {
                active.clock = active.clock.stand(turn.now);
            }
        });
    }
    if let Some(incarnation) = ordered {
        out.order(Effect::Freeze { agent: id, incarnation });
    }
}

/// The tree is known to stand still.
pub(crate) fn frozen(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, incarnation: u32) {
    let Some(agent) = state.agent(id) else { return };
    let AgentLife::Paused { since, freeze: Freeze::Asked, work } = agent.life else { return };
    if agent.incarnation != incarnation {
        return;
    }
    let owner = agent.owner;
    state.alter_agent(out, id, |agent| {
        agent.life = AgentLife::Paused { since, freeze: Freeze::Done, work };
    });
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::AgentPaused { agent: id });
}
