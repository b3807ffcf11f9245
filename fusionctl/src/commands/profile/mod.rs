//! `profile`: what agents can be made of.

mod apply;
mod list;
mod show;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the profiles you may use
    List(list::Args),
    /// Show one profile, also as the TOML it is made of
    Show(show::Args),
    /// Keep the profiles of a file as your own, or forget one
    Apply(apply::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Apply(args) => apply::run(session, args).await,
    }
}
