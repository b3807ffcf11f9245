//! What goes out to the world, after the batch that decided it is on disk.
//!
//! Every effect is idempotent, for it may be let out again after a crash ([`crate::reconcile`]).
//! Not for: doing it; the hands of the daemon do.

use crate::ids::{AgentId, TaskId};
use crate::task::StopWhy;
use crate::time::Millis;
use crate::workspace::Removal;

/// An order to a hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Makes the workspace and the folders if absent and starts the shim of a new incarnation, or
    /// adopts it if it lives. Answered by `ShimUp` or `ShimFailed`.
    Launch {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Finds the shim of an incarnation that should live. Answered by `ShimUp` or `ShimGone`.
    Adopt {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Starts an attempt. Answered by `AttemptStarted`, `AttemptExited`, `AttemptRefused` or `AttemptForgotten`.
    Start {
        /// By whom.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the attempt within the incarnation.
        serial: u32,
        /// What.
        task: TaskId,
        /// The number of the attempt within the task.
        number: u32,
    },
    /// Fills the workspace, as an attempt without a task. Answered by `AttemptExited` or
    /// `AttemptRefused`.
    Seed {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the seeding within the incarnation.
        serial: u32,
    },
    /// Ends an attempt. Answered by `AttemptExited`.
    Stop {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt.
        serial: u32,
        /// Between SIGTERM and the kill.
        grace: Millis,
        /// Why.
        why: StopWhy,
    },
    /// The ends of these attempts are in the journal.
    Ack {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt.
        serial: u32,
    },
    /// Freezes the tree. Answered by `Frozen`.
    Freeze {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Lets the tree go on.
    Thaw {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Lets the present settings of the agent reach what lives of it. Not answered; an adopted shim is
    /// compared with the settings again.
    Refresh {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Reads the present use of resources. Answered by `Observed`.
    Observe {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Ends the incarnation with everything in it. Answered by `ShimGone`.
    StopShim {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
    /// Counts what is in the workspace. Answered by `WorkspaceMeasured`.
    Measure {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the next attempt.
        serial: u32,
    },
    /// Removes the workspace, the logs and the folders, or a part of them. Answered by
    /// `WorkspaceRemoved` or `WorkspaceKept`.
    RemoveWorkspace {
        /// Whose.
        agent: AgentId,
        /// How much.
        what: Removal,
    },
}
