//! `task hold`: keeps tasks that have not started from starting.

use super::change::{self, Change, Which};
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
A held task keeps its place: its dependencies and times go on, its queue timeout stands still.

Examples:
  fusionctl task hold 4f2k9x0a
  fusionctl task hold --label batch=7";

/// Arguments of `task hold`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
}

/// Holds each; chosen by label or state, those that have not started.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    change::run(session, args.chosen, false, Change::Hold).await
}
