//! `agent logs`: the output of all attempts of an agent, oldest first.

use std::collections::HashMap;

use fusion_proto::v1::{LogChunk, TailAgentLogsRequest};
use tonic::Status;

use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::commands::task::logs::print_chunk;
use crate::error::{Exit, Stop, is_lost};
use crate::output::Output;

const AFTER: &str = "\
Example:
  fusionctl agent logs builder -f";

/// Arguments of `agent logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// Go on until the agent is terminated
    #[arg(long, short)]
    follow: bool,
}

/// How far each attempt was printed: the stream begins at the oldest output after every reconnection,
/// and what was seen is passed over.
type Seen = HashMap<(String, u32), u64>;

/// Prints it; a follow outlives a restart of the daemon.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = TailAgentLogsRequest { agent: args.agent, follow: args.follow };
    let mut seen = Seen::new();
    let mut patience = Patience::new();
    loop {
        let end = stream(&link, &request, &mut seen, &mut patience, &mut session.out).await?;
        match end {
            None => return Ok(Exit::Done),
            Some(status) if request.follow && is_lost(&status) => patience.outlive(&link, status).await?,
            Some(status) => return Err(status.into()),
        }
    }
}

async fn stream(
    link: &Link,
    request: &TailAgentLogsRequest,
    seen: &mut Seen,
    patience: &mut Patience,
    out: &mut Output,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.agents().tail_agent_logs(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => {
                patience.renew();
                if is_new(seen, &chunk) {
                    print_chunk(out, &chunk)?;
                }
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// Whether the chunk lies behind what was seen of its attempt; it then counts as seen.
fn is_new(seen: &mut Seen, chunk: &LogChunk) -> bool {
    let reached = seen.entry((chunk.task.clone(), chunk.attempt)).or_default();
    if chunk.next_offset > 0 && chunk.next_offset <= *reached {
        return false;
    }
    *reached = chunk.next_offset;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_passed_over_after_a_reconnection() {
        let chunk = |task: &str, next_offset| LogChunk {
            task: task.to_owned(),
            attempt: 1,
            next_offset,
            ..LogChunk::default()
        };
        let mut seen = Seen::new();
        assert!(is_new(&mut seen, &chunk("a", 10)));
        assert!(is_new(&mut seen, &chunk("b", 5)));
        assert!(!is_new(&mut seen, &chunk("a", 10)));
        assert!(is_new(&mut seen, &chunk("a", 12)));
    }
}
