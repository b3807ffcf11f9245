//! From the core's values to the words of the wire. Users appear as uids here; the services put the
//! names in, for a name service may block.
//!
//! Not for: deciding who sees what.

pub(crate) mod agent;
pub(crate) mod event;
#[cfg(test)]
mod event_reference;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod task;
pub(crate) mod workspace;

use fusion_core::Time;
use prost_types::{Duration, Timestamp};

/// A protobuf timestamp.
pub(crate) fn timestamp(at: Time) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(at.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(at.0 % 1000 * 1_000_000).expect("below a second"),
    }
}

/// A protobuf duration.
pub(crate) fn duration(span: fusion_core::Millis) -> Duration {
    Duration {
        seconds: i64::try_from(span.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.0 % 1000 * 1_000_000).expect("below a second"),
    }
}
