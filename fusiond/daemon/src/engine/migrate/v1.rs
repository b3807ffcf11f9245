//! Schema 1, and the step from it to 2.
//!
//! Not for: reading it at run time; after the step nothing of it is left.

mod attempt;

use crate::engine::record;
use fusion_core::agent::{AgentLife, AgentLimits, RestartPolicy, Stay, Wish};
use fusion_core::failure::Failure;
use fusion_core::input::Actor;
use fusion_core::task::{Clock, DeferWhy, OnLost, Phase, Stop, TaskKind, Timeouts};
use fusion_core::workspace::{Disk, Seeded};
use fusion_core::{AgentId, Capabilities, Millis, Nonce, TaskId, Time, Uid, agent, task};
use serde::Deserialize;

/// What a value of schema 1 is in schema 2.
pub(super) fn step(key: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if key.starts_with(record::AGENT) {
        return read::<Agent>("agent", body).map(|old| Some(record::encode(&agent::Agent::from(old))));
    }
    if key.starts_with(record::TASK) {
        return read::<Task>("task", body).map(|old| Some(record::encode(&task::Task::from(old))));
    }
    if key.starts_with(record::ATTEMPT) {
        return read::<attempt::Attempt>("attempt", body)
            .map(|old| Some(record::encode(&task::Attempt::from(old))));
    }
    if key.starts_with(record::EVENT) {
        let found = attempt::exited(body).map_err(|problem| unreadable("event", &problem))?;
        return Ok(found.map(|event| record::encode(&event)));
    }
    Ok(None)
}

fn read<'a, T: Deserialize<'a>>(kind: &str, body: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|problem| unreadable(kind, &problem))
}

fn unreadable(kind: &str, problem: &postcard::Error) -> String {
    format!("a value ({kind}) of schema 1 is not readable: {problem}")
}

#[derive(Deserialize)]
struct Agent {
    id: AgentId,
    owner: Uid,
    created_at: Time,
    spec: AgentSpec,
    incarnation: u32,
    nonce: Nonce,
    next_serial: u32,
    life: AgentLife,
    crashes: Vec<Time>,
    succeeded: u64,
    failed: u64,
    trouble: Option<String>,
    wish: Wish,
    request: u64,
}

#[derive(Deserialize)]
struct AgentSpec {
    name: String,
    profile: String,
    capabilities: Capabilities,
    restart: RestartPolicy,
    limits: Limits,
    idle_timeout: Option<Millis>,
    recipe: Recipe,
}

#[derive(Deserialize)]
struct Limits {
    memory_bytes: Option<u64>,
    cpu_millis: Option<u32>,
    pids: Option<u32>,
}

#[derive(Deserialize)]
struct Recipe {
    command: Vec<String>,
    prompt: String,
    home: String,
    sandbox: String,
    result: String,
    env: Vec<(String, String)>,
    path: String,
    lang: String,
    backend: String,
    workspace: String,
}

#[derive(Deserialize)]
struct Task {
    id: TaskId,
    owner: Uid,
    actor: Actor,
    created_at: Time,
    spec: TaskSpec,
    state: TaskState,
    snoozes: u32,
    counted_from: u32,
}

#[derive(Deserialize)]
struct TaskSpec {
    title: Box<str>,
    kind: TaskKind,
    input_bytes: u32,
    priority: u8,
    capabilities: Capabilities,
    target: Option<AgentId>,
    key: Option<Box<str>>,
    request: u64,
    fingerprint: u64,
    labels: Box<[(Box<str>, Box<str>)]>,
    timeouts: Timeouts,
    retries: u32,
    on_lost: OnLost,
    not_before: Option<Time>,
    after: Box<[TaskId]>,
    parent: Option<TaskId>,
}

#[derive(Deserialize)]
enum TaskState {
    Blocked { on: Vec<TaskId> },
    Deferred { until: Time, why: DeferWhy },
    Queued { since: Time },
    Active(Active),
    Lost { since: Time, failure: Failure },
    Succeeded { at: Time },
    Failed { at: Time, failure: Failure },
    Cancelled { at: Time },
    TimedOut { at: Time, failure: Failure },
}

