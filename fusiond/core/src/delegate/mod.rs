//! Which task goes to which agent, and when. Deterministic, and nothing scans.
//!
//! Order: fair share between users over the global slots (fewest running attempts, then the longest
//! not served), then priority, then age. An agent fits when it belongs to the task's owner and has
//! every capability that the task asks for; of those that fit, the longest idle gets it.
//!
//! Not for: telling why nothing fits (`explain`), which asks the functions here.

use crate::agent::{Agent, AgentLife, Work};
use crate::effect::Effect;
use crate::ids::{AgentId, TaskId, Uid};
use crate::index::{Lanes, Place, UserIndex};
use crate::input::Intake;
use crate::secret;
use crate::state::{Key, State};
use crate::step::{Out, Turn};
use crate::task::{Active, Attempt, Clock, Lease, Phase, Task, TaskState};

/// Gives work to idle agents until nothing more fits.
pub(crate) fn dispatch(state: &mut State, out: &mut Out, turn: Turn) {
    if state.meta.intake == Intake::Closed {
        return;
    }
    while has_slot(state) {
        let Some(uid) = choose_user(state) else { return };
        match choose_match(state, uid) {
            Some((task, agent)) => lease(state, out, turn, task, agent),
            None => {
                state.ready.remove(&uid);
            }
        }
    }
}

/// Whether one more attempt may run.
pub(crate) fn has_slot(state: &State) -> bool {
    state.config.running_max == 0 || state.index.running < state.config.running_max
}

fn choose_user(state: &State) -> Option<Uid> {
    let running = |uid: &Uid| state.index.users.get(uid).map_or(0, |user| user.running);
    let served = |uid: &Uid| state.served.get(uid).copied().unwrap_or(0);
    state.ready.iter().min_by_key(|uid| (running(uid), served(uid))).copied()
}

/// The best queued task of a user for which an agent is free, and that agent.
pub(crate) fn choose_match(state: &State, uid: Uid) -> Option<(TaskId, AgentId)> {
    let user = state.index.users.get(&uid)?;
    let open = best_open(state, user);
    let aimed = best_of_aimed(state, user);
    let best = match (open, aimed) {
        (Some(open), Some(aimed)) => open.min(aimed),
        (open, aimed) => open.or(aimed)?,
    };
    Some((best.0.1, best.1))
}

fn best_open(state: &State, user: &UserIndex) -> Option<(Place, AgentId)> {
    if user.idle.is_empty() {
        return None;
    }
    heads(&user.open)
        .filter_map(|(place, wanted)| {
            let takes = |id| offers(state, id, wanted) && is_open(state, id);
            let fitting = user.idle.iter().find(|(_, id)| takes(*id))?;
            Some((place, fitting.1))
        })
        .min_by_key(|(place, _)| *place)
}

fn best_of_aimed(state: &State, user: &UserIndex) -> Option<(Place, AgentId)> {
    if user.aimed.len() < user.idle.len() {
        let free = |id: &&AgentId| state.agent(**id).is_some_and(|agent| state.is_free(agent));
        return user.aimed.keys().filter(free).filter_map(|id| best_aimed(state, user, *id)).min();
    }
    user.idle.iter().filter_map(|(_, id)| best_aimed(state, user, *id)).min()
}

fn best_aimed(state: &State, user: &UserIndex, agent: AgentId) -> Option<(Place, AgentId)> {
    let lanes = user.aimed.get(&agent)?;
    let place =
        heads(lanes).filter(|(_, wanted)| offers(state, agent, wanted)).map(|(place, _)| place).min()?;
    Some((place, agent))
}

fn heads(lanes: &Lanes) -> impl Iterator<Item = (Place, &crate::ids::Capabilities)> {
    lanes.iter().filter_map(|(wanted, lane)| Some((*lane.first()?, wanted)))
}

fn offers(state: &State, agent: AgentId, wanted: &crate::ids::Capabilities) -> bool {
    state.agent(agent).is_some_and(|agent| state.is_free(agent) && wanted.within(&agent.spec.capabilities))
}

/// Whether an agent takes tasks that do not name it: not one that was made for a single task.
fn is_open(state: &State, agent: AgentId) -> bool {
    state.agent(agent).is_some_and(|agent| agent.errand().is_none())
}

/// Whether an agent could ever take a task: owner, target and capabilities.
pub(crate) fn fits(agent: &Agent, task: &Task) -> bool {
    agent.owner == task.owner
        && agent.errand().is_none_or(|errand| errand == task.id)
        && task.spec.target.is_none_or(|target| target == agent.id)
        && task.spec.capabilities.within(&agent.spec.capabilities)
}

/// Leases the task to the agent: the next attempt, fenced by incarnation and serial.
fn lease(state: &mut State, out: &mut Out, turn: Turn, task: TaskId, agent: AgentId) {
    let Some((uid, lease, sandbox)) = state.alter_agent(out, agent, |agent| {
        let serial = agent.next_serial;
        agent.next_serial += 1;
        agent.life = AgentLife::Busy { since: turn.now, work: Work { task, serial } };
        agent.forget_count();
        let lease = Lease { agent: agent.id, incarnation: agent.incarnation, serial };
        (agent.owner, lease, agent.spec.recipe.sandbox.as_str().into())
    }) else {
        return;
    };
    let number = state.alter_task(out, task, |task| {
        let number = u32::try_from(task.attempts.len()).unwrap_or(u32::MAX - 1) + 1;
        task.attempts.push(Attempt {
            number,
            lease,
            sandbox,
            dispatched_at: turn.now,
            started_at: None,
            ending: None,
        });
        task.state = TaskState::Active(Active {
            phase: Phase::Dispatched,
            clock: Clock::Unset,
            stop: None,
            question: None,
        });
        number
    });
    let Some(number) = number else { return };
    out.touch(Key::Attempt(task, number));
    state.turns += 1;
    state.served.insert(uid, state.turns);
    secret::give(state, out, task, agent);
    out.order(Effect::Start { agent, incarnation: lease.incarnation, serial: lease.serial, task, number });
}
