//! Agents, as the wire shows them.
//!
//! Not for: the sentence that explains a state (`fusion_core::explain`).

use super::timestamp;
use fusion_core::agent::{Agent, AgentLife, AgentSpec, Freeze, RestartPolicy, Stay};
use fusion_core::workspace::quota::Excess;
use fusion_core::{PROFILE_PREFIX, State, Time, explain};
use fusion_proto::v1;

/// The whole agent.
pub(crate) fn agent(state: &State, agent: &Agent, now: Time) -> v1::Agent {
    let recipe = &agent.spec.recipe;
    let limits = agent.spec.limits;
    v1::Agent {
        id: agent.id.to_string(),
        name: agent.spec.name.clone(),
        user: agent.owner.0.to_string(),
        profile: agent.spec.profile.clone(),
        state: life(&agent.life).into(),
        reason: reason(state, agent, now),
        incarnation: agent.incarnation,
        capabilities: capabilities(&agent.spec),
        workspace: recipe.workspace.clone(),
        task: agent.life.work().map(|work| work.task.to_string()),
        restart: restart(agent.spec.restart).into(),
        limits: Some(v1::AgentLimits {
            memory_bytes: limits.memory_bytes,
            cpu_millis: limits.cpu_millis,
            pids: limits.pids,
            disk_bytes: agent.spec.disk_bytes,
            io_read_bytes: limits.io_read_bytes,
            io_write_bytes: limits.io_write_bytes,
        }),
        sandbox: recipe.sandbox.clone(),
        command: recipe.command.clone(),
        create_time: Some(timestamp(agent.created_at)),
        state_time: Some(timestamp(agent.life.since())),
        backend: recipe.backend.clone(),
        tasks_succeeded: agent.succeeded,
        tasks_failed: agent.failed,
        secrets: super::secret::uses(&agent.spec.secrets),
        group: agent.spec.group.clone(),
        stay: match agent.spec.stay {
            Stay::Terminated => String::new(),
            Stay::Task(task) => task.to_string(),
            Stay::Pool => "pool".to_owned(),
        },
        idle_timeout: agent.spec.idle_timeout.map(super::duration),
    }
}

/// Without the one that says its profile again.
fn capabilities(spec: &AgentSpec) -> Vec<String> {
    let is_profile = |name: &str| name.strip_prefix(PROFILE_PREFIX) == Some(&spec.profile);
    spec.capabilities.iter().filter(|name| !is_profile(name)).map(str::to_owned).collect()
}

fn reason(state: &State, agent: &Agent, now: Time) -> String {
    match &agent.life {
        AgentLife::Idle { .. } => match agent.excess() {
            None | Some(Excess::Uncounted) => String::new(),
            Some(excess @ (Excess::Over { .. } | Excess::Hidden { .. })) => excess.words(),
        },
        AgentLife::Busy { .. } => String::new(),
        AgentLife::Terminated { .. } => agent.trouble.clone().unwrap_or_default(),
        AgentLife::Paused { freeze: Freeze::Asked, .. } => "the freeze is under way".to_owned(),
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. } => {
            explain::explain_agent(state, agent.id, now).map_or_else(String::new, |why| why.summary)
        }
    }
}

/// The state's word on the wire.
pub(crate) fn life(life: &AgentLife) -> v1::AgentState {
    match life {
        AgentLife::Starting { .. } | AgentLife::Seeding { .. } => v1::AgentState::Starting,
        AgentLife::Idle { .. } => v1::AgentState::Idle,
        AgentLife::Busy { .. } => v1::AgentState::Busy,
        AgentLife::Waiting { .. } => v1::AgentState::Waiting,
        AgentLife::Draining { .. } => v1::AgentState::Draining,
        AgentLife::Paused { .. } => v1::AgentState::Paused,
        AgentLife::Backoff { .. } => v1::AgentState::Backoff,
        AgentLife::Quarantined { .. } => v1::AgentState::Quarantined,
        AgentLife::Stopping { .. } => v1::AgentState::Stopping,
        AgentLife::Terminated { .. } => v1::AgentState::Terminated,
    }
}

fn restart(policy: RestartPolicy) -> v1::RestartPolicy {
    match policy {
        RestartPolicy::Never => v1::RestartPolicy::Never,
        RestartPolicy::OnFailure => v1::RestartPolicy::OnFailure,
        RestartPolicy::Always => v1::RestartPolicy::Always,
    }
}
