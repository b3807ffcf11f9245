//! One try of a task by one incarnation of one agent.
//!
//! Not for: what follows from its end (`ending`).

use crate::cost::Cost;
use crate::failure::Failure;
use crate::ids::AgentId;
use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Within the task, from 1.
    pub number: u32,
    /// Who has it.
    pub lease: Lease,
    /// How it is confined; what cannot be enforced is refused at the spawn.
    pub sandbox: Box<str>,
    /// When the lease was given.
    pub dispatched_at: Time,
    /// When the program began, once known.
    pub started_at: Option<Time>,
    /// How it ended; `None` while it has not.
    pub ending: Option<Ended>,
}

/// Who has an attempt: the fencing token of all news about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The agent.
    pub agent: AgentId,
    /// Its life.
    pub incarnation: u32,
    /// The number of the attempt within that life.
    pub serial: u32,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Time,
    /// How.
    pub how: Ending,
    /// Why it was not a success.
    pub failure: Option<Failure>,
    /// Whether it counts against the retries.
    pub counted: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The shim saw the end.
    Exit(Exit),
    /// Nobody saw the end.
    Lost,
    /// It never began, by a live shim's word or a dead one's records.
    NotStarted,
}

/// What is known of an end: what the shim recorded, and what the program said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What the kernel said.
    pub kind: ExitKind,
    /// The stop that the shim was carrying out, if any.
    pub stop: Option<StopWhy>,
    /// Processes killed for want of memory.
    pub oom_kills: u32,
    /// When the program began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// Processor time of the tree.
    pub cpu: Millis,
    /// Peak memory of the tree, bytes.
    pub peak_memory_bytes: u64,
    /// Bytes written to standard output.
    pub out_bytes: u64,
    /// Bytes written to standard error.
    pub err_bytes: u64,
    /// Bytes that the log quota dropped.
    pub dropped_bytes: u64,
    /// The last output, for the death certificate.
    pub tail: String,
    /// What models cost, as the program said it where its profile looks for it.
    pub cost: Cost,
}

/// What the kernel said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitKind {
    /// It ended by itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Which.
        signal: i32,
    },
    /// The program never ran.
    StartFailed {
        /// The step that failed.
        stage: String,
        /// Its error number.
        errno: i32,
        /// One sentence.
        message: String,
    },
    /// It ended by itself with code 0, but the file that it gave as its result cannot be one.
    OutputInvalid {
        /// One sentence.
        message: String,
    },
}

/// Why an attempt was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWhy {
    /// Somebody cancelled the task.
    Cancelled,
    /// Its run time was over.
    TimedOut,
    /// Nothing was heard or seen of it for too long.
    IdleTimedOut,
    /// The agent was terminated.
    Terminated,
    /// The agent is started anew.
    Restarted,
}

impl Attempt {
    /// Whether it is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// What the shim recorded, if it saw the end.
    #[must_use]
    pub const fn exit(&self) -> Option<&Exit> {
        match &self.ending {
            Some(Ended { how: Ending::Exit(exit), .. }) => Some(exit),
            Some(Ended { how: Ending::Lost | Ending::NotStarted, .. }) | None => None,
        }
    }
}

impl Exit {
    /// This end with its times between `given`, when the lease was given, and `now`, when the end is heard.
    ///
    /// The shim reads the wall clock, which runs apart from the daemon's timeline and may be stepped. On that
    /// timeline an attempt ends after it was given and before whatever follows from its end.
    #[must_use]
    pub fn within(mut self, given: Time, now: Time) -> Self {
        self.started_at = self.started_at.min(now).max(given);
        self.ended_at = self.ended_at.min(now).max(self.started_at);
        self
    }
}
