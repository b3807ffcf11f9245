//! `task submit`: accepts a task. The same key or request with the same content is the same task.
//!
//! Not for: the bytes of prompt, command and environment; the door stores them beside the task.

use crate::agent::spawn::check_capabilities;
use crate::event::EventKind;
use crate::ids::{AgentId, Capabilities, TaskId, Uid};
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::{DeferWhy, OnLost, Task, TaskKind, TaskSpec, TaskState, Timeouts};
use crate::time::Time;

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
    let target = find_target(state, reader, &ask)?;
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
    check_room(state, ask)?;
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
    let (id, owner) = (ask.id, ask.owner);
    let spec = make_spec(ask, parent, target, after);
    let task = Task {
        id,
        owner,
        actor: caller.actor(),
        created_at: turn.now,
        state: first_state(&spec, on, turn.now),
        spec,
        attempts: Vec::new(),
        snoozes: 0,
        counted_from: 1,
    };
    state.add_task(out, task);
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::TaskSubmitted { task: id });
    id
}

/// The state of a task that waits for `on`, or for an instant, or for an agent.
pub(crate) fn first_state(spec: &TaskSpec, on: Vec<TaskId>, now: Time) -> TaskState {
    if !on.is_empty() {
        return TaskState::Blocked { on };
    }
    match spec.not_before {
        Some(until) if until > now => TaskState::Deferred { until, why: DeferWhy::NotBefore },
        Some(_) | None => TaskState::Queued { since: now },
    }
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
        key: (!ask.key.is_empty()).then(|| ask.key.into()),
        request: ask.request,
        fingerprint: ask.fingerprint,
        labels: ask.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        timeouts: ask.timeouts,
        retries: ask.retries,
        on_lost: ask.on_lost,
        not_before: ask.not_before,
        after: after.into(),
        parent,
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
    let Some(id) = state.index.keys.get(&(ask.owner, ask.key.as_str().into())) else { return Ok(None) };
    if state.task(*id).is_some_and(|task| task.spec.fingerprint == ask.fingerprint) {
        return Ok(Some(*id));
    }
    Err(Reject::KeyConflict { key: ask.key.clone(), task: id.to_string() })
}

fn check_values(ask: &SubmitTask) -> Result<(), Reject> {
    if ask.priority > 9 {
        return Err(Reject::PriorityInvalid { priority: ask.priority });
    }
    if ask.retries > RETRIES_MAX {
        return Err(Reject::RetryLimit { retries: ask.retries });
    }
    if ask.key.len() > 255 || ask.key.chars().any(char::is_control) {
        return Err(Reject::KeyInvalid { key: ask.key.chars().take(64).collect() });
    }
    if ask.labels.len() > LABELS_MAX {
        return Err(Reject::LabelLimit { count: ask.labels.len() });
    }
    let valid = |key: &str, value: &str| {
        (1..=63).contains(&key.len())
            && !key.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=')
            && value.len() <= 255
            && !value.contains(char::is_control)
    };
    if let Some((key, _)) = ask.labels.iter().find(|(key, value)| !valid(key, value)) {
        return Err(Reject::LabelInvalid { label: key.chars().take(64).collect() });
    }
    check_capabilities(&ask.capabilities)
}

fn check_room(state: &State, ask: &SubmitTask) -> Result<(), Reject> {
    let limit = state.config.limits_of(ask.owner).tasks_max;
    if state.index.users.get(&ask.owner).map_or(0, |user| user.tasks) >= limit {
        return Err(Reject::QueueFull { limit, user: ask.owner_name.clone() });
    }
    Ok(())
}

fn find_target(state: &State, caller: Caller, ask: &SubmitTask) -> Result<Option<AgentId>, Reject> {
    if ask.agent.is_empty() {
        return Ok(None);
    }
    let agent = state.find_agent(caller, &ask.agent)?;
    if agent.owner != ask.owner {
        return Err(Reject::AgentNotFound { agent: ask.agent.clone() });
    }
    if agent.is_terminated() {
        return Err(super::super::agent::wrong_state(agent.id, &agent.life, "given a task"));
    }
    if agent.errand().is_some() {
        return Err(super::super::agent::wrong_state(agent.id, &agent.life, "given a second task"));
    }
    if ask.kind == TaskKind::Prompt
        && ask.input_bytes > PROMPT_ARGV_BYTES_MAX
        && agent.spec.recipe.takes_prompt_on_argv()
    {
        let (bytes, limit) = (ask.input_bytes as usize, PROMPT_ARGV_BYTES_MAX as usize);
        return Err(Reject::TooLarge { what: "a prompt on the agent's argv", bytes, limit });
    }
    Ok(Some(agent.id))
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
