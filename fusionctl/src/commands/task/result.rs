//! `task result`: the result alone, byte for byte (what steers a terminal is made visible on one); for programs that read JSON or YAML, as the text in an object.

use std::io::{self, Write};

use fusion_proto::v1::GetTaskResultRequest;
use serde::Serialize;

use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Format;
use crate::view::word::is_zero;

const AFTER: &str = "\
Examples:
  fusionctl task result 4f2k9x0a > answer.txt
  fusionctl task result 4f2k9x0a -o json | jq -r .result";

/// Arguments of `task result`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
}

/// The result for programs that read objects.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    result: String,
    /// There is more in the logs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// So many are nowhere any more.
    #[serde(skip_serializing_if = "is_zero")]
    missing_bytes: u64,
}

/// Fetches it and writes the bytes: a result is not ours to dress, unless a format is asked for.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let name = args.task.clone();
    let request = GetTaskResultRequest { task: args.task };
    let result = link.repeat(async || link.tasks().get_task_result(request.clone()).await).await?;
    if session.out.format() != Format::Table {
        let unfit = |_| {
            let complaint = Complaint::new(Exit::Refused, "result_no_text", "the result is no UTF-8 text");
            complaint.hint("leave out --output for its bytes as they are")
        };
        let (truncated, missing_bytes) = (result.truncated, result.missing_bytes);
        let answer =
            Answer { result: String::from_utf8(result.data).map_err(unfit)?, truncated, missing_bytes };
        session.out.document(&answer, |_| Ok(()))?;
        return Ok(Exit::Done);
    }
    session.out.foreign(&result.data)?;
    if result.missing_bytes > 0 {
        let left = result.data.len();
        let all = result.missing_bytes + left as u64;
        let note = if result.truncated {
            format!("note: {} bytes of the result are missing in it\n", result.missing_bytes)
        } else {
            format!("note: only {left} of the {all} bytes of the result are left\n")
        };
        drop(io::stderr().write_all(note.as_bytes()));
    }
    if result.truncated {
        let note = format!(
            "note: the result is cut at {} bytes; `fusionctl task logs {name}` has all of it\n",
            result.data.len()
        );
        // With stderr gone there is nobody left to tell.
        drop(io::stderr().write_all(note.as_bytes()));
    }
    Ok(Exit::Done)
}
