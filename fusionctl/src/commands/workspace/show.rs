//! `workspace show`: one workspace with all that is known of it.

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Example:
  fusionctl workspace show builder";

/// Arguments of `workspace show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Its agent: name or id, or a unique part of the id
    agent: String,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let workspace = super::fetch(&link, args.agent).await?;
    session.out.show(&workspace)?;
    Ok(Exit::Done)
}
