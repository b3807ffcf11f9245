//! The daemon's one timeline: wall-clock milliseconds at the start, moved on by boot time.
//!
//! So a stepped wall clock moves no deadline within one life of the daemon, and a suspended machine
//! does not stop time (clock_gettime(2), `CLOCK_BOOTTIME`). Not for: timestamps of the shim.

use fusion_core::Time;
use rustix::time::{ClockId, clock_gettime};

/// The timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: u64,
    boot_at_base: u64,
}

fn millis(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs * 1000 + nanos / 1_000_000
}

impl Clock {
    /// Begins now, and never before `not_before`: the last instant that was written.
    pub(crate) fn start(not_before: Time) -> Self {
        Self { base: millis(ClockId::Realtime).max(not_before.0), boot_at_base: millis(ClockId::Boottime) }
    }

    /// The present instant.
    pub(crate) fn now(self) -> Time {
        Time(self.base + millis(ClockId::Boottime).saturating_sub(self.boot_at_base))
    }
}
