//! `secret`: values that agents are given by name.

mod list;
mod remove;
mod set;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// Which secret.
#[derive(Debug, clap::Args)]
struct Named {
    /// By which name agents are given it
    #[arg(id = "secret", value_name = "NAME")]
    name: String,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Set a secret to what stands on stdin; on a terminal it is asked for
    Set(set::Args),
    /// List your secrets, without their values
    List(list::Args),
    /// Remove a secret: attempts that start from now on are not given it
    #[command(visible_alias = "rm")]
    Remove(remove::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Set(args) => set::run(session, args).await,
        Verb::List(args) => list::run(session, args).await,
        Verb::Remove(args) => remove::run(session, args).await,
    }
}
