//! What the store could not give: in the log with its cause, and for whoever asks never the same as absent.
//!
//! Not for: errors of writing, which end the daemon (`turn`).

use crate::store::ReadError;
use fusion_core::Reject;
use std::error::Error;

/// The refusal of a request that depends on what could not be read.
pub(super) fn refuse(what: &'static str, error: &ReadError) -> Reject {
    note(what, error);
    Reject::StoreUnreadable { what }
}

/// For those who can go on without it.
pub(super) fn or_nothing<T>(what: &'static str, read: Result<Option<T>, ReadError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        note(what, &error);
        None
    })
}

/// For the log alone; whoever asked is told in other words.
pub(super) fn note(what: &str, error: &ReadError) {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    tracing::error!("{what} could not be read: {error}{cause}");
}
