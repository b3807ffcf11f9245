//! `task result`: the result alone, byte for byte.

use std::io::{self, Write};

use fusion_proto::v1::GetTaskResultRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl task result 4f2k9x0a > answer.txt";

/// Arguments of `task result`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    task: String,
}

/// Fetches it and writes the bytes, whatever the format: a result is not ours to dress.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let name = args.task.clone();
    let request = GetTaskResultRequest { task: args.task };
    let result = link.repeat(async || link.tasks().get_task_result(request.clone()).await).await?;
    session.out.raw(&result.data)?;
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
