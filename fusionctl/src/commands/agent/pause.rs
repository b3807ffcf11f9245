//! `agent pause`: freezes an agent, or lets its task end first.

use fusion_proto::v1::PauseAgentRequest;

use super::print_changed;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl agent pause builder
  fusionctl agent pause builder --drain";

/// Arguments of `agent pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// Let the running task end first
    #[arg(long)]
    drain: bool,
}

/// Asks once: a repetition could meet a later resume of somebody else.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let agent = link.agents().pause_agent(PauseAgentRequest { agent: args.agent, drain: args.drain }).await?;
    print_changed(&mut session, agent.into_inner())?;
    Ok(Exit::Done)
}
