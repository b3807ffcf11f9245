//! What the machine tells: one line for each story, and the journal of one that failed. Not here: how it gets here.
//!
//! ```text
//! STORY install ok 3      name, outcome, seconds
//! | text                  what a failed story said, and the journal
//! REBOOT                  it wants to be started again
//! END                     all stories are through
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::shell;

/// Lines of the console that are shown where the machine died.
const TAIL_LINES: usize = 60;

/// All that was told.
pub(super) struct Report {
    text: String,
    console: PathBuf,
}

impl Report {
    pub(super) fn read(told: &Path, console: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(told).with_context(|| format!("reading {}", told.display()))?;
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        Ok(Self { text, console: console.to_owned() })
    }

    /// The last lines of a console.
    pub(super) fn tail(console: &Path) -> String {
        let bytes = std::fs::read(console).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Whether the last that was told is that.
    pub(super) fn wants_reboot(&self) -> bool {
        self.text.lines().last() == Some("REBOOT")
    }

    /// Prints it.
    ///
    /// # Errors
    ///
    /// When a story failed, none ran, or not all of them came to their end.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        shell::say(&self.text);
        let outcomes: Vec<&str> =
            self.text.lines().filter_map(|line| line.strip_prefix("STORY ")?.split(' ').nth(1)).collect();
        let failed = outcomes.iter().filter(|outcome| **outcome == "failed").count();
        if !self.text.lines().any(|line| line == "END") {
            bail!(
                "the machine did not come to the end of the stories; its console:\n{}",
                Self::tail(&self.console)
            );
        }
        if failed > 0 || outcomes.is_empty() {
            bail!("{failed} of {} stories failed", outcomes.len());
        }
        if !outcomes.contains(&"ok") {
            bail!("this machine can tell none of these stories: leave out --quick");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        Report { text: text.to_owned(), console: PathBuf::from("/nonexistent") }
    }

    #[test]
    fn a_report_is_good_when_all_stories_ended_well() {
        assert!(report("STORY a ok 1\nSTORY b ok 2\nEND\n").judge().is_ok());
        assert!(report("STORY a ok 1\nSTORY b failed 2\n| why\nEND\n").judge().is_err());
        assert!(report("STORY a ok 1\n").judge().is_err());
        assert!(report("END\n").judge().is_err());
        assert!(report("STORY a ok 1\nSTORY b left-out 0\nEND\n").judge().is_ok());
        assert!(report("STORY b left-out 0\nEND\n").judge().is_err(), "nothing was shown");
    }

    #[test]
    fn a_machine_is_started_again_when_it_asks_last() {
        assert!(report("STORY a ok 1\nREBOOT\n").wants_reboot());
        assert!(!report("REBOOT\nSTORY a ok 1\nEND\n").wants_reboot());
    }
}
