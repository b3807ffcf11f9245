//! `workflow list`: runs, or the definitions that were applied.

use fusion_proto::v1::{ListRunsRequest, ListWorkflowsRequest, RunState};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::units::parse_pair;
use crate::view::word::words;
use crate::view::workflow::{Run, Workflow};

const AFTER: &str = "\
Examples:
  fusionctl workflow list --state running
  fusionctl workflow list --label batch=7
  fusionctl workflow list --asking
  fusionctl workflow list --definitions";

/// Arguments of `workflow list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Only runs in this state (may be repeated)
    #[arg(long = "state", value_name = "STATE", value_parser = words::<RunState>())]
    states: Vec<RunState>,
    /// Only runs with this label (may be repeated)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    workflow: String,
    /// Only runs in which a node waits for a person
    #[arg(long)]
    asking: bool,
    /// At most so many runs
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// The newest versions of the definitions that were applied, not runs
    #[arg(long, conflicts_with_all = ["states", "labels", "workflow", "asking", "limit"])]
    definitions: bool,
}

/// Reads as many pages as are asked for.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    if args.definitions { list_definitions(session).await } else { list_runs(session, args).await }
}

async fn list_runs(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut listing = Listing::new(&mut session.out);
    let mut left = args.limit;
    let mut request = ListRunsRequest {
        states: args.states.into_iter().map(i32::from).collect(),
        labels: args.labels.into_iter().collect(),
        workflow: args.workflow,
        asking: args.asking,
        ..ListRunsRequest::default()
    };
    while left > 0 {
        request.page_size = i32::try_from(left.min(1000)).unwrap_or(1000);
        let page = link.repeat(async || link.workflows().list_runs(request.clone()).await).await?;
        left -= page.runs.len().min(left);
        for run in page.runs {
            listing.push(Run::from(run))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}

async fn list_definitions(mut session: Session) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut listing = Listing::new(&mut session.out);
    let mut request = ListWorkflowsRequest { page_size: 1000, ..ListWorkflowsRequest::default() };
    loop {
        let page = link.repeat(async || link.workflows().list_workflows(request.clone()).await).await?;
        for workflow in page.workflows {
            listing.push(Workflow::from(workflow))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
