//! A task with its attempts as JSON, as a row, as fields and as the one line that `wait` prints.
//!
//! Not for: output and results, which are bytes.

use std::collections::BTreeMap;

use fusion_proto::v1;
use serde::Serialize;

use super::budget::cost_words;
use super::secret::uses;
use super::word::{age, duration, is_false, is_zero, short_id, time, tone, with_age, word};
use crate::output::{Listed, Shown};
use crate::table::{Cell, printable};
use crate::units::format_size;

/// A task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) state: String,
    user: String,
    priority: u32,
    capabilities: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workdir: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    input_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    run: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<String>,
    retries: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    on_lost: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    dead: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Question>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    attempts: Vec<Attempt>,
}

/// What a running task asks a person.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
}

/// What a person replied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reply {
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    actor: String,
}

/// Why something ended badly.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

/// One attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    number: u32,
    agent: String,
    incarnation: u32,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    sandbox: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "is_false")]
    oom_killed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_bytes: u64,
}

/// What an attempt used.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    cpu_seconds: f64,
    peak_memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
}

impl From<v1::Failure> for Failure {
    fn from(failure: v1::Failure) -> Self {
        Self { code: failure.code, message: failure.message, hint: failure.hint }
    }
}

impl From<v1::Question> for Question {
    fn from(question: v1::Question) -> Self {
        Self {
            kind: word::<v1::QuestionKind>(question.kind),
            text: question.text,
            ask_time: time(question.ask_time),
            expire_time: time(question.expire_time),
        }
    }
}

impl From<v1::Reply> for Reply {
    fn from(reply: v1::Reply) -> Self {
        Self { kind: word::<v1::ReplyKind>(reply.kind), text: reply.text, actor: reply.actor }
    }
}

impl From<v1::Attempt> for Attempt {
    fn from(attempt: v1::Attempt) -> Self {
        Self {
            number: attempt.number,
            agent: attempt.agent,
            incarnation: attempt.incarnation,
            state: word::<v1::AttemptState>(attempt.state),
            exit_code: attempt.exit_code,
            signal: attempt.signal,
            failure: attempt.failure.map(Failure::from),
            dispatch_time: time(attempt.dispatch_time),
            start_time: time(attempt.start_time),
            end_time: time(attempt.end_time),
            sandbox: attempt.sandbox,
            usage: attempt.usage.map(|used| Usage {
                cpu_seconds: used.cpu_seconds,
                peak_memory_bytes: used.peak_memory_bytes,
                usd: used.usd,
                tokens: used.tokens,
            }),
            oom_killed: attempt.oom_killed,
            dropped_bytes: attempt.dropped_bytes,
        }
    }
}

impl From<v1::Task> for Task {
    fn from(task: v1::Task) -> Self {
        Self {
            id: task.id,
            state: word::<v1::TaskState>(task.state),
            user: task.user,
            priority: task.priority,
            capabilities: task.capabilities,
            agent: task.agent,
            key: task.key,
            concurrency_key: task.concurrency_key,
            workdir: task.workdir,
            labels: task.labels.into_iter().collect(),
            create_time: time(task.create_time),
            end_time: time(task.end_time),
            reason: task.reason,
            title: task.title,
            prompt: task.prompt,
            input: task.input,
            input_bytes: task.input_bytes,
            run: task.run,
            timeout: duration(task.timeout),
            idle_timeout: duration(task.idle_timeout),
            queue_timeout: duration(task.queue_timeout),
            retries: task.retries,
            on_lost: word::<v1::OnLost>(task.on_lost),
            not_before: time(task.not_before),
            after: task.after,
            parent: task.parent,
            run_id: task.run_id,
            node: task.node,
            secrets: uses(task.secrets),
            dead: task.dead,
            question: task.question.map(Question::from),
            failure: task.failure.map(Failure::from),
            result: task.result,
            attempts: task.attempts.into_iter().map(Attempt::from).collect(),
        }
    }
}

impl Failure {
    /// What happened, in one sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What happened, and what to do.
    pub(crate) fn words(&self) -> String {
        match self.hint.as_str() {
            "" => format!("{} ({})", self.message, self.code),
            hint => format!("{} ({})\nhint: {hint}", self.message, self.code),
        }
    }
}

