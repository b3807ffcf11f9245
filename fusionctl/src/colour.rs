//! Whether to colour: `--color`, then the habits of <https://no-color.org> and <https://bixense.com/clicolors>.
//!
//! Not for: which colour means what (`table`).

use std::ffi::OsString;
use std::sync::OnceLock;

use clap::ValueEnum;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    // Where a terminal is, unless the environment says otherwise.
    #[default]
    Auto,
    // Also into files and pipes.
    Always,
    // Nowhere.
    Never,
}

/// Said once, before anything is printed.
static CHOICE: OnceLock<Choice> = OnceLock::new();

/// Takes what the command line says.
pub(crate) fn choose(choice: Choice) {
    CHOICE.get_or_init(|| choice);
}

/// Whether a stream is coloured that is, or is not, a terminal.
pub(crate) fn wanted(is_terminal: bool) -> bool {
    let choice = CHOICE.get().copied().unwrap_or_default();
    decide(choice, is_terminal, |name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn decide(choice: Choice, is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    match choice {
        Choice::Always => true,
        Choice::Never => false,
        Choice::Auto if env("NO_COLOR").is_some() => false,
        Choice::Auto if env("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Choice::Auto => {
            is_terminal
                && env("TERM").is_none_or(|term| term != "dumb")
                && env("CLICOLOR").is_none_or(|value| value != "0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_no_color_then_the_terminal() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            }
        };
        let none = env(&[]);
        assert!(decide(Choice::Auto, true, none) && !decide(Choice::Auto, false, none));
        let both = env(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]);
        assert!(!decide(Choice::Auto, true, both));
        assert!(decide(Choice::Always, false, both) && !decide(Choice::Never, true, none));
        assert!(decide(Choice::Auto, false, env(&[("CLICOLOR_FORCE", "1")])));
        assert!(!decide(Choice::Auto, false, env(&[("CLICOLOR_FORCE", "0")])));
        assert!(!decide(Choice::Auto, true, env(&[("TERM", "dumb")])));
        assert!(!decide(Choice::Auto, true, env(&[("CLICOLOR", "0")])));
    }
}
