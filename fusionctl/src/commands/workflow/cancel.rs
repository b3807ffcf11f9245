//! `workflow cancel`: ends a run.

use fusion_proto::v1::CancelRunRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::workflow::Run;

const AFTER: &str = "\
Its tasks are ended, and what has not begun is skipped. Nodes with `always` are still done; a
second cancel ends those, too.

Example:
  fusionctl workflow cancel 4f2k9x0a";

/// Arguments of `workflow cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Ids, unique parts of them, or key:KEY
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
}

/// Asks for each.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let ask = async |run: String| {
        let run = link.workflows().cancel_run(CancelRunRequest { run }).await?;
        Ok(Run::from(run.into_inner()))
    };
    session.each(args.runs, ask, |_, run| run.id.clone()).await
}
