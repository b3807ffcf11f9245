//! `task list`: tasks, newest first.

use fusion_proto::v1::{ListTasksRequest, TaskFilter, TaskState};
use jiff::Timestamp;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::units::{parse_pair, parse_past};
use crate::view::task::Task;
use crate::view::word::{wire_time, words};

const AFTER: &str = "\
Examples:
  fusionctl task list --state queued --state running
  fusionctl task list --agent builder --since 1h
  fusionctl task list --label batch=7 --limit 20
  fusionctl task list --dead -q";

/// How many tasks one answer carries.
const PAGE: usize = 500;

/// Arguments of `task list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Only those in this state (may be repeated: any may match)
    #[arg(long = "state", value_name = "STATE", value_parser = words::<TaskState>())]
    states: Vec<TaskState>,
    /// Only those with this label (may be repeated: all must match)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Only those that must run on this agent, or did
    #[arg(long, short)]
    agent: Option<String>,
    /// Only those submitted since this time: RFC 3339, or a duration ago such as 1h
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_past(text, Timestamp::now()))]
    since: Option<Timestamp>,
    /// Only those that failed for good
    #[arg(long)]
    dead: bool,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Reads pages until the end or the limit.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let filter = TaskFilter {
        states: args.states.into_iter().map(Into::into).collect(),
        labels: args.labels.into_iter().collect(),
        dead: args.dead,
        agent: args.agent.unwrap_or_default(),
        created_since: args.since.map(wire_time),
        ..TaskFilter::default()
    };
    let mut wanted = args.limit.unwrap_or(usize::MAX);
    let mut request = ListTasksRequest { filter: Some(filter), ..ListTasksRequest::default() };
    let mut listing = Listing::new(&mut session.out);
    while wanted > 0 {
        request.page_size = i32::try_from(wanted.min(PAGE)).expect("a page is small");
        let page = link.repeat(async || link.tasks().list_tasks(request.clone()).await).await?;
        for task in page.tasks.into_iter().take(wanted) {
            wanted -= 1;
            listing.push(Task::from(task))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
