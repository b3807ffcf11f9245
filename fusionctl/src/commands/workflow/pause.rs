//! `workflow pause`: lets what runs end, and nothing new begin.

use fusion_proto::v1::PauseRunRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
It stays paused over restarts of the daemon. Agents go on with what they do: `fusionctl agent pause` freezes one.

Examples:
  fusionctl workflow pause 4f2k9x0a
  fusionctl workflow resume 4f2k9x0a";

/// Arguments of `workflow pause`.
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
        link.workflows().pause_run(PauseRunRequest { run }).await?;
        Ok(())
    };
    session.each(args.runs, ask).await
}
