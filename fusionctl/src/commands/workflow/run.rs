//! `workflow run`: begins a run of a file, or of a workflow that was applied.

use std::collections::HashMap;

use fusion_proto::v1::RunWorkflowRequest;
use fusion_workflow::Severity;

use super::file::{File, is_file};
use super::follow;
use crate::client::request_id;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::parse_pair;

const AFTER: &str = "\
A run that a crash or a restart of the daemon interrupts goes on by itself. With --wait a
terminal shows its nodes as a tree, anything else gets a line for each step; the exit code is 1
when the run did not succeed. Ctrl-C leaves the run going.

Examples:
  fusionctl workflow run review.yaml --input issue='login fails' --wait
  fusionctl workflow run nightly --key nightly-2030-01-31
  fusionctl workflow run deploy --input-file notes=NOTES.md";

/// Arguments of `workflow run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML (`-`: stdin), or the name of one that was applied, NAME or NAME@VERSION
    #[arg(value_name = "FILE|NAME")]
    workflow: String,
    /// An input of the run (may be repeated)
    #[arg(long = "input", short, value_name = "NAME=VALUE", value_parser = parse_pair)]
    inputs: Vec<(String, String)>,
    /// An input whose value is the text of a file (may be repeated)
    #[arg(long = "input-file", value_name = "NAME=FILE", value_parser = parse_pair)]
    input_files: Vec<(String, String)>,
    /// For finding it again; its tasks have it, too (may be repeated)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Same key, same run: a second one with the same content is the first
    #[arg(long, short, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: Option<String>,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Show what happens until the run has ended; exits with 1 when it did not succeed
    #[arg(long, short)]
    wait: bool,
}

/// Begins it, and follows it if that is asked for.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let mut inputs: HashMap<String, String> = args.inputs.into_iter().collect();
    for (name, file) in args.input_files {
        let text = std::fs::read_to_string(&file).map_err(|error| Complaint::unreadable(&file, &error))?;
        inputs.insert(name, text);
    }
    let mut request = RunWorkflowRequest {
        inputs,
        labels: args.labels.into_iter().collect(),
        key: args.key.unwrap_or_default(),
        request_id: request_id(),
        user: args.user.unwrap_or_default(),
        ..RunWorkflowRequest::default()
    };
    if is_file(&args.workflow) {
        let file = File::read(&args.workflow)?;
        request.definition = file.json()?;
        for warning in file.told(Severity::Warning) {
            follow::note(&warning);
        }
    } else {
        request.workflow = args.workflow;
    }
    let link = session.link().await?;
    let run = link.repeat(async || link.workflows().run_workflow(request.clone()).await).await?;
    follow::begun(&mut session, &link, run, args.wait).await
}
