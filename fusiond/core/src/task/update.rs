//! `task update`: changes what was asked for, as long as no attempt runs.
//!
//! The idempotency key and what it stands for stay: the same submit is still the same task. Not for:
//! dependencies, nor for tasks that run or have ended.

use crate::agent::spawn::check_capabilities;
use crate::event::EventKind;
use crate::ids::Capabilities;
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::submit::{self, find_target};
use crate::task::{DeferWhy, OnLost, Task, TaskKind, TaskSpec, TaskState, Wait, retry};
use crate::time::{Millis, Time};
use std::collections::BTreeMap;

/// What becomes of a value that may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Unset,
    /// It becomes this.
    Set(T),
}

/// What is to be different; whatever is not named stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateTask {
    /// Which task.
    pub task: String,
    /// 0 to 9.
    pub priority: Option<u32>,
    /// Another prompt; the door stores its bytes.
    pub prompt: Option<NewPrompt>,
    /// What the agent must be able to do.
    pub capabilities: Option<Capabilities>,
    /// Id or name of the agent it must run on.
    pub agent: Edit<String>,
    /// Labels to add or to change.
    pub labels: Vec<(String, String)>,
    /// Keys of labels to remove.
    pub labels_removed: Vec<String>,
    /// Longest time of one attempt.
    pub run_timeout: Edit<Millis>,
    /// Longest time of an attempt without output and without CPU use.
    pub idle_timeout: Edit<Millis>,
    /// Longest wait for an agent.
    pub queue_timeout: Edit<Millis>,
    /// Further attempts after a failure.
    pub retries: Option<u32>,
    /// When the outcome cannot be known.
    pub on_lost: Option<OnLost>,
    /// Not before this instant.
    pub not_before: Edit<Time>,
    /// Of the owner's tasks with the same one, at most one is active.
    pub concurrency_key: Edit<String>,
}

/// The part of a new prompt that is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrompt {
    /// Its first line, cut.
    pub title: String,
    /// Length of what is stored beside the task.
    pub input_bytes: u32,
}

/// What an agent has no leave for.
pub(crate) const LEAVE: &str = "changing tasks";

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: UpdateTask,
) -> Result<Done, Reject> {
    let found = retry::find_for_owner(state, caller, &ask.task, LEAVE)?;
    let (id, owner) = (found.id, found.owner);
    let wait =
        Wait::of(&found.state, turn.now).ok_or_else(|| super::wrong_state(id, &found.state, "updated"))?;
    // Names are those of the owner, also when an admin asks.
    let reader = Caller { uid: owner, ..caller };
    let new_prompt = ask.prompt.as_ref().map(|_| "prompt");
    let spec = plan_spec(state, reader, found, ask)?;
    let changed = changes(&found.spec, &spec, new_prompt);
    if changed.is_empty() {
        return Ok(Done::Task(id));
    }
    let wait = if spec.not_before == found.spec.not_before { wait } else { replan(wait, &spec, turn.now) };
    state.alter_task(out, id, |task| {
        task.spec = spec;
        if let TaskState::Held(held) = &mut task.state {
            held.wait = wait;
        } else {
            task.state = wait.into_state(turn.now);
        }
    });
    state.tell(out, turn.now, caller.actor(), Some(owner), EventKind::TaskUpdated { task: id, changed });
    Ok(Done::Task(id))
}

/// The wait of a task whose `not_before` is another one now. What waits for others is looked at when
/// they have ended, and a wait between attempts is not the asker's.
fn replan(wait: Wait, spec: &TaskSpec, now: Time) -> Wait {
    match (wait, Wait::first(spec, Vec::new(), now)) {
        (wait @ (Wait::Tasks { .. } | Wait::Instant { why: DeferWhy::Retry | DeferWhy::Snooze, .. }), _) => {
            wait
        }
        (wait @ Wait::Agent { .. }, Wait::Agent { .. }) => wait,
        (Wait::Agent { .. } | Wait::Instant { why: DeferWhy::NotBefore, .. }, next) => next,
    }
}

