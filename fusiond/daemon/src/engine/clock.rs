//! The daemon's one timeline: wall-clock milliseconds at the start, moved on by boot time.
//!
//! So a stepped wall clock moves no deadline within one life of the daemon, and a suspended machine
//! does not stop time (clock_gettime(2), `CLOCK_BOOTTIME`). Not for: timestamps of the shim.

use fusion_core::Time;
use rustix::time::{ClockId, clock_gettime};

/// The timeline. It counts nanoseconds, so that its milliseconds begin when those of the wall clock do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: u64,
    boot_at_base: u64,
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    secs * NANOS_PER_SECOND + u64::try_from(now.tv_nsec).unwrap_or(0)
}

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Clock {
    /// Begins now, and never before `not_before`: the last instant that was written.
    pub(crate) fn start(not_before: Time) -> Self {
        let base = nanos(ClockId::Realtime).max(not_before.0.saturating_mul(NANOS_PER_MILLI));
        Self { base, boot_at_base: nanos(ClockId::Boottime) }
    }

    /// The present instant.
    pub(crate) fn now(self) -> Time {
        let passed = nanos(ClockId::Boottime).saturating_sub(self.boot_at_base);
        Time(self.base.saturating_add(passed) / NANOS_PER_MILLI)
    }
}
