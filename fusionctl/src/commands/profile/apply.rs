//! `profile apply`: hands the text of a file to the daemon, which keeps its profiles for this user alone.
//!
//! Not for: reading what the text says; the daemon does, so that every client hears the same.

use std::io::Read;

use fusion_proto::v1::{ApplyProfilesRequest, RemoveProfileRequest};

use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Listing;
use crate::view::profile::Profile;
use crate::view::removed::Removed;

const AFTER: &str = "\
All profiles of the file are kept, or none; one of the same name is replaced. They are yours
alone and win over those for everybody. Agents that exist keep what they were made of.

Examples:
  fusionctl profile apply claude.toml
  fusionctl profile show claude | fusionctl profile apply -
  fusionctl profile apply --remove claude";

/// The daemon takes less; no more than this is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `profile apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A file of tables [profile.NAME]; `-` reads stdin
    #[arg(value_name = "FILE", required_unless_present = "remove")]
    file: Option<String>,
    /// Forget this profile of yours (may be repeated)
    #[arg(long = "remove", value_name = "NAME")]
    remove: Vec<String>,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Forgets what is to be forgotten, then keeps the file's. What is printed is what is kept, else what is gone.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let user = args.user.unwrap_or_default();
    let text = args.file.as_deref().map(read).transpose()?;
    let link = session.link().await?;
    let forget = async |profile: String| {
        let request = RemoveProfileRequest { profile: profile.clone(), user: user.clone() };
        link.profiles().remove_profile(request).await?;
        Ok::<_, Stop>(Removed { id: profile.clone(), name: profile })
    };
    let Some((file, toml)) = text else {
        return session.each(args.remove, forget, |name, _| name.to_owned()).await;
    };
    for profile in args.remove {
        forget(profile).await?;
    }
    let request = ApplyProfilesRequest { file, toml, user };
    let answer = link.repeat(async || link.profiles().apply_profiles(request.clone()).await).await?;
    let mut listing = Listing::new(&mut session.out);
    for profile in answer.profiles {
        listing.push(Profile::from(profile))?;
    }
    listing.finish()?;
    Ok(Exit::Done)
}

/// The name for messages, and the text.
fn read(file: &str) -> Result<(String, String), Stop> {
    let name = if file == "-" { "stdin".to_owned() } else { file.to_owned() };
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text),
        path => {
            std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        }
    };
    read.map_err(|error| Complaint::unreadable(&name, &error))?;
    Ok((name, text))
}
