//! `task ask`: what a running program calls to ask a person for leave or for words.
//!
//! Not for: the reply (`answer`, `approve`).

use std::time::Duration;

use fusion_proto::v1::{AskTaskRequest, QuestionKind, Reply, ReplyKind};

use crate::client::{Patience, request_id};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Format;
use crate::units::{format_duration, parse_duration};
use crate::view;
use crate::view::word::wire_duration;

const AFTER: &str = "\
For programs that run as an attempt: the task then waits, its clocks stand still, and this call
returns with the reply, also when the daemon is restarted in between. It prints the answer, or the
comment of whoever approved. Exits with 1 when it was rejected, with 7 when nobody replied in time.

Examples:
  fusionctl task ask --approval 'Push the branch to origin?' && git push
  colour=$(fusionctl task ask 'Which colour?' --timeout 1h)";

/// Arguments of `task ask`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The question, up to 4 KiB
    text: String,
    /// Ask for yes or no instead of words
    #[arg(long)]
    approval: bool,
    /// Wait no longer than this; without it as long as the attempt lives
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// Asks, and asks the same again after each loss of the connection.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let kind = if args.approval { QuestionKind::Approval } else { QuestionKind::Input };
    let request = AskTaskRequest {
        kind: kind.into(),
        text: args.text,
        timeout: args.timeout.map(wire_duration),
        request_id: request_id(),
    };
    let reply = loop {
        match link.tasks().ask_task(request.clone()).await {
            Ok(reply) => break reply.into_inner(),
            // A person takes as long as it takes: each time the daemon went away is a new one.
            Err(status) => Patience::new().outlive(&link, status).await?,
        }
    };
    print(&mut session, &reply)?;
    match reply.kind() {
        ReplyKind::Approved | ReplyKind::Answered | ReplyKind::Unspecified => Ok(Exit::Done),
        ReplyKind::Rejected => Ok(Exit::Failed),
        ReplyKind::Expired => {
            let within = args.timeout.map(format_duration).unwrap_or_default();
            Err(Complaint::new(Exit::TimedOut, "question_expired", format!("nobody replied within {within}"))
                .into())
        }
    }
}

fn print(session: &mut Session, reply: &Reply) -> Result<(), Stop> {
    if session.out.format() != Format::Table {
        return session.out.document(&view::task::Reply::from(reply.clone()), |_| Ok(()));
    }
    if !reply.text.is_empty() {
        session.out.raw(reply.text.as_bytes())?;
        session.out.raw(b"\n")?;
    }
    Ok(())
}
