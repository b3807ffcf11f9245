//! From a submit request to a command: checks sizes and texts, takes the fingerprint, splits the hot
//! part that the core sees from the bytes that are stored beside it.
//!
//! Not for: limits and references; the core knows those.

use super::plan::check_env;
use super::secrets::plan_uses;
use super::{Door, millis};
pub(crate) use crate::engine::{COMMAND_BYTES_MAX, input_bytes, plan_input, title, title_of};
use crate::runtime::{InputId, StoredPrompt, TaskInput, WORKDIR};
use fusion_core::task::submit::Admission;
use fusion_core::task::{OnLost, RunTask, Stdin, SubmitTask, TaskKind, Timeouts, submit};
use fusion_core::{Caller, Reject, TaskId, Time, Uid};
use fusion_proto::v1;
use sha2::{Digest, Sha256};

/// The longest path (path_resolution(7), without the NUL).
const WORKDIR_BYTES_MAX: usize = 4095;

/// Hash of a request id within a user; 0 for none.
pub(crate) fn request_hash(owner: Uid, request_id: &str) -> u64 {
    if request_id.is_empty() {
        return 0;
    }
    hash(|digest| {
        digest.update(owner.0.to_be_bytes());
        digest.update(request_id);
    })
    .max(1)
}

fn hash(feed: impl FnOnce(&mut Sha256)) -> u64 {
    let mut digest = Sha256::new();
    feed(&mut digest);
    let bytes: [u8; 32] = digest.finalize().into();
    u64::from_be_bytes(bytes[..8].try_into().expect("eight of thirty-two bytes"))
}

impl Door {
    /// The command and the bytes that are stored beside the task.
    pub(crate) fn plan_submit(
        &self,
        caller: Caller,
        ask: v1::SubmitTaskRequest,
    ) -> Result<(SubmitTask, TaskInput), Reject> {
        let (owner, owner_name) = self.owner(caller, &ask.user)?;
        let fingerprint = fingerprint(&ask);
        let on_lost = plan_on_lost(ask.on_lost());
        check_content(&ask)?;
        let mut env = check_env(ask.env)?;
        let secrets = plan_uses(ask.secrets, &env)?;
        env.extend(plan_workdir(ask.workdir)?);
        let (input, title) = match ask.input.is_empty() {
            true => {
                let input = plan_input(ask.prompt, ask.run, env, ask.interactive)?;
                let title = title(&input);
                (input, title)
            }
            false => self.plan_stored(owner, &ask.input, env)?,
        };
        let timeouts = Timeouts {
            run: millis("timeout", ask.timeout)?,
            idle: millis("idle_timeout", ask.idle_timeout)?,
            queue: millis("queue_timeout", ask.queue_timeout)?,
        };
        let submit = SubmitTask {
            id: TaskId(0),
            owner,
            owner_name,
            title,
            kind: input.kind,
            input_bytes: input_bytes(&input),
            priority: ask.priority.unwrap_or_else(|| submit::PRIORITY_DEFAULT.into()),
            capabilities: ask.capabilities.into_iter().collect(),
            agent: ask.agent,
            key: ask.key,
            request: request_hash(owner, &ask.request_id),
            fingerprint,
            labels: sorted(ask.labels),
            timeouts,
            retries: ask.retries.unwrap_or(0),
            on_lost,
            not_before: plan_instant("not_before", ask.not_before)?,
            after: ask.after,
            concurrency_key: ask.concurrency_key,
            admission: if ask.hold { Admission::Held } else { Admission::Free },
            secrets,
            stdin: if ask.interactive { Stdin::Open } else { Stdin::Closed },
            node: None,
            recalled: None,
        };
        Ok((submit, input))
    }
}

impl Door {
    /// A task, and the agent that is made for it.
    pub(crate) fn plan_run(
        &self,
        caller: Caller,
        ask: v1::RunTaskRequest,
    ) -> Result<(RunTask, TaskInput), Reject> {
        let retention = millis("retention", ask.retention)?;
        let mut agent = ask.agent.ok_or(Reject::FieldMissing { field: "agent" })?;
        let mut task = ask.task.ok_or(Reject::FieldMissing { field: "task" })?;
        if task.prompt.is_empty() && task.run.is_empty() && task.input.is_empty() {
            // The command after `--`: what the agent is for, if its profile asks for one, and the task.
            task.run.clone_from(&agent.command);
            let (owner, _) = self.owner(caller, &task.user)?;
            let library = self.keeper.in_force().library;
            if library.get(owner.0, &agent.profile).is_some_and(|profile| !profile.command.is_empty()) {
                agent.command.clear();
            }
        }
        task.agent.clear();
        agent.user.clone_from(&task.user);
        let is_named = !agent.name.is_empty();
        // The task's own id makes the call idempotent; the agent comes with it.
        agent.request_id.clear();
        let mut agent = self.plan_spawn(caller, agent)?;
        agent.spec.retention = retention;
        let (task, input) = self.plan_submit(caller, task)?;
        let bytes = input.stored.map_or(input.prompt.len(), |stored| stored.bytes as usize);
        if bytes > submit::PROMPT_ARGV_BYTES_MAX as usize && agent.spec.recipe.takes_prompt_on_argv() {
            let limit = submit::PROMPT_ARGV_BYTES_MAX as usize;
            return Err(Reject::TooLarge { what: "a prompt on the agent's argv", bytes, limit });
        }
        Ok((RunTask { agent, task, is_named }, input))
    }

