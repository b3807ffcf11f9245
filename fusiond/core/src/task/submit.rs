//! `task submit`: accepts a task. The same key or request with the same content is the same task.
//!
//! Not for: the bytes of prompt, command and environment; the door stores them beside the task.

use crate::agent::spawn::check_capabilities;
use crate::event::EventKind;
use crate::ids::{AgentId, Capabilities, TaskId, Uid};
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::secret::{SecretUse, check_uses};
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{Held, OnLost, Stdin, Task, TaskKind, TaskSpec, TaskState, Timeouts, Wait};
use crate::time::{Millis, Time};
use crate::workflow::NodeRef;

/// The most tasks one task may come after.
pub const DEPENDENCIES_MAX: usize = 1000;
/// The most labels.
pub const LABELS_MAX: usize = 64;
/// The most retries that may be asked for.
pub const RETRIES_MAX: u32 = 1000;
/// The most unfinished tasks that one task's agent may submit.
pub const SUBTASKS_MAX: u32 = 100;
/// The longest prompt that may stand in a program's arguments.
pub const PROMPT_ARGV_BYTES_MAX: u32 = 100 << 10;
/// Priority of a task that names none.
pub const PRIORITY_DEFAULT: u8 = 5;

/// Whether a new task may start as soon as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    #[default]
    Free,
    /// It is held until somebody releases it.
    Held,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SubmitTask {
    /// The id it will have.
    pub id: TaskId,
    /// Who will own it.
    pub owner: Uid,
    /// The owner's name, for messages.
    pub owner_name: String,
    /// First line of the prompt or the command, cut.
    pub title: String,
    /// Prompt or command.
    pub kind: TaskKind,
    /// Length of what is stored beside it.
    pub input_bytes: u32,
    /// 0 to 9.
    pub priority: u32,
    /// What the agent must be able to do.
    pub capabilities: Capabilities,
    /// Id or name of the agent it must run on; empty: any.
    pub agent: String,
    /// Idempotency key; empty: none.
    pub key: String,
    /// Hash of the request id, 0 for none.
    pub request: u64,
    /// Hash of everything that is asked for.
    pub fingerprint: u64,
    /// For people and filters.
    pub labels: Vec<(String, String)>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Further attempts after a failure.
    pub retries: u32,
    /// When the outcome cannot be known.
    pub on_lost: OnLost,
    /// Not before this instant.
    pub not_before: Option<Time>,
    /// Ids or `key:K`.
    pub after: Vec<String>,
    /// Of the owner's tasks with the same one, at most one is active; empty: none.
    pub concurrency_key: String,
    /// Whether it may start as soon as it can.
    pub admission: Admission,
    /// Secrets that its attempts are given.
    pub secrets: Vec<SecretUse>,
    /// Whether words reach its program while it runs.
    pub stdin: Stdin,
    /// The node of a run that it is for.
    pub node: Option<Box<NodeRef>>,
    /// The task of this key, with the digest of what was asked for then, when it ended and left the memory.
    pub recalled: Option<(TaskId, u64)>,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: SubmitTask,
) -> Result<Done, Reject> {
    let parent = check_caller(state, caller, &ask)?;
    if let Some(same) = find_same(state, &ask)? {
        return Ok(Done::Same(same));
    }
    // Names and keys are those of the owner, also when an admin submits.
    let reader = Caller { uid: ask.owner, ..caller };
    let target = find_target(state, reader, &ask.agent)?;
    check_target(state, target, ask.kind, ask.input_bytes)?;
    let needed = check(state, reader, &ask)?;
    Ok(Done::Task(accept(state, out, turn, caller, ask, Place { parent, target, needed })))
}

/// What a task comes after: all of it, and what of it has not succeeded yet.
pub(crate) struct Needed {
    after: Vec<TaskId>,
    on: Vec<TaskId>,
}

/// Where a task stands among tasks and agents.
pub(crate) struct Place {
    /// The task that submits it.
    pub(crate) parent: Option<TaskId>,
    /// The agent it must run on.
    pub(crate) target: Option<AgentId>,
    /// What it comes after.
    pub(crate) needed: Needed,
}

/// Whether such a task may be accepted now, all but its target.
pub(crate) fn check(state: &State, reader: Caller, ask: &SubmitTask) -> Result<Needed, Reject> {
    check_values(ask)?;
    check_room(state, ask.owner, &ask.owner_name)?;
    check_uses(state, ask.owner, &ask.secrets)?;
    let (after, on) = find_dependencies(state, reader, &ask.after)?;
    Ok(Needed { after, on })
}

