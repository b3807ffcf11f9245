//! The journal.
pub(super) mod record { pub(crate) const HEADER: usize = 20; }
