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
        let get = GetWorkspaceRequest { agent: agent.clone() };
        // What is gone already, or not the caller's, is for the daemon to say when it is to be removed.
        let found = link.workspaces().get_workspace(get).await;
        link.workspaces().delete_workspace(DeleteWorkspaceRequest { agent: agent.clone() }).await?;
        Ok(match found {
            Ok(found) => {
                let found = found.into_inner();
                Removed { id: found.agent, name: found.name }
            }
            Err(_) => Removed { id: agent.clone(), name: agent },
        })
    };
    session.each(args.agents, act, |name, _| name.to_owned()).await
}