impl Attempt {
    /// One line: `2 on agt_… exited 1, 3.2s CPU, 10 MiB`.
    fn words(&self) -> String {
        let mut text = format!("{} on {} {}", self.number, short_id(&self.agent), self.state);
        for (name, value) in [("", self.exit_code), ("signal ", self.signal)] {
            if let Some(value) = value {
                text.push_str(&format!(" {name}{value}"));
            }
        }
        if let Some(used) = &self.usage {
            text.push_str(&format!(
                ", {:.2}s CPU, {}",
                used.cpu_seconds,
                format_size(used.peak_memory_bytes)
            ));
        }
        let cost = self.usage.as_ref().map(|used| cost_words(used.usd, used.tokens)).unwrap_or_default();
        if !cost.is_empty() {
            text.push_str(&format!(", {cost}"));
        }
        if self.oom_killed {
            text.push_str(", out of memory");
        }
        if self.dropped_bytes > 0 {
            text.push_str(&format!(", {} of output dropped", format_size(self.dropped_bytes)));
        }
        if let Some(failure) = &self.failure {
            text.push_str(&format!(": {} ({})", failure.message, failure.code));
        }
        text
    }
}

impl Task {
    /// Id, state and, for a task that ended badly, why.
    pub(crate) fn state_line(&self) -> String {
        match &self.failure {
            Some(failure) => printable(&format!("{} {} {}", self.id, self.state, failure.message)),
            None => format!("{} {}", self.id, self.state),
        }
    }

    fn asks(&self) -> String {
        let Some(question) = &self.question else { return String::new() };
        match question.kind.as_str() {
            "approval" => format!("{}\nhint: fusionctl task approve {} [--reject]", question.text, self.id),
            _ => format!("{}\nhint: fusionctl task answer {} TEXT", question.text, self.id),
        }
    }

    fn why_failed(&self) -> String {
        self.failure.as_ref().map(Failure::words).unwrap_or_default()
    }
}

impl Listed for Task {
    const HEADER: &'static [&'static str] = &["ID", "STATE", "PRI", "USER", "AGENT", "TRIES", "AGE", "TITLE"];
    const LEAST: &'static [&'static str] = &["TRIES", "PRI", "USER", "AGENT", "AGE"];
    const NONE: &'static str = "tasks";

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<Cell> {
        let last = self.attempts.last();
        let agent = last.map_or(self.agent.as_str(), |attempt| &attempt.agent);
        vec![
            short_id(&self.id).into(),
            Cell::toned(&self.state, tone(&self.state)),
            self.priority.to_string().into(),
            self.user.as_str().into(),
            short_id(agent).into(),
            last.map_or(0, |attempt| attempt.number).to_string().into(),
            age(self.create_time.as_deref()).into(),
            self.title.as_str().into(),
        ]
    }
}

