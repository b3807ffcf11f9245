//! `workspace show`: one workspace with all that is known of it.

use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl workspace show builder
  fusionctl workspace show builder --size";

/// Arguments of `workspace show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Its agent: name or id, or a unique part of the id
    agent: String,
    /// Count what is in it: takes as long as reading all its folders
    #[arg(long)]
    size: bool,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut workspace = super::fetch(&link, args.agent).await?;
    if args.size {
        workspace.usage = Some(super::measure(&link, &workspace.agent).await?.into());
    }
    session.out.show(&workspace)?;
    Ok(Exit::Done)
}
