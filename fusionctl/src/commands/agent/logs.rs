//! `agent logs`: the output of all attempts of an agent, oldest first, each line with its task.

use fusion_proto::v1::TailAgentLogsRequest;

use crate::commands::Session;
use crate::commands::logs::{self, Prefix};
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl agent logs builder -f --tail 10
  fusionctl agent logs builder --since 1h --grep error --timestamps
  fusionctl agent logs builder -o jsonl

A follow goes on until the agent is terminated, through restarts of the daemon. Secrets that the
agent was given are masked, also with --raw.";

/// Arguments of `agent logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    #[command(flatten)]
    logs: logs::Wanted,
}

/// Prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut printer = args.logs.printer(session.out.format(), Prefix::Task);
    let open = async |filter, from| {
        let (agent, follow) = (args.agent.clone(), args.logs.follow);
        let request = TailAgentLogsRequest { agent, follow, filter: Some(filter), from };
        link.agents().tail_agent_logs(request).await
    };
    logs::run(&args.logs, &link, &mut printer, &mut session.out, open).await?;
    Ok(Exit::Done)
}
