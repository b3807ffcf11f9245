//! From disk to memory: reads every entity, refuses a state that breaks an invariant.
//!
//! Not for: opening, repairing and migrating the store (`store`).

use crate::engine::record;
use crate::store::{Direction, ReadError, Reader, Store};
use fusion_core::state::{Config, Meta};
use fusion_core::{Agent, Attempt, State, Task, TaskId};
use std::collections::BTreeMap;
use thiserror::Error;

/// The stored state cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The store does not answer.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// A value is not what its key says.
    #[error("the stored value under \"{key}\" is not readable: expected a {kind} of schema {SCHEMA}", SCHEMA = record::SCHEMA)]
    Shape {
        /// The key, as text.
        key: String,
        /// What should be there.
        kind: &'static str,
    },
    /// The values contradict one another.
    #[error("the stored state contradicts itself: {}", .0.join("; "))]
    Broken(Vec<String>),
}

/// Reads the state.
///
/// # Errors
/// [`LoadError`]: restore a backup, or report the text as a bug.
pub fn load(store: &Store, config: Config) -> Result<State, LoadError> {
    let mut meta: Option<Meta> = None;
    let mut failure = None;
    store.load(record::META, |key, _, body| match record::decode_meta(body) {
        Some(found) => meta = Some(found),
        None => failure = Some(shape(key, "meta value")),
    })?;
    let agents: Vec<Agent> = load_kind(store, record::AGENT, "agent", record::decode_agent)?;
    let mut attempts = load_attempts(store)?;
    let mut tasks: Vec<Task> = load_kind(store, record::TASK, "task", record::decode_task)?;
    for task in &mut tasks {
        task.attempts = attempts.remove(&task.id).unwrap_or_default();
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let secrets = load_kind(store, record::SECRET, "secret", record::decode_secret)?;
    let profiles = load_kind(store, record::PROFILES, "set of profiles", record::decode_profiles)?;
    let state = State::load(config, meta, last_seq(&store.reader())?, agents, tasks);
    let mut state = state.with_secrets(secrets).with_profiles(profiles);
    state.check().map_err(LoadError::Broken)?;
    state.trim();
    Ok(state)
}

fn shape(key: &[u8], kind: &'static str) -> LoadError {
    LoadError::Shape { key: String::from_utf8_lossy(key).into_owned(), kind }
}

fn load_kind<T>(
    store: &Store,
    prefix: &[u8],
    kind: &'static str,
    decode: fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, LoadError> {
    let mut found = Vec::new();
    let mut failure = None;
    store.load(prefix, |key, _, body| match decode(body) {
        Some(value) => found.push(value),
        None => failure = Some(shape(key, kind)),
    })?;
    failure.map_or(Ok(found), Err)
}

/// Attempts by task, in the order of their numbers, which is the order of their keys.
fn load_attempts(store: &Store) -> Result<BTreeMap<TaskId, Vec<Attempt>>, LoadError> {
    let mut found: BTreeMap<TaskId, Vec<Attempt>> = BTreeMap::new();
    let mut failure = None;
    store.load(record::ATTEMPT, |key, _, body| {
        match (record::task_of_attempt(key), record::decode_attempt(body)) {
            (Some(id), Some(attempt)) => found.entry(id).or_default().push(attempt),
            (None, _) | (_, None) => failure = Some(shape(key, "attempt")),
        }
    })?;
    failure.map_or(Ok(found), Err)
}

fn last_seq(reader: &Reader) -> Result<u64, LoadError> {
    let last = reader.range(record::EVENT, None, 1, Direction::Descending)?;
    let Some(entry) = last.first() else { return Ok(0) };
    record::decode_event(&entry.body).map(|event| event.seq).ok_or_else(|| shape(&entry.key, "event"))
}
