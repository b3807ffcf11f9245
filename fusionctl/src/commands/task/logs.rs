//! `task logs`: a task's output, in the order in which it was read.

use fusion_proto::v1::TailLogsRequest;

use crate::commands::Session;
use crate::commands::logs::{self, Prefix};
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl task logs 4f2k9x0a -f
  fusionctl task logs 4f2k9x0a --tail 20 --timestamps
  fusionctl task logs 4f2k9x0a --since 10m --grep 'error|warning'
  fusionctl task logs 4f2k9x0a --attempt 1 --raw 2>errors.txt
  fusionctl task logs 4f2k9x0a --attempt all -o jsonl

A follow goes on through restarts of the daemon. Secrets that the agent was given are masked,
also with --raw.";

/// Arguments of `task logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
    /// Which attempt, or all [default: the newest; with --follow also those that come]
    #[arg(long, value_name = "N|all", value_parser = parse_attempts)]
    attempt: Option<Attempts>,
    #[command(flatten)]
    logs: logs::Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempts {
    All,
    One(u32),
}

fn parse_attempts(text: &str) -> Result<Attempts, String> {
    match text {
        "all" => Ok(Attempts::All),
        number => {
            number.parse().map(Attempts::One).map_err(|_| "expected a number from 1, or all".to_owned())
        }
    }
}

/// Prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let all_attempts = args.attempt == Some(Attempts::All);
    let attempt = match args.attempt {
        Some(Attempts::One(number)) => Some(number),
        Some(Attempts::All) | None => None,
    };
    let prefix = if all_attempts { Prefix::Attempt } else { Prefix::None };
    let mut printer = args.logs.printer(session.out.format(), prefix);
    let open = async |filter, from| {
        let request = TailLogsRequest {
            task: args.task.clone(),
            attempt,
            follow: args.logs.follow,
            filter: Some(filter),
            from,
            all_attempts,
            ..TailLogsRequest::default()
        };
        link.tasks().tail_logs(request).await
    };
    logs::run(&args.logs, &link, &mut printer, &mut session.out, open).await?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_a_number_or_all() {
        assert_eq!(parse_attempts("all"), Ok(Attempts::All));
        assert_eq!(parse_attempts("2"), Ok(Attempts::One(2)));
        assert!(parse_attempts("some").is_err());
    }
}
