//! What has happened, as lines of the daemon's log: `journalctl FUSION_AGENT=agt_…` tells an agent's life.
//!
//! Agents and ends are told at level `info`, the steps of tasks at `debug`. Prompts, output and names of files are in no
//! line: the events, which their owner alone may read, have them. Not here: how a line looks (`telemetry`).

use fusion_core::event::Subject;
use fusion_core::task::{Exit, ExitKind};
use fusion_core::{AgentId, Event, EventKind, RunId, State, TaskId};

/// Tells one event that is on disk.
pub(super) fn tell(state: &State, event: &Event) {
    let kind = &event.kind;
    let agent = agent_of(kind);
    let name = agent.and_then(|id| state.agent(id)).map_or("", |agent| agent.spec.name.as_str());
    let text = [Some(kind.word()), Some(name).filter(|name| !name.is_empty())];
    let mut text = text.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (weight, detail) = worth(kind);
    if !detail.is_empty() {
        text = format!("{text}: {detail}");
    }
    // The journal shows fields only to who asks for them, and names are each user's own.
    if let Some(id) = id_of(kind.subject()) {
        text = format!("{text} ({id})");
    }
    let agent = agent.map(tracing::field::display);
    let task = task_of(kind).map(tracing::field::display);
    let run = run_of(state, kind).map(tracing::field::display);
    let user = event.owner.map(|uid| uid.0);
    match weight {
        Weight::Trouble => tracing::warn!(agent, task, run, user, "{text}"),
        Weight::News => tracing::info!(agent, task, run, user, "{text}"),
        Weight::Step => tracing::debug!(agent, task, run, user, "{text}"),
    }
}

enum Weight {
    Trouble,
    News,
    Step,
}

/// How much a line is worth, and what makes it worth reading; reasons are the daemon's own words.
fn worth(kind: &EventKind) -> (Weight, String) {
    let nothing = String::new();
    match kind {
        EventKind::AgentCrashed { reason, .. }
        | EventKind::AttemptLost { reason, .. }
        | EventKind::AttemptNotStarted { reason, .. } => (Weight::Trouble, reason.clone()),
        EventKind::AgentQuarantined { crashes, .. } => (Weight::Trouble, format!("{crashes} crashes")),
        EventKind::TaskLost { code, .. } => (Weight::Trouble, code.clone()),
        EventKind::WorkspaceKept { .. } | EventKind::WorkspaceSeedFailed { .. } => (Weight::Trouble, nothing),
        EventKind::WorkspaceOverQuota { reason, .. } => (Weight::Trouble, reason.clone()),
        EventKind::AgentSpawned { profile, .. } => (Weight::News, format!("profile {profile}")),
        EventKind::AgentReady { incarnation, adopted, .. } => {
            (Weight::News, format!("incarnation {incarnation}{}", if *adopted { ", adopted" } else { "" }))
        }
        EventKind::AgentRestarted { incarnation, .. } => (Weight::News, format!("incarnation {incarnation}")),
        EventKind::AttemptExited { number, exit, .. } => {
            (Weight::News, format!("attempt {number} {}", how(exit)))
        }
        EventKind::TaskFailed { code, .. } | EventKind::TaskTimedOut { code, .. } => {
            (Weight::News, code.clone())
        }
        EventKind::DaemonStarted { .. }
        | EventKind::IntakeClosed
        | EventKind::IntakeOpened
        | EventKind::AgentPaused { .. }
        | EventKind::AgentPausing { .. }
        | EventKind::AgentDraining { .. }
        | EventKind::AgentResumed { .. }
        | EventKind::AgentBackedOff { .. }
        | EventKind::AgentStopping { .. }
        | EventKind::AgentTerminated { .. }
        | EventKind::AgentStopped { .. }
        | EventKind::AgentRemoved { .. }
        | EventKind::AgentUpdated { .. }
        | EventKind::StaleNews { .. }
        | EventKind::WorkspaceSeeding { .. }
        | EventKind::WorkspaceSeeded { .. }
        | EventKind::WorkspaceRemoved { .. }
        | EventKind::WorkspaceWithinQuota { .. }
        | EventKind::SecretSet { .. }
        | EventKind::SecretRemoved { .. }
        | EventKind::ProfileApplied { .. }
        | EventKind::ProfileRemoved { .. } => (Weight::News, nothing),
        EventKind::TaskSubmitted { .. }
        | EventKind::TaskQueued { .. }
        | EventKind::TaskDeferred { .. }
        | EventKind::TaskStarted { .. }
        | EventKind::TaskCancelling { .. }
        | EventKind::TaskSucceeded { .. }
        | EventKind::TaskCancelled { .. }
        | EventKind::TaskRetried { .. }
        | EventKind::TaskResolved { .. }
        | EventKind::TaskAsked { .. }
        | EventKind::TaskAnswered { .. }
        | EventKind::TaskHeld { .. }
        | EventKind::TaskReleased { .. }
        | EventKind::TaskUpdated { .. } => (Weight::Step, nothing),
        fusion_core::of_runs!() => worth_of_run(kind),
    }
}

