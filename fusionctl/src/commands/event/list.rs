//! `event list`: stored events, oldest first.

use fusion_proto::v1::ListEventsRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::event::Event;

const AFTER: &str = "\
Examples:
  fusionctl event list --since 4000
  fusionctl event list --subject tsk_4f2k9x0a -o jsonl";

/// How many events one answer carries.
const PAGE: i32 = 1000;

/// Arguments of `event list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Only events after this sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    since: u64,
    /// Only events of this agent, task or run, by id, part of one, key:KEY or name; what is removed by its full id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
}

/// Reads all pages.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut listing = Listing::new(&mut session.out);
    let mut request = ListEventsRequest {
        since_seq: args.since,
        page_size: PAGE,
        subject: args.subject.unwrap_or_default(),
    };
    loop {
        let page = link.repeat(async || link.events().list_events(request.clone()).await).await?;
        for event in page.events {
            listing.push(Event::from(event))?;
        }
        if page.next_seq == 0 {
            break;
        }
        request.since_seq = page.next_seq;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
