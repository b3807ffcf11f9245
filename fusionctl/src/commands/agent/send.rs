//! `agent send`: words into the standard input of the running attempt.

use std::io::Read;

use super::attach::{running, writer::Writer};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};

const AFTER: &str = "\
Returns when the program's pipe has all of it: a program that does not read is waited for. Its
task must have been submitted with --interactive, or its profile say stdin = \"open\".

Examples:
  fusionctl agent send builder yes
  git diff | fusionctl agent send builder - --close";

/// Arguments of `agent send`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// What to send, as a line; `-` sends standard input as it is
    #[arg(required_unless_present = "close")]
    text: Option<String>,
    /// Send no line break behind it
    #[arg(long, short = 'n')]
    no_newline: bool,
    /// Close the program's input behind it
    #[arg(long)]
    close: bool,
}

/// Sends all of it, each byte once.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let (agent, task, attempt) = running(&link, args.agent).await?;
    let writer = Writer::new(&link, &agent, &task, attempt);
    writer.check().await?;
    let text = content(args.text, args.no_newline)?;
    writer.send_all(&text, args.close).await?;
    Ok(Exit::Done)
}

fn content(text: Option<String>, no_newline: bool) -> Result<Vec<u8>, Stop> {
    match text.as_deref() {
        None => Ok(Vec::new()),
        Some("-") => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Complaint::unreadable("stdin", &error))?;
            Ok(bytes)
        }
        Some(text) if no_newline => Ok(text.as_bytes().to_vec()),
        Some(text) => Ok(format!("{text}\n").into_bytes()),
    }
}
