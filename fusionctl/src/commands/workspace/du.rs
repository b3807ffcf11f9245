//! `workspace du`: how much is in workspaces, counted now.

use tonic::Code;

use super::Whose;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::workspace::Measured;

const AFTER: &str = "\
Files with several names count once, links are not followed, and other file systems not entered.
A workspace that takes longer than 30 seconds to count is shown with what was counted until
then.

Examples:
  fusionctl workspace du
  fusionctl workspace du builder
  fusionctl workspace du -o json | jq 'map(.diskBytes) | add'";

/// Arguments of `workspace du`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Their agents: names or ids, or unique parts of the ids; without any, all workspaces
    #[arg(value_name = "AGENT")]
    agents: Vec<String>,
}

/// Counts one after the other: they lie on the same disk.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut exits = Vec::new();
    let mut found = Vec::new();
    if args.agents.is_empty() {
        for workspace in super::fetch_all(&link, None, Whose::All).await? {
            match super::measure(&link, &workspace.agent).await {
                Ok(usage) => found.push(Measured::new(workspace, usage)),
                // Removed meanwhile, or its agent has not come up yet.
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => exits.push(blame(&mut session, &workspace.name, status.into())?),
            }
        }
    }
    let is_one = args.agents.len() == 1;
    for agent in args.agents {
        let measured = async {
            let workspace = super::fetch(&link, agent.clone()).await?;
            let usage = super::measure(&link, &workspace.agent).await?;
            Ok(Measured::new(workspace, usage))
        };
        match measured.await {
            Ok(measured) => found.push(measured),
            Err(stop) if is_one => return Err(stop),
            Err(stop) => exits.push(blame(&mut session, &agent, stop)?),
        }
    }
    let mut listing = Listing::new(&mut session.out);
    for measured in found {
        listing.push(measured)?;
    }
    listing.finish()?;
    Ok(Exit::of_several(exits))
}

fn blame(session: &mut Session, name: &str, stop: Stop) -> Result<Exit, Stop> {
    let complaint = stop.into_complaint()?.about(name);
    session.complain(&complaint)?;
    Ok(complaint.exit)
}
