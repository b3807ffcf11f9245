//! The daemon's status and diagnosis as JSON and for people.
//!
//! Not for: judging; the daemon says what needs attention.

use std::collections::BTreeMap;

use fusion_proto::v1;
use serde::Serialize;

use super::word::{age, is_false, time, tone};
use crate::table::{Cell, Tone};
use crate::units::format_size;

/// Counts, limits and health.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    version: String,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    pid: u32,
    epoch: u64,
    agents: BTreeMap<String, u64>,
    tasks: BTreeMap<String, u64>,
    running: u32,
    max_running: u32,
    #[serde(skip_serializing_if = "is_false")]
    draining: bool,
    backend: String,
    attention: Vec<String>,
    last_seq: u64,
    state_dir: String,
    free_bytes: u64,
    memory_bytes: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    recovered: String,
    submitted_per_second: f64,
    ended_per_second: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<User>,
}

/// What one user has at this moment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    user: String,
    agents: u32,
    max_agents: u32,
    running: u32,
    queued: u64,
    tasks: u32,
    max_tasks: u32,
}

impl From<v1::UserStatus> for User {
    fn from(user: v1::UserStatus) -> Self {
        let v1::UserStatus { user, agents, max_agents, running, queued, tasks, max_tasks } = user;
        Self { user, agents, max_agents, running, queued, tasks, max_tasks }
    }
}

impl From<v1::Status> for Status {
    fn from(status: v1::Status) -> Self {
        Self {
            version: status.version,
            mode: status.mode,
            start_time: time(status.start_time),
            pid: status.pid,
            epoch: status.epoch,
            agents: status.agents.into_iter().collect(),
            tasks: status.tasks.into_iter().collect(),
            running: status.running,
            max_running: status.max_running,
            draining: status.draining,
            backend: status.backend,
            attention: status.attention,
            last_seq: status.last_seq,
            state_dir: status.state_dir,
            free_bytes: status.free_bytes,
            memory_bytes: status.memory_bytes,
            recovered: status.recovered,
            submitted_per_second: status.submitted_per_second,
            ended_per_second: status.ended_per_second,
            users: status.users.into_iter().map(User::from).collect(),
        }
    }
}

