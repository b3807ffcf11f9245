//! `agent show`: one agent with all that is known of it.

use fusion_proto::v1::GetAgentRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::agent::Agent;

const AFTER: &str = "\
Example:
  fusionctl agent show builder -o json";

/// Arguments of `agent show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = GetAgentRequest { agent: args.agent };
    let agent = link.repeat(async || link.agents().get_agent(request.clone()).await).await?;
    session.out.show(&Agent::from(agent))?;
    Ok(Exit::Done)
}