/// Accepts a task that was checked.
pub(crate) fn accept(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: SubmitTask,
    place: Place,
) -> TaskId {
    let Place { parent, target, needed: Needed { after, on } } = place;
    state.learn_name(ask.owner, &ask.owner_name);
    let (id, owner, admission) = (ask.id, ask.owner, ask.admission);
    let spec = make_spec(ask, parent, target, after);
    let task = Task {
        id,
        owner,
        actor: caller.actor(),
        created_at: turn.now,
        state: first_state(Wait::first(&spec, on, turn.now), admission, turn.now),
        spec,
        attempts: Vec::new(),
        snoozes: 0,
        counted_from: 1,
    };
    state.add_task(out, task);
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::TaskSubmitted { task: id });
    id
}

fn first_state(wait: Wait, admission: Admission, now: Time) -> TaskState {
    match admission {
        Admission::Free => wait.into_state(now),
        Admission::Held => TaskState::Held(Held { since: now, wait, run: None }),
    }
}

/// A text that may be absent: empty stands for that.
pub(crate) fn text(text: String) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn make_spec(
    ask: SubmitTask,
    parent: Option<TaskId>,
    target: Option<AgentId>,
    after: Vec<TaskId>,
) -> TaskSpec {
    TaskSpec {
        title: ask.title.into(),
        kind: ask.kind,
        input_bytes: ask.input_bytes,
        priority: u8::try_from(ask.priority).unwrap_or(PRIORITY_DEFAULT),
        capabilities: ask.capabilities,
        target,
        key: text(ask.key),
        request: ask.request,
        fingerprint: ask.fingerprint,
        labels: ask.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        timeouts: ask.timeouts,
        retries: ask.retries,
        on_lost: ask.on_lost,
        not_before: ask.not_before,
        after: after.into(),
        parent,
        concurrency_key: text(ask.concurrency_key),
        secrets: ask.secrets.into(),
        stdin: ask.stdin,
        node: ask.node,
    }
}

pub(crate) fn check_caller(
    state: &State,
    caller: Caller,
    ask: &SubmitTask,
) -> Result<Option<TaskId>, Reject> {
    let refused = |what| Reject::NotPermitted { who: caller.actor().to_string(), what };
    match caller.rights {
        Rights::Admin => Ok(None),
        Rights::User if caller.uid == ask.owner => Ok(None),
        Rights::User => Err(refused("submitting tasks for others")),
        Rights::Agent(_) if caller.uid != ask.owner => Err(refused("submitting tasks for others")),
        Rights::Agent(agent) => {
            let work = state.agent(agent).and_then(|agent| agent.life.work());
            let parent = work.ok_or_else(|| refused("submitting tasks without working on one"))?.task;
            if state.index.children.get(&parent).copied().unwrap_or(0) >= SUBTASKS_MAX {
                return Err(Reject::SubtaskLimit { limit: SUBTASKS_MAX });
            }
            Ok(Some(parent))
        }
    }
}

pub(crate) fn find_same(state: &State, ask: &SubmitTask) -> Result<Option<TaskId>, Reject> {
    if ask.request != 0
        && let Some(id) = state.index.requests.get(&(ask.owner, ask.request))
    {
        return Ok(Some(*id));
    }
    let known = state.index.keys.get(&(ask.owner, ask.key.as_str().into())).and_then(|id| state.task(*id));
    match known.map(|task| (task.id, task.spec.fingerprint)).or(ask.recalled) {
        None => Ok(None),
        Some((id, fingerprint)) if fingerprint == ask.fingerprint => Ok(Some(id)),
        Some((id, _)) => Err(Reject::KeyConflict { key: ask.key.clone(), task: id.to_string() }),
    }
}

