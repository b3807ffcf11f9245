//! `task answer`: gives a running task the words that it asks for.
//!
//! Not for: leave (`approve`).

use std::io::Read as _;

use fusion_proto::v1::AnswerTaskRequest;

use super::report::Report;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};

const AFTER: &str = "\
`fusionctl task list --state waiting_input` shows the tasks that wait for words, `fusionctl why ID`
what one asks.

Examples:
  fusionctl task answer 4f2k9x0a 'the blue one'
  fusionctl task answer 4f2k9x0a - < reply.txt";

/// Arguments of `task answer`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
    /// The answer, up to 4 KiB; `-` reads it from standard input
    text: String,
}

/// Asks once: a repetition could meet the next question.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let text = match args.text.as_str() {
        "-" => read()?,
        _ => args.text,
    };
    let link = session.link().await?;
    let task = link.tasks().answer_task(AnswerTaskRequest { task: args.task, text }).await?;
    let mut report = Report::new(&mut session, true);
    report.task(task.into_inner(), Exit::Done)?;
    report.finish()
}

/// All of standard input but for one newline at its end.
fn read() -> Result<String, Stop> {
    let mut text = String::new();
    match std::io::stdin().lock().take(1 << 20).read_to_string(&mut text) {
        Ok(_) => Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned)),
        Err(error) => {
            let complaint = Complaint::new(Exit::Usage, "file_unreadable", "cannot read the answer");
            Err(complaint.detail(error.to_string()).into())
        }
    }
}
