//! `agent remove`: what terminated agents left goes now instead of when their retention ends.

use std::time::Duration;

use fusion_proto::v1::{DeleteAgentRequest, GetAgentRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::removed::Removed;
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
    let act = async |agent: String| {
        let get = GetAgentRequest { agent };
        let found = link.repeat(async || link.agents().get_agent(get.clone()).await).await?;
        // By its id: the name may be another one's by now.
        let request = DeleteAgentRequest { agent: found.id.clone(), keep_workspace, force, grace };
        link.agents().delete_agent(request).await?;
        Ok(Removed { id: found.id, name: found.name })
    };
    session.each(args.agents, act, |name, _| name.to_owned()).await
}
