//! `agent scale`: more agents of one kind, or fewer.

use fusion_proto::v1::ScaleAgentsRequest;

use super::print_group;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
New ones are made like the oldest of the group and get the first free numbers. When there are
too many, idle ones end first, then the newest; one that works ends when its task has ended.

Examples:
  fusionctl agent spawn worker --profile shell --replicas 2
  fusionctl agent scale worker 5
  fusionctl agent scale worker 0";

/// Arguments of `agent scale`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name of the group (NAME of NAME-1, NAME-2 …), or of one agent, which becomes its first
    group: String,
    /// How many there should be
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    replicas: u32,
}

/// Asks once: a repetition could meet a later change of somebody else.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ScaleAgentsRequest { group: args.group, replicas: args.replicas };
    let answer = link.agents().scale_agents(request).await?.into_inner();
    print_group(&mut session, answer.agents)?;
    Ok(Exit::Done)
}
