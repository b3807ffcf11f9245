//! `agent pause`: freezes an agent, or lets its task end first.

use fusion_proto::v1::PauseAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::agent::Agent;

const AFTER: &str = "\
Examples:
  fusionctl agent pause builder
  fusionctl agent pause builder tester --drain";

/// Arguments of `agent pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
    /// Let the running task end first
    #[arg(long)]
    drain: bool,
}

/// Asks once for each: a repetition could meet a later resume of somebody else.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let act = async |agent| {
        let agent = link.agents().pause_agent(PauseAgentRequest { agent, drain: args.drain }).await?;
        Ok(Agent::from(agent.into_inner()))
    };
    session.each(args.agents, act, |_, agent| agent.line()).await
}
