//! `event`: the durable log of what happened.

mod list;
mod tail;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List stored events, oldest first
    List(list::Args),
    /// Print events as they happen, without gaps even across restarts of the daemon
    Tail(tail::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::List(args) => list::run(session, args).await,
        Verb::Tail(args) => tail::run(session, args).await,
    }
}
