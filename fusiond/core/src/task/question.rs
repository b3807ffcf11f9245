//! What an attempt may ask a person while it runs: leave to go on, or a few words.
//!
//! ```text
//!              task ask                 answer | approve | its time is over | withdrawn
//!   Running ─────────────► Waiting(question) ─────────────────────────────────────────► Running
//! ```
//!
//! Run and idle clocks stand still while a question is open: the program waits for somebody. The last
//! question stays with its reply until the attempt ends, so that an asker whose connection was cut by a
//! restart of the daemon hears the reply when it asks the same again.
//!
//! Not for: the verbs (`ask`, `answer`), the bytes that programs write.

use crate::ids::{AgentId, TaskId};
use crate::input::Actor;
use crate::state::State;
use crate::task::{Active, Task, TaskState};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// The longest text of a question or of a reply, bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Something that an attempt asks a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Hash of the request that asked it: the same request is the same question.
    pub request: u64,
    /// What kind of reply it waits for.
    pub kind: QuestionKind,
    /// For people.
    pub text: Box<str>,
    /// When it was asked.
    pub asked_at: Time,
    /// When it is over without a reply.
    pub expires_at: Option<Time>,
    /// The reply; `None` while the question is open.
    pub reply: Option<Reply>,
}

/// What kind of reply a question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuestionKind {
    /// Yes or no.
    Approval,
    /// Words.
    Input,
}

impl QuestionKind {
    /// The word that users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Input => "input",
        }
    }
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Go on.
    Approved {
        /// Who said so.
        by: Actor,
        /// Why, for the record.
        comment: Box<str>,
    },
    /// Do not.
    Rejected {
        /// Who said so.
        by: Actor,
        /// Why, for the record.
        comment: Box<str>,
    },
    /// These words.
    Answered {
        /// Who wrote them.
        by: Actor,
        /// What.
        text: Box<str>,
    },
    /// Nobody replied in time.
    Expired,
    /// Whoever asked has gone.
    Withdrawn,
}

impl Reply {
    /// The word that users see.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Answered { .. } => "answered",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Active {
    /// The question that waits for a reply.
    #[must_use]
    pub fn open_question(&self) -> Option<&Question> {
        self.question.as_deref().filter(|question| question.reply.is_none())
    }
}

impl TaskState {
    /// The attempt that is under way.
    #[must_use]
    pub const fn active(&self) -> Option<&Active> {
        match self {
            Self::Active(active) => Some(active),
            Self::Blocked { .. }
            | Self::Deferred { .. }
            | Self::Queued { .. }
            | Self::Lost { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::TimedOut { .. }
            | Self::Held(_) => None,
        }
    }
}

impl Task {
    /// The question that waits for a reply.
    #[must_use]
    pub fn open_question(&self) -> Option<&Question> {
        self.state.active().and_then(Active::open_question)
    }
}

/// The task that an agent works on, with its attempt.
pub(crate) fn work_of(state: &State, agent: AgentId) -> Option<(TaskId, &Active)> {
    let work = state.agent(agent)?.life.work()?;
    Some((work.task, state.task(work.task)?.state.active()?))
}
