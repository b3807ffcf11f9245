//! `workspace list`: the caller's workspaces, oldest first.

use fusion_proto::v1::WorkspaceState;

use super::Whose;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::word::words;
use crate::view::workspace::Usage;

const AFTER: &str = "\
Examples:
  fusionctl workspace list
  fusionctl workspace list --size
  fusionctl workspace list --state kept -q";

/// Arguments of `workspace list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Only those in this state
    #[arg(long, value_parser = words::<WorkspaceState>())]
    state: Option<WorkspaceState>,
    /// Count what is in each: takes as long as reading all their folders
    #[arg(long)]
    size: bool,
}

/// Reads all pages; with `--size`, counts what is in each.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut found = super::fetch_all(&link, args.state, Whose::All).await?;
    if args.size {
        for workspace in &mut found {
            // One that cannot be counted is in the list all the same; `workspace du` says why.
            workspace.usage = super::measure(&link, &workspace.agent).await.ok().map(Usage::from);
        }
    }
    let mut listing = Listing::new(&mut session.out);
    for workspace in found {
        listing.push(workspace)?;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
