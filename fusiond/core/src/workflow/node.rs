//! How far a node, or one item of it, has come.
//!
//! ```text
//!  Pending ──► Active(task) ──► Collecting ──► Ended(Succeeded | Failed | Skipped | Cancelled)
//!     │  └───► Asking (a person) · Sleeping (time) · Watching (an event) · Inside (another run) · Fanned (items) ──► Ended
//!     └─ skipped: `when`, a need that was missed, a run that is over
//! ```
//!
//! Not for: what follows from an end (`run`).

use crate::failure::Failure;
use crate::ids::{RunId, TaskId};
use crate::input::Actor;
use crate::time::Time;
use crate::workflow::budget::Spent;
use crate::workflow::watch::Watch;
use serde::{Deserialize, Serialize};

/// A node, or one item of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// How far it is.
    pub state: NodeState,
    /// How often its result was not what it should be.
    pub tries: u32,
    /// What its tasks and the run within it have used; those of its items are counted there.
    pub spent: Spent,
}

/// Which node of a run, and which item of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The node, by number.
    pub node: u32,
    /// The item of a `foreach`.
    pub item: Option<u32>,
}

impl Place {
    /// A node as a whole.
    #[must_use]
    pub const fn whole(node: u32) -> Self {
        Self { node, item: None }
    }
}

/// For whom a task is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRef {
    /// The run.
    pub run: RunId,
    /// The node, and the item of it.
    pub place: Place,
    /// The node's name in the definition.
    pub id: Box<str>,
}

/// How far a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// It has not begun.
    #[default]
    Pending,
    /// An agent works on it, or will.
    Active {
        /// Since when.
        since: Time,
        /// The task.
        task: TaskId,
    },
    /// Its task has succeeded, and its result is looked at.
    Collecting {
        /// Since when the node is being done.
        since: Time,
        /// The task.
        task: TaskId,
    },
    /// It waits for a person.
    Asking {
        /// Since when.
        since: Time,
        /// When it stops waiting.
        expires_at: Option<Time>,
    },
    /// It waits for an instant.
    Sleeping {
        /// Since when.
        since: Time,
        /// Which.
        until: Time,
    },
    /// Another run is on its way.
    Inside {
        /// Since when.
        since: Time,
        /// Which.
        run: RunId,
    },
    /// Its items are on their way.
    Fanned {
        /// Since when.
        since: Time,
        /// How many there are.
        count: u32,
    },
    /// It is over.
    Ended(End),
    /// It waits for an event.
    Watching {
        /// Since when.
        since: Time,
        /// Only events with higher sequence numbers are meant.
        after: u64,
        /// When it stops waiting.
        expires_at: Option<Time>,
        /// For which.
        watch: Box<Watch>,
    },
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When it began, if it did.
    pub since: Option<Time>,
    /// When.
    pub at: Time,
    /// Its task, if it had one.
    pub task: Option<TaskId>,
    /// How.
    pub how: How,
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Well.
    Succeeded(Output),
    /// Badly.
    Failed(Box<Failure>),
    /// It was not done.
    Skipped(SkipWhy),
    /// Somebody ended it.
    Cancelled,
}

/// Where the result of a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// There is none.
    Nothing,
    /// It stays with the task.
    Task,
    /// It is kept with the run.
    Kept {
        /// Its length as JSON.
        bytes: u32,
    },
    /// It is what a person decided.
    Decision(Box<Decision>),
    /// It is the list of the results of so many items.
    Items(u32),
    /// It is what that run came to.
    Run(RunId),
    /// It is the event with this number, and kept with the run.
    Event(u64),
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether they approved.
    pub verdict: Verdict,
    /// Who.
    pub by: Actor,
    /// What they said.
    pub comment: Box<str>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

impl Verdict {
    /// Whether it is a yes.
    #[must_use]
    pub const fn is_approved(self) -> bool {
        matches!(self, Self::Approved)
    }
}

/// Why a node was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipWhy {
    /// Its `when` was not true.
    When,
    /// This node, which it needs, did not go well or was skipped.
    Need(u32),
    /// The run was over before.
    RunOver,
    /// It is for another end of the run.
    Hook,
    /// The definition has it no more.
    Removed,
}

impl NodeState {
    /// The state's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active { .. } | Self::Collecting { .. } | Self::Inside { .. } | Self::Fanned { .. } => {
                "running"
            }
            Self::Asking { .. } => "waiting_approval",
            Self::Sleeping { .. } | Self::Watching { .. } => "waiting",
            Self::Ended(end) => end.how.word(),
        }
    }

    /// Whether the definition has it no more.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.end().is_some_and(|end| matches!(end.how, How::Skipped(SkipWhy::Removed)))
    }

    /// Whether it has a task that has not ended.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self {
            Self::Active { .. } => true,
            Self::Pending
            | Self::Collecting { .. }
            | Self::Asking { .. }
            | Self::Sleeping { .. }
            | Self::Watching { .. }
            | Self::Inside { .. }
            | Self::Fanned { .. }
            | Self::Ended(_) => false,
        }
    }

    /// Whether it takes one of the places that `concurrency` gives.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.is_active() || matches!(self, Self::Collecting { .. })
    }

    /// How it ended, if it did.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        match self {
            Self::Ended(end) => Some(end),
            Self::Pending
            | Self::Active { .. }
            | Self::Collecting { .. }
            | Self::Asking { .. }
            | Self::Sleeping { .. }
            | Self::Watching { .. }
            | Self::Inside { .. }
            | Self::Fanned { .. } => None,
        }
    }

    /// When it began, if it did.
    #[must_use]
    pub const fn since(&self) -> Option<Time> {
        match self {
            Self::Pending => None,
            Self::Active { since, .. }
            | Self::Collecting { since, .. }
            | Self::Asking { since, .. }
            | Self::Sleeping { since, .. }
            | Self::Watching { since, .. }
            | Self::Inside { since, .. }
            | Self::Fanned { since, .. } => Some(*since),
            Self::Ended(end) => end.since,
        }
    }

    /// Its task, if it has one.
    #[must_use]
    pub const fn task(&self) -> Option<TaskId> {
        match self {
            Self::Active { task, .. } | Self::Collecting { task, .. } => Some(*task),
            Self::Ended(end) => end.task,
            Self::Pending
            | Self::Asking { .. }
            | Self::Sleeping { .. }
            | Self::Watching { .. }
            | Self::Inside { .. }
            | Self::Fanned { .. } => None,
        }
    }

    /// The instant at which time alone changes it.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        match self {
            Self::Asking { expires_at, .. } | Self::Watching { expires_at, .. } => *expires_at,
            Self::Sleeping { until, .. } => Some(*until),
            Self::Pending
            | Self::Active { .. }
            | Self::Collecting { .. }
            | Self::Inside { .. }
            | Self::Fanned { .. }
            | Self::Ended(_) => None,
        }
    }
}

impl How {
    /// The state's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}
