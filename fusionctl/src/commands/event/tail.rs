//! `event tail`: events as they happen.
//!
//! The last sequence number that was printed is where the next connection goes on, so a restart of the
//! daemon loses and repeats nothing.

use fusion_proto::v1::{GetStatusRequest, WatchEventsRequest};
use tonic::Status;

use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::{Format, Output, json_line};
use crate::view::event::Event;

const AFTER: &str = "\
Examples:
  fusionctl event tail
  fusionctl event tail --since 0 -o jsonl";

/// Arguments of `event tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Begin after this sequence number; 0: with the oldest stored event [default: new events only]
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Only events of this agent, task or run, by id, part of one, key:KEY or name; what is removed by its full id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
}

/// Follows until interrupted, or until the daemon stays away.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let since = match args.since {
        Some(seq) => seq,
        None => link.repeat(async || link.system().get_status(GetStatusRequest {}).await).await?.last_seq,
    };
    let mut request =
        WatchEventsRequest { since_seq: Some(since), subject: args.subject.unwrap_or_default() };
    let mut patience = Patience::new();
    loop {
        let lost = follow(&link, &mut request, &mut patience, &mut session.out).await?;
        patience.outlive(&link, lost).await?;
    }
}

/// Prints until the stream ends, and returns how it ended; `request` then begins behind the last event.
async fn follow(
    link: &Link,
    request: &mut WatchEventsRequest,
    patience: &mut Patience,
    out: &mut Output,
) -> Result<Status, Stop> {
    let mut stream = match link.events().watch_events(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(status),
    };
    loop {
        match stream.message().await {
            Ok(Some(event)) => {
                patience.renew();
                request.since_seq = Some(event.seq);
                print(out, &Event::from(event))?;
            }
            Ok(None) => return Ok(Status::unavailable("the daemon ended the stream of events")),
            Err(status) => return Ok(status),
        }
    }
}

fn print(out: &mut Output, event: &Event) -> Result<(), Stop> {
    if out.is_quiet() {
        out.line(&event.seq.to_string())?;
        return out.flush();
    }
    match out.format() {
        Format::Table => out.line(&event.line())?,
        // An endless array would be no document: JSON, too, is one object a line.
        Format::Json | Format::Jsonl => out.line(&json_line(event))?,
        Format::Yaml => {
            out.line("---")?;
            out.document(event, |_| Ok(()))?;
        }
    }
    out.flush()
}
