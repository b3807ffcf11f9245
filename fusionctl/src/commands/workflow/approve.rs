//! `workflow approve [--reject]`: decides a node that waits for a person.
//!
//! Not for: what a running task asks (`task approve`).

use fusion_proto::v1::ApproveNodeRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
What is said is kept with the run, with who said it. Where everything that needs the node looks
at its `output.approved`, a rejection is a result like another; else the node fails.

Examples:
  fusionctl workflow approve 4f2k9x0a gate
  fusionctl workflow approve 4f2k9x0a gate --reject --comment 'not on a Friday'";

/// Arguments of `workflow approve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    run: String,
    /// The node, by its id in the definition
    node: String,
    /// Reject it
    #[arg(long)]
    reject: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
}

/// Asks once: a repetition could meet another question.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let said = if args.reject { "rejected" } else { "approved" };
    let line = format!("{} {said}", args.node);
    let request =
        ApproveNodeRequest { run: args.run, node: args.node, reject: args.reject, comment: args.comment };
    let run = link.workflows().approve_node(request).await?.into_inner();
    let run = crate::view::workflow::Run::from(run);
    if session.out.is_quiet() {
        session.out.made(&run)?;
        return Ok(Exit::Done);
    }
    session.out.document(&run, |out| out.line(&line))?;
    Ok(Exit::Done)
}
