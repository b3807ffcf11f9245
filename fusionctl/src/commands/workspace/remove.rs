//! `workspace remove`: the folders of terminated agents go; their records and logs stay.

use fusion_proto::v1::{DeleteWorkspaceRequest, GetWorkspaceRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::removed::Removed;

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
    let act = async |agent: String| {
        let get = GetWorkspaceRequest { agent };
        let found = link.repeat(async || link.workspaces().get_workspace(get.clone()).await).await?;
        // By its id: the name may be another one's by now.
        let request = DeleteWorkspaceRequest { agent: found.agent.clone() };
        link.workspaces().delete_workspace(request).await?;
        Ok(Removed { id: found.agent, name: found.name })
    };
    session.each(args.agents, act, |name, _| name.to_owned()).await
}
