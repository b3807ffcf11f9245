//! `system shutdown`: stops the daemon.

use std::time::Duration;

use clap::ValueEnum;
use fusion_proto::v1::{AgentsOnShutdown, ShutdownRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop, is_lost};
use crate::units::parse_duration;
use crate::view::word::wire_duration;

const AFTER: &str = "\
Examples:
  fusionctl system shutdown --agents keep
  fusionctl system shutdown --agents stop --grace 30s";

/// Arguments of `system shutdown`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// keep: they go on and the next daemon adopts them; stop: they are ended first [default: what
    /// SIGTERM does in the daemon's mode]
    #[arg(long, value_enum)]
    agents: Option<Agents>,
    /// Time between TERM and KILL for agents that are stopped [default: `runtime.grace` of the settings, 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// What happens to agents when the daemon stops.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Agents {
    Keep,
    Stop,
}

/// Asks the daemon to stop. A daemon that is gone before it could answer did what was asked.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let agents = match args.agents {
        None => AgentsOnShutdown::Unspecified,
        Some(Agents::Keep) => AgentsOnShutdown::Keep,
        Some(Agents::Stop) => AgentsOnShutdown::Stop,
    };
    let request = ShutdownRequest { agents: agents.into(), grace: args.grace.map(wire_duration) };
    match link.system().shutdown(request).await {
        Ok(_) => Ok(Exit::Done),
        Err(status) if is_lost(&status) && !link.answers().await => Ok(Exit::Done),
        Err(status) => Err(status.into()),
    }
}
