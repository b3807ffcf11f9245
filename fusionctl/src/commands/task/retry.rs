//! `task retry`: queues ended tasks again.

use fusion_proto::v1::RetryTaskRequest;

use super::selection::{Chosen, Selection, each, has_ended, matching};
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl task retry 4f2k9x0a
  fusionctl task retry --label batch=7 --dead";

/// Arguments of `task retry`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Only tasks that failed for good; without labels, all of these
    #[arg(long)]
    dead: bool,
}

/// Queues each; with labels, those that ended without success.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let chosen = args.selection.choose(args.dead)?;
    let link = session.link().await?;
    let (names, alone) = match chosen {
        Chosen::Named(names) => {
            let alone = names.len() == 1;
            (names, alone)
        }
        Chosen::Matching(filter) => {
            let keep = |state| has_ended(state) && state != fusion_proto::v1::TaskState::Succeeded;
            (matching(&link, filter, keep).await?, false)
        }
    };
    each(&mut session, names, alone, |task| {
        let mut tasks = link.tasks();
        async move { Ok(tasks.retry_task(RetryTaskRequest { task }).await?.into_inner()) }
    })
    .await
}
