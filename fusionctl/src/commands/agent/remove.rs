//! `agent remove`: what terminated agents left goes now instead of when their retention ends.

use std::time::Duration;

use fusion_proto::v1::DeleteAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Examples:
  fusionctl agent remove builder
  fusionctl agent remove builder --keep-workspace
  fusionctl agent remove --force builder tester";

/// Arguments of `agent remove`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
    /// Leave the workspace where it is
    #[arg(long)]
    keep_workspace: bool,
    /// Terminate living agents first
    #[arg(long, short)]
    force: bool,
    /// With --force: time between TERM and KILL [default: `runtime.grace` of the settings, 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "force")]
    grace: Option<Duration>,
}

/// Removes each; prints the names of those that are gone.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let (keep_workspace, force, grace) = (args.keep_workspace, args.force, args.grace.map(wire_duration));
    session
        .each(args.agents, |agent| {
            let mut agents = link.agents();
            let request = DeleteAgentRequest { agent, keep_workspace, force, grace };
            async move { Ok(agents.delete_agent(request).await.map(drop)?) }
        })
        .await
}
