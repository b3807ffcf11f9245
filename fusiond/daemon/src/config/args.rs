//! The words after `fusiond`. Not here: what they mean together with files and environment (`load`).

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::{Backend, LogFormat, LogLevel};
use crate::paths::Mode;

/// The supervisor for AI agents on Linux.
#[derive(Parser, Debug, Clone, Default)]
#[command(name = "fusiond", version, about, max_term_width = 100)]
pub struct Args {
    /// Where everything lies.
    #[command(flatten)]
    pub place: Place,
    /// Check the configuration, print what is in force as TOML, and exit.
    #[arg(long)]
    pub check_config: bool,
    /// What is worth a line of the log.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How a line of the log looks.
    #[arg(long, value_name = "FORMAT")]
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
    /// Bring back a backup into an empty state folder, while no daemon runs.
    Restore {
        /// What `fusionctl system backup` wrote.
        file: PathBuf,
    },
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
        &[Self::Text, Self::Json, Self::Journald]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.word().into())
    }
}

impl ValueEnum for Backend {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::CgroupV2, Self::CgroupV1, Self::None]
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
            Self::Text => "text",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}
