//! `agent resume`: lets a paused agent go on.

use fusion_proto::v1::ResumeAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::agent::Agent;

const AFTER: &str = "\
Examples:
  fusionctl agent resume builder
  fusionctl agent resume builder tester";

/// Arguments of `agent resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
}

/// Asks once for each: a repetition could meet a later pause of somebody else.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let act = async |agent| {
        let agent = link.agents().resume_agent(ResumeAgentRequest { agent }).await?;
        Ok(Agent::from(agent.into_inner()))
    };
    session.each(args.agents, act, |_, agent| agent.line()).await
}
