//! Tasks and attempts, as the wire shows them.
//!
//! Not for: prompts and results; the services add those that were asked for.

use super::{duration, timestamp};
use fusion_core::task::{
    Active, Attempt, Ending, ExitKind, OnLost, Phase, Question, QuestionKind, Reply, Task, TaskState,
};
use fusion_core::workflow::NodeRef;
use fusion_core::{Failure, FailureCode, Usd};
use fusion_proto::v1;

/// The whole task but for its input and result.
pub(crate) fn task(task: &Task) -> v1::Task {
    let spec = &task.spec;
    v1::Task {
        id: task.id.to_string(),
        state: state(&task.state).into(),
        user: task.owner.0.to_string(),
        priority: spec.priority.into(),
        capabilities: spec.capabilities.iter().map(str::to_owned).collect(),
        agent: spec.target.map(|id| id.to_string()).unwrap_or_default(),
        key: spec.key.as_ref().map(ToString::to_string),
        labels: spec.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        create_time: Some(timestamp(task.created_at)),
        end_time: task.state.ended_at().map(timestamp),
        result: None,
        attempts: task.attempts.iter().map(|each| attempt(task, each)).collect(),
        failure: task_failure(task),
        title: spec.title.to_string(),
        prompt: None,
        run: Vec::new(),
        timeout: spec.timeouts.run.map(duration),
        idle_timeout: spec.timeouts.idle.map(duration),
        queue_timeout: spec.timeouts.queue.map(duration),
        retries: spec.retries,
        on_lost: on_lost(spec.on_lost).into(),
        not_before: spec.not_before.map(timestamp),
        after: spec.after.iter().map(ToString::to_string).collect(),
        parent: spec.parent.map(|id| id.to_string()),
        reason: task.state.failure().map(|failure| failure.message.clone()).unwrap_or_default(),
        dead: task.is_dead(),
        interactive: spec.stdin.is_open(),
        question: task.open_question().map(question),
        input: None,
        input_bytes: 0,
        concurrency_key: spec.concurrency_key.as_ref().map(ToString::to_string),
        secrets: super::secret::uses(&spec.secrets),
        workdir: None,
        run_id: spec.node.as_ref().map(|node| node.run.to_string()),
        node: spec.node.as_ref().map(|node| node_name(node)),
    }
}

/// `fix` or, for an item of it, `fix[3]`.
fn node_name(node: &NodeRef) -> String {
    node.place.item.map_or_else(|| node.id.to_string(), |item| format!("{}[{item}]", node.id))
}

/// Id, owner and state alone.
pub(crate) fn brief(task: &Task) -> v1::Task {
    v1::Task {
        id: task.id.to_string(),
        state: state(&task.state).into(),
        user: task.owner.0.to_string(),
        ..v1::Task::default()
    }
}

fn task_failure(task: &Task) -> Option<v1::Failure> {
    match &task.state {
        TaskState::Cancelled { .. } => {
            Some(of_task(task, &Failure::new(FailureCode::Cancelled, "somebody cancelled it")))
        }
        other @ (TaskState::Blocked { .. }
        | TaskState::Deferred { .. }
        | TaskState::Queued { .. }
        | TaskState::Active(_)
        | TaskState::Held(_)
        | TaskState::Lost { .. }
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::TimedOut { .. }) => other.failure().map(|failure| of_task(task, failure)),
    }
}

/// Why a task ended badly.
pub(crate) fn of_task(task: &Task, failure: &Failure) -> v1::Failure {
    v1::Failure { hint: task.hint(failure.code), ..self::failure(failure) }
}

/// Why something ended badly.
pub(crate) fn failure(failure: &Failure) -> v1::Failure {
    v1::Failure {
        code: failure.code.code().to_owned(),
        message: failure.message.clone(),
        hint: failure.code.hint().to_owned(),
    }
}

/// The state's word on the wire.
pub(crate) fn state(state: &TaskState) -> v1::TaskState {
    match state {
        TaskState::Blocked { .. } => v1::TaskState::Blocked,
        TaskState::Deferred { .. } => v1::TaskState::Deferred,
        TaskState::Queued { .. } => v1::TaskState::Queued,
        TaskState::Active(active) => active_state(active),
        TaskState::Lost { .. } => v1::TaskState::Lost,
        TaskState::Succeeded { .. } => v1::TaskState::Succeeded,
        TaskState::Failed { .. } => v1::TaskState::Failed,
        TaskState::Cancelled { .. } => v1::TaskState::Cancelled,
        TaskState::TimedOut { .. } => v1::TaskState::TimedOut,
        TaskState::Held(_) => v1::TaskState::Held,
    }
}

