//! `workflow rerun`: does nodes of an ended run once more.

use fusion_proto::v1::RerunRunRequest;

use super::follow;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::view::workflow::Run;

const AFTER: &str = "\
With --from, that node and everything that needs it; results of other nodes stay. What kept the
run from ending well is done once more, too; without --from, that alone. A node whose failure is
gone past (on_failure: continue or skip-dependents) is done again when it is named.

Examples:
  fusionctl workflow rerun 4f2k9x0a --from fix
  fusionctl workflow rerun 4f2k9x0a 8c1m2n3p
  fusionctl workflow rerun 4f2k9x0a --wait";

/// Arguments of `workflow rerun`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Ids, unique parts of them, or key:KEY
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// The node to begin with, by its id in the definition [default: whatever did not go well]
    #[arg(long, value_name = "NODE", default_value = "", hide_default_value = true)]
    from: String,
    /// Show what happens until the run has ended; exits with 1 when it did not succeed
    #[arg(long, short)]
    wait: bool,
}

/// Begins it, and follows it if that is asked for.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let from = args.from;
    let begin = async |run: String| {
        let request = RerunRunRequest { run, from: from.clone() };
        Ok::<_, Stop>(link.workflows().rerun_run(request).await?.into_inner())
    };
    let [run] = args.runs.as_slice() else {
        if args.wait {
            let message = "--wait follows one run, and several are named";
            return Err(Complaint::new(Exit::Usage, "usage", message)
                .hint("`fusionctl workflow show --wait RUN` follows one that goes on")
                .into());
        }
        let begin = async |run| begin(run).await.map(Run::from);
        return session.each(args.runs, begin, |_, run| run.id.clone()).await;
    };
    let run = begin(run.clone()).await?;
    follow::begun(&mut session, &link, run, args.wait).await
}
