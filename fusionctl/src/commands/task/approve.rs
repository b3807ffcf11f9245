//! `task approve [--reject]`: gives a running task the leave that it asks for, or refuses it.
//!
//! Not for: words (`answer`).

use fusion_proto::v1::ApproveTaskRequest;

use super::report::Report;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
`fusionctl task list --state waiting_approval` shows the tasks that wait for leave, `fusionctl
why ID` what one asks.

Examples:
  fusionctl task approve 4f2k9x0a
  fusionctl task approve 4f2k9x0a --reject --comment 'not on a Friday'";

/// Arguments of `task approve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
    /// Refuse it; the program decides what follows
    #[arg(long)]
    reject: bool,
    /// Why, for the record and for the program
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
}

/// Asks once: a repetition could meet the next question.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ApproveTaskRequest { task: args.task, reject: args.reject, comment: args.comment };
    let task = link.tasks().approve_task(request).await?;
    let mut report = Report::new(&mut session, true);
    report.task(task.into_inner(), Exit::Done)?;
    report.finish()
}
