//! `workflow apply`: keeps a definition under its name.

use fusion_proto::v1::ApplyWorkflowRequest;
use fusion_workflow::Severity;

use super::file::File;
use super::follow::note;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::workflow::Workflow;

const AFTER: &str = "\
The same definition again is the same version. Runs keep the version that they began with.

Examples:
  fusionctl workflow apply review.yaml
  fusionctl workflow list --definitions";

/// Arguments of `workflow apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML; `-` reads stdin
    #[arg(value_name = "FILE")]
    file: String,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Checks it here, then hands it over.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let file = File::read(&args.file)?;
    let request = ApplyWorkflowRequest { definition: file.json()?, user: args.user.unwrap_or_default() };
    for warning in file.told(Severity::Warning) {
        note(&warning);
    }
    let link = session.link().await?;
    let applied = link.repeat(async || link.workflows().apply_workflow(request.clone()).await).await?;
    let applied = Workflow::from(applied);
    if session.out.is_quiet() {
        session.out.made(&applied)?;
        return Ok(Exit::Done);
    }
    session.out.document(&applied, |out| out.line(&applied.words()))?;
    Ok(Exit::Done)
}