impl Shown for Task {
    fn id(&self) -> &str {
        &self.id
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let attempts: Vec<String> = self.attempts.iter().map(Attempt::words).collect();
        let text = |value: &Option<String>| Cell::from(value.as_deref().unwrap_or_default());
        let dead = if self.dead { "yes, failed for good" } else { "" };
        vec![
            ("ID", self.id.as_str().into()),
            ("State", Cell::toned(&self.state, tone(&self.state))),
            ("Reason", self.reason.as_str().into()),
            ("Asks", self.asks().into()),
            ("Failure", self.why_failed().into()),
            ("Dead", dead.into()),
            ("User", self.user.as_str().into()),
            ("Priority", self.priority.to_string().into()),
            ("Capabilities", self.capabilities.join(", ").into()),
            ("Agent", self.agent.as_str().into()),
            ("Key", text(&self.key)),
            ("Concurrency key", text(&self.concurrency_key)),
            ("Working folder", text(&self.workdir)),
            ("Labels", labels.join(", ").into()),
            ("Secrets", self.secrets.join(", ").into()),
            ("After", self.after.join(", ").into()),
            ("Parent", text(&self.parent)),
            ("Created", with_age(self.create_time.as_deref()).into()),
            ("Not before", text(&self.not_before)),
            ("Ended", with_age(self.end_time.as_deref()).into()),
            ("Timeout", text(&self.timeout)),
            ("Idle timeout", text(&self.idle_timeout)),
            ("Queue timeout", text(&self.queue_timeout)),
            ("Retries", self.retries.to_string().into()),
            ("On lost", self.on_lost.as_str().into()),
            ("Attempts", attempts.join("\n").into()),
            ("Command", self.run.join(" ").into()),
            ("Prompt", text(&self.prompt)),
            ("Stored prompt", text(&self.input)),
            ("Result", text(&self.result)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn attempt() -> v1::Attempt {
        v1::Attempt {
            number: 1,
            agent: "agt_01".to_owned(),
            incarnation: 1,
            state: v1::AttemptState::Exited.into(),
            exit_code: Some(0),
            start_time: at(1_900_000_000),
            end_time: at(1_900_000_001),
            sandbox: "user".to_owned(),
            usage: Some(v1::Usage {
                cpu_seconds: 0.1,
                peak_memory_bytes: 1_048_576,
                usd: Some(0.0042),
                tokens: None,
            }),
            ..v1::Attempt::default()
        }
    }

    #[test]
    fn a_finished_task_as_json() {
        let task = v1::Task {
            id: "tsk_01".to_owned(),
            state: v1::TaskState::Succeeded.into(),
            user: "ada".to_owned(),
            priority: 5,
            capabilities: vec!["sh".to_owned()],
            key: Some("k2".to_owned()),
            create_time: at(1_900_000_000),
            timeout: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
            retries: 1,
            result: Some("done\n".to_owned()),
            attempts: vec![attempt()],
            ..v1::Task::default()
        };
        assert_eq!(
            json_line(&Task::from(task)),
            concat!(
                r#"{"id":"tsk_01","state":"succeeded","user":"ada","priority":5,"capabilities":["sh"],"key":"k2","#,
                r#""createTime":"2030-03-17T17:46:40.000Z","timeout":"10m","retries":1,"result":"done\n","attempts":["#,
                r#"{"number":1,"agent":"agt_01","incarnation":1,"state":"exited","exitCode":0,"#,
                r#""startTime":"2030-03-17T17:46:40.000Z","endTime":"2030-03-17T17:46:41.000Z","sandbox":"user","#,
                r#""usage":{"cpuSeconds":0.1,"peakMemoryBytes":1048576,"usd":0.0042}}]}"#
            )
        );
    }

    #[test]
    fn a_failed_task_names_its_failure() {
        let failure = v1::Failure {
            code: "exit_nonzero".to_owned(),
            message: "the program ended with 3".to_owned(),
            hint: "read the logs".to_owned(),
        };
        let task = Task::from(v1::Task {
            id: "tsk_01".to_owned(),
            state: v1::TaskState::Failed.into(),
            failure: Some(failure),
            dead: true,
            ..v1::Task::default()
        });
        assert_eq!(task.state_line(), "tsk_01 failed the program ended with 3");
        assert_eq!(
            json_line(&task),
            r#"{"id":"tsk_01","state":"failed","user":"","priority":0,"capabilities":[],"retries":0,"dead":true,"failure":{"code":"exit_nonzero","message":"the program ended with 3","hint":"read the logs"},"attempts":[]}"#
        );
    }

    #[test]
    fn an_attempt_that_a_signal_ended_has_no_exit_code() {
        let attempt = Attempt::from(v1::Attempt {
            number: 2,
            agent: "agt_01".to_owned(),
            incarnation: 3,
            state: v1::AttemptState::Signaled.into(),
            signal: Some(9),
            oom_killed: true,
            dropped_bytes: 7,
            ..v1::Attempt::default()
        });
        assert_eq!(
            json_line(&attempt),
            r#"{"number":2,"agent":"agt_01","incarnation":3,"state":"signaled","signal":9,"oomKilled":true,"droppedBytes":7}"#
        );
        assert_eq!(attempt.words(), "2 on agt_01 signaled signal 9, out of memory, 7 B of output dropped");
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        assert_eq!(Task::from(v1::Task::default()).row().len(), Task::HEADER.len());
    }
}
