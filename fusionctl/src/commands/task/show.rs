//! `task show`: one task with its attempts.

use fusion_proto::v1::GetTaskRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::task::Task;

const AFTER: &str = "\
Examples:
  fusionctl task show 4f2k9x0a
  fusionctl task show key:nightly -o json";

/// Arguments of `task show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = GetTaskRequest { task: args.task };
    let task = link.repeat(async || link.tasks().get_task(request.clone()).await).await?;
    session.out.show(&Task::from(task))?;
    Ok(Exit::Done)
}
