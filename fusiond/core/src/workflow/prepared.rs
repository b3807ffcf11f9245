//! What the engine found out about a node that is to begin, by filling in its templates.
//!
//! Not for: what follows from that (`run`).

use crate::failure::Failure;
use crate::task::SubmitTask;
use crate::time::Time;
use crate::workflow::start::StartRun;
use crate::workflow::watch::AskWatch;

/// What a node, or an item of it, will be.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Its `when` is not true.
    Skip,
    /// Nothing is left to do.
    Done,
    /// A task.
    Task(Box<SubmitTask>),
    /// So many items; the engine keeps what they are.
    Items(u32),
    /// A question to a person; the engine keeps the words.
    Gate,
    /// A wait until an instant.
    Sleep(Time),
    /// A wait for an event.
    Watch(Box<AskWatch>),
    /// Another run.
    Inner(Box<StartRun>),
    /// Nothing: its templates cannot be filled in.
    Failed(Failure),
}

impl Prepared {
    /// Whether something begins that uses up a budget.
    pub(super) const fn uses_budget(&self) -> bool {
        match self {
            Self::Task(_) | Self::Inner(_) => true,
            Self::Skip
            | Self::Done
            | Self::Items(_)
            | Self::Gate
            | Self::Sleep(_)
            | Self::Watch(_)
            | Self::Failed(_) => false,
        }
    }
}
