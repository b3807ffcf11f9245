//! `task resolve`: decides a task whose outcome is unknown.

use fusion_proto::v1::{Resolution, ResolveTaskRequest};

use super::selection::Report;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl task resolve 4f2k9x0a --retry";

/// Arguments of `task resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
#[command(group = clap::ArgGroup::new("resolution").required(true))]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
    /// Queue it again
    #[arg(long, group = "resolution")]
    retry: bool,
    /// Count the lost attempt as failed
    #[arg(long, group = "resolution")]
    fail: bool,
    /// Count the lost attempt as succeeded
    #[arg(long, group = "resolution")]
    succeed: bool,
}

impl Args {
    const fn resolution(&self) -> Resolution {
        match (self.retry, self.fail, self.succeed) {
            (true, ..) => Resolution::Retry,
            (false, true, _) => Resolution::Fail,
            (false, false, true) => Resolution::Succeed,
            (false, false, false) => Resolution::Unspecified,
        }
    }
}

/// Asks once: a repetition could meet the next lost attempt.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let resolution = args.resolution().into();
    let task = link.tasks().resolve_task(ResolveTaskRequest { task: args.task, resolution }).await?;
    let mut report = Report::new(&mut session, true);
    report.task(task.into_inner(), Exit::Done)?;
    report.finish()
}