fn worth_of_run(kind: &EventKind) -> (Weight, String) {
    if let EventKind::RunStarted { workflow, .. } = kind {
        return (Weight::News, workflow.clone());
    }
    if let EventKind::RunFailed { code, .. } | EventKind::NodeFailed { code, .. } = kind {
        return (Weight::News, code.clone());
    }
    let is_step = matches!(
        kind,
        EventKind::NodeStarted { .. }
            | EventKind::NodeWaiting { .. }
            | EventKind::NodeSucceeded { .. }
            | EventKind::NodeSkipped { .. }
            | EventKind::NodeCancelled { .. }
    );
    (if is_step { Weight::Step } else { Weight::News }, String::new())
}

fn agent_of(kind: &EventKind) -> Option<AgentId> {
    if let EventKind::TaskStarted { agent, .. }
    | EventKind::AttemptExited { agent, .. }
    | EventKind::AttemptLost { agent, .. }
    | EventKind::AttemptNotStarted { agent, .. } = kind
    {
        return Some(*agent);
    }
    match kind.subject() {
        Subject::Agent(agent) => Some(agent),
        Subject::Daemon
        | Subject::Task(_)
        | Subject::Secret(_)
        | Subject::User(_)
        | Subject::Run(_)
        | Subject::Workflow(_) => None,
    }
}

fn id_of(subject: Subject) -> Option<String> {
    match subject {
        Subject::Agent(_) | Subject::Task(_) | Subject::Run(_) => Some(subject.to_string()),
        Subject::Daemon | Subject::Secret(_) | Subject::User(_) | Subject::Workflow(_) => None,
    }
}

fn task_of(kind: &EventKind) -> Option<TaskId> {
    match kind.subject() {
        Subject::Task(task) => Some(task),
        Subject::Daemon
        | Subject::Agent(_)
        | Subject::Secret(_)
        | Subject::User(_)
        | Subject::Run(_)
        | Subject::Workflow(_) => None,
    }
}

/// The run that an event is about, or that its task is done for.
fn run_of(state: &State, kind: &EventKind) -> Option<RunId> {
    match kind.subject() {
        Subject::Run(run) => Some(run),
        Subject::Task(task) => state.task(task)?.spec.node.as_ref().map(|node| node.run),
        Subject::Daemon
        | Subject::Agent(_)
        | Subject::Secret(_)
        | Subject::User(_)
        | Subject::Workflow(_) => None,
    }
}

fn how(exit: &Exit) -> String {
    let end = match &exit.kind {
        ExitKind::Exited { code } => format!("ended with exit code {code}"),
        ExitKind::Signaled { signal } if exit.oom_kills > 0 => {
            format!("was ended by signal {signal}, out of memory")
        }
        ExitKind::Signaled { signal } => format!("was ended by signal {signal}"),
        ExitKind::StartFailed { stage, .. } => format!("did not start: {stage}"),
        ExitKind::OutputInvalid { .. } => "left a result file that cannot be one".to_owned(),
    };
    let (cpu, memory) = (exit.cpu.0, exit.peak_memory_bytes >> 20);
    format!("{end} after {} ms (cpu {cpu} ms, memory {memory} MiB)", exit.ended_at.since(exit.started_at).0)
}