#[derive(Deserialize)]
struct Active {
    phase: Phase,
    clock: Clock,
    stop: Option<Stop>,
}

impl From<Agent> for agent::Agent {
    fn from(old: Agent) -> Self {
        Self {
            id: old.id,
            owner: old.owner,
            created_at: old.created_at,
            spec: old.spec.into(),
            incarnation: old.incarnation,
            nonce: old.nonce,
            next_serial: old.next_serial,
            life: old.life,
            crashes: old.crashes,
            succeeded: old.succeeded,
            failed: old.failed,
            trouble: old.trouble,
            wish: old.wish,
            frozen_for: None,
            request: old.request,
            seeded: Seeded::default(),
            disk: Disk::default(),
        }
    }
}

impl From<Limits> for AgentLimits {
    fn from(old: Limits) -> Self {
        let Limits { memory_bytes, cpu_millis, pids } = old;
        Self { memory_bytes, cpu_millis, pids, ..Self::default() }
    }
}

impl From<AgentSpec> for agent::AgentSpec {
    fn from(old: AgentSpec) -> Self {
        Self {
            name: old.name,
            profile: old.profile,
            capabilities: old.capabilities,
            restart: old.restart,
            limits: old.limits.into(),
            idle_timeout: old.idle_timeout,
            recipe: old.recipe.into(),
            group: None,
            stay: Stay::default(),
            retention: None,
            secrets: Vec::new(),
            seed: None,
            disk_bytes: None,
        }
    }
}

impl From<Recipe> for agent::Recipe {
    fn from(old: Recipe) -> Self {
        Self {
            command: old.command,
            prompt: old.prompt,
            home: old.home,
            sandbox: old.sandbox,
            result: old.result,
            env: old.env,
            path: old.path,
            lang: old.lang,
            backend: old.backend,
            workspace: old.workspace,
            stdin: "closed".to_owned(),
            usage: String::new(),
            tokens: Vec::new(),
        }
    }
}

impl From<Task> for task::Task {
    fn from(old: Task) -> Self {
        Self {
            id: old.id,
            owner: old.owner,
            actor: old.actor,
            created_at: old.created_at,
            spec: old.spec.into(),
            state: old.state.into(),
            attempts: Vec::new(),
            snoozes: old.snoozes,
            counted_from: old.counted_from,
        }
    }
}

impl From<TaskSpec> for task::TaskSpec {
    fn from(old: TaskSpec) -> Self {
        Self {
            title: old.title,
            kind: old.kind,
            input_bytes: old.input_bytes,
            priority: old.priority,
            capabilities: old.capabilities,
            target: old.target,
            key: old.key,
            request: old.request,
            fingerprint: old.fingerprint,
            labels: old.labels,
            timeouts: old.timeouts,
            retries: old.retries,
            on_lost: old.on_lost,
            not_before: old.not_before,
            after: old.after,
            parent: old.parent,
            concurrency_key: None,
            secrets: Box::default(),
            stdin: task::Stdin::Closed,
            node: None,
        }
    }
}

impl From<TaskState> for task::TaskState {
    fn from(old: TaskState) -> Self {
        match old {
            TaskState::Blocked { on } => Self::Blocked { on },
            TaskState::Deferred { until, why } => Self::Deferred { until, why },
            TaskState::Queued { since } => Self::Queued { since },
            TaskState::Active(active) => Self::Active(active.into()),
            TaskState::Lost { since, failure } => Self::Lost { since, failure },
            TaskState::Succeeded { at } => Self::Succeeded { at },
            TaskState::Failed { at, failure } => Self::Failed { at, failure },
            TaskState::Cancelled { at } => Self::Cancelled { at },
            TaskState::TimedOut { at, failure } => Self::TimedOut { at, failure },
        }
    }
}

impl From<Active> for task::Active {
    fn from(old: Active) -> Self {
        Self { phase: old.phase, clock: old.clock, stop: old.stop, question: None }
    }
}
