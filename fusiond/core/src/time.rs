//! Instants and durations, in milliseconds.
//!
//! One timeline: the engine maps boot time to wall-clock milliseconds at its start, so instants are
//! comparable across restarts and a stepped wall clock does not move deadlines within one life of
//! the daemon. Not for: reading a clock.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Time {
    /// The instant `span` later; the far end of time when that cannot be represented.
    #[must_use]
    pub fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; the near end of time when that cannot be represented.
    #[must_use]
    pub fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The same for people to whom the rest does not matter: `9m`, `3d`.
    #[must_use]
    pub fn roughly(self) -> Self {
        const UNITS: [(u64, u64); 4] =
            [(172_800_000, 86_400_000), (7_200_000, 3_600_000), (600_000, 60_000), (10_000, 1000)];
        let unit = UNITS.iter().find(|(from, _)| self.0 >= *from).map_or(1, |(_, unit)| *unit);
        Self(self.0 - self.0 % unit)
    }
}

impl std::fmt::Display for Millis {
    /// As people write durations: `350ms`, `1.5s`, `10m`, `59m59s`, `2h`, `1d`; from a minute on in whole seconds.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 3] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m")];
        for (unit, name) in UNITS {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        match (self.0 / 1000, self.0 % 1000) {
            (0, ms) => write!(f, "{ms}ms"),
            (s, 0) if s < 60 => write!(f, "{s}s"),
            (s, ms) if s < 60 => {
                write!(f, "{}", format_args!("{s}.{}s", format!("{ms:03}").trim_end_matches('0')))
            }
            (s, _) => {
                let parts = [(s / 3600, "h"), (s / 60 % 60, "m"), (s % 60, "s")];
                parts
                    .iter()
                    .filter(|(amount, _)| *amount > 0)
                    .try_for_each(|(amount, name)| write!(f, "{amount}{name}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        for (ms, text) in [
            (0, "0ms"),
            (350, "350ms"),
            (1500, "1.5s"),
            (59_000, "59s"),
            (60_000, "1m"),
            (90_000, "1m30s"),
            (3_599_000, "59m59s"),
            (3_601_500, "1h1s"),
            (5_400_000, "90m"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(Millis(ms).to_string(), text);
        }
    }
}
