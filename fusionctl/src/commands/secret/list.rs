//! `secret list`: names, ages, and how many agents were given each. Never a value.

use fusion_proto::v1::ListSecretsRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::secret::Secret;

const AFTER: &str = "\
Example:
  fusionctl secret list";

/// Arguments of `secret list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Lists them by name.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ListSecretsRequest { user: args.user.unwrap_or_default() };
    let answer = link.repeat(async || link.secrets().list_secrets(request.clone()).await).await?;
    let mut listing = Listing::new(&mut session.out);
    for secret in answer.secrets {
        listing.push(Secret::from(secret))?;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
