//! `agent terminate`: SIGTERM, grace, kill of everything; the running task is queued again.
//!
//! Also `system shutdown --agents stop`. Not for: the removal of the workspace (`workspace`).

use crate::agent::{AfterStop, AgentLife, Cause, Leftovers, Stay, life};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::{AgentId, TaskId};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{Stop, StopWhy, TaskState, run};
use crate::time::Millis;
use std::collections::BTreeMap;

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    agent: &str,
    grace: Millis,
) -> Result<Done, Reject> {
    let id = super::manage(state, caller, agent, "terminating agents")?.id;
    finish(state, out, turn, caller.actor(), id, grace);
    Ok(Done::Agent(id))
}

/// Ends an agent for good, whatever it is doing.
pub(crate) fn finish(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId, grace: Millis) {
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Stopping { .. } => {
            stop_tree(state, out, turn, actor, id, AfterStop::Terminate, grace, StopWhy::Terminated);
        }
        AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } => {
            end(state, out, turn, actor, id, Cause::Asked);
        }
        AgentLife::Terminated { .. } => {}
    }
}

pub(crate) fn decide_all(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    grace: Millis,
) -> Result<Done, Reject> {
    demand_admin(caller, "stopping all agents")?;
    let all: Vec<AgentId> = state.agents().map(|agent| agent.id).collect();
    for id in all {
        stop_one(state, out, turn, caller.actor(), id, grace);
    }
    Ok(Done::Daemon)
}

/// Ends the incarnation of one agent until the next start of the daemon.
fn stop_one(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId, grace: Millis) {
    let Some(agent) = state.agent(id) else { return };
    match agent.life {
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Stopping { then: AfterStop::Restart | AfterStop::Rest, .. } => {
            stop_tree(state, out, turn, actor, id, AfterStop::Rest, grace, StopWhy::Terminated);
        }
        AgentLife::Stopping { then: AfterStop::Terminate, .. } => {
            stop_tree(state, out, turn, actor, id, AfterStop::Terminate, grace, StopWhy::Terminated);
        }
        // Its timer would start a shim while everything else is being ended.
        AgentLife::Backoff { .. } => life::rest(state, out, turn, id),
        AgentLife::Quarantined { .. } | AgentLife::Terminated { .. } => {}
    }
}

/// Refuses everybody but admins.
pub(crate) fn demand_admin(caller: Caller, what: &'static str) -> Result<(), Reject> {
    match caller.rights {
        Rights::Admin => Ok(()),
        Rights::User | Rights::Agent(_) => {
            Err(Reject::NotPermitted { who: caller.actor().to_string(), what })
        }
    }
}

/// Orders the end of the whole tree. Of two orders the earlier kill counts.
#[expect(clippy::too_many_arguments, reason = "each is a different fact about one order")]
pub(crate) fn stop_tree(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    actor: Actor,
    id: AgentId,
    then: AfterStop,
    grace: Millis,
    why: StopWhy,
) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, incarnation, work) = (agent.owner, agent.incarnation, agent.life.work());
    let asked_at = turn.now.plus(grace);
    let (since, kill_at) = match agent.life {
        AgentLife::Stopping { since, kill_at, .. } => (since, kill_at.min(asked_at)),
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Terminated { .. } => (turn.now, asked_at),
    };
    state.alter_agent(out, id, |agent| {
        agent.life = AgentLife::Stopping { since, kill_at, then, work };
    });
    if let Some(work) = work {
        state.alter_task(out, work.task, |task| {
            if let TaskState::Active(active) = &mut task.state {
                active.stop.get_or_insert(Stop { why, kill_at });
            }
        });
    }
    state.tell(out, turn.now, actor, Some(owner), EventKind::AgentStopping { agent: id });
    out.order(Effect::StopShim { agent: id, incarnation, grace: kill_at.since(turn.now) });
}

/// The agent is over; nothing of it runs.
pub(crate) fn end(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId, cause: Cause) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, errand, is_pooled) = (agent.owner, agent.errand(), agent.spec.stay == Stay::Pool);
    state.alter_agent(out, id, |agent| {
        agent.life = AgentLife::Terminated { since: turn.now, cause, leftovers: Leftovers::Kept };
    });
    state.tell(out, turn.now, actor, Some(owner), EventKind::AgentTerminated { agent: id });
    let named = state.index.users.get(&owner).and_then(|user| user.aimed.get(&id)).filter(|_| is_pooled);
    let waiting: Vec<TaskId> =
        named.into_iter().flat_map(BTreeMap::values).flatten().map(|at| at.1).collect();
    for task in errand.into_iter().chain(waiting) {
        run::agent_ended(state, out, turn, actor, id, task);
    }
}
