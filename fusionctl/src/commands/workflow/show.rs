//! `workflow show`: one run with its nodes.

use fusion_proto::v1::GetRunRequest;

use super::follow::{self, Leaves};
use super::{result, revision};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Shown as _;
use crate::table;
use crate::view::workflow::Run;

const AFTER: &str = "\
Examples:
  fusionctl workflow show 4f2k9x0a
  fusionctl workflow show key:nightly-2030-01-31 --wait
  fusionctl workflow show 4f2k9x0a --result report
  fusionctl workflow show 4f2k9x0a --result 'fix[3]'
  fusionctl workflow show 4f2k9x0a --history
  fusionctl workflow show 4f2k9x0a --definition --revision 1
  fusionctl workflow show 4f2k9x0a -o json | jq '.nodes[] | select(.state == \"failed\")'";

/// Arguments of `workflow show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    run: String,
    /// Show what happens until the run has ended: a tree on a terminal, else a line for each step
    #[arg(long, short)]
    wait: bool,
    /// Print what it is to do, as YAML that `workflow edit` takes
    #[arg(long, conflicts_with_all = ["wait", "history"])]
    definition: bool,
    /// Which of the definitions that it has had [default: the present one]
    #[arg(long, value_name = "N", requires = "definition", value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    /// List the definitions that it has had, with who gave them
    #[arg(long, conflicts_with = "wait")]
    history: bool,
    /// Print the whole result of a node: a text as it is, anything else as JSON
    #[arg(long, value_name = "NODE|NODE[ITEM]", conflicts_with_all = ["wait", "definition", "history"])]
    result: Option<String>,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    if args.definition {
        return revision::print(&mut session, &link, args.run, args.revision.unwrap_or_default()).await;
    }
    if let Some(node) = args.result {
        return result::print(&mut session, &link, args.run, node).await;
    }
    if args.history {
        return revision::list(&mut session, &link, args.run).await;
    }
    let request = GetRunRequest { run: args.run };
    let mut run = link.repeat(async || link.workflows().get_run(request.clone()).await).await?;
    if args.wait {
        match follow::follow(&mut session, &link, run, Leaves::Nothing).await? {
            Some(ended) => run = ended,
            None => return Ok(Exit::Program(follow::INTERRUPTED)),
        }
    }
    print(&mut session, Run::from(run))?;
    Ok(Exit::Done)
}

/// The fields of a run, and below them its nodes.
pub(super) fn print(session: &mut Session, run: Run) -> Result<(), Stop> {
    if session.out.is_quiet() {
        return session.out.show(&run);
    }
    session.out.document(&run, |out| {
        for line in table::fields(&run.fields()) {
            out.line(&line)?;
        }
        out.line("")?;
        run.tree().iter().try_for_each(|line| out.line(line))
    })
}
