//! Definitions that a run has had: `workflow show --definition` and `--history`.
//!
//! A definition is printed as YAML that `workflow edit` takes; its first line says which revision it is, so that an edit
//! made from it is refused when somebody else was faster. Not for: changing one (`edit`).

use fusion_proto::v1::{GetRunRevisionRequest, ListRunRevisionsRequest};
use fusion_workflow::Definition;

use crate::client::Link;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::{Format, Listing};
use crate::view::revision::Revision;

/// Prints what a run is to do, or was to do at one revision (0: the present one).
pub(super) async fn print(
    session: &mut Session,
    link: &Link,
    run: String,
    revision: u32,
) -> Result<Exit, Stop> {
    let request = GetRunRevisionRequest { run, revision };
    let found = link.repeat(async || link.workflows().get_run_revision(request.clone()).await).await?;
    let first = header(&found.run, found.revision);
    let revision = Revision::from(found);
    if session.out.format() != Format::Table || session.out.is_quiet() {
        session.out.show(&revision)?;
        return Ok(Exit::Done);
    }
    let text = revision.definition().map(as_yaml).unwrap_or_default();
    session.out.foreign(format!("# {first}\n{text}").as_bytes())?;
    Ok(Exit::Done)
}

/// Lists all that a run has had.
pub(super) async fn list(session: &mut Session, link: &Link, run: String) -> Result<Exit, Stop> {
    let request = ListRunRevisionsRequest { run };
    let found = link.repeat(async || link.workflows().list_run_revisions(request.clone()).await).await?;
    let mut listing = Listing::new(&mut session.out);
    for revision in found.revisions {
        listing.push(Revision::from(revision))?;
    }
    listing.finish()?;
    Ok(Exit::Done)
}

/// `run_… revision 3`.
pub(super) fn header(run: &str, revision: u32) -> String {
    format!("{run} revision {revision}")
}

/// The revision of this run that a file was made from, by its first line.
pub(super) fn made_from(text: &str, run: &str) -> Option<u32> {
    let line = text.lines().next()?.strip_prefix('#')?.trim();
    line.strip_prefix(run)?.trim().strip_prefix("revision")?.trim().parse().ok()
}

/// A definition in the form in which people write it.
pub(super) fn as_yaml(definition: &Definition) -> String {
    serde_yaml_ng::to_string(definition).expect("a definition holds strings, numbers and lists only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let text = "name: all\ninputs: {x: {type: integer, default: 3}, y: {required: true}}\n\
            defaults: {timeout: 20m, env: {A: 'no'}}\nconcurrency: 2\ntimeout: 1h\nnodes:\n\
            - id: one\n  prompt: |\n    first {{ inputs.x }}\n\n    # no remark\n    - 'second'\n\
            - {id: two, needs: one, foreach: [1, 'no', 0o7, '1e3', null], output: {schema: {type: object}}, run: [echo, '{{ item }}', 'y', '~', '#']}\n\
            - {id: three, needs: [one, two], approval: {timeout: 90s, default: approve}, on_failure: continue}\n\
            - {id: four, wait: 1m30s, always: true, when: '{{ true }}'}\n\
            - {id: five, workflow: {name: other, inputs: {a: [x, {b: 'true'}]}}}\n\
            on_failure: {run: [sh, -c, \"a\\tb\\n\"]}\n";
        let read = fusion_workflow::read_yaml(text);
        let definition = read.definition.unwrap_or_else(|| panic!("{:?}", read.problems));
        let printed = as_yaml(&definition);
        let again = fusion_workflow::read_yaml(&printed);
        assert_eq!(again.definition.as_ref(), Some(&definition), "{printed}\n{:?}", again.problems);
    }

    #[test]
    fn the_first_line_says_what_a_file_was_made_from() {
        let text = format!("# {}\nname: a\n", header("run_1", 7));
        assert_eq!(made_from(&text, "run_1"), Some(7));
        assert_eq!(made_from(&text, "run_2"), None, "of another run");
        assert_eq!(made_from("name: a\n", "run_1"), None);
    }
}
