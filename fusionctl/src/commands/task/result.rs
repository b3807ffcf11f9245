//! `task result`: the result alone, byte for byte (what steers a terminal is made visible on one); for programs that read JSON or YAML, as the text in an object.

use std::io::{self, Write};

use fusion_proto::v1::{GetTaskResultRequest, TaskResult};
use serde::Serialize;

use crate::client::Link;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, stdout_is_terminal};
use crate::view::word::is_zero;

const AFTER: &str = "\
Examples:
  fusionctl task result 4f2k9x0a > answer.txt
  fusionctl task result 4f2k9x0a -o json | jq -r .result";

/// The most bytes of a character behind its first one (UTF-8, RFC 3629).
const CHARACTER_REST_MAX: usize = 3;

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

/// Fetches it and writes it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    show(&mut session, &link, args.task, Ending::AsItIs).await?;
    Ok(Exit::Done)
}

/// How what is shown ends, off terminals, where it always ends with its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Byte for byte.
    AsItIs,
    /// With the end of a line.
    Line,
}

/// The bytes, and whether they are all.
pub(crate) async fn fetch(link: &Link, task: String) -> Result<TaskResult, Stop> {
    let request = GetTaskResultRequest { task };
    link.repeat(async || link.tasks().get_task_result(request.clone()).await).await
}

/// Writes the bytes: a result is not ours to dress, unless a format is asked for.
pub(crate) async fn show(
    session: &mut Session,
    link: &Link,
    name: String,
    ending: Ending,
) -> Result<(), Stop> {
    let result = fetch(link, name.clone()).await?;
    if session.out.format() != Format::Table {
        let unfit = || {
            let complaint = Complaint::new(Exit::Refused, "result_no_text", "the result is no UTF-8 text");
            complaint.hint("leave out --output for its bytes as they are")
        };
        let (truncated, missing_bytes) = (result.truncated, result.missing_bytes);
        let answer = Answer { result: text(result).ok_or_else(unfit)?, truncated, missing_bytes };
        return session.out.document(&answer, |_| Ok(()));
    }
    session.out.foreign(&result.data)?;
    if (ending == Ending::Line || stdout_is_terminal())
        && result.data.last().is_some_and(|last| *last != b'\n')
    {
        session.out.line("")?;
    }
    for note in notes(&result, &name) {
        // With stderr gone there is nobody left to tell.
        drop(io::stderr().write_all(format!("note: {note}\n").as_bytes()));
    }
    Ok(())
}

/// The result as a text, if it is one. The daemon counts bytes: where it cut, a character may be cut as well, and is left out.
fn text(result: TaskResult) -> Option<String> {
    let TaskResult { mut data, truncated, missing_bytes } = result;
    if missing_bytes > 0 {
        let rest =
            data.iter().take(CHARACTER_REST_MAX).take_while(|byte| matches!(byte, 0x80..=0xbf)).count();
        data.drain(..rest);
    }
    if (truncated || missing_bytes > 0)
        && let Err(error) = std::str::from_utf8(&data)
        && error.error_len().is_none()
    {
        data.truncate(error.valid_up_to());
    }
    String::from_utf8(data).ok()
}

/// What is to be known of a result that is not all of it.
fn notes(result: &TaskResult, name: &str) -> Vec<String> {
    let (left, missing) = (result.data.len(), result.missing_bytes);
    let cut = |what| format!("the result is cut at {left} bytes; `fusionctl task logs {name}` has {what}");
    match (result.truncated, missing) {
        (false, 0) => Vec::new(),
        (false, missing) => {
            vec![format!("only {left} of the {} bytes of the result are left", missing + left as u64)]
        }
        (true, 0) => vec![cut("all of it")],
        (true, missing) => vec![format!("{missing} bytes of the result are missing in it"), cut("the rest")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(data: &[u8], truncated: bool, missing_bytes: u64) -> TaskResult {
        TaskResult { data: data.to_vec(), truncated, missing_bytes }
    }

    #[test]
    fn a_character_at_a_cut_is_left_out_and_other_bytes_are_no_text() {
        let letters = "äöü€".as_bytes();
        assert_eq!(text(result(letters, false, 0)).as_deref(), Some("äöü€"));
        assert_eq!(text(result(&letters[..8], true, 0)).as_deref(), Some("äöü"));
        assert_eq!(text(result(&letters[1..8], false, 2)).as_deref(), Some("öü"));
        assert_eq!(text(result(&letters[8..], false, 1)).as_deref(), Some(""));
        for (bytes, truncated, missing) in
            [(&letters[..8], false, 0), (&letters[1..], true, 0), (b"a\xff\xfea".as_slice(), true, 1)]
        {
            assert_eq!(text(result(bytes, truncated, missing)), None, "{bytes:?}");
        }
    }

    #[test]
    fn logs_are_not_said_to_have_what_is_missing() {
        let notes = |truncated, missing| notes(&result(b"abc", truncated, missing), "T").join("\n");
        assert_eq!(notes(false, 0), "");
        assert_eq!(notes(false, 2), "only 3 of the 5 bytes of the result are left");
        assert_eq!(notes(true, 0), "the result is cut at 3 bytes; `fusionctl task logs T` has all of it");
        assert_eq!(
            notes(true, 2),
            "2 bytes of the result are missing in it\n\
             the result is cut at 3 bytes; `fusionctl task logs T` has the rest"
        );
    }
}
