//! An agent as JSON, as a row and as fields.
//!
//! Not for: tasks; the one it works on is named by its id.

use fusion_proto::v1;
use serde::Serialize;

use super::secret::uses;
use super::word::{age, duration, is_zero, short_id, time, tone, with_age, word};
use crate::output::{Listed, Shown};
use crate::table::Cell;
use crate::units::format_size;

/// An agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) name: String,
    user: String,
    profile: String,
    pub(crate) state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    incarnation: u32,
    capabilities: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    workspace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    restart: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(skip_serializing_if = "String::is_empty")]
    sandbox: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    backend: String,
    #[serde(skip_serializing_if = "is_zero")]
    tasks_succeeded: u64,
    #[serde(skip_serializing_if = "is_zero")]
    tasks_failed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stay: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<String>,
}

/// Upper limits of one agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_millis: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_read_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_write_bytes: Option<u64>,
}

impl Limits {
    fn of(limits: v1::AgentLimits) -> Option<Self> {
        let v1::AgentLimits { memory_bytes, cpu_millis, pids, disk_bytes, io_read_bytes, io_write_bytes } =
            limits;
        let any = limits != v1::AgentLimits::default();
        any.then_some(Self { memory_bytes, cpu_millis, pids, disk_bytes, io_read_bytes, io_write_bytes })
    }

    fn words(&self) -> String {
        let memory = self.memory_bytes.map(|bytes| format!("memory {}", format_size(bytes)));
        let cpu = self.cpu_millis.map(|millis| format!("{} CPUs", f64::from(millis) / 1000.0));
        let pids = self.pids.map(|pids| format!("{pids} processes"));
        let disk = self.disk_bytes.map(|bytes| format!("disk {}", format_size(bytes)));
        let rate = |word, bytes: Option<u64>| bytes.map(|bytes| format!("{word} {}/s", format_size(bytes)));
        let (read, write) = (rate("reads", self.io_read_bytes), rate("writes", self.io_write_bytes));
        [memory, cpu, pids, disk, read, write].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl From<v1::Agent> for Agent {
    fn from(agent: v1::Agent) -> Self {
        Self {
            id: agent.id,
            name: agent.name,
            user: agent.user,
            profile: agent.profile,
            state: word::<v1::AgentState>(agent.state),
            reason: agent.reason,
            incarnation: agent.incarnation,
            capabilities: agent.capabilities,
            workspace: agent.workspace,
            task: agent.task,
            restart: word::<v1::RestartPolicy>(agent.restart),
            limits: agent.limits.and_then(Limits::of),
            sandbox: agent.sandbox,
            command: agent.command,
            create_time: time(agent.create_time),
            state_time: time(agent.state_time),
            backend: agent.backend,
            tasks_succeeded: agent.tasks_succeeded,
            tasks_failed: agent.tasks_failed,
            secrets: uses(agent.secrets),
            group: agent.group,
            stay: agent.stay,
            idle_timeout: duration(agent.idle_timeout),
        }
    }
}

impl Agent {
    /// What is said of it after a change: id, name and state.
    pub(crate) fn line(&self) -> String {
        format!("{} {} {}", self.id, self.name, self.state)
    }
}

impl Listed for Agent {
    const HEADER: &'static [&'static str] =
        &["ID", "NAME", "USER", "PROFILE", "STATE", "TASK", "AGE", "CAPABILITIES", "REASON"];
    const LEAST: &'static [&'static str] = &["CAPABILITIES", "PROFILE", "USER", "TASK", "AGE"];
    const NONE: &'static str = "agents";

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            short_id(&self.id).into(),
            self.name.as_str().into(),
            self.user.as_str().into(),
            self.profile.as_str().into(),
            Cell::toned(&self.state, tone(&self.state)),
            self.task.as_deref().map(short_id).unwrap_or_default().into(),
            age(self.create_time.as_deref()).into(),
            self.capabilities.join(",").into(),
            self.reason.as_str().into(),
        ]
    }
}

impl Shown for Agent {
    fn id(&self) -> &str {
        &self.id
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        let done = format!("{} succeeded, {} failed", self.tasks_succeeded, self.tasks_failed);
        vec![
            ("ID", self.id.as_str().into()),
            ("Name", self.name.as_str().into()),
            ("User", self.user.as_str().into()),
            ("Profile", self.profile.as_str().into()),
            ("State", Cell::toned(&self.state, tone(&self.state))),
            ("Since", with_age(self.state_time.as_deref()).into()),
            ("Reason", self.reason.as_str().into()),
            ("Task", self.task.as_deref().unwrap_or_default().into()),
            ("Tasks", done.into()),
            ("Incarnation", self.incarnation.to_string().into()),
            ("Capabilities", self.capabilities.join(", ").into()),
            ("Workspace", self.workspace.as_str().into()),
            ("Command", self.command.join(" ").into()),
            ("Secrets", self.secrets.join(", ").into()),
            ("Sandbox", self.sandbox.as_str().into()),
            ("Backend", self.backend.as_str().into()),
            ("Limits", self.limits.as_ref().map(Limits::words).unwrap_or_default().into()),
            ("Restart", self.restart.as_str().into()),
            ("Group", self.group.as_deref().unwrap_or_default().into()),
            ("Stays for", self.stay.as_str().into()),
            ("Idle timeout", self.idle_timeout.as_deref().unwrap_or_default().into()),
            ("Created", with_age(self.create_time.as_deref()).into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn an_agent_as_json() {
        let agent = v1::Agent {
            id: "agt_01".to_owned(),
            name: "a".to_owned(),
            user: "ada".to_owned(),
            profile: "shell".to_owned(),
            state: v1::AgentState::Idle.into(),
            incarnation: 1,
            capabilities: vec!["sh".to_owned()],
            workspace: "/w/a".to_owned(),
            restart: v1::RestartPolicy::OnFailure.into(),
            limits: Some(v1::AgentLimits {
                memory_bytes: Some(2 << 30),
                cpu_millis: Some(1500),
                ..v1::AgentLimits::default()
            }),
            tasks_succeeded: 9_007_199_254_740_993,
            ..v1::Agent::default()
        };
        assert_eq!(
            json_line(&Agent::from(agent)),
            r#"{"id":"agt_01","name":"a","user":"ada","profile":"shell","state":"idle","incarnation":1,"capabilities":["sh"],"workspace":"/w/a","restart":"on_failure","limits":{"memoryBytes":2147483648,"cpuMillis":1500},"tasksSucceeded":9007199254740993}"#
        );
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let agent = Agent::from(v1::Agent::default());
        assert_eq!(agent.row().len(), Agent::HEADER.len());
    }
}
