//! `agent restart`: ends the incarnation and starts the next one.

use fusion_proto::v1::RestartAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::agent::Agent;

const AFTER: &str = "\
Examples:
  fusionctl agent restart builder
  fusionctl agent restart builder tester";

/// Arguments of `agent restart`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
}

/// Asks once for each: a repetition would restart the agent twice.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let act = async |agent| {
        let agent = link.agents().restart_agent(RestartAgentRequest { agent }).await?;
        Ok(Agent::from(agent.into_inner()))
    };
    session.each(args.agents, act, |_, agent| agent.line()).await
}
