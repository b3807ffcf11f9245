//! What runs of workflows need besides decisions: their definitions, templates filled in, results kept.
//!
//! ```text
//!   Want::Prepare ─► literal: at once, in the same turn
//!                 └► templates: aside, after the commit ─► Message::Prepared
//!   Want::Collect ─► aside: read, masked, parsed, checked ─► Message::Collected
//! ```
//!
//! Not for: what follows from it (`fusion_core::workflow`), words for the wire.

mod collect;
mod edit;
pub(crate) mod kept;
pub(crate) mod outputs;
mod prepare;
mod script;

pub use edit::{Edited, Revision, edit};
pub(crate) use kept::Part;
pub use kept::{
    NodeOutput, Seen, definition_of, output_of, question_of, revisions_of, script_of, stored_run,
    stored_runs, whole_script_of,
};
pub use script::{Script, plan};

pub(crate) use collect::Collected;
pub(crate) use collect::{Look as ResultLook, collect, last_attempt, missing_bytes};
pub(crate) use prepare::{Beside, For, Prep, failed, filled, literal};

/// What the engine is told by those who work aside.
pub(crate) enum News {
    /// What a place will be.
    Prepared { run: fusion_core::RunId, place: fusion_core::workflow::Place, ticket: u64, prep: Prep },
    /// A result.
    Collected(Collected),
}

impl News {
    /// How much of it is written.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Prepared { prep, .. } => prep.beside.bytes(),
            Self::Collected(found) => found.what.as_ref().map_or(0, Vec::len),
        }
    }
}
