//! From effects to orders: adds what the hands need and only the engine knows.
//!
//! Not for: deciding; one effect becomes one order, or the outcome that it is impossible.

use crate::runtime::{Order, Setup, TaskInput};
use fusion_core::task::{Exit, ExitKind};
use fusion_core::{AgentId, Effect, Millis, Outcome, State, TaskId, Time};
use std::sync::Arc;

/// Orders, and the outcomes of effects that cannot be ordered.
#[derive(Default)]
pub(crate) struct Planned {
    pub(crate) orders: Vec<Order>,
    pub(crate) impossible: Vec<Outcome>,
}

/// Plans all effects of a turn, in order.
pub(crate) fn plan(
    state: &State,
    effects: &[Effect],
    mut input: impl FnMut(TaskId) -> Option<TaskInput>,
) -> Planned {
    let mut planned = Planned::default();
    for effect in effects {
        plan_one(state, effect, &mut input, &mut planned);
    }
    planned
}

fn plan_one(
    state: &State,
    effect: &Effect,
    input: &mut impl FnMut(TaskId) -> Option<TaskInput>,
    planned: &mut Planned,
) {
    let order = match *effect {
        Effect::Launch { agent, incarnation } => {
            setup(state, agent, incarnation).map(|setup| Order::Launch { setup })
        }
        Effect::Adopt { agent, incarnation } => {
            setup(state, agent, incarnation).map(|setup| Order::Adopt { setup })
        }
        Effect::Start { agent, incarnation, serial, task, number } => match input(task) {
            Some(input) => {
                Some(Order::Start { agent, incarnation, serial, task, number, input: Arc::new(input) })
            }
            None => {
                planned.impossible.push(unreadable(state, agent, incarnation, serial));
                None
            }
        },
        Effect::Stop { agent, incarnation, serial, grace, why } => {
            Some(Order::Stop { agent, incarnation, serial, grace, why })
        }
        Effect::Ack { agent, incarnation, serial } => Some(Order::Ack { agent, incarnation, serial }),
        Effect::Freeze { agent, incarnation } => Some(Order::Freeze { agent, incarnation }),
        Effect::Thaw { agent, incarnation } => Some(Order::Thaw { agent, incarnation }),
        Effect::Observe { agent, incarnation } => Some(Order::Observe { agent, incarnation }),
        Effect::StopShim { agent, incarnation, grace } => Some(Order::StopShim { agent, incarnation, grace }),
        Effect::RemoveWorkspace { agent, what } => {
            let incarnation = state.agent(agent).map_or(0, |agent| agent.incarnation);
            setup(state, agent, incarnation).map(|setup| Order::RemoveWorkspace { setup, what })
        }
    };
    planned.orders.extend(order);
}

/// `None` when a later effect of the same turn went beyond this incarnation.
fn setup(state: &State, agent: AgentId, incarnation: u32) -> Option<Arc<Setup>> {
    let agent = state.agent(agent).filter(|agent| agent.incarnation == incarnation)?;
    Some(Arc::new(Setup {
        agent: agent.id,
        incarnation,
        nonce: agent.nonce,
        owner: agent.owner,
        name: agent.spec.name.clone(),
        profile: agent.spec.profile.clone(),
        recipe: agent.spec.recipe.clone(),
        limits: agent.spec.limits,
    }))
}

/// The stored input of the task cannot be read back: the attempt ends before it begins.
fn unreadable(state: &State, agent: AgentId, incarnation: u32, serial: u32) -> Outcome {
    let at = state.agent(agent).map_or(Time(0), |agent| agent.life.since());
    let kind = ExitKind::StartFailed {
        stage: "input".to_owned(),
        errno: 0,
        message: "the stored prompt of the task could not be read back".to_owned(),
    };
    let exit = Exit {
        kind,
        stop: None,
        oom_kills: 0,
        started_at: at,
        ended_at: at,
        cpu: Millis(0),
        peak_memory_bytes: 0,
        out_bytes: 0,
        err_bytes: 0,
        dropped_bytes: 0,
        tail: String::new(),
    };
    Outcome::AttemptExited { agent, incarnation, serial, exit }
}
