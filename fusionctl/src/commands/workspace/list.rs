//! `workspace list`: the caller's workspaces, oldest first.

use fusion_proto::v1::{ListWorkspacesRequest, WorkspaceState};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::word::words;
use crate::view::workspace::Workspace;

const AFTER: &str = "\
Examples:
  fusionctl workspace list
  fusionctl workspace list --state kept -q";

/// How many workspaces one answer carries.
const PAGE: i32 = 500;

/// Arguments of `workspace list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Only those in this state
    #[arg(long, value_parser = words::<WorkspaceState>())]
    state: Option<WorkspaceState>,
}

/// Reads all pages.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut request = ListWorkspacesRequest {
        page_size: PAGE,
        state: args.state.unwrap_or(WorkspaceState::Unspecified).into(),
        page_token: String::new(),
    };
    let mut listing = Listing::new(&mut session.out);
    loop {
        let page = link.repeat(async || link.workspaces().list_workspaces(request.clone()).await).await?;
        for workspace in page.workspaces {
            listing.push(Workspace::from(workspace))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
