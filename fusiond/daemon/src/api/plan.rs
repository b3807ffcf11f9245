//! From words of a request to what an agent is made of: checks sizes and texts of each by itself.
//!
//! Not for: rules; `fusion_core::agent` knows those.

use super::millis;
use crate::profile::Profile;
use fusion_core::Reject;
use fusion_core::agent::update::{Change, LimitsChange};
use fusion_core::agent::{AgentChange, AgentLimits, RestartPolicy};
use fusion_proto::v1;

/// The longest environment of one agent or task, names and values.
pub(crate) const ENV_BYTES_MAX: usize = 64 << 10;

/// Slower than this a disk is of no use: not even a program can be read to start it.
const IO_BYTES_MIN: u64 = 64 << 10;

pub(super) fn plan_command(profile: &Profile, command: &[String]) -> Result<Vec<String>, Reject> {
    if let Some(place) = command.iter().position(|arg| arg.contains('\0')) {
        return Err(Reject::NulByte { what: format!("argument {place} of the command") });
    }
    let bytes: usize = command.iter().map(String::len).sum();
    if bytes > super::submit::COMMAND_BYTES_MAX {
        let limit = super::submit::COMMAND_BYTES_MAX;
        return Err(Reject::TooLarge { what: "the command", bytes, limit });
    }
    match (profile.command.is_empty(), command.is_empty()) {
        (true, true) => Err(Reject::CommandMissing { profile: profile.name.clone() }),
        (true, false) => Ok(command.to_vec()),
        (false, true) => Ok(profile.command.clone()),
        (false, false) => Err(Reject::CommandUnexpected { profile: profile.name.clone() }),
    }
}

/// Only what is enforced is accepted.
pub(super) fn plan_sandbox(profile: &Profile, asked: &str) -> Result<String, Reject> {
    let sandbox = if asked.is_empty() { profile.sandbox.word() } else { asked };
    match sandbox {
        "user" => Ok(sandbox.to_owned()),
        other => Err(Reject::SandboxUnavailable { sandbox: other.to_owned() }),
    }
}

pub(super) fn plan_limits(asked: Option<v1::AgentLimits>) -> Result<AgentLimits, Reject> {
    let asked = asked.unwrap_or_default();
    let too_small = |field, value: String, expected| Reject::FieldInvalid { field, value, expected };
    match asked {
        v1::AgentLimits { memory_bytes: Some(bytes), .. } if bytes < 1 << 20 => {
            Err(too_small("memory", bytes.to_string(), "at least 1 MiB"))
        }
        v1::AgentLimits { cpu_millis: Some(cpu), .. } if cpu < 10 => {
            Err(too_small("cpu", format!("0.{cpu:03}"), "at least 0.01"))
        }
        v1::AgentLimits { pids: Some(pids), .. } if pids < 2 => {
            Err(too_small("pids", pids.to_string(), "at least 2"))
        }
        v1::AgentLimits { disk_bytes: Some(bytes), .. } if bytes < 1 << 20 => {
            Err(too_small("disk", bytes.to_string(), "at least 1 MiB"))
        }
        v1::AgentLimits { io_read_bytes: Some(rate), .. } if rate < IO_BYTES_MIN => {
            Err(too_small("io_read", rate.to_string(), "at least 64 KiB a second"))
        }
        v1::AgentLimits { io_write_bytes: Some(rate), .. } if rate < IO_BYTES_MIN => {
            Err(too_small("io_write", rate.to_string(), "at least 64 KiB a second"))
        }
        v1::AgentLimits { memory_bytes, cpu_millis, pids, io_read_bytes, io_write_bytes, disk_bytes: _ } => {
            Ok(AgentLimits { memory_bytes, cpu_millis, pids, io_read_bytes, io_write_bytes })
        }
    }
}

pub(super) fn plan_change(ask: v1::UpdateAgentRequest) -> Result<AgentChange, Reject> {
    let disk_bytes = ask.limits.and_then(|limits| limits.disk_bytes);
    let limits = plan_limits(ask.limits)?;
    let gone = ask.no_limits;
    let change = |name: &str, value: Option<u64>| match value {
        Some(value) => Change::To(value),
        None if gone.iter().any(|gone| gone == name) => Change::Gone,
        None => Change::Kept,
    };
    let limits = LimitsChange {
        memory_bytes: change("memory", limits.memory_bytes),
        cpu_millis: change("cpu", limits.cpu_millis.map(u64::from)),
        pids: change("pids", limits.pids.map(u64::from)),
        io_read_bytes: change("io-read", limits.io_read_bytes),
        io_write_bytes: change("io-write", limits.io_write_bytes),
    };
    let set = check_env(ask.env)?.into_iter().map(|(name, value)| (name, Some(value)));
    let unset = ask.unset_env.into_iter().map(|name| (name, None));
    let restart = v1::RestartPolicy::try_from(ask.restart).unwrap_or_default();
    Ok(AgentChange {
        name: ask.name,
        capabilities: ask.set_capabilities.then(|| ask.capabilities.into_iter().collect()),
        restart: (restart != v1::RestartPolicy::Unspecified).then(|| plan_restart(ask.restart)),
        idle_timeout: millis("idle_timeout", ask.idle_timeout)?,
        limits,
        disk_bytes: change("disk", disk_bytes),
        env: set.chain(unset).collect(),
    })
}

pub(super) fn plan_restart(asked: i32) -> RestartPolicy {
    match v1::RestartPolicy::try_from(asked).unwrap_or_default() {
        v1::RestartPolicy::Never => RestartPolicy::Never,
        v1::RestartPolicy::Always => RestartPolicy::Always,
        v1::RestartPolicy::OnFailure | v1::RestartPolicy::Unspecified => RestartPolicy::OnFailure,
    }
}

/// Names and values that an environment may hold; sorted by name.
pub(crate) fn check_env(
    env: std::collections::HashMap<String, String>,
) -> Result<Vec<(String, String)>, Reject> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > ENV_BYTES_MAX {
        return Err(Reject::TooLarge { what: "the environment", bytes, limit: ENV_BYTES_MAX });
    }
    let mut env: Vec<(String, String)> = env.into_iter().collect();
    env.sort();
    for (name, value) in &env {
        let invalid =
            name.is_empty() || name.contains('=') || name.contains('\0') || name.starts_with("FUSION_");
        if invalid {
            return Err(Reject::FieldInvalid {
                field: "env",
                value: name.chars().take(64).collect(),
                expected: "a name without '=' that does not begin with FUSION_",
            });
        }
        if value.contains('\0') {
            return Err(Reject::NulByte { what: format!("the value of {name}") });
        }
    }
    Ok(env)
}
