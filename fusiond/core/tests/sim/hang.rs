//! When nothing moves any more: every accepted task has ended, or `why` names a reason that holds.
//!
//! Not for: how the world came to rest (`life`).

use crate::world::World;
use fusion_core::explain::explain_task;
use fusion_core::workspace::quota::Excess;
use fusion_core::{Agent, AgentLife, Task, TaskId, TaskState};

/// Checks all accepted tasks.
pub(crate) fn check(world: &World) -> Result<(), String> {
    world.store.compare(&world.state)?;
    world.history.missed(&world.store)?;
    for (id, ended) in world.history.tasks() {
        let task = world.store.task(id).ok_or_else(|| format!("{id} was accepted and is gone"))?;
        if task.state.ended_at().is_some() != ended {
            return Err(format!("{id} is {}, and the events tell otherwise", task.state.word()));
        }
        if !ended {
            excuse(world, id).map_err(|broken| format!("{id} hangs as {}: {broken}", task.state.word()))?;
        }
    }
    if let Some(agent) = world.state.agents().find(|agent| agent.is_terminated()) {
        return Err(format!("the leftovers of {} stay for ever", agent.id));
    }
    if let Some(who) = world.shims.alive.keys().find(|who| !wanted(world, **who)) {
        return Err(format!("shim {} of {} lives on for nobody", who.1, who.0));
    }
    Ok(())
}

fn wanted(world: &World, who: crate::shim::Who) -> bool {
    world.state.agent(who.0).is_some_and(|agent| agent.incarnation == who.1 && agent.life.wants_shim())
}

/// A reason that is true, or an error.
fn excuse(world: &World, id: TaskId) -> Result<(), String> {
    let task = world.state.task(id).ok_or("it is not in memory")?;
    let explanation = explain_task(&world.state, id, world.now).ok_or("why does not know it")?;
    let codes: Vec<&str> = explanation.reasons.iter().map(|reason| reason.code).collect();
    match &task.state {
        TaskState::Lost { .. } => Ok(()),
        TaskState::Held(_) if codes.contains(&"held") => Ok(()),
        TaskState::Blocked { on } => {
            let unended =
                |id: &TaskId| world.state.task(*id).is_some_and(|task| task.state.ended_at().is_none());
            if on.iter().all(unended) { Ok(()) } else { Err("nothing blocks it".to_owned()) }
        }
        TaskState::Queued { .. } => excuse_queued(world, task, &codes),
        TaskState::Active(_) => {
            let lease = task.lease().ok_or("active without a lease")?;
            let agent = world.state.agent(lease.agent).ok_or("leased to nobody")?;
            let paused = matches!(agent.life, AgentLife::Paused { .. }) && codes.contains(&"paused");
            let asks = task.open_question().is_some_and(|question| question.expires_at.is_none());
            let asks = asks && codes.contains(&"question");
            if paused || asks { Ok(()) } else { Err(explanation.summary) }
        }
        TaskState::Deferred { .. }
        | TaskState::Held(_)
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => Err(explanation.summary),
    }
}

fn excuse_queued(world: &World, task: &Task, codes: &[&str]) -> Result<(), String> {
    let able = |agent: &&Agent| {
        agent.owner == task.owner
            && agent.errand().is_none_or(|errand| errand == task.id)
            && !agent.is_terminated()
            && task.spec.target.is_none_or(|target| target == agent.id)
            && task.spec.capabilities.missing_from(&agent.spec.capabilities).is_empty()
    };
    let fitting: Vec<&Agent> = world.state.agents().filter(able).collect();
    let asks = |agent: &Agent| {
        let work = agent.life.work().and_then(|work| world.state.task(work.task));
        work.is_some_and(|task| task.open_question().is_some())
    };
    let stuck = |agent: &&Agent| {
        let full = matches!(agent.excess(), Some(Excess::Over { .. } | Excess::Hidden { .. }));
        let full = full && matches!(agent.life, AgentLife::Idle { .. });
        full || matches!(agent.life, AgentLife::Paused { .. } | AgentLife::Quarantined { .. }) || asks(agent)
    };
    let pools_stand = || world.state.check_supplied().is_ok();
    // Frozen attempts and those that wait for a person keep their slots.
    let slots_stand = || {
        let frozen = world.state.agents().filter(|agent| stuck(agent) && agent.life.work().is_some());
        let max = world.state.config.running_max as usize;
        max > 0 && frozen.count() >= max
    };
    let holds = match codes {
        ["pool_waiting"] => fitting.is_empty() && slots_stand(),
        ["agents_busy" | "disk_quota", "pool_waiting"] => {
            !fitting.is_empty() && fitting.iter().all(stuck) && slots_stand()
        }
        ["pool_full" | "pool_failing" | "agent_limit" | "user_agent_limit"] => {
            fitting.is_empty() && pools_stand()
        }
        ["agents_busy" | "disk_quota", "pool_full" | "pool_failing" | "agent_limit" | "user_agent_limit"] => {
            !fitting.is_empty() && fitting.iter().all(stuck) && pools_stand()
        }
        ["no_agent" | "capabilities" | "agent"] => fitting.is_empty(),
        ["concurrency_key"] => {
            let same = |other: &Task| {
                other.owner == task.owner && other.spec.concurrency_key == task.spec.concurrency_key
            };
            let is_frozen = |other: &Task| {
                let agent = other.lease().and_then(|lease| world.state.agent(lease.agent));
                agent.is_some_and(|agent| matches!(agent.life, AgentLife::Paused { .. }))
            };
            let mut active = world.state.tasks().filter(|other| same(other) && other.lease().is_some());
            active.any(is_frozen)
        }
        ["agents_busy" | "disk_quota"] => !fitting.is_empty() && fitting.iter().all(stuck),
        ["slots"] => slots_stand(),
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("why says {codes:?}")) }
}
