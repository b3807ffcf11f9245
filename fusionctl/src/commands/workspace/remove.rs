//! `workspace remove`: the folders of terminated agents go; their records and logs stay.

use fusion_proto::v1::DeleteWorkspaceRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl workspace remove builder";

/// Arguments of `workspace remove`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Their agents: names or ids, or unique parts of the ids
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
}

/// Removes each; one that is gone already is done.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    session
        .each(args.agents, |agent| {
            let mut workspaces = link.workspaces();
            async move { Ok(workspaces.delete_workspace(DeleteWorkspaceRequest { agent }).await.map(drop)?) }
        })
        .await
}
