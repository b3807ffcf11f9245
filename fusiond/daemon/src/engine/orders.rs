//! From effects to orders: adds what the hands need and only the engine knows.
//!
//! Not for: deciding; one effect becomes one order, or the outcome that it is impossible.

use crate::runtime::{Order, Setup, TaskInput};
use crate::vault::Value;
use fusion_core::task::{Exit, ExitKind};
use fusion_core::{AgentId, Cost, Effect, Millis, Outcome, State, TaskId, Time};
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
    input: impl Fn(TaskId) -> Option<TaskInput>,
    give: impl Fn(AgentId, TaskId) -> Result<Vec<(String, Value)>, String>,
) -> Planned {
    let mut planned = Planned::default();
    let load = |agent, task| {
        let unreadable = || ("input", "the stored prompt of the task could not be read back".to_owned());
        let input = input(task).ok_or_else(unreadable)?;
        let secrets = give(agent, task).map_err(|missing| ("secret", missing))?;
        Ok((input, secrets))
    };
    for effect in effects {
        plan_one(state, effect, &load, &mut planned);
    }
    planned
}

/// What a start needs, or the stage that failed and why.
type Loaded = Result<(TaskInput, Vec<(String, Value)>), (&'static str, String)>;

fn plan_one(
    state: &State,
    effect: &Effect,
    load: &impl Fn(AgentId, TaskId) -> Loaded,
    planned: &mut Planned,
) {
    let order = match *effect {
        Effect::Launch { agent, incarnation } => {
            setup(state, agent, incarnation).map(|setup| Order::Launch { setup })
        }
        Effect::Adopt { agent, incarnation } => {
            setup(state, agent, incarnation).map(|setup| Order::Adopt { setup })
        }
        Effect::Start { agent, incarnation, serial, task, number } => match load(agent, task) {
            Ok((input, secrets)) => {
                let stdin = state.task(task).map(|task| task.spec.stdin).unwrap_or_default();
                let input = Arc::new(input);
                Some(Order::Start { agent, incarnation, serial, task, number, stdin, input, secrets })
            }
            Err((stage, message)) => {
                planned.impossible.push(impossible(state, agent, incarnation, serial, stage, message));
                None
            }
        },
        Effect::Seed { agent, incarnation, serial } => Some(Order::Seed { agent, incarnation, serial }),
        Effect::Stop { agent, incarnation, serial, grace, why } => {
            Some(Order::Stop { agent, incarnation, serial, grace, why })
        }
        Effect::Ack { agent, incarnation, serial } => Some(Order::Ack { agent, incarnation, serial }),
        Effect::Freeze { agent, incarnation } => Some(Order::Freeze { agent, incarnation }),
        Effect::Thaw { agent, incarnation } => Some(Order::Thaw { agent, incarnation }),
        Effect::Refresh { agent, incarnation } => {
            setup(state, agent, incarnation).map(|setup| Order::Refresh { setup })
        }
        Effect::Observe { agent, incarnation } => Some(Order::Observe { agent, incarnation }),
        Effect::StopShim { agent, incarnation, grace } => Some(Order::StopShim { agent, incarnation, grace }),
        Effect::Measure { agent, incarnation, serial } => {
            setup(state, agent, incarnation).map(|setup| Order::Measure { setup, serial })
        }
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
        seed: agent.spec.seed.clone(),
    }))
}

/// What the attempt needs cannot be had: it ends before it begins.
fn impossible(
    state: &State,
    agent: AgentId,
    incarnation: u32,
    serial: u32,
    stage: &str,
    message: String,
) -> Outcome {
    let at = state.agent(agent).map_or(Time(0), |agent| agent.life.since());
    let kind = ExitKind::StartFailed { stage: stage.to_owned(), errno: 0, message };
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
        cost: Cost::default(),
    };
    Outcome::AttemptExited { agent, incarnation, serial, exit }
}
