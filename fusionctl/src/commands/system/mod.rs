//! `system`: the daemon itself.

mod backup;
mod dial_stdio;
mod doctor;
mod drain;
mod reload;
mod restore;
mod shutdown;
mod status;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show on one screen how the daemon is, and what needs somebody
    Status(status::Args),
    /// Check which guarantees hold on this machine, and what would mend the rest
    Doctor(doctor::Args),
    /// Start no new attempts, or lift that again
    Drain(drain::Args),
    /// Read configuration and profiles anew without a restart
    Reload(reload::Args),
    /// Stop the daemon; agents go on or are ended first
    Shutdown(shutdown::Args),
    /// Write a consistent copy of the daemon's state to a file
    Backup(backup::Args),
    /// Put a backup where there is no state, while no daemon runs
    Restore(restore::Args),
    /// Join stdin and stdout with the daemon's socket: what `--host` runs on the other machine
    #[command(hide = true)]
    DialStdio(dial_stdio::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Status(args) => status::run(session, args).await,
        Verb::Doctor(args) => doctor::run(session, args).await,
        Verb::Drain(args) => drain::run(session, args).await,
        Verb::Reload(args) => reload::run(session, args).await,
        Verb::Shutdown(args) => shutdown::run(session, args).await,
        Verb::Backup(args) => backup::run(session, args).await,
        Verb::Restore(args) => restore::run(&session, &args),
        Verb::DialStdio(args) => dial_stdio::run(&session, args).await,
    }
}
