//! `workflow validate`: everything that is wrong with a definition, each with its place.
//!
//! Asks no daemon.

use fusion_workflow::{Problem, Severity};
use serde::Serialize;

use super::file::File;
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Exits with 0 when nothing is wrong (warnings are printed all the same), else with 2.
docs/reference/workflow.schema.json lets an editor say most of it while you type.

Examples:
  fusionctl workflow validate review.yaml
  fusionctl workflow validate -o json review.yaml";

/// Arguments of `workflow validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML; `-` reads stdin
    #[arg(value_name = "FILE")]
    file: String,
}

/// What was found, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    node_count: usize,
    problems: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl From<&Problem> for Place {
    fn from(problem: &Problem) -> Self {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self {
            severity,
            line: problem.span.map(|span| span.line),
            column: problem.span.map(|span| span.column),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// Reads, checks, prints.
pub(crate) fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let file = File::read(&args.file)?;
    let definition = file.definition.as_ref();
    let verdict = Verdict {
        valid: definition.is_some(),
        name: definition.map(|definition| definition.name.clone()),
        node_count: definition.map_or(0, |definition| definition.nodes.len()),
        problems: file.problems.iter().map(Place::from).collect(),
    };
    session.out.document(&verdict, |out| {
        for told in file.told(Severity::Error).into_iter().chain(file.told(Severity::Warning)) {
            out.line(&told)?;
        }
        match definition {
            Some(definition) => {
                let count = definition.nodes.len();
                let s = if count == 1 { "" } else { "s" };
                out.line(&format!(
                    "{}: workflow \"{}\" with {count} node{s} is valid",
                    file.name, definition.name
                ))
            }
            None => {
                let count = file.told(Severity::Error).len();
                let s = if count == 1 { "" } else { "s" };
                out.line(&format!("{}: {count} mistake{s}", file.name))
            }
        }
    })?;
    Ok(if verdict.valid { Exit::Done } else { Exit::Usage })
}
