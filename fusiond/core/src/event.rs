//! Events: durable facts with a sequence number, written in the same batch as the change they tell.
//!
//! Not for: log lines. An event says what became true; every one names its actor.

use crate::ids::{AgentId, RunId, SecretId, TaskId, Uid, WorkflowId};
use crate::input::{Actor, PauseHow};
use crate::task::Exit;
use crate::time::{Millis, Time};
use crate::workflow::Changes;
use serde::{Deserialize, Serialize};

/// A durable fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the one sequence of this daemon, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who caused it.
    pub actor: Actor,
    /// Who owns the subject; `None`: the daemon itself.
    pub owner: Option<Uid>,
    /// What.
    pub kind: EventKind,
}

/// What became true. The words are past tense: it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the words of the variant's sentence")]
pub enum EventKind {
    /// The daemon has started.
    DaemonStarted { epoch: u64 },
    /// No new attempts begin.
    IntakeClosed,
    /// New attempts begin again.
    IntakeOpened,
    /// An agent was accepted.
    AgentSpawned { agent: AgentId, name: String, profile: String },
    /// Its shim is up; it waits for work.
    AgentReady { agent: AgentId, incarnation: u32, adopted: bool },
    /// It is frozen, or drained and frozen.
    AgentPaused { agent: AgentId },
    /// It will be paused when its task has ended.
    AgentDraining { agent: AgentId },
    /// It goes on.
    AgentResumed { agent: AgentId },
    /// Its shim ended unexpectedly or could not be started.
    AgentCrashed { agent: AgentId, incarnation: u32, reason: String },
    /// The next incarnation starts at `until`.
    AgentBackedOff { agent: AgentId, until: Time },
    /// Its shims ended too often.
    AgentQuarantined { agent: AgentId, crashes: u32 },
    /// Its end was asked for.
    AgentStopping { agent: AgentId },
    /// A new incarnation starts.
    AgentRestarted { agent: AgentId, incarnation: u32 },
    /// It is over, and no process of it is left.
    AgentTerminated { agent: AgentId },
    /// Its workspace is gone.
    WorkspaceRemoved { agent: AgentId },
    /// Its workspace could not be removed.
    WorkspaceKept { agent: AgentId, reason: String },
    /// A task was accepted.
    TaskSubmitted { task: TaskId },
    /// A task may run as soon as an agent is free.
    TaskQueued { task: TaskId, reason: String },
    /// A task waits for an instant.
    TaskDeferred { task: TaskId, until: Time, reason: String },
    /// An agent works on it.
    TaskStarted { task: TaskId, number: u32, agent: AgentId, incarnation: u32 },
    /// The death certificate of an attempt.
    AttemptExited { task: TaskId, number: u32, agent: AgentId, incarnation: u32, exit: Exit },
    /// Nobody saw the end of an attempt.
    AttemptLost { task: TaskId, number: u32, agent: AgentId, incarnation: u32, reason: String },
    /// An attempt never began; it is not counted.
    AttemptNotStarted { task: TaskId, number: u32, agent: AgentId, incarnation: u32, reason: String },
    /// News of a lease that is not in force; recorded and ignored.
    StaleNews { agent: AgentId, incarnation: u32, serial: u32, what: String },
    /// A cancel was asked for while an attempt runs.
    TaskCancelling { task: TaskId },
    /// It is done.
    TaskSucceeded { task: TaskId, took: Millis },
    /// It failed for good.
    TaskFailed { task: TaskId, code: String, message: String },
    /// Its time was over.
    TaskTimedOut { task: TaskId, code: String, message: String },
    /// Somebody ended it.
    TaskCancelled { task: TaskId },
    /// Its outcome cannot be known.
    TaskLost { task: TaskId, code: String, message: String },
    /// Somebody queued it again.
    TaskRetried { task: TaskId },
    /// Somebody decided a lost task.
    TaskResolved { task: TaskId, resolution: String },
    /// Somebody asked its shim to end, past the daemon.
    AgentStopped { agent: AgentId, incarnation: u32 },
    /// Its attempt asked a person something.
    TaskAsked { task: TaskId, kind: String, text: String },
    /// The question of its attempt has ended: approved, rejected, answered, expired or withdrawn.
    TaskAnswered { task: TaskId, reply: String, comment: String },
    /// Its record and its logs are gone.
    AgentRemoved { agent: AgentId },
    /// Somebody keeps it from starting.
    TaskHeld { task: TaskId },
    /// Nobody holds it any more: it goes on to what it would be by now.
    TaskReleased { task: TaskId },
    /// Somebody changed what it asks for; the names of what is different.
    TaskUpdated { task: TaskId, changed: Vec<String> },
    /// A secret has a new value.
    SecretSet { secret: SecretId, name: String },
    /// A secret is not given any more.
    SecretRemoved { secret: SecretId, name: String },
    /// A user's own profile is new or says something else.
    ProfileApplied { owner: Uid, name: String },
    /// A user's own profile is gone; agents made of it go on.
    ProfileRemoved { owner: Uid, name: String },
    /// Its workspace is being filled.
    WorkspaceSeeding { agent: AgentId },
    /// Its workspace is filled.
    WorkspaceSeeded { agent: AgentId, took: Millis },
    /// Its workspace could not be filled: the agent ends.
    WorkspaceSeedFailed { agent: AgentId, reason: String },
    /// Settings of an agent were changed.
    AgentUpdated { agent: AgentId, what: String },
    /// Its workspace takes more than it may, or cannot be counted: no task is started on it.
    WorkspaceOverQuota { agent: AgentId, bytes: u64, limit: u64, reason: String },
    /// Its workspace takes no more than it may again.
    WorkspaceWithinQuota { agent: AgentId, bytes: u64, limit: u64 },
    /// A definition is the newest version of its name.
    WorkflowApplied { workflow: WorkflowId, name: String, version: u32 },
    /// A run of a workflow was accepted and begins.
    RunStarted { run: RunId, workflow: String, version: u32 },
    /// Nothing new of it begins.
    RunPaused { run: RunId, how: PauseHow },
    /// It goes on.
    RunResumed { run: RunId },
    /// Its end was asked for.
    RunCancelling { run: RunId },
    /// It is done.
    RunSucceeded { run: RunId, took: Millis },
    /// It failed.
    RunFailed { run: RunId, code: String, message: String },
    /// Somebody ended it.
    RunCancelled { run: RunId },
    /// Nodes of it are done once more.
    RunRerun { run: RunId, generation: u32 },
    /// A node of a run, or an item of it, is being done.
    NodeStarted { run: RunId, node: String, item: Option<u32>, task: Option<TaskId> },
    /// A node waits for an instant.
    NodeWaiting { run: RunId, node: String, until: Option<Time> },
    /// A node waits for a person.
    NodeAsked { run: RunId, node: String, expires_at: Option<Time> },
    /// A person has decided about a node, or the time for that is over.
    NodeDecided { run: RunId, node: String, approved: bool, comment: String },
    /// The result of a node was not what it should be, or an edit came before an agent began it; it is done again.
    NodeRetried { run: RunId, node: String, item: Option<u32>, reason: String },
    /// A node of a run, or an item of it, is done.
    NodeSucceeded { run: RunId, node: String, item: Option<u32> },
    /// A node of a run, or an item of it, failed.
    NodeFailed { run: RunId, node: String, item: Option<u32>, code: String, message: String },
    /// A node of a run is not done.
    NodeSkipped { run: RunId, node: String, reason: String },
    /// A node of a run, or an item of it, was ended.
    NodeCancelled { run: RunId, node: String, item: Option<u32> },
    /// It has another definition; how many nodes that touched.
    RunEdited { run: RunId, revision: u32, changes: Changes },
    /// Somebody asked that it be frozen.
    AgentPausing { agent: AgentId },
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The daemon.
    Daemon,
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
    /// A value of a secret.
    Secret(SecretId),
    /// A user.
    User(Uid),
    /// A run.
    Run(RunId),
    /// A version of a workflow.
    Workflow(WorkflowId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Daemon => f.write_str("fusiond"),
            Self::Agent(id) => id.fmt(f),
            Self::Task(id) => id.fmt(f),
            Self::Secret(id) => id.fmt(f),
            Self::User(uid) => write!(f, "user:{}", uid.0),
            Self::Run(id) => id.fmt(f),
            Self::Workflow(id) => id.fmt(f),
        }
    }
}

