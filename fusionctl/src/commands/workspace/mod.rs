//! `workspace`: the folders in which agents work. One is named by its agent.

mod list;
mod path;
mod remove;
mod show;

use clap::Subcommand;
use fusion_proto::v1::GetWorkspaceRequest;

use super::Session;
use crate::client::Link;
use crate::error::{Exit, Stop};
use crate::view::workspace::Workspace;

/// What to do with workspaces.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List workspaces, those of terminated agents among them
    List(list::Args),
    /// Show one workspace: where it is and how long it stays
    Show(show::Args),
    /// Print the path of a workspace alone
    Path(path::Args),
    /// Remove the workspaces of terminated agents
    Remove(remove::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Path(args) => path::run(session, args).await,
        Verb::Remove(args) => remove::run(session, args).await,
    }
}

/// The workspace of an agent.
async fn fetch(link: &Link, agent: String) -> Result<Workspace, Stop> {
    let request = GetWorkspaceRequest { agent };
    let found = link.repeat(async || link.workspaces().get_workspace(request.clone()).await).await?;
    Ok(Workspace::from(found))
}
