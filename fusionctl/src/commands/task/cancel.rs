//! `task cancel`: ends tasks that have not ended.

use std::time::Duration;

use fusion_proto::v1::CancelTaskRequest;

use super::selection::{Chosen, Selection, each, has_ended, matching};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Examples:
  fusionctl task cancel 4f2k9x0a
  fusionctl task cancel --label batch=7 --grace 30s";

/// Arguments of `task cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Time between TERM and KILL [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// Cancels each; with labels, those that have not ended.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let chosen = args.selection.choose(false)?;
    let link = session.link().await?;
    let (names, alone) = match chosen {
        Chosen::Named(names) => {
            let alone = names.len() == 1;
            (names, alone)
        }
        Chosen::Matching(filter) => (matching(&link, filter, |state| !has_ended(state)).await?, false),
    };
    let grace = args.grace.map(wire_duration);
    each(&mut session, names, alone, |task| {
        let mut tasks = link.tasks();
        async move { Ok(tasks.cancel_task(CancelTaskRequest { task, grace }).await?.into_inner()) }
    })
    .await
}