fn active_state(active: &Active) -> v1::TaskState {
    match (active.open_question().map(|question| question.kind), active.phase) {
        (Some(QuestionKind::Approval), _) => v1::TaskState::WaitingApproval,
        (Some(QuestionKind::Input), _) => v1::TaskState::WaitingInput,
        (None, Phase::Dispatched) => v1::TaskState::Dispatched,
        (None, Phase::Running { .. }) => v1::TaskState::Running,
    }
}

fn question(question: &Question) -> v1::Question {
    let kind = match question.kind {
        QuestionKind::Approval => v1::QuestionKind::Approval,
        QuestionKind::Input => v1::QuestionKind::Input,
    };
    v1::Question {
        kind: kind.into(),
        text: question.text.to_string(),
        ask_time: Some(timestamp(question.asked_at)),
        expire_time: question.expires_at.map(timestamp),
    }
}

/// A reply; `None` for a question that was withdrawn, which nobody hears of.
pub(crate) fn reply(reply: &Reply) -> Option<v1::Reply> {
    let (kind, text, actor) = match reply {
        Reply::Approved { by, comment } => (v1::ReplyKind::Approved, comment.to_string(), by.to_string()),
        Reply::Rejected { by, comment } => (v1::ReplyKind::Rejected, comment.to_string(), by.to_string()),
        Reply::Answered { by, text } => (v1::ReplyKind::Answered, text.to_string(), by.to_string()),
        Reply::Expired => (v1::ReplyKind::Expired, String::new(), String::new()),
        Reply::Withdrawn => return None,
    };
    Some(v1::Reply { kind: kind.into(), text, actor })
}

fn on_lost(policy: OnLost) -> v1::OnLost {
    match policy {
        OnLost::Review => v1::OnLost::Review,
        OnLost::Retry => v1::OnLost::Retry,
        OnLost::Fail => v1::OnLost::Fail,
    }
}

fn attempt(task: &Task, attempt: &Attempt) -> v1::Attempt {
    let failure = attempt.ending.as_ref().and_then(|ended| ended.failure.as_ref());
    let exit = attempt.exit();
    let (exit_code, signal) = match exit.map(|exit| &exit.kind) {
        Some(ExitKind::Exited { code }) => (Some(*code), None),
        Some(ExitKind::OutputInvalid { .. }) => (Some(0), None),
        Some(ExitKind::Signaled { signal }) => (None, Some(*signal)),
        Some(ExitKind::StartFailed { .. }) | None => (None, None),
    };
    v1::Attempt {
        number: attempt.number,
        agent: attempt.lease.agent.to_string(),
        incarnation: attempt.lease.incarnation,
        state: attempt_state(attempt).into(),
        exit_code,
        signal,
        failure: failure.map(|failure| of_task(task, failure)),
        start_time: attempt.started_at.map(timestamp),
        end_time: attempt.ending.as_ref().map(|ended| timestamp(ended.at)),
        sandbox: attempt.sandbox.to_string(),
        usage: exit.map(|exit| v1::Usage {
            cpu_seconds: exact_seconds(exit.cpu.0),
            peak_memory_bytes: exit.peak_memory_bytes,
            usd: exit.cost.usd.map(Usd::dollars),
            tokens: exit.cost.tokens,
        }),
        oom_killed: exit.is_some_and(|exit| exit.oom_kills > 0),
        dropped_bytes: exit.map_or(0, |exit| exit.dropped_bytes),
        dispatch_time: Some(timestamp(attempt.dispatched_at)),
    }
}

fn exact_seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn attempt_state(attempt: &Attempt) -> v1::AttemptState {
    match attempt.ending.as_ref().map(|ended| &ended.how) {
        None if attempt.started_at.is_some() => v1::AttemptState::Running,
        None => v1::AttemptState::Dispatched,
        Some(Ending::Lost) => v1::AttemptState::Lost,
        Some(Ending::NotStarted) => v1::AttemptState::NotStarted,
        Some(Ending::Exit(exit)) => match exit.kind {
            ExitKind::Exited { .. } | ExitKind::OutputInvalid { .. } => v1::AttemptState::Exited,
            ExitKind::Signaled { .. } => v1::AttemptState::Signaled,
            ExitKind::StartFailed { .. } => v1::AttemptState::StartFailed,
        },
    }
}
