//! Stored shapes: which key holds which value. The bytes are postcard of the core's types; a change
//! of any of those shapes is a new [`SCHEMA`] with a step in `migrate` and a golden file.
//!
//! Not for: how bytes become durable (`store`), what older bytes mean (`migrate`).

use crate::engine::workflow::kept;
use crate::store::{Batch, Direction, ReadError, Reader};
use fusion_core::profile::UserProfiles;
use fusion_core::state::Meta;
use fusion_core::workflow::{Node, Place};
use fusion_core::{Agent, AgentId, Attempt, Event, Key, RunId, Secret, SecretId, State, Task, TaskId, Uid};
use serde::de::DeserializeOwned;

/// The version of all stored shapes.
pub const SCHEMA: u32 = 2;

pub(crate) const META: &[u8] = b"meta/daemon";
pub(crate) const AGENT: &[u8] = b"agent/";
pub(crate) const TASK: &[u8] = b"task/";
pub(crate) const ATTEMPT: &[u8] = b"attempt/";
pub(crate) const EVENT: &[u8] = b"event/";
pub(crate) const SECRET: &[u8] = b"secret/";
pub(crate) const PROFILES: &[u8] = b"profiles/";

fn key(prefix: &[u8], id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + id.len() + 4);
    key.extend_from_slice(prefix);
    key.extend_from_slice(id);
    key
}

fn agent_key(id: AgentId) -> Vec<u8> {
    key(AGENT, &id.0.to_be_bytes())
}

/// Where a task is stored.
#[must_use]
pub fn task_key(id: TaskId) -> Vec<u8> {
    key(TASK, &id.0.to_be_bytes())
}

