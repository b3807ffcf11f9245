//! `system drain`: no new attempts start until it is lifted.

use fusion_proto::v1::DrainRequest;

use super::status;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl system drain --wait
  fusionctl system drain --off";

/// Arguments of `system drain`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Return when no attempt is running
    #[arg(long, conflicts_with = "off")]
    wait: bool,
    /// Let attempts start again
    #[arg(long)]
    off: bool,
}

/// Asking twice changes nothing, so a lost answer is asked for again.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = DrainRequest { off: args.off, wait: args.wait };
    let after = link.repeat(async || link.system().drain(request).await).await?;
    status::print(&mut session, after)?;
    Ok(Exit::Done)
}
