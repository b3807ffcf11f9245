//! The run and idle clocks of an attempt. They stand still while the agent is frozen.
//!
//! Not for: the queue timeout, which runs on the wall.

use crate::task::Timeouts;
use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};

/// Run and idle clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// The attempt has not begun, or has no limits.
    Unset,
    /// Time passes.
    Ticking {
        /// When the run timeout strikes.
        run_at: Option<Time>,
        /// When to look whether it still lives.
        idle_at: Option<Time>,
        /// Processor time at the last look.
        cpu_seen: Millis,
    },
    /// The agent is frozen.
    Standing {
        /// Left of the run timeout.
        run_left: Option<Millis>,
        /// Left until the next look.
        idle_left: Option<Millis>,
        /// Processor time at the last look.
        cpu_seen: Millis,
    },
}

/// Less processor time than this within an idle window counts as none: the clock tick in which the
/// kernel accounts it (`getconf CLK_TCK` is 100).
pub const CPU_NOISE: Millis = Millis(10);

impl Clock {
    /// The clocks of an attempt that began at `since`.
    #[must_use]
    pub fn start(timeouts: Timeouts, since: Time) -> Self {
        if timeouts.run.is_none() && timeouts.idle.is_none() {
            return Self::Unset;
        }
        Self::Ticking {
            run_at: timeouts.run.map(|span| since.plus(span)),
            idle_at: timeouts.idle.map(|span| since.plus(span)),
            cpu_seen: Millis(0),
        }
    }

    /// The next instant at which something is to be done.
    #[must_use]
    pub fn due(self) -> Option<Time> {
        match self {
            Self::Ticking { run_at, idle_at, .. } => match (run_at, idle_at) {
                (Some(run), Some(idle)) => Some(run.min(idle)),
                (run, idle) => run.or(idle),
            },
            Self::Unset | Self::Standing { .. } => None,
        }
    }

    /// The clocks from the freeze at `now` on.
    #[must_use]
    pub fn stand(self, now: Time) -> Self {
        match self {
            Self::Ticking { run_at, idle_at, cpu_seen } => Self::Standing {
                run_left: run_at.map(|at| at.since(now)),
                idle_left: idle_at.map(|at| at.since(now)),
                cpu_seen,
            },
            Self::Unset | Self::Standing { .. } => self,
        }
    }

    /// The clocks from the thaw at `now` on.
    #[must_use]
    pub fn tick(self, now: Time) -> Self {
        match self {
            Self::Standing { run_left, idle_left, cpu_seen } => Self::Ticking {
                run_at: run_left.map(|left| now.plus(left)),
                idle_at: idle_left.map(|left| now.plus(left)),
                cpu_seen,
            },
            Self::Unset | Self::Ticking { .. } => self,
        }
    }

    /// The clocks with the next look for signs of life set, where one was under way.
    #[must_use]
    pub fn look_again(self, timeouts: Timeouts, now: Time) -> Self {
        match self {
            Self::Ticking { run_at, idle_at: None, cpu_seen } => {
                Self::Ticking { run_at, idle_at: timeouts.idle.map(|span| now.plus(span)), cpu_seen }
            }
            Self::Unset | Self::Ticking { .. } | Self::Standing { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_time_does_not_count() {
        let timeouts = Timeouts { run: Some(Millis(100)), idle: None, queue: None };
        let clock = Clock::start(timeouts, Time(1000)).stand(Time(1040));
        assert_eq!(clock.due(), None);
        assert_eq!(clock.tick(Time(9000)).due(), Some(Time(9060)));
    }
}
