//! The words after `fusiond`. Not here: what they mean together with files and environment (`load`).

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::shells;

use super::{Backend, LogFormat, LogLevel};
use crate::paths::Mode;

/// The supervisor for AI agents on Linux
#[derive(Parser, Debug, Clone, Default)]
#[command(name = "fusiond", version, max_term_width = 100, after_help = AFTER)]
pub struct Args {
    /// Where everything lies.
    #[command(flatten)]
    pub place: Place,
    /// Check the configuration, print what is in force as TOML, and exit.
    #[arg(long)]
    pub check_config: bool,
    /// What is worth a line of the log.
    #[arg(long, value_name = "LEVEL", ignore_case = true)]
    pub log_level: Option<LogLevel>,
    /// How a line of the log looks.
    #[arg(long, value_name = "FORMAT", ignore_case = true)]
    pub log_format: Option<LogFormat>,
    /// How process trees are held together; other than `auto`, it is this way or no start.
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<Backend>,
    /// Opens the database in this folder and exits: the store's guard against a damaged one.
    #[arg(long, value_name = "DIR", hide = true)]
    pub probe_store: Option<PathBuf>,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where everything lies; holds for every command.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Place {
    /// Serve yourself alone, without root, in the XDG folders.
    #[arg(long, global = true, conflicts_with = "root")]
    pub user: bool,
    /// Try it: keep everything below this folder.
    #[arg(long, value_name = "DIR", global = true)]
    pub root: Option<PathBuf>,
    /// Read this file, and `FILE.d/*.toml`, instead of the usual one.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

impl Place {
    /// The mode that the flags ask for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (&self.root, self.user) {
            (Some(root), _) => Mode::Root(root.clone()),
            (None, true) => Mode::User,
            (None, false) => Mode::System,
        }
    }
}

/// What to do instead of serving.
#[derive(Subcommand, Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bring back a backup where there is no state, while no daemon runs
    #[command(after_help = AFTER_RESTORE)]
    Restore {
        /// What `fusionctl system backup` wrote
        file: PathBuf,
    },
    /// Write what lets a shell complete the flags of this program
    #[command(after_help = AFTER_COMPLETION)]
    Completion {
        /// The shell
        shell: Shell,
    },
}

const AFTER: &str = "\
It serves until it is told to stop: agents as processes of the users who asked, and a durable
queue of tasks for them. Users speak to it with fusionctl.

Examples:
  fusiond                            as root, for every user of the machine
  fusiond --user                     for yourself, without root
  fusiond --root ./fusion            to try it, with everything below one folder
  fusiond --check-config             what is in force, and where each value came from

Files:
  /etc/fusiond/fusiond.toml, fusiond.toml.d/*.toml    settings; each also by the environment
  /etc/fusiond/profiles.d/*.toml                      what agents can be made of
  /run/fusiond/fusiond.sock                           the socket
  /var/lib/fusiond                                    state, logs and workspaces
  With --user they lie in $XDG_CONFIG_HOME, $XDG_RUNTIME_DIR and $XDG_STATE_HOME.

Signals:
  SIGTERM  stop; agents go on, and the next start finds them (with --root they are ended first)
  SIGINT   end all agents, then stop
  SIGHUP   read settings and profiles again, as `fusionctl system reload` does

Exit codes: 0 done, 1 failed, 2 usage, 78 a setting is wrong: another start would not help";

const AFTER_RESTORE: &str = "\
Examples:
  fusiond restore /backup/fusiond-monday
  fusiond --root ./fusion restore ./backup";

const AFTER_COMPLETION: &str = "\
Examples:
  fusiond completion bash > /usr/share/bash-completion/completions/fusiond
  fusiond completion zsh > /usr/share/zsh/vendor-completions/_fusiond
  fusiond completion fish > /usr/share/fish/vendor_completions.d/fusiond.fish";

/// The shells that can be helped.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash.
    #[value(help = None)]
    Bash,
    /// The Z shell.
    #[value(help = None)]
    Zsh,
    /// The friendly interactive shell.
    #[value(help = None)]
    Fish,
}

impl Shell {
    /// What the shell is to read.
    #[must_use]
    pub fn completion(self) -> Vec<u8> {
        let mut command = <Args as clap::CommandFactory>::command();
        let shell = match self {
            Self::Bash => shells::Shell::Bash,
            Self::Zsh => shells::Shell::Zsh,
            Self::Fish => shells::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "fusiond", &mut script);
        script
    }
}

impl ValueEnum for LogLevel {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.word().into())
    }
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Text, Self::Json, Self::Journald]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.word().into())
    }
}

impl ValueEnum for Backend {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Systemd, Self::CgroupV2, Self::CgroupV1, Self::None]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.word().into())
    }
}

impl LogLevel {
    /// The setting's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LogFormat {
    /// The setting's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_a_page_that_renders() {
        let pages = fusion_tests::man::write(Args::command(), "8", &["fusionctl(1)"]);
        let names: Vec<_> = pages.iter().filter_map(|page| page.file_name()).collect();
        assert_eq!(names, ["fusiond.8", "fusiond-restore.8", "fusiond-completion.8"]);
    }

    #[test]
    fn examples_parse() {
        let mut command = Args::command();
        command.build();
        let texts = std::iter::once(&command).chain(command.get_subcommands());
        let texts = texts.filter_map(|command| command.get_after_help().map(ToString::to_string));
        let text: String = texts.collect::<Vec<_>>().join("\n");
        let examples: Vec<&str> = text.lines().filter(|line| line.starts_with("  fusiond")).collect();
        assert!(examples.len() >= 9, "{examples:?}");
        for line in examples {
            // What follows two spaces explains; what follows a redirection is the shell's.
            let call =
                line.trim().split("  ").next().and_then(|line| line.split(" > ").next()).unwrap_or(line);
            Args::try_parse_from(call.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
