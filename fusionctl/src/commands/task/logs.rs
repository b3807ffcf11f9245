//! `task logs`: a task's output, byte for byte and in the order in which it was read.

use std::io::{self, Write};
use std::time::Duration;

use fusion_proto::v1::{GetTaskRequest, LogChunk, LogStream, TailTaskLogsRequest};
use tonic::Status;

use super::selection::has_ended;
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Exit, Stop, is_lost, output_failed};
use crate::output::Output;

const AFTER: &str = "\
Examples:
  fusionctl task logs 4f2k9x0a -f
  fusionctl task logs 4f2k9x0a --attempt 1 2>errors.txt";

/// How long to wait before asking again for a task that will be tried again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// Arguments of `task logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
    /// Go on until the task has ended
    #[arg(long, short)]
    follow: bool,
    /// Which attempt [default: the newest; with --follow also those that come]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

/// Prints it; a follow outlives a restart of the daemon and goes on at the byte where it was.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut request =
        TailTaskLogsRequest { task: args.task, attempt: args.attempt, offset: 0, follow: args.follow };
    let mut patience = Patience::new();
    loop {
        match stream(&link, &mut request, &mut patience, &mut session.out).await? {
            Some(status) if args.follow && is_lost(&status) => patience.outlive(&link, status).await?,
            Some(status) => return Err(status.into()),
            None if !args.follow || args.attempt.is_some() => return Ok(Exit::Done),
            None => {
                if is_over(&link, &mut request).await? {
                    return Ok(Exit::Done);
                }
            }
        }
    }
}

/// Prints until the stream ends, and returns the status it broke with; `request` then begins behind
/// the last byte.
async fn stream(
    link: &Link,
    request: &mut TailTaskLogsRequest,
    patience: &mut Patience,
    out: &mut Output,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.tasks().tail_task_logs(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => {
                patience.renew();
                request.attempt = Some(chunk.attempt).filter(|number| *number > 0).or(request.attempt);
                request.offset = chunk.next_offset;
                print_chunk(out, &chunk)?;
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// Whether nothing can follow what was printed; else `request` names what does: the next attempt, or
/// the rest of this one.
async fn is_over(link: &Link, request: &mut TailTaskLogsRequest) -> Result<bool, Stop> {
    let get = GetTaskRequest { task: request.task.clone() };
    let task = link.repeat(async || link.tasks().get_task(get.clone()).await).await?;
    let newest = task.attempts.last().map_or(0, |attempt| attempt.number);
    match request.attempt {
        Some(printed) if newest > printed => {
            request.attempt = Some(printed + 1);
            request.offset = 0;
            Ok(false)
        }
        Some(_) | None if has_ended(task.state()) => Ok(true),
        Some(_) | None => {
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            Ok(false)
        }
    }
}

/// Writes a chunk to the stream it came from; what the quota dropped before it is named on stderr.
pub(crate) fn print_chunk(out: &mut Output, chunk: &LogChunk) -> Result<(), Stop> {
    let mut stderr = io::stderr().lock();
    if chunk.dropped_bytes > 0 {
        let note = format!(
            "note: {} bytes of output are missing here: the log quota dropped them\n",
            chunk.dropped_bytes
        );
        stderr.write_all(note.as_bytes()).map_err(|error| output_failed(&error))?;
    }
    match chunk.stream() {
        LogStream::Stderr => stderr.write_all(&chunk.data).map_err(|error| output_failed(&error)),
        LogStream::Stdout | LogStream::Unspecified => out.raw(&chunk.data),
    }
}