impl EventKind {
    /// `subject.past-verb`, as users see it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::DaemonStarted { .. } => "daemon.started",
            Self::IntakeClosed => "daemon.intake_closed",
            Self::IntakeOpened => "daemon.intake_opened",
            Self::AgentSpawned { .. } => "agent.spawned",
            Self::AgentReady { .. } => "agent.ready",
            Self::AgentPaused { .. } | Self::AgentPausing { .. } => self.word_of_pause(),
            Self::AgentDraining { .. } => "agent.draining",
            Self::AgentResumed { .. } => "agent.resumed",
            Self::AgentCrashed { .. } => "agent.crashed",
            Self::AgentBackedOff { .. } => "agent.backed_off",
            Self::AgentQuarantined { .. } => "agent.quarantined",
            Self::AgentStopping { .. } => "agent.stopping",
            Self::AgentRestarted { .. } => "agent.restarted",
            Self::AgentTerminated { .. } => "agent.terminated",
            Self::WorkspaceRemoved { .. } => "workspace.removed",
            Self::WorkspaceKept { .. } => "workspace.kept",
            Self::TaskSubmitted { .. } => "task.submitted",
            Self::TaskQueued { .. } => "task.queued",
            Self::TaskDeferred { .. } => "task.deferred",
            Self::TaskStarted { .. } => "task.started",
            Self::AttemptExited { .. } => "attempt.exited",
            Self::AttemptLost { .. } => "attempt.lost",
            Self::AttemptNotStarted { .. } => "attempt.not_started",
            Self::StaleNews { .. } => "agent.stale_news",
            Self::TaskCancelling { .. } => "task.cancelling",
            Self::TaskSucceeded { .. } => "task.succeeded",
            Self::TaskFailed { .. } => "task.failed",
            Self::TaskTimedOut { .. } => "task.timed_out",
            Self::TaskCancelled { .. } => "task.cancelled",
            Self::TaskLost { .. } => "task.lost",
            Self::TaskRetried { .. } => "task.retried",
            Self::TaskResolved { .. } => "task.resolved",
            Self::AgentStopped { .. } => "agent.stopped",
            Self::TaskAsked { .. } => "task.asked",
            Self::TaskAnswered { .. } => "task.answered",
            Self::AgentRemoved { .. } => "agent.removed",
            Self::TaskHeld { .. } => "task.held",
            Self::TaskReleased { .. } => "task.released",
            Self::TaskUpdated { .. } => "task.updated",
            Self::SecretSet { .. } => "secret.set",
            Self::SecretRemoved { .. } => "secret.removed",
            Self::ProfileApplied { .. } => "profile.applied",
            Self::ProfileRemoved { .. } => "profile.removed",
            Self::WorkspaceSeeding { .. } => "workspace.seeding",
            Self::WorkspaceSeeded { .. } => "workspace.seeded",
            Self::WorkspaceSeedFailed { .. } => "workspace.seed_failed",
            Self::AgentUpdated { .. } => "agent.updated",
            Self::WorkspaceOverQuota { .. } => "workspace.over_quota",
            Self::WorkspaceWithinQuota { .. } => "workspace.within_quota",
            Self::WorkflowApplied { .. } => "workflow.applied",
            Self::RunStarted { .. } => "run.started",
            Self::RunPaused { .. } | Self::RunResumed { .. } => self.word_of_pause(),
            Self::RunCancelling { .. } => "run.cancelling",
            Self::RunSucceeded { .. } => "run.succeeded",
            Self::RunFailed { .. } => "run.failed",
            Self::RunCancelled { .. } => "run.cancelled",
            Self::RunRerun { .. } | Self::RunEdited { .. } => self.word_of_change(),
            Self::NodeStarted { .. } => "node.started",
            Self::NodeWaiting { .. } => "node.waiting",
            Self::NodeAsked { .. } => "node.asked",
            Self::NodeDecided { .. } => "node.decided",
            Self::NodeRetried { .. } => "node.retried",
            Self::NodeSucceeded { .. } => "node.succeeded",
            Self::NodeFailed { .. } => "node.failed",
            Self::NodeSkipped { .. } => "node.skipped",
            Self::NodeCancelled { .. } => "node.cancelled",
        }
    }

    const fn word_of_pause(&self) -> &'static str {
        if matches!(self, Self::AgentPaused { .. }) {
            "agent.paused"
        } else if matches!(self, Self::AgentPausing { .. }) {
            "agent.pausing"
        } else if matches!(self, Self::RunPaused { .. }) {
            "run.paused"
        } else {
            "run.resumed"
        }
    }

    const fn word_of_change(&self) -> &'static str {
        if matches!(self, Self::RunRerun { .. }) { "run.rerun" } else { "run.edited" }
    }

    /// The node that it is about, by its name.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        if let Self::NodeStarted { node, .. }
        | Self::NodeWaiting { node, .. }
        | Self::NodeAsked { node, .. }
        | Self::NodeDecided { node, .. }
        | Self::NodeRetried { node, .. }
        | Self::NodeSucceeded { node, .. }
        | Self::NodeFailed { node, .. }
        | Self::NodeSkipped { node, .. }
        | Self::NodeCancelled { node, .. } = self
        {
            return Some(node);
        }
        None
    }

    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::DaemonStarted { .. } | Self::IntakeClosed | Self::IntakeOpened => Subject::Daemon,
            Self::AgentSpawned { agent, .. }
            | Self::AgentReady { agent, .. }
            | Self::AgentPaused { agent }
            | Self::AgentPausing { agent }
            | Self::AgentDraining { agent }
            | Self::AgentResumed { agent }
            | Self::AgentCrashed { agent, .. }
            | Self::AgentBackedOff { agent, .. }
            | Self::AgentQuarantined { agent, .. }
            | Self::AgentStopping { agent }
            | Self::AgentRestarted { agent, .. }
            | Self::AgentTerminated { agent }
            | Self::AgentUpdated { agent, .. }
            | Self::WorkspaceRemoved { agent }
            | Self::WorkspaceKept { agent, .. }
            | Self::StaleNews { agent, .. }
            | Self::AgentStopped { agent, .. }
            | Self::AgentRemoved { agent }
            | Self::WorkspaceSeeding { agent }
            | Self::WorkspaceOverQuota { agent, .. }
            | Self::WorkspaceWithinQuota { agent, .. }
            | Self::WorkspaceSeeded { agent, .. }
            | Self::WorkspaceSeedFailed { agent, .. } => Subject::Agent(*agent),
            Self::TaskSubmitted { task }
            | Self::TaskQueued { task, .. }
            | Self::TaskDeferred { task, .. }
            | Self::TaskStarted { task, .. }
            | Self::AttemptExited { task, .. }
            | Self::AttemptLost { task, .. }
            | Self::AttemptNotStarted { task, .. }
            | Self::TaskCancelling { task }
            | Self::TaskSucceeded { task, .. }
            | Self::TaskFailed { task, .. }
            | Self::TaskTimedOut { task, .. }
            | Self::TaskCancelled { task }
            | Self::TaskLost { task, .. }
            | Self::TaskRetried { task }
            | Self::TaskResolved { task, .. }
            | Self::TaskAsked { task, .. }
            | Self::TaskAnswered { task, .. }
            | Self::TaskHeld { task }
            | Self::TaskReleased { task }
            | Self::TaskUpdated { task, .. } => Subject::Task(*task),
            Self::SecretSet { secret, .. } | Self::SecretRemoved { secret, .. } => Subject::Secret(*secret),
            Self::ProfileApplied { owner, .. } | Self::ProfileRemoved { owner, .. } => Subject::User(*owner),
            Self::WorkflowApplied { workflow, .. } => Subject::Workflow(*workflow),
            Self::RunStarted { run, .. }
            | Self::RunPaused { run, .. }
            | Self::RunResumed { run }
            | Self::RunCancelling { run }
            | Self::RunSucceeded { run, .. }
            | Self::RunFailed { run, .. }
            | Self::RunCancelled { run }
            | Self::RunRerun { run, .. }
            | Self::RunEdited { run, .. }
            | Self::NodeStarted { run, .. }
            | Self::NodeWaiting { run, .. }
            | Self::NodeAsked { run, .. }
            | Self::NodeDecided { run, .. }
            | Self::NodeRetried { run, .. }
            | Self::NodeSucceeded { run, .. }
            | Self::NodeFailed { run, .. }
            | Self::NodeSkipped { run, .. }
            | Self::NodeCancelled { run, .. } => Subject::Run(*run),
        }
    }
}

/// The kinds that are about runs and workflows, as a pattern: for places that hand them on.
#[macro_export]
macro_rules! of_runs {
    () => {
        $crate::EventKind::WorkflowApplied { .. }
            | $crate::EventKind::RunStarted { .. }
            | $crate::EventKind::RunSucceeded { .. }
            | $crate::EventKind::RunFailed { .. }
            | $crate::EventKind::RunRerun { .. }
            | $crate::EventKind::RunEdited { .. }
            | $crate::EventKind::NodeStarted { .. }
            | $crate::EventKind::NodeWaiting { .. }
            | $crate::EventKind::NodeAsked { .. }
            | $crate::EventKind::NodeDecided { .. }
            | $crate::EventKind::NodeRetried { .. }
            | $crate::EventKind::NodeSucceeded { .. }
            | $crate::EventKind::NodeFailed { .. }
            | $crate::EventKind::NodeSkipped { .. }
            | $crate::EventKind::NodeCancelled { .. }
            | $crate::EventKind::RunPaused { .. }
            | $crate::EventKind::RunResumed { .. }
            | $crate::EventKind::RunCancelling { .. }
            | $crate::EventKind::RunCancelled { .. }
    };
}
