//! `task release`: lets held tasks go on.

use super::change::{self, Change, Which};
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl task release 4f2k9x0a
  fusionctl task release --state held --yes";

/// Arguments of `task release`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
}

/// Releases each; chosen by label or state, those that are held.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    change::run(session, args.chosen, false, Change::Release).await
}
