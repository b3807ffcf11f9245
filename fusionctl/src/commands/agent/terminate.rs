//! `agent terminate`: TERM, a grace, then KILL for everything the agent started.

use std::time::Duration;

use fusion_proto::v1::TerminateAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::units::parse_duration;
use crate::view::agent::Agent;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Examples:
  fusionctl agent terminate builder --grace 30s
  fusionctl agent terminate builder tester";

/// Arguments of `agent terminate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
    /// Time between TERM and KILL [default: `runtime.grace` of the settings, 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// One after the other; returns when no process of them is left.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let grace = args.grace.map(wire_duration);
    let act = async |agent| {
        let agent = link.agents().terminate_agent(TerminateAgentRequest { agent, grace }).await?;
        Ok(Agent::from(agent.into_inner()))
    };
    session.each(args.agents, act, |_, agent| agent.line()).await
}
