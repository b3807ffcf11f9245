//! `agent restart`: ends the incarnation and starts the next one.

use fusion_proto::v1::RestartAgentRequest;

use super::print_changed;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl agent restart builder";

/// Arguments of `agent restart`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
}

/// Asks once: a repetition would restart the agent twice.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let agent = link.agents().restart_agent(RestartAgentRequest { agent: args.agent }).await?;
    print_changed(&mut session, agent.into_inner())?;
    Ok(Exit::Done)
}
