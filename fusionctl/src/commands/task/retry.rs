//! `task retry`: queues ended tasks again.

use super::change::{self, Change, Which};
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl task retry 4f2k9x0a
  fusionctl task retry --label batch=7 --dead
  fusionctl task retry --state timed_out --yes";

/// Arguments of `task retry`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
    /// Only tasks that failed for good; without labels, all of these
    #[arg(long)]
    dead: bool,
}

/// Queues each; chosen by label or state, those that ended without success.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    change::run(session, args.chosen, args.dead, Change::Retry).await
}
