//! Tasks: what one is, and its life.
//!
//! ```text
//!  Blocked ──► Deferred ──► Queued ──► Active(Dispatched ─► Running ⇄ Waiting) ──► Succeeded
//!     │            ▲           ▲              │                    ├──► Failed(code)
//!     │            └── retry ──┴──────────────┤                    ├──► TimedOut
//!     └─ a needed task failed ─► Failed       └─► Lost ─ resolve ──┴──► Cancelled
//!  Blocked, Deferred, Queued ── hold ──► Held ── release ──► what it would be by then
//! ```
//!
//! An attempt is leased to (agent, incarnation, serial); news of any other lease is ignored. Not for:
//! the choice of the agent (`delegate`), the bytes of prompts and results.

pub mod answer;
pub mod ask;
pub mod attempt;
pub mod cancel;
pub mod clock;
pub mod ending;
pub mod hold;
pub mod past;
pub mod question;
pub mod release;
pub mod resolve;
pub mod retry;
pub mod run;
pub mod submit;
pub mod update;

pub use answer::Answer;
pub use ask::AskTask;
pub use attempt::{Attempt, Ending, Exit, ExitKind, Lease, StopWhy};
pub use clock::Clock;
pub use hold::{Held, Wait};
pub use past::Past;
pub use question::{Question, QuestionKind, Reply};
pub use resolve::Resolution;
pub use run::RunTask;
pub use submit::SubmitTask;
pub use update::UpdateTask;

use crate::failure::{Failure, FailureCode};
use crate::ids::{AgentId, Capabilities, TaskId, Uid};
use crate::input::Actor;
use crate::secret::SecretUse;
use crate::time::{Millis, Time};
use crate::workflow::NodeRef;
use serde::{Deserialize, Serialize};

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id; ids sort by age.
    pub id: TaskId,
    /// Whose it is.
    pub owner: Uid,
    /// Who submitted it.
    pub actor: Actor,
    /// When it was accepted.
    pub created_at: Time,
    /// What was asked for; changes only by `task update`, before a start.
    pub spec: TaskSpec,
    /// Where it is in its life.
    pub state: TaskState,
    /// Its tries, oldest first; stored under keys of their own.
    #[serde(skip)]
    pub attempts: Vec<Attempt>,
    /// How often it asked to be run again later (exit 75).
    pub snoozes: u32,
    /// Attempts before this number do not count against the retries (`task retry` starts afresh).
    pub counted_from: u32,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// First line of the prompt or the command, cut.
    pub title: Box<str>,
    /// Prompt or command.
    pub kind: TaskKind,
    /// Length of what is stored beside it: prompt or command, and environment.
    pub input_bytes: u32,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// What the agent must be able to do.
    pub capabilities: Capabilities,
    /// The agent it must run on.
    pub target: Option<AgentId>,
    /// Idempotency key, unique per owner.
    pub key: Option<Box<str>>,
    /// Hash of the request that made it, 0 for none: a repeated request is the same task.
    pub request: u64,
    /// Hash of everything that was asked for: the same key with another one is refused.
    pub fingerprint: u64,
    /// For people and filters.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Further attempts after a failure.
    pub retries: u32,
    /// What happens when the outcome of an attempt cannot be known.
    pub on_lost: OnLost,
    /// Not before this instant.
    pub not_before: Option<Time>,
    /// Tasks that must have succeeded before.
    pub after: Box<[TaskId]>,
    /// The task that submitted it.
    pub parent: Option<TaskId>,
    /// Of an owner's tasks with the same one, at most one is active.
    pub concurrency_key: Option<Box<str>>,
    /// Secrets that its attempts are given.
    pub secrets: Box<[SecretUse]>,
    /// Whether words reach its program while it runs.
    pub stdin: Stdin,
    /// The node of a run that it is for.
    pub node: Option<Box<NodeRef>>,
}

/// What standard input is after what it begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// At its end.
    #[default]
    Closed,
    /// Open for whoever may write.
    Open,
}

impl Stdin {
    /// Whether it is open.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }
}

/// How long things may take; absent: as long as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// One attempt.
    pub run: Option<Millis>,
    /// One attempt without output and without CPU use.
    pub idle: Option<Millis>,
    /// Waiting for an agent, all in all.
    pub queue: Option<Millis>,
}

/// What a task is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// Words for the agent.
    Prompt,
    /// A command, run as it is.
    Run,
}

/// What happens to a task whose attempt's outcome cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnLost {
    /// A person decides.
    #[default]
    Review,
    /// It is queued again.
    Retry,
    /// It fails.
    Fail,
}

/// Where a task is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// Waits for other tasks.
    Blocked {
        /// Those that have not succeeded yet.
        on: Vec<TaskId>,
    },
    /// Waits for an instant.
    Deferred {
        /// Which.
        until: Time,
        /// Why.
        why: DeferWhy,
    },
    /// Waits for an agent.
    Queued {
        /// Since when.
        since: Time,
    },
    /// Leased; the lease is that of the last attempt.
    Active(Active),
    /// The outcome of the last attempt cannot be known.
    Lost {
        /// Since when.
        since: Time,
        /// Why not.
        failure: Failure,
    },
    /// Done.
    Succeeded {
        /// When.
        at: Time,
    },
    /// Failed for good.
    Failed {
        /// When.
        at: Time,
        /// Why.
        failure: Failure,
    },
    /// Somebody ended it.
    Cancelled {
        /// When.
        at: Time,
    },
    /// Its time was over.
    TimedOut {
        /// When.
        at: Time,
        /// Which timeout.
        failure: Failure,
    },
    /// Somebody holds it back.
    Held(Held),
}