fn plan_spec(state: &State, owner: Caller, task: &Task, ask: UpdateTask) -> Result<TaskSpec, Reject> {
    let mut spec = task.spec.clone();
    if let Some(priority) = ask.priority {
        submit::check_priority(priority)?;
        spec.priority = u8::try_from(priority).unwrap_or(spec.priority);
    }
    if let Some(retries) = ask.retries {
        submit::check_retries(retries)?;
        spec.retries = retries;
    }
    if let Some(capabilities) = ask.capabilities {
        check_capabilities(&capabilities)?;
        spec.capabilities = capabilities;
    }
    if let Some(prompt) = ask.prompt {
        check_prompt(&prompt.title, spec.kind)?;
        spec.title = prompt.title.into();
        spec.input_bytes = prompt.input_bytes;
    }
    if ask.agent != Edit::Keep {
        check_bond(state, task)?;
    }
    match ask.agent {
        Edit::Keep => {}
        Edit::Unset => spec.target = None,
        Edit::Set(name) => spec.target = find_target(state, owner, &name)?,
    }
    submit::check_target(state, spec.target, spec.kind, spec.input_bytes)?;
    if let Edit::Set(key) = &ask.concurrency_key {
        submit::check_key(key)?;
    }
    spec.concurrency_key =
        ask.concurrency_key.over(spec.concurrency_key.map(Into::into)).and_then(submit::text);
    spec.labels = plan_labels(&spec, ask.labels, &ask.labels_removed)?;
    spec.timeouts.run = ask.run_timeout.over(spec.timeouts.run);
    spec.timeouts.idle = ask.idle_timeout.over(spec.timeouts.idle);
    spec.timeouts.queue = ask.queue_timeout.over(spec.timeouts.queue);
    submit::check_timeouts(spec.timeouts)?;
    spec.on_lost = ask.on_lost.unwrap_or(spec.on_lost);
    spec.not_before = ask.not_before.over(spec.not_before);
    Ok(spec)
}

/// An agent that was made for a task ends with it, and must not lose it.
fn check_bond(state: &State, task: &Task) -> Result<(), Reject> {
    let agent = task.spec.target.and_then(|target| state.agent(target));
    match agent.filter(|agent| agent.errand() == Some(task.id)) {
        None => Ok(()),
        Some(agent) => Err(Reject::FieldInvalid {
            field: "agent",
            value: agent.spec.name.clone(),
            expected: "no other one, since it was made for this task",
        }),
    }
}

/// A command stays what it is: its prompt would be nobody's.
fn check_prompt(title: &str, kind: TaskKind) -> Result<(), Reject> {
    match kind {
        TaskKind::Prompt => Ok(()),
        TaskKind::Run => Err(Reject::FieldInvalid {
            field: "prompt",
            value: title.to_owned(),
            expected: "no prompt, since the task runs a command",
        }),
    }
}

type Labels = Box<[(Box<str>, Box<str>)]>;

fn plan_labels(spec: &TaskSpec, set: Vec<(String, String)>, removed: &[String]) -> Result<Labels, Reject> {
    let mut labels: BTreeMap<Box<str>, Box<str>> = spec.labels.iter().cloned().collect();
    for key in removed {
        labels.remove(key.as_str());
    }
    labels.extend(set.into_iter().map(|(key, value)| (key.into(), value.into())));
    submit::check_labels(labels.iter().map(|(key, value)| (&**key, &**value)))?;
    Ok(labels.into_iter().collect())
}

/// What is different, by the names that users see. Two prompts may look the same from here.
fn changes(old: &TaskSpec, new: &TaskSpec, prompt: Option<&str>) -> Vec<String> {
    let fields = [
        ("priority", old.priority != new.priority),
        ("capabilities", old.capabilities != new.capabilities),
        ("agent", old.target != new.target),
        ("labels", old.labels != new.labels),
        ("timeout", old.timeouts.run != new.timeouts.run),
        ("idleTimeout", old.timeouts.idle != new.timeouts.idle),
        ("queueTimeout", old.timeouts.queue != new.timeouts.queue),
        ("retries", old.retries != new.retries),
        ("onLost", old.on_lost != new.on_lost),
        ("notBefore", old.not_before != new.not_before),
        ("concurrencyKey", old.concurrency_key != new.concurrency_key),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name);
    prompt.into_iter().chain(changed).map(str::to_owned).collect()
}

impl<T> Edit<T> {
    /// The same edit of what `change` makes of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Edit<U> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Unset => Edit::Unset,
            Self::Set(value) => Edit::Set(change(value)),
        }
    }

    /// What an old value becomes.
    fn over(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Unset => None,
            Self::Set(new) => Some(new),
        }
    }
}
