//! `workflow pause`: lets nothing new begin, and what runs end or stand still.

use fusion_proto::v1::PauseRunRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::workflow::Run;

const AFTER: &str = "\
It stays paused over restarts of the daemon. Agents finish what they do; tasks that wait for an
agent do not begin. With --freeze agents stand still where they are, their clocks too, until
`workflow resume`. Agents that somebody paused by themselves stay paused.

Examples:
  fusionctl workflow pause 4f2k9x0a
  fusionctl workflow pause 4f2k9x0a --freeze
  fusionctl workflow resume 4f2k9x0a";

/// Arguments of `workflow pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Ids, unique parts of them, or key:KEY
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Let what runs stand still where it is, instead of ending first
    #[arg(long)]
    freeze: bool,
}

/// Asks for each.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let ask = async |run: String| {
        let run = link.workflows().pause_run(PauseRunRequest { run, freeze: args.freeze }).await?;
        Ok(Run::from(run.into_inner()))
    };
    session.each(args.runs, ask, |_, run| run.id.clone()).await
}