impl Status {
    /// One screen.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Cell)> {
        let up = age(self.start_time.as_deref());
        let daemon = format!(
            "fusiond {} ({} mode), pid {}, up {up}, start {}",
            self.version, self.mode, self.pid, self.epoch
        );
        let other = if self.version == VERSION {
            String::new()
        } else {
            format!("fusionctl is {VERSION}: use both of one version")
        };
        let rates = format!(
            "{} submitted, {} ended per second",
            rate(self.submitted_per_second),
            rate(self.ended_per_second)
        );
        let running = match self.max_running {
            0 => format!("{} attempts", self.running),
            most => format!("{} of at most {most} attempts", self.running),
        };
        let state = format!("{} ({} free)", self.state_dir, format_size(self.free_bytes));
        let draining = if self.draining {
            "yes: no new attempts start; `fusionctl system drain --off` lifts it"
        } else {
            ""
        };
        let attention = match self.attention.as_slice() {
            [] => Cell::toned("nothing needs you", Tone::Good),
            some => Cell::toned(some.join("\n"), Tone::Wary),
        };
        vec![
            ("Attention", attention),
            ("Daemon", daemon.into()),
            ("Versions", Cell::toned(other, Tone::Wary)),
            ("Agents", counts(&self.agents).into()),
            ("Tasks", counts(&self.tasks).into()),
            ("Running", running.into()),
            ("Rates", rates.into()),
            ("Draining", Cell::toned(draining, Tone::Wary)),
            ("Backend", self.backend.as_str().into()),
            ("State", state.into()),
            ("Memory", format_size(self.memory_bytes).into()),
            ("Last event", self.last_seq.to_string().into()),
            ("Recovered", Cell::toned(&self.recovered, Tone::Wary)),
        ]
    }

    /// Names of the columns of [`Self::user_rows`].
    pub(crate) const USER_HEADER: &'static [&'static str] = &["USER", "AGENTS", "RUNNING", "QUEUED", "TASKS"];

    /// One row a user, for administrators.
    pub(crate) fn user_rows(&self) -> Vec<Vec<Cell>> {
        let of = |count: u64, most: u32| {
            let tone = if count >= u64::from(most) { Tone::Wary } else { Tone::Plain };
            Cell::toned(format!("{count}/{most}"), tone)
        };
        let row = |user: &User| {
            vec![
                user.user.as_str().into(),
                of(user.agents.into(), user.max_agents),
                user.running.to_string().into(),
                user.queued.to_string().into(),
                of(user.tasks.into(), user.max_tasks),
            ]
        };
        self.users.iter().map(row).collect()
    }
}

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Small rates keep a digit behind the point.
fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    let words: Vec<String> = some.map(|(state, count)| format!("{count} {state}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Which guarantees hold on this machine.
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl From<v1::Diagnosis> for Diagnosis {
    fn from(diagnosis: v1::Diagnosis) -> Self {
        let checks = diagnosis.checks.into_iter();
        Self {
            checks: checks
                .map(|check| Check {
                    name: check.name,
                    status: check.status,
                    detail: check.detail,
                    remedy: check.remedy,
                })
                .collect(),
        }
    }
}

impl Diagnosis {
    /// Whether a check failed.
    pub(crate) fn failed(&self) -> bool {
        self.checks.iter().any(|check| check.status == "failed")
    }

    /// Names of the columns of [`Self::rows`].
    pub(crate) const HEADER: &'static [&'static str] = &["CHECK", "STATUS", "DETAIL"];

    /// One row a check.
    pub(crate) fn rows(&self) -> Vec<Vec<Cell>> {
        let row = |check: &Check| {
            vec![
                check.name.as_str().into(),
                Cell::toned(&check.status, tone(&check.status)),
                check.detail.as_str().into(),
            ]
        };
        self.checks.iter().map(row).collect()
    }

    /// How many hold.
    pub(crate) fn summary(&self) -> Cell {
        let count = |status: &str| self.checks.iter().filter(|check| check.status == status).count();
        let (weak, failed, all) = (count("weak"), count("failed"), self.checks.len());
        match (weak, failed) {
            (0, 0) => Cell::toned(format!("all {all} hold"), Tone::Good),
            (weak, 0) => Cell::toned(format!("{} of {all} hold, {weak} in part", all - weak), Tone::Wary),
            (weak, failed) => Cell::toned(
                format!("{} of {all} hold, {weak} in part, {failed} not", all - weak - failed),
                Tone::Bad,
            ),
        }
    }

    /// What would mend the checks that are not well; one line for those that the same would mend.
    pub(crate) fn remedies(&self) -> Vec<String> {
        let mendable = self.checks.iter().filter(|check| check.status != "ok" && !check.remedy.is_empty());
        let mut found: Vec<(Vec<&str>, &str)> = Vec::new();
        for check in mendable {
            match found.iter_mut().find(|(_, remedy)| *remedy == check.remedy) {
                Some((names, _)) => names.push(&check.name),
                None => found.push((vec![&check.name], &check.remedy)),
            }
        }
        found.iter().map(|(names, remedy)| format!("{}: {remedy}", names.join(", "))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn a_status_as_json() {
        let status = Status::from(v1::Status {
            version: "0.1.0".to_owned(),
            mode: "user".to_owned(),
            pid: 7,
            epoch: 2,
            agents: [("idle".to_owned(), 3)].into(),
            backend: "none".to_owned(),
            state_dir: "/s".to_owned(),
            ..v1::Status::default()
        });
        assert_eq!(
            json_line(&status),
            r#"{"version":"0.1.0","mode":"user","pid":7,"epoch":2,"agents":{"idle":3},"tasks":{},"running":0,"maxRunning":0,"backend":"none","attention":[],"lastSeq":0,"stateDir":"/s","freeBytes":0,"memoryBytes":0,"submittedPerSecond":0.0,"endedPerSecond":0.0}"#
        );
    }

    #[test]
    fn a_diagnosis_fails_with_one_failed_check() {
        let check = |status: &str| v1::Check {
            name: "cgroup".to_owned(),
            status: status.to_owned(),
            detail: String::new(),
            remedy: "delegate one".to_owned(),
        };
        let weak = Diagnosis::from(v1::Diagnosis { checks: vec![check("ok"), check("weak")] });
        assert!(!weak.failed());
        assert_eq!(weak.remedies(), ["cgroup: delegate one"]);
        let twice = Diagnosis::from(v1::Diagnosis { checks: vec![check("weak"), check("failed")] });
        assert_eq!(twice.remedies(), ["cgroup, cgroup: delegate one"]);
        assert_eq!(weak.summary(), Cell::toned("1 of 2 hold, 1 in part", Tone::Wary));
        let failed = Diagnosis::from(v1::Diagnosis { checks: vec![check("failed")] });
        assert!(failed.failed());
        assert_eq!(
            json_line(&failed),
            r#"{"checks":[{"name":"cgroup","status":"failed","remedy":"delegate one"}]}"#
        );
    }
}
