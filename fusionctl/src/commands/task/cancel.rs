//! `task cancel`: ends tasks that have not ended.

use std::time::Duration;

use super::change::{self, Change, Which};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Examples:
  fusionctl task cancel 4f2k9x0a
  fusionctl task cancel --label batch=7 --grace 30s
  fusionctl task cancel --label batch=7 --state queued --yes
  fusionctl task list --state queued -q | fusionctl task cancel -";

/// Arguments of `task cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
    /// Time between TERM and KILL [default: `runtime.grace` of the settings, 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// Cancels each; chosen by label or state, those that have not ended.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    let change = Change::Cancel(args.grace.map(wire_duration));
    change::run(session, args.chosen, false, change).await
}
