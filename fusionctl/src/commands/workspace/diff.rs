//! `workspace diff`: what has changed in a workspace since it was filled.

use fusion_proto::v1::{DiffDetail, DiffWorkspaceRequest};
use serde::Serialize;

use crate::colour;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::{Format, Output, json_line, stdout_is_terminal};
use crate::table::printable;

const AFTER: &str = "\
What came from a repository is compared with the commit it began with: commits, changes that are
not committed, and new files that git is not told to ignore. What was copied from a folder is
compared by name, size, time and right to execute; what began empty has only new files: there
`--name-status` is all that can be told, as by `docker diff`.

Examples:
  fusionctl workspace diff builder
  fusionctl workspace diff builder --stat
  fusionctl workspace diff builder > builder.patch
  fusionctl workspace diff builder -o json";

/// Arguments of `workspace diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Its agent: name or id, or a unique part of the id
    agent: String,
    /// How much changed in each file
    #[arg(long)]
    stat: bool,
    /// A letter (A added, M modified, D deleted) and the name of each file
    #[arg(long, conflicts_with = "stat")]
    name_status: bool,
    /// The names alone
    #[arg(long, conflicts_with_all = ["stat", "name_status"])]
    name_only: bool,
}

impl Args {
    const fn detail(&self) -> DiffDetail {
        match (self.stat, self.name_status, self.name_only) {
            (true, _, _) => DiffDetail::Stat,
            (_, true, _) => DiffDetail::NameStatus,
            (_, _, true) => DiffDetail::NameOnly,
            (false, false, false) => DiffDetail::Patch,
        }
    }
}

/// One file that changed, for programs.
#[derive(Debug, Serialize)]
struct Change {
    change: &'static str,
    path: String,
}

/// Streams it: a patch may be larger than memory.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let is_text = session.out.format() == Format::Table;
    let detail = if is_text { args.detail() } else { DiffDetail::NameStatus };
    let request = DiffWorkspaceRequest { agent: args.agent, detail: detail.into() };
    let mut pieces = link.workspaces().diff_workspace(request).await?.into_inner();
    let mut text = Text::new(is_text);
    while let Some(piece) = pieces.message().await? {
        text.push(&mut session.out, &piece.data)?;
    }
    text.finish(&mut session.out)?;
    Ok(Exit::Done)
}

/// What was told, line by line where it is not passed on as it is.
struct Text {
    way: Way,
    line: Vec<u8>,
    changes: Vec<Change>,
}

/// Where lines go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As they are.
    Raw,
    /// To a terminal, which files of an agent must not steer.
    Terminal,
    /// Into the document.
    Document,
}

/// Longer lines, of files without any, are shown in parts.
const LINE_BYTES_MAX: usize = 64 << 10;

impl Text {
    fn new(is_text: bool) -> Self {
        let way = match (is_text, stdout_is_terminal()) {
            (true, true) => Way::Terminal,
            (true, false) => Way::Raw,
            (false, _) => Way::Document,
        };
        Self { way, line: Vec::new(), changes: Vec::new() }
    }

    fn push(&mut self, out: &mut Output, bytes: &[u8]) -> Result<(), Stop> {
        if self.way == Way::Raw {
            return out.raw(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") || self.line.len() > LINE_BYTES_MAX {
                self.end_line(out)?;
            }
        }
        out.flush()
    }

    fn end_line(&mut self, out: &mut Output) -> Result<(), Stop> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        if self.way == Way::Terminal {
            return out.line(&tinted(&printable(line)));
        }
        if let Some((letter, path)) = line.split_once('\t') {
            let change = Change { change: word(letter), path: path.to_owned() };
            if out.format() == Format::Jsonl {
                return out.line(&json_line(&change));
            }
            self.changes.push(change);
        }
        Ok(())
    }

    fn finish(mut self, out: &mut Output) -> Result<(), Stop> {
        if !self.line.is_empty() {
            self.end_line(out)?;
        }
        if self.way == Way::Document && out.format() != Format::Jsonl {
            return out.document(&self.changes, |_| Ok(()));
        }
        out.flush()
    }
}

fn word(letter: &str) -> &'static str {
    match letter {
        "A" => "added",
        "D" => "deleted",
        "T" => "type_changed",
        _ => "modified",
    }
}

/// As git tints a patch; the signs at the front say the same.
fn tinted(line: &str) -> String {
    let code = match line.as_bytes() {
        [b'd', b'i', b'f', b'f', b' ', ..] | [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => 1,
        [b'@', b'@', ..] => 36,
        [b'+', ..] | [b'A', b'\t', ..] => 32,
        [b'-', ..] | [b'D', b'\t', ..] => 31,
        _ => 0,
    };
    if code == 0 || !colour::wanted(true) {
        line.to_owned()
    } else {
        format!("\u{1b}[{code}m{line}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_changes_become_words_whatever_the_pieces() {
        let mut out = Output::new(Format::Json, false);
        let mut text = Text { way: Way::Document, line: Vec::new(), changes: Vec::new() };
        for piece in ["A\tne", "w\nM\ta\n", "D\tgone"] {
            text.push(&mut out, piece.as_bytes()).ok();
        }
        text.end_line(&mut out).ok();
        let told: Vec<_> = text.changes.iter().map(|change| (change.change, change.path.as_str())).collect();
        assert_eq!(told, [("added", "new"), ("modified", "a"), ("deleted", "gone")]);
    }
}
