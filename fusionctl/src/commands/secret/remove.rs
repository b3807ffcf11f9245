//! `secret remove`: attempts that start from now on are not given it.

use fusion_proto::v1::RemoveSecretRequest;

use super::Named;
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::secret::Secret;

const AFTER: &str = "\
Example:
  fusionctl secret remove GH_TOKEN

Attempts that run keep what they were given. The value stays sealed in the store as long as an
agent exists that was given it, so that its output stays masked.";

/// Arguments of `secret remove`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    secret: Named,
}

/// Removes it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let Named { name, user } = args.secret;
    let request = RemoveSecretRequest { name, user: user.unwrap_or_default() };
    let answer = link.secrets().remove_secret(request).await?.into_inner();
    session.out.made(&Secret::from(answer))?;
    Ok(Exit::Done)
}