    /// A prompt that was stored before; only its owner may name it.
    fn plan_stored(
        &self,
        owner: Uid,
        name: &str,
        env: Vec<(String, String)>,
    ) -> Result<(TaskInput, String), Reject> {
        let found = InputId::parse(name).and_then(|id| Some((id, self.engine.stored(id)?)));
        match found.filter(|(_, stored)| stored.owner == owner) {
            Some((id, stored)) => {
                let prompt = StoredPrompt { id, bytes: stored.bytes };
                let (prompt, run, kind) = (Some(prompt), Vec::new(), TaskKind::Prompt);
                Ok((TaskInput { kind, prompt: String::new(), run, env, stored: prompt }, stored.title))
            }
            None => Err(Reject::InputNotFound { input: name.chars().take(64).collect() }),
        }
    }
}

/// Of a stored prompt, a prompt and a command a task has one; of the last two [`plan_input`] sees to that.
fn check_content(ask: &v1::SubmitTaskRequest) -> Result<(), Reject> {
    if ask.input.is_empty() || (ask.prompt.is_empty() && ask.run.is_empty()) {
        return Ok(());
    }
    Err(Reject::FieldInvalid {
        field: "input",
        value: ask.input.chars().take(64).collect(),
        expected: "either a stored prompt, a prompt or a command",
    })
}

/// Labels in the order in which they are kept.
pub(crate) fn sorted(labels: std::collections::HashMap<String, String>) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = labels.into_iter().collect();
    labels.sort();
    labels
}

/// The policy that was asked for, or the default one.
pub(crate) fn plan_on_lost(asked: v1::OnLost) -> OnLost {
    match asked {
        v1::OnLost::Retry => OnLost::Retry,
        v1::OnLost::Fail => OnLost::Fail,
        v1::OnLost::Review | v1::OnLost::Unspecified => OnLost::Review,
    }
}

/// An instant of the wire.
pub(crate) fn plan_instant(
    field: &'static str,
    at: Option<prost_types::Timestamp>,
) -> Result<Option<Time>, Reject> {
    let Some(at) = at else { return Ok(None) };
    let invalid = || Reject::FieldInvalid {
        field,
        value: at.seconds.to_string(),
        expected: "an instant after 1970 and before the year 9999",
    };
    let seconds = u64::try_from(at.seconds).ok().filter(|seconds| *seconds < 253_370_764_800);
    let nanos = u64::try_from(at.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) => Ok(Some(Time(seconds * 1000 + nanos / 1_000_000))),
        (None, _) | (_, None) => Err(invalid()),
    }
}

/// The variable that carries the folder in which attempts begin, if one is named.
fn plan_workdir(workdir: String) -> Result<Option<(String, String)>, Reject> {
    if workdir.is_empty() {
        return Ok(None);
    }
    if workdir.contains('\0') {
        return Err(Reject::NulByte { what: "the working folder".to_owned() });
    }
    if !workdir.starts_with('/') || workdir.len() > WORKDIR_BYTES_MAX {
        let value = workdir.chars().take(64).collect();
        let expected = "an absolute path of at most 4095 bytes";
        return Err(Reject::FieldInvalid { field: "workdir", value, expected });
    }
    Ok(Some((WORKDIR.to_owned(), workdir)))
}

/// Hash of what is asked for, without key and request: the same key must mean the same work.
fn fingerprint(ask: &v1::SubmitTaskRequest) -> u64 {
    let span = |span: &Option<prost_types::Duration>| {
        span.as_ref().map_or_else(String::new, |span| format!("{}.{}", span.seconds, span.nanos))
    };
    let instant =
        ask.not_before.as_ref().map_or_else(String::new, |at| format!("{}.{}", at.seconds, at.nanos));
    let mut capabilities = ask.capabilities.clone();
    capabilities.sort();
    let mut labels: Vec<_> = ask.labels.iter().collect();
    labels.sort();
    let mut env: Vec<_> = ask.env.iter().collect();
    env.sort();
    let form = format!(
        "{:?}",
        (
            (&ask.prompt, &ask.run, &ask.agent, capabilities, ask.priority),
            (span(&ask.timeout), span(&ask.idle_timeout), span(&ask.queue_timeout)),
            (ask.retries, instant, &ask.after, ask.on_lost, labels, env),
            ask.interactive,
        )
    );
    // Only what is asked for is in it: what an older version stored of a request without it still holds.
    let secrets: Vec<_> = ask.secrets.iter().map(|wanted| (&wanted.name, &wanted.env)).collect();
    hash(|digest| {
        digest.update(form);
        digest.update(&ask.input);
        digest.update(&ask.concurrency_key);
        if !secrets.is_empty() {
            digest.update(format!("{secrets:?}"));
        }
        if !ask.workdir.is_empty() {
            digest.update(format!("workdir {}", ask.workdir));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_labels_does_not_change_the_fingerprint() {
        let mut one = v1::SubmitTaskRequest { prompt: "p".to_owned(), ..Default::default() };
        let mut two = one.clone();
        for key in ["a", "b", "c"] {
            one.labels.insert(key.to_owned(), String::new());
        }
        for key in ["c", "b", "a"] {
            two.labels.insert(key.to_owned(), String::new());
        }
        assert_eq!(fingerprint(&one), fingerprint(&two));
        two.prompt = "q".to_owned();
        assert_ne!(fingerprint(&one), fingerprint(&two));
    }
}
