//! `profile show`: one profile with everything in it, as the text that `profile apply` takes.

use fusion_proto::v1::GetProfileRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::view::profile::Profile;

const AFTER: &str = "\
Examples:
  fusionctl profile show shell
  fusionctl profile show claude > mine.toml";

/// Arguments of `profile show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name of the profile
    profile: String,
}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = GetProfileRequest { profile: args.profile };
    let profile = link.repeat(async || link.profiles().get_profile(request.clone()).await).await?;
    let profile = Profile::from(profile);
    session.out.changed(&profile, &profile.text())?;
    Ok(Exit::Done)
}