pub(crate) fn attempt_key(task: TaskId, number: u32) -> Vec<u8> {
    let mut bytes = key(ATTEMPT, &task.0.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// Where the prompt, command and environment of a task are stored.
#[must_use]
pub fn input_key(task: TaskId) -> Vec<u8> {
    key(b"input/", &task.0.to_be_bytes())
}

/// Where the task of an idempotency key is written, for as long as that is stored.
pub(crate) fn key_key(owner: Uid, text: &str) -> Vec<u8> {
    key(b"key/", &[&owner.0.to_be_bytes(), text.as_bytes()].concat())
}

/// The stored task of an idempotency key.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn task_of_key(reader: &Reader, owner: Uid, text: &str) -> Result<Option<Task>, ReadError> {
    let Some(id) = reader.get(&key_key(owner, text))?.and_then(|body| decode::<TaskId>(&body)) else {
        return Ok(None);
    };
    Ok(reader.get(&task_key(id))?.and_then(|body| decode_task(&body)))
}

fn secret_key(id: SecretId) -> Vec<u8> {
    key(SECRET, &id.0.to_be_bytes())
}

/// Where the sealed value of a secret is stored.
pub(crate) fn sealed_key(id: SecretId) -> Vec<u8> {
    key(b"sealed/", &id.0.to_be_bytes())
}

/// Where an event is stored.
#[must_use]
pub fn event_key(seq: u64) -> Vec<u8> {
    key(EVENT, &seq.to_be_bytes())
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data always has a postcard form")
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    postcard::from_bytes(body).ok()
}

/// Reads an event back; `None` for bytes that are none.
#[must_use]
pub fn decode_event(body: &[u8]) -> Option<Event> {
    decode(body)
}

/// Reads a task back, without its attempts.
#[must_use]
pub fn decode_task(body: &[u8]) -> Option<Task> {
    decode(body)
}

pub(crate) fn decode_agent(body: &[u8]) -> Option<Agent> {
    decode(body)
}

pub(crate) fn decode_attempt(body: &[u8]) -> Option<Attempt> {
    decode(body)
}

pub(crate) fn decode_secret(body: &[u8]) -> Option<Secret> {
    decode(body)
}

pub(crate) fn decode_meta(body: &[u8]) -> Option<Meta> {
    decode(body)
}

pub(crate) fn decode_profiles(body: &[u8]) -> Option<UserProfiles> {
    decode(body)
}

/// Puts the present value of an entity into the batch, or its deletion when it is gone.
pub(crate) fn put(batch: &mut Batch, state: &State, touched: Key) {
    match touched {
        Key::Meta => batch.put(META, &encode(&state.meta)),
        Key::Agent(id) => match state.agent(id) {
            Some(agent) => batch.put(&agent_key(id), &encode(agent)),
            None => batch.delete(&agent_key(id)),
        },
        Key::Task(id) => match state.task(id) {
            Some(task) => batch.put(&task_key(id), &encode(task)),
            None => batch.delete(&task_key(id)),
        },
        Key::Secret(id) => match state.secret(id) {
            Some(secret) => batch.put(&secret_key(id), &encode(secret)),
            None => {
                batch.delete(&secret_key(id));
                batch.delete(&sealed_key(id));
            }
        },
        Key::Profiles(owner) => {
            let key = key(PROFILES, &owner.0.to_be_bytes());
            match state.profiles_of(owner) {
                Some(kept) => batch.put(&key, &encode(kept)),
                None => batch.delete(&key),
            }
        }
        Key::Workflow(id) => match state.workflow(id) {
            Some(workflow) => batch.put(&kept::workflow_key(id), &encode(workflow)),
            None => {
                batch.delete(&kept::workflow_key(id));
                batch.delete(&kept::definition_key(id));
            }
        },
        Key::Run(id) => {
            if let Some(run) = state.run(id) {
                batch.put(&kept::run_key(id), &encode(run));
            }
        }
        Key::Plan(id) => {
            if let Some(run) = state.run(id) {
                batch.put(&kept::plan_key(id), &encode(&*run.plan));
            }
        }
        Key::Node(run, node, item) => put_node(batch, state, run, Place { node, item }),
        Key::Attempt(id, number) => {
            let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
            if let Some(attempt) = state.task(id).and_then(|task| task.attempts.get(index)) {
                batch.put(&attempt_key(id, number), &encode(attempt));
            }
        }
    }
}

/// A node that has not begun is not stored.
fn put_node(batch: &mut Batch, state: &State, run: RunId, place: Place) {
    match state.run(run).and_then(|run| run.node(place)) {
        Some(node) if *node != Node::default() => batch.put(&kept::node_key(run, place), &encode(node)),
        Some(_) | None => batch.delete(&kept::node_key(run, place)),
    }
}

/// Puts an event into the batch.
pub(crate) fn put_event(batch: &mut Batch, event: &Event) {
    batch.put(&event_key(event.seq), &encode(event));
}

/// A stored task with its attempts.
///
/// # Errors
/// When the store does not answer.
pub fn stored_task(reader: &Reader, id: TaskId) -> Result<Option<Task>, ReadError> {
    let Some(mut task) = reader.get(&task_key(id))?.and_then(|body| decode_task(&body)) else {
        return Ok(None);
    };
    task.attempts = attempts_of(reader, id)?;
    Ok(Some(task))
}

/// The attempts of a task, in the order of their numbers.
///
/// # Errors
/// When the store does not answer.
pub fn attempts_of(reader: &Reader, task: TaskId) -> Result<Vec<Attempt>, ReadError> {
    let prefix = key(ATTEMPT, &task.0.to_be_bytes());
    let entries = reader.range(&prefix, None, usize::MAX, Direction::Ascending)?;
    Ok(entries.iter().filter_map(|entry| decode_attempt(&entry.body)).collect())
}

/// The stored attempts that an agent worked on, with their tasks. Looks at every stored attempt.
///
/// # Errors
/// When the store does not answer.
pub fn attempts_by(reader: &Reader, agent: AgentId) -> Result<Vec<(TaskId, Attempt)>, ReadError> {
    let mut found = Vec::new();
    reader.scan(ATTEMPT, |key, _, body| {
        let attempt = decode_attempt(body).filter(|attempt| attempt.lease.agent == agent);
        found.extend(task_of_attempt(key).zip(attempt));
    })?;
    Ok(found)
}

/// The task in the key of an attempt.
pub(crate) fn task_of_attempt(key: &[u8]) -> Option<TaskId> {
    let id = key.get(ATTEMPT.len()..ATTEMPT.len() + 16)?;
    id.try_into().ok().map(|bytes| TaskId(u128::from_be_bytes(bytes)))
}
