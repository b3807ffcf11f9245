//! `workflow edit`: gives a run another definition for what it has not begun.
//!
//! Compared is what definitions say: comments and the order of keys are nobody's change. Not for: whether the change is
//! possible; the daemon decides.

use fusion_proto::v1::{EditRunRequest, GetRunRevisionRequest};
use fusion_workflow::{Definition, Severity};
use serde::Serialize;
use similar::TextDiff;

use super::file::File;
use super::follow::note;
use super::revision::{as_yaml, header, made_from};
use crate::colour;
use crate::commands::{Session, agreed};
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, stdout_is_terminal};
use crate::table::printable;
use crate::view::revision::Changes;
use crate::view::workflow::Run;

const AFTER: &str = "\
The file is a whole definition, as `workflow show RUN --definition` prints it; the change is
shown before it is made. What has begun stays as it is, and new nodes may need it; a task that
waits for its first agent has not begun. Of an ended run, what `workflow rerun` would do once more
can be changed before. An edit that somebody else made meanwhile is not overwritten.

Examples:
  fusionctl workflow show 4f2k9x0a --definition > run.yaml
  fusionctl workflow edit 4f2k9x0a -f run.yaml
  fusionctl workflow edit 4f2k9x0a -f run.yaml --dry-run";

/// Arguments of `workflow edit`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id, a unique part of one, or key:KEY
    run: String,
    /// The definition in YAML; `-` reads stdin
    #[arg(long, short)]
    file: String,
    /// The revision that the file was made from [default: the one in its first line, or else the present one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Show the change, and whether it is possible; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What would be different, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    run: String,
    revision: u32,
    #[serde(flatten)]
    changes: Changes,
    diff: String,
}

/// Shows the change, asks, makes it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let file = File::read(&args.file)?;
    let definition = file.json()?;
    for warning in file.told(Severity::Warning) {
        note(&warning);
    }
    let link = session.link().await?;
    let present = GetRunRevisionRequest { run: args.run, revision: 0 };
    let present = link.repeat(async || link.workflows().get_run_revision(present.clone()).await).await?;
    let base = args.revision.or_else(|| made_from(&file.text, &present.run)).unwrap_or(present.revision);
    let request = EditRunRequest { run: present.run.clone(), definition, revision: base, dry_run: true };
    link.workflows().edit_run(request.clone()).await?;
    let old: Definition = serde_json::from_str(&present.definition).map_err(|error| unreadable(&error))?;
    let changes = Changes::between(&old, file.definition()?);
    let diff = diff(&header(&present.run, base), &file.name, &old, file.definition()?);
    if diff.is_empty() {
        note("nothing is different");
        return Ok(Exit::Done);
    }
    let is_people = session.out.format() == Format::Table && !session.out.is_quiet();
    if is_people {
        session.out.raw(painted(&diff, colour::wanted(stdout_is_terminal())).as_bytes())?;
    }
    if args.dry_run {
        let preview = Preview { run: present.run, revision: base, changes, diff };
        if session.out.is_quiet() {
            return Ok(Exit::Done);
        }
        session.out.document(&preview, |out| out.line(&format!("would be: {}", preview.changes.words())))?;
        return Ok(Exit::Done);
    }
    if !args.yes && !agreed(&format!("Change {}: {}?", present.run, changes.words()))? {
        return Err(Complaint::new(Exit::Failed, "not_confirmed", "nothing was changed").into());
    }
    let edited = link.workflows().edit_run(EditRunRequest { dry_run: false, ..request }).await?.into_inner();
    let edited = Run::from(edited);
    if session.out.is_quiet() {
        session.out.made(&edited)?;
        return Ok(Exit::Done);
    }
    let line = format!("{} has revision {}: {}", edited.id, edited.revision, changes.words());
    session.out.document(&edited, |out| out.line(&line))?;
    Ok(Exit::Done)
}

fn unreadable(error: &serde_json::Error) -> Stop {
    Complaint::new(Exit::Bug, "internal", format!("the definition of the run cannot be read: {error}")).into()
}

/// A unified diff; nothing where both say the same.
fn diff(old_name: &str, new_name: &str, old: &Definition, new: &Definition) -> String {
    if old == new {
        return String::new();
    }
    let (old, new) = (as_yaml(old), as_yaml(new));
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(3).header(old_name, new_name).to_string()
}

/// The lines of a diff, coloured by what they are.
fn painted(diff: &str, colour: bool) -> String {
    let paint = |line: &str| {
        let code = match line.as_bytes().first() {
            Some(b'+') => 32,
            Some(b'-') => 31,
            Some(b'@') => 36,
            Some(_) | None => 0,
        };
        let text = printable(line);
        if colour && code > 0 { format!("\u{1b}[{code}m{text}\u{1b}[0m\n") } else { format!("{text}\n") }
    };
    diff.lines().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> Definition {
        let read = fusion_workflow::read_yaml(text);
        read.definition.unwrap_or_else(|| panic!("{:?}", read.problems))
    }

    #[test]
    fn a_diff_shows_what_definitions_say_and_nothing_else() {
        let old = definition("name: a\nnodes:\n- {id: one, run: [a]}\n- {id: two, needs: one, run: [b]}\n");
        let same = definition(
            "# a remark\nnodes: [{run: [a], id: one}, {id: two, needs: [one], run: [b]}]\nname: a\n",
        );
        assert_eq!(diff("old", "new", &old, &same), "");
        let new =
            definition("name: a\nnodes:\n- {id: one, run: [a]}\n- {id: two, needs: one, run: [b, c]}\n");
        let shown = diff("old", "new", &old, &new);
        assert!(shown.starts_with("--- old\n+++ new\n@@ "), "{shown}");
        let lines: Vec<&str> = shown.lines().skip(2).filter(|line| line.starts_with(['+', '-'])).collect();
        assert_eq!(lines, ["+  - c"]);
        assert!(painted(&shown, true).contains("\u{1b}[32m+  - c\u{1b}[0m"));
        assert_eq!(painted(&shown, false), shown);
    }
}
