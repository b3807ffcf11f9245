//! `agent resume`: lets a paused agent go on.

use fusion_proto::v1::ResumeAgentRequest;

use super::print_changed;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl agent resume builder";

/// Arguments of `agent resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
}

/// Asks once: a repetition could meet a later pause of somebody else.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let agent = link.agents().resume_agent(ResumeAgentRequest { agent: args.agent }).await?;
    print_changed(&mut session, agent.into_inner())?;
    Ok(Exit::Done)
}
