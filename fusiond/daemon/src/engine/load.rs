//! From disk to memory: reads every entity, refuses a state that breaks an invariant.
//!
//! Not for: opening, repairing and migrating the store (`store`).

use crate::engine::record;
use crate::engine::workflow::kept;
use crate::store::{Direction, ReadError, Reader, Store};
use fusion_core::state::{Config, Meta};
use fusion_core::workflow::{Node, Place, Plan, Run, Workflow};
use fusion_core::{Agent, Attempt, RunId, State, Task, TaskId};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use thiserror::Error;

/// Tasks that are read before those before them are entered.
const TASKS_AHEAD: usize = 4096;

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
    if let Some(failure) = failure {
        return Err(failure);
    }
    let last = last_seq(&store.reader())?;
    let mut state = with_tasks(store, |tasks| State::load(config, meta, last, agents, tasks))?;
    let secrets = load_kind(store, record::SECRET, "secret", record::decode_secret)?;
    let profiles = load_kind(store, record::PROFILES, "set of profiles", record::decode_profiles)?;
    let workflows = load_kind(store, kept::WORKFLOW, "workflow", record::decode::<Workflow>)?;
    let runs = load_runs(store)?;
    state = state.with_secrets(secrets).with_profiles(profiles).with_workflows(workflows, runs);
    state.check_entities().map_err(LoadError::Broken)?;
    state.trim();
    Ok(state)
}

fn shape(key: &[u8], kind: &'static str) -> LoadError {
    LoadError::Shape { key: String::from_utf8_lossy(key).into_owned(), kind }
}

/// What `make` does with all tasks, of which one thread reads the next while the other enters those before.
fn with_tasks<T>(
    store: &Store,
    make: impl FnOnce(&mut dyn Iterator<Item = Task>) -> T,
) -> Result<T, LoadError> {
    let mut attempts = load_attempts(store)?;
    let reader = store.reader();
    std::thread::scope(|scope| {
        let (sender, tasks) = sync_channel(TASKS_AHEAD);
        let reading = scope.spawn(move || {
            let mut failure = None;
            let read = reader.scan(record::TASK, |key, _, body| match record::decode_task(body) {
                // The other end is only gone when it has panicked, which ends this, too.
                Some(task) => drop(sender.send(task)),
                None => failure = Some(shape(key, "task")),
            });
            read.map_err(LoadError::from).and_then(|_| failure.map_or(Ok(()), Err))
        });
        let made = make(&mut tasks.into_iter().map(|mut task| {
            task.attempts = attempts.remove(&task.id).unwrap_or_default();
            task
        }));
        reading.join().unwrap_or_else(|panic| resume_unwind(panic)).map(|()| made)
    })
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

/// Runs with their plans and nodes.
fn load_runs(store: &Store) -> Result<Vec<Run>, LoadError> {
    let runs = load_kind(store, kept::RUN, "run", record::decode::<Run>)?;
    let mut plans: BTreeMap<RunId, Arc<Plan>> = BTreeMap::new();
    let mut nodes: BTreeMap<RunId, Vec<(Place, Node)>> = BTreeMap::new();
    let mut failure = None;
    store.load(kept::PLAN, |key, _, body| match (kept::run_in(kept::PLAN, key), record::decode(body)) {
        (Some(id), Some(plan)) => drop(plans.insert(id, Arc::new(plan))),
        (None, _) | (_, None) => failure = Some(shape(key, "plan of a run")),
    })?;
    store.load(kept::NODE, |key, _, body| {
        match (kept::run_in(kept::NODE, key), kept::place_in(key), record::decode(body)) {
            (Some(id), Some(place), Some(node)) => nodes.entry(id).or_default().push((place, node)),
            (None, _, _) | (_, None, _) | (_, _, None) => failure = Some(shape(key, "node of a run")),
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let whole = |run: Run| {
        let plan = plans.remove(&run.id).ok_or_else(|| shape(&kept::plan_key(run.id), "plan of a run"))?;
        let nodes = nodes.remove(&run.id).unwrap_or_default();
        Ok(run.with(plan, nodes))
    };
    runs.into_iter().map(whole).collect()
}

fn last_seq(reader: &Reader) -> Result<u64, LoadError> {
    let last = reader.range(record::EVENT, None, 1, Direction::Descending)?;
    let Some(entry) = last.first() else { return Ok(0) };
    record::decode_event(&entry.body).map(|event| event.seq).ok_or_else(|| shape(&entry.key, "event"))
}