/// A leased task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// Whether the program is known to run.
    pub phase: Phase,
    /// Run and idle clocks.
    pub clock: Clock,
    /// The stop that was asked for.
    pub stop: Option<Stop>,
    /// The last thing that it asked a person.
    pub question: Option<Box<Question>>,
}

/// Whether the program of a leased task is known to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The start was let out.
    Dispatched,
    /// The shim said so.
    Running {
        /// Since when.
        since: Time,
    },
}

/// A stop that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub why: StopWhy,
    /// When the kill comes, also after a restart of the daemon.
    pub kill_at: Time,
}

/// Why a task waits for an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeferWhy {
    /// `--not-before`.
    NotBefore,
    /// Backoff before another attempt.
    Retry,
    /// The program asked to be run again later (exit 75).
    Snooze,
}

impl TaskState {
    /// The state's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "blocked",
            Self::Deferred { .. } => "deferred",
            Self::Queued { .. } => "queued",
            Self::Active(active) => active.word(),
            Self::Lost { .. } => "lost",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut { .. } => "timed_out",
            Self::Held(_) => "held",
        }
    }

    /// When it ended for good; `None` while it has not.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Time> {
        match self {
            Self::Succeeded { at }
            | Self::Failed { at, .. }
            | Self::Cancelled { at }
            | Self::TimedOut { at, .. } => Some(*at),
            Self::Blocked { .. }
            | Self::Deferred { .. }
            | Self::Queued { .. }
            | Self::Active(_)
            | Self::Held(_)
            | Self::Lost { .. } => None,
        }
    }

    /// Whether it ended for good, and not well.
    #[must_use]
    pub const fn ended_badly(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Cancelled { .. } | Self::TimedOut { .. })
    }

    /// Why it ended badly or is lost.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Lost { failure, .. } | Self::Failed { failure, .. } | Self::TimedOut { failure, .. } => {
                Some(failure)
            }
            Self::Blocked { .. }
            | Self::Deferred { .. }
            | Self::Queued { .. }
            | Self::Active(_)
            | Self::Held(_)
            | Self::Succeeded { .. }
            | Self::Cancelled { .. } => None,
        }
    }
}

impl Active {
    /// The word for what the attempt does.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (&self.question, self.phase) {
            (Some(question), _) if question.reply.is_none() => match question.kind {
                QuestionKind::Approval => "waiting_approval",
                QuestionKind::Input => "waiting_input",
            },
            (_, Phase::Dispatched) => "dispatched",
            (_, Phase::Running { .. }) => "running",
        }
    }

    /// The instant at which time alone changes it.
    fn due(&self) -> Option<Time> {
        if self.stop.is_some() {
            return None;
        }
        let expires_at = self.open_question().and_then(|question| question.expires_at);
        [self.clock.due(), expires_at].into_iter().flatten().min()
    }
}

impl Timeouts {
    /// These, with the agent's idle timeout where none is named.
    #[must_use]
    pub fn or_idle(self, agents: Option<Millis>) -> Self {
        Self { idle: self.idle.or(agents), ..self }
    }
}

impl Task {
    /// What to do about a failure of it.
    #[must_use]
    pub fn hint(&self, code: FailureCode) -> String {
        match &self.spec.node {
            Some(node) => code.hint_in(node.run, Some(&node.id), Some(self.id)),
            None => code.hint_for(self.id),
        }
    }

    /// The task that submitted it.
    #[must_use]
    pub const fn parent(&self) -> Option<TaskId> {
        self.spec.parent
    }

    /// The lease in force, if any.
    #[must_use]
    pub fn lease(&self) -> Option<Lease> {
        match &self.state {
            TaskState::Active(_) => self.attempts.last().map(|attempt| attempt.lease),
            TaskState::Blocked { .. }
            | TaskState::Deferred { .. }
            | TaskState::Queued { .. }
            | TaskState::Held(_)
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => None,
        }
    }

    /// The instant at which time alone changes its life.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        match &self.state {
            TaskState::Deferred { until, .. } => Some(*until),
            TaskState::Queued { since } => self.spec.timeouts.queue.map(|span| since.plus(span)),
            TaskState::Active(active) => active.due(),
            TaskState::Blocked { .. }
            | TaskState::Held(_)
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => None,
        }
    }

    /// The tasks that it still waits for, also while it is held.
    #[must_use]
    pub fn blocked_on(&self) -> &[TaskId] {
        match &self.state {
            TaskState::Blocked { on } | TaskState::Held(Held { wait: Wait::Tasks { on }, .. }) => on,
            TaskState::Held(Held { wait: Wait::Instant { .. } | Wait::Agent { .. }, .. })
            | TaskState::Deferred { .. }
            | TaskState::Queued { .. }
            | TaskState::Active(_)
            | TaskState::Lost { .. }
            | TaskState::Succeeded { .. }
            | TaskState::Failed { .. }
            | TaskState::Cancelled { .. }
            | TaskState::TimedOut { .. } => &[],
        }
    }

    /// Whether it failed for good after at least one attempt.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, TaskState::Failed { .. } | TaskState::TimedOut { .. })
            && !self.attempts.is_empty()
    }
}

pub(crate) fn wrong_state(id: TaskId, state: &TaskState, verb: &'static str) -> crate::Reject {
    crate::Reject::TaskState { task: id.to_string(), state: state.word(), verb }
}
