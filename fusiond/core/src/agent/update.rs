//! `agent update`: changes what can be changed of a living agent. What concerns processes reaches the
//! next attempt, limits also the running one.
//!
//! Not for: what an agent is made of (profile, command, sandbox, workspace), which is its identity.

use crate::agent::{AgentLimits, RestartPolicy, spawn};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::Capabilities;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::time::Millis;

/// What is to be changed; absent: left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentChange {
    /// A new name.
    pub name: Option<String>,
    /// All that it can do.
    pub capabilities: Option<Capabilities>,
    /// When a dead shim is started again.
    pub restart: Option<RestartPolicy>,
    /// The idle timeout of its tasks; zero: none.
    pub idle_timeout: Option<Millis>,
    /// Limits of its tree.
    pub limits: LimitsChange,
    /// How much its workspace may take on the disk.
    pub disk_bytes: Change,
    /// Variables with their new values; `None` takes one away.
    pub env: Vec<(String, Option<String>)>,
}

/// What becomes of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It stays.
    #[default]
    Kept,
    /// There is none any more.
    Gone,
    /// This is the new one.
    To(u64),
}

/// What becomes of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// Bytes.
    pub memory_bytes: Change,
    /// Thousandths of one core.
    pub cpu_millis: Change,
    /// Processes and threads.
    pub pids: Change,
    /// Bytes a second from the disk.
    pub io_read_bytes: Change,
    /// Bytes a second to it.
    pub io_write_bytes: Change,
}

impl Change {
    fn applied_to(self, present: Option<u64>) -> Option<u64> {
        match self {
            Self::Kept => present,
            Self::Gone => None,
            Self::To(value) => Some(value),
        }
    }
}

impl LimitsChange {
    /// The limits after the change.
    #[must_use]
    pub fn applied_to(self, present: AgentLimits) -> AgentLimits {
        let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        AgentLimits {
            memory_bytes: self.memory_bytes.applied_to(present.memory_bytes),
            cpu_millis: small(self.cpu_millis.applied_to(present.cpu_millis.map(u64::from))),
            pids: small(self.pids.applied_to(present.pids.map(u64::from))),
            io_read_bytes: self.io_read_bytes.applied_to(present.io_read_bytes),
            io_write_bytes: self.io_write_bytes.applied_to(present.io_write_bytes),
        }
    }
}

impl AgentChange {
    /// What it changes, in words.
    fn words(&self) -> String {
        let named = [
            ("name", self.name.is_some()),
            ("capabilities", self.capabilities.is_some()),
            ("restart", self.restart.is_some()),
            ("idle timeout", self.idle_timeout.is_some()),
            ("limits", self.limits != LimitsChange::default()),
            ("disk limit", self.disk_bytes != Change::Kept),
            ("environment", !self.env.is_empty()),
        ];
        let changed: Vec<&str> = named.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect();
        changed.join(", ")
    }
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    agent: &str,
    change: AgentChange,
) -> Result<Done, Reject> {
    let found = super::manage(state, caller, agent, "changing agents")?;
    let (id, owner) = (found.id, found.owner);
    if found.is_ending() {
        return Err(super::wrong_state(id, &found.life, "changed"));
    }
    if let Some(name) = change.name.as_ref().filter(|name| **name != found.spec.name) {
        spawn::check_name(state, owner, name)?;
    }
    if let Some(capabilities) = &change.capabilities {
        spawn::check_capabilities(capabilities)?;
    }
    let what = change.words();
    let fresh = state.alter_agent(out, id, |agent| {
        if change.disk_bytes != Change::Kept {
            agent.forget_count();
        }
        apply(&mut agent.spec, change);
        agent.life.wants_shim().then_some(agent.incarnation)
    });
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::AgentUpdated { agent: id, what });
    if let Some(Some(incarnation)) = fresh {
        out.order(Effect::Refresh { agent: id, incarnation });
    }
    Ok(Done::Agent(id))
}

fn apply(spec: &mut super::AgentSpec, change: AgentChange) {
    let AgentChange { name, capabilities, restart, idle_timeout, limits, disk_bytes, env } = change;
    if let Some(name) = name {
        spec.name = name;
    }
    if let Some(capabilities) = capabilities {
        spec.capabilities = capabilities.of_profile(&spec.profile);
    }
    if let Some(restart) = restart {
        spec.restart = restart;
    }
    if let Some(span) = idle_timeout {
        spec.idle_timeout = (span.0 > 0).then_some(span);
    }
    spec.limits = limits.applied_to(spec.limits);
    spec.disk_bytes = disk_bytes.applied_to(spec.disk_bytes);
    for (name, value) in env {
        spec.recipe.env.retain(|(known, _)| *known != name);
        spec.recipe.env.extend(value.map(|value| (name, value)));
    }
}