fn check_values(ask: &SubmitTask) -> Result<(), Reject> {
    check_priority(ask.priority)?;
    check_retries(ask.retries)?;
    check_key(&ask.key)?;
    check_key(&ask.concurrency_key)?;
    check_timeouts(ask.timeouts)?;
    check_labels(ask.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    check_capabilities(&ask.capabilities)
}

pub(crate) fn check_priority(priority: u32) -> Result<(), Reject> {
    if priority > 9 { Err(Reject::PriorityInvalid { priority }) } else { Ok(()) }
}

pub(crate) fn check_retries(retries: u32) -> Result<(), Reject> {
    if retries > RETRIES_MAX { Err(Reject::RetryLimit { retries }) } else { Ok(()) }
}

/// A span that is over before anything can begin is a slip of the pen.
pub(crate) fn check_timeouts(timeouts: Timeouts) -> Result<(), Reject> {
    let named = [("timeout", timeouts.run), ("idleTimeout", timeouts.idle), ("queueTimeout", timeouts.queue)];
    match named.into_iter().find(|(_, span)| *span == Some(Millis(0))) {
        None => Ok(()),
        Some((field, _)) => Err(Reject::FieldInvalid {
            field,
            value: "0s".to_owned(),
            expected: "1 ms or more, such as 10m; without one there is no limit",
        }),
    }
}

pub(crate) fn check_key(key: &str) -> Result<(), Reject> {
    if key.len() > 255 || key.chars().any(char::is_control) {
        return Err(Reject::KeyInvalid { key: key.chars().take(64).collect() });
    }
    Ok(())
}

pub(crate) fn check_labels<'a>(
    labels: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Reject> {
    if labels.len() > LABELS_MAX {
        return Err(Reject::LabelLimit { count: labels.len() });
    }
    let valid = |key: &str, value: &str| {
        (1..=63).contains(&key.len())
            && !key.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=')
            && value.len() <= 255
            && !value.contains(char::is_control)
    };
    for (key, value) in labels {
        if !valid(key, value) {
            return Err(Reject::LabelInvalid { label: key.chars().take(64).collect() });
        }
    }
    Ok(())
}

/// Whether one more task of `owner` may be unfinished.
pub(crate) fn check_room(state: &State, owner: Uid, name: &str) -> Result<(), Reject> {
    let limit = state.config.limits_of(owner).tasks_max;
    if state.index.users.get(&owner).map_or(0, |user| user.tasks) >= limit {
        return Err(Reject::QueueFull { limit, user: name.to_owned() });
    }
    Ok(())
}

/// The agent that a task of `owner` must run on; an empty `text` names none.
///
/// # Errors
/// [`Reject::AgentNotFound`] and [`Reject::AmbiguousId`]; [`Reject::AgentState`] for one that takes no such task any more.
pub fn find_target(state: &State, owner: Caller, text: &str) -> Result<Option<AgentId>, Reject> {
    if text.is_empty() {
        return Ok(None);
    }
    let agent = state.find_agent(owner, text)?;
    if agent.owner != owner.uid {
        return Err(Reject::AgentNotFound { agent: text.to_owned() });
    }
    if agent.is_terminated() {
        return Err(super::super::agent::wrong_state(agent.id, &agent.life, "given a task"));
    }
    if agent.errand().is_some() {
        return Err(super::super::agent::wrong_state(agent.id, &agent.life, "given a second task"));
    }
    Ok(Some(agent.id))
}

/// Whether the target can be given an input of that length.
pub(crate) fn check_target(
    state: &State,
    target: Option<AgentId>,
    kind: TaskKind,
    input_bytes: u32,
) -> Result<(), Reject> {
    let on_argv =
        target.and_then(|id| state.agent(id)).is_some_and(|agent| agent.spec.recipe.takes_prompt_on_argv());
    if kind == TaskKind::Prompt && input_bytes > PROMPT_ARGV_BYTES_MAX && on_argv {
        let (bytes, limit) = (input_bytes as usize, PROMPT_ARGV_BYTES_MAX as usize);
        return Err(Reject::TooLarge { what: "a prompt on the agent's argv", bytes, limit });
    }
    Ok(())
}

/// All dependencies, and those that have not succeeded yet.
fn find_dependencies(
    state: &State,
    caller: Caller,
    after: &[String],
) -> Result<(Vec<TaskId>, Vec<TaskId>), Reject> {
    if after.len() > DEPENDENCIES_MAX {
        return Err(Reject::DependencyLimit { count: after.len() });
    }
    let mut all = Vec::with_capacity(after.len());
    let mut on = Vec::new();
    for text in after {
        let needed = state.find_task(caller, text)?;
        if needed.state.ended_badly() {
            return Err(Reject::DependencyEnded { task: needed.id.to_string() });
        }
        if !all.contains(&needed.id) {
            all.push(needed.id);
            if needed.state.ended_at().is_none() {
                on.push(needed.id);
            }
        }
    }
    Ok((all, on))
}
