//! Looks at the result of a node's task, and makes it what the definition says it is.
//!
//! Not for: results that nobody looks at; they stay with their task.

use crate::engine::secrets::mask_of;
use crate::profile::result::extract;
use crate::runtime::Runtime;
use crate::runtime::logs::Output;
use crate::store::{ReadError, Reader};
use crate::vault::{Cut, Vault};
use fusion_core::task::{Attempt, Exit, TaskKind};
use fusion_core::workflow::Place;
use fusion_core::{Failure, FailureCode, RunId, Secret, Task, TaskId, Uid};
use fusion_workflow::definition::{Format, Node};
use fusion_workflow::schema::Checker;
use serde_json::Value;

/// The longest result that is kept.
const RESULT_BYTES_MAX: usize = 4 << 20;

/// A result as JSON, or why it is not what it should be.
pub(crate) struct Collected {
    pub(crate) run: RunId,
    pub(crate) place: Place,
    pub(crate) task: TaskId,
    pub(crate) what: Result<Vec<u8>, Failure>,
}

/// What it takes to look at a result.
pub(crate) struct Look {
    pub(crate) run: RunId,
    pub(crate) owner: Uid,
    pub(crate) place: Place,
    pub(crate) task: TaskId,
    pub(crate) kind: TaskKind,
    /// Whose result it is, or why that is not known.
    pub(crate) attempt: Result<Attempt, Failure>,
    /// How the agent's profile gives its results.
    pub(crate) format: Option<String>,
    /// What must be masked in it.
    pub(crate) secrets: Vec<Secret>,
    pub(crate) node: Node,
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::OutputInvalid, message)
}

/// Reads, masks, parses and checks it.
pub(crate) async fn collect(look: Look, runtime: Runtime, reader: Reader, vault: Vault) -> Collected {
    let (run, place, task) = (look.run, look.place, look.task);
    let what = match read(&look, &runtime).await {
        Ok(bytes) => {
            let made = tokio::task::spawn_blocking(move || {
                let bytes = masked(&look, bytes, &reader, &vault)?;
                make(&look.node, &bytes)
            });
            made.await
                .unwrap_or_else(|error| Err(invalid(format!("the result could not be looked at: {error}"))))
        }
        Err(failure) => Err(failure),
    };
    Collected { run, place, task, what }
}

/// The attempt whose result is that of a task.
pub(crate) fn last_attempt(task: Result<Option<Task>, ReadError>) -> Result<Attempt, Failure> {
    let unreadable = "the result cannot be read: its task could not be read from the store; the daemon's log has the cause";
    let task = task.map_err(|_noted| invalid(unreadable))?;
    let attempt = task.and_then(|task| task.attempts.into_iter().next_back());
    attempt.ok_or_else(|| invalid("the result is gone: its task is not stored any more"))
}

async fn read(look: &Look, runtime: &Runtime) -> Result<Vec<u8>, Failure> {
    let attempt = look.attempt.as_ref().map_err(Clone::clone)?;
    let lease = attempt.lease;
    let unreadable =
        |error: crate::runtime::logs::LogError| invalid(format!("the result cannot be read: {error}"));
    let format = look.format.as_deref().filter(|_| look.kind == TaskKind::Prompt);
    if format == Some("file") {
        let runtime = runtime.clone();
        let read = tokio::task::spawn_blocking(move || runtime.result(lease)).await;
        return read.map_err(|error| invalid(error.to_string()))?.map_err(unreadable);
    }
    if attempt.exit().is_some_and(|exit| exit.out_bytes == 0) {
        return Ok(Vec::new());
    }
    let log = runtime.log(lease.agent, lease.incarnation, lease.serial).map_err(unreadable)?;
    let output = log.output(RESULT_BYTES_MAX).await.map_err(unreadable)?;
    if output.truncated {
        return Err(invalid(format!("the result is longer than {RESULT_BYTES_MAX} bytes")));
    }
    if let Some(remark) = attempt.exit().and_then(|exit| remark_on_missing(&output, exit)) {
        return Err(invalid(remark));
    }
    match format {
        Some(format) => extract(format, &output.bytes).map_err(invalid),
        None => Ok(output.bytes),
    }
}

fn remark_on_missing(output: &Output, exit: &Exit) -> Option<String> {
    let (missing, all) = (missing_bytes(output, Some(exit)), exit.out_bytes);
    (missing > 0).then(|| format!("only {} of the {all} bytes of the result are left", all - missing))
}

