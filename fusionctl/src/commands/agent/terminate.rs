//! `agent terminate`: TERM, a grace, then KILL for everything the agent started.

use std::time::Duration;

use fusion_proto::v1::TerminateAgentRequest;

use super::print_changed;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Example:
  fusionctl agent terminate builder --grace 30s";

/// Arguments of `agent terminate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// Time between TERM and KILL [default: `runtime.grace` of the settings, 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// Returns when no process of the agent is left.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = TerminateAgentRequest { agent: args.agent, grace: args.grace.map(wire_duration) };
    let agent = link.agents().terminate_agent(request).await?;
    print_changed(&mut session, agent.into_inner())?;
    Ok(Exit::Done)
}
