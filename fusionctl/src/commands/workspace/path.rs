//! `workspace path`: the path alone, for scripts.

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  ls \"$(fusionctl workspace path builder)\"";

/// Arguments of `workspace path`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Its agent: name or id, or a unique part of the id
    agent: String,
}

/// Prints it, whatever the format: the path is the document.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let workspace = super::fetch(&link, args.agent).await?;
    session.out.document(&workspace.path, |out| out.line(&workspace.path))?;
    Ok(Exit::Done)
}