/// How much of what a program wrote is not left, as far as it was read: the quota or a full disk dropped it, or the machine
/// lost its power before it was on disk. An end is on disk as soon as it is told, output that nobody waits for is not: the
/// length tells.
pub(crate) fn missing_bytes(output: &Output, exit: Option<&Exit>) -> u64 {
    match exit.filter(|_| !output.truncated) {
        Some(exit) => exit.out_bytes.saturating_sub(output.bytes.len() as u64),
        None => output.dropped_bytes,
    }
}

fn masked(look: &Look, bytes: Vec<u8>, reader: &Reader, vault: &Vault) -> Result<Vec<u8>, Failure> {
    if look.secrets.is_empty() {
        return Ok(bytes);
    }
    let mask = mask_of(look.secrets.iter(), reader, vault).map_err(|error| invalid(error.to_string()))?;
    Ok(mask.text(&bytes, Cut::Nowhere))
}

/// The result as JSON.
fn make(node: &Node, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let value = match node.format() {
        Format::Text => Value::String(text.to_owned()),
        Format::Json if text.trim().is_empty() => {
            return Err(invalid("the result is empty, and JSON is expected"));
        }
        Format::Json => serde_json::from_str(unfenced(text)).map_err(|error| {
            invalid(format!("the result is not JSON: see line {}, column {}", error.line(), error.column()))
        })?,
    };
    if let Some(schema) = node.output.as_ref().and_then(|output| output.schema.as_ref()) {
        let checker = Checker::new(schema).map_err(invalid)?;
        if let Some(fault) = checker.fault(&value) {
            return Err(invalid(format!("the result {fault}")));
        }
    }
    Ok(value.to_string().into_bytes())
}

/// Models like to put JSON between fences.
fn unfenced(text: &str) -> &str {
    let inner = text.trim().strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.and_then(|inner| inner.split_once('\n')).map_or(text, |(_, inner)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> Exit {
        Exit {
            kind: fusion_core::task::ExitKind::Exited { code: 0 },
            stop: None,
            oom_kills: 0,
            started_at: fusion_core::Time(0),
            ended_at: fusion_core::Time(0),
            cpu: fusion_core::Millis(0),
            peak_memory_bytes: 0,
            out_bytes: 0,
            err_bytes: 0,
            dropped_bytes: 0,
            tail: String::new(),
            cost: fusion_core::Cost::default(),
        }
    }

    fn made(node: &str, bytes: &str) -> Result<String, String> {
        let node: Node = serde_json::from_str(node).unwrap();
        let made = make(&node, bytes.as_bytes()).map_err(|failure| failure.message);
        made.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_missing_of_an_output_is_counted_also_where_only_a_part_was_read() {
        let read = |bytes: usize, dropped_bytes, truncated| Output {
            bytes: vec![0; bytes],
            dropped_bytes,
            truncated,
        };
        let exit = |out_bytes| Exit { out_bytes, ..ended() };
        assert_eq!(missing_bytes(&read(7, 0, false), Some(&exit(7))), 0);
        assert_eq!(missing_bytes(&read(7, 3, false), Some(&exit(10))), 3);
        assert_eq!(missing_bytes(&read(0, 0, false), Some(&exit(10))), 10, "nothing says where they were");
        assert_eq!(missing_bytes(&read(7, 0, true), Some(&exit(10))), 0);
        assert_eq!(
            remark_on_missing(&read(4, 0, false), &exit(10)).as_deref(),
            Some("only 4 of the 10 bytes of the result are left")
        );
    }

    #[test]
    fn a_task_that_cannot_be_read_is_not_called_gone() {
        let said = |task| last_attempt(task).map_err(|failure| failure.message).err();
        assert_eq!(
            said(Err(ReadError::Corrupt { key: "task/x".to_owned() })).as_deref(),
            Some(
                "the result cannot be read: its task could not be read from the store; the daemon's log has the cause"
            )
        );
        assert_eq!(said(Ok(None)).as_deref(), Some("the result is gone: its task is not stored any more"));
    }

    #[test]
    fn a_result_is_what_the_definition_says() {
        assert_eq!(made(r#"{"id": "a"}"#, "x\n"), Ok(r#""x""#.to_owned()));
        assert_eq!(
            made(r#"{"id": "a", "output": "json"}"#, "```json\n{\"a\": 1}\n```\n"),
            Ok(r#"{"a":1}"#.to_owned())
        );
        assert_eq!(
            made(r#"{"id": "a", "output": "json"}"#, "{"),
            Err("the result is not JSON: see line 1, column 1".to_owned())
        );
        let strict = r#"{"id": "a", "output": {"schema": {"required": ["steps"]}}}"#;
        assert_eq!(
            made(strict, "{}"),
            Err("the result does not have its schema: the value: \"steps\" is a required property".to_owned())
        );
    }
}
