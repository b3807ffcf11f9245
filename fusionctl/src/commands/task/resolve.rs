//! `task resolve`: decides tasks whose outcome is unknown.

use fusion_proto::v1::Resolution;

use super::change::{self, Change, Which};
use crate::commands::Session;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
Examples:
  fusionctl task resolve 4f2k9x0a --retry
  fusionctl task resolve --label batch=7 --fail";

/// Arguments of `task resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
#[command(group = clap::ArgGroup::new("resolution").required(true))]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
    /// Queue it again
    #[arg(long, group = "resolution")]
    retry: bool,
    /// Count the lost attempt as failed
    #[arg(long, group = "resolution")]
    fail: bool,
    /// Count the lost attempt as succeeded
    #[arg(long, group = "resolution")]
    succeed: bool,
}

impl Args {
    const fn resolution(&self) -> Resolution {
        match (self.retry, self.fail, self.succeed) {
            (true, ..) => Resolution::Retry,
            (false, true, _) => Resolution::Fail,
            (false, false, true) => Resolution::Succeed,
            (false, false, false) => Resolution::Unspecified,
        }
    }
}

/// Decides each; chosen by label or state, those that are lost.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    let change = Change::Resolve(args.resolution());
    change::run(session, args.chosen, false, change).await
}
