//! What figures must keep, for `--check`: every bound is printed, and one that is broken fails the bench at its end.
//!
//! Not for: tests, which assert no times.

use anyhow::ensure;

use crate::shell::say;

/// Figures with their bounds.
pub(crate) struct Bounds {
    is_asked: bool,
    broken: Vec<String>,
}

impl Bounds {
    /// Bounds that are held if the flags ask for it.
    pub(crate) fn of(flags: &[&str]) -> Self {
        Self { is_asked: flags.contains(&"--check"), broken: Vec::new() }
    }

    /// A figure that may be no more than this.
    pub(crate) fn at_most(&mut self, what: &str, value: f64, bound: f64) {
        self.hold(value <= bound, format!("{what}: {value:.3}, at most {bound}"));
    }

    /// A figure that may be no less than this.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        self.hold(value >= bound, format!("{what}: {value:.3}, at least {bound}"));
    }

    fn hold(&mut self, is_kept: bool, line: String) {
        say(&format!("{} {line}\n", if is_kept { "kept  " } else { "broken" }));
        if !is_kept {
            self.broken.push(line);
        }
    }

    /// The end of the bench.
    ///
    /// # Errors
    /// When bounds are held and one is broken.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        ensure!(!self.is_asked || self.broken.is_empty(), "{}", self.broken.join("; "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_bound_fails_the_bench_that_is_to_check() {
        for (flags, fails) in [(&["--check"][..], true), (&[], false)] {
            let mut bounds = Bounds::of(flags);
            bounds.at_most("start", 3.0, 5.0);
            bounds.at_least("rate", 0.7, 0.8);
            assert_eq!(bounds.end().is_err(), fails);
        }
    }
}
