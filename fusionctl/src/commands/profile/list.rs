//! `profile list`: every profile the caller may use.

use fusion_proto::v1::ListProfilesRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Listing;
use crate::view::profile::Profile;

const AFTER: &str = "\
Example:
  fusionctl profile list";

/// Arguments of `profile list`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {}

/// Reads all pages.
pub(crate) async fn run(mut session: Session, Args {}: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let mut listing = Listing::new(&mut session.out);
    let mut request = ListProfilesRequest::default();
    loop {
        let page = link.repeat(async || link.profiles().list_profiles(request.clone()).await).await?;
        for profile in page.profiles {
            listing.push(Profile::from(profile))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    listing.finish()?;
    Ok(Exit::Done)
}
