//! `workspace`: the folders in which agents work. One is named by its agent.

mod diff;
mod du;
mod list;
mod path;
mod prune;
mod remove;
mod show;

use clap::Subcommand;
use fusion_proto::v1::{
    GetWorkspaceRequest, ListWorkspacesRequest, MeasureWorkspaceRequest, WorkspaceState, WorkspaceUsage,
};
use tonic::Status;

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
    /// Count what is in workspaces
    Du(du::Args),
    /// Show what has changed in a workspace since it was filled
    Diff(diff::Args),
    /// Remove the workspaces of all agents that were terminated long enough ago
    Prune(prune::Args),
    /// Remove the workspaces of terminated agents
    Remove(remove::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Path(args) => path::run(session, args).await,
        Verb::Du(args) => du::run(session, args).await,
        Verb::Diff(args) => diff::run(session, args).await,
        Verb::Prune(args) => prune::run(session, args).await,
        Verb::Remove(args) => remove::run(session, args).await,
    }
}

/// The workspace of an agent.
async fn fetch(link: &Link, agent: String) -> Result<Workspace, Stop> {
    let request = GetWorkspaceRequest { agent };
    let found = link.repeat(async || link.workspaces().get_workspace(request.clone()).await).await?;
    Ok(Workspace::from(found))
}

/// How many workspaces one answer carries.
const PAGE: i32 = 500;

/// Whose workspaces are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// All that the caller sees.
    All,
    /// The caller's own.
    Own,
}

/// Workspaces in one state, or in any but removed.
async fn fetch_all(link: &Link, state: Option<WorkspaceState>, whose: Whose) -> Result<Vec<Workspace>, Stop> {
    let state = state.unwrap_or(WorkspaceState::Unspecified).into();
    let mut request =
        ListWorkspacesRequest { page_size: PAGE, state, page_token: String::new(), own: whose == Whose::Own };
    let mut found = Vec::new();
    loop {
        let page = link.repeat(async || link.workspaces().list_workspaces(request.clone()).await).await?;
        found.extend(page.workspaces.into_iter().map(Workspace::from));
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// Counts what is in a workspace.
async fn measure(link: &Link, agent: &str) -> Result<WorkspaceUsage, Status> {
    let request = MeasureWorkspaceRequest { agent: agent.to_owned() };
    Ok(link.workspaces().measure_workspace(request).await?.into_inner())
}
