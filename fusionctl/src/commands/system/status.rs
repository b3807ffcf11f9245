//! `system status`: counts, limits and health on one screen.

use fusion_proto::v1::{self, GetStatusRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table;
use crate::view::system::Status;

const AFTER: &str = "\
Example:
  fusionctl system status";

/// Arguments of `system status`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {}

/// Fetches and prints it.
pub(crate) async fn run(mut session: Session, Args {}: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let status = link.repeat(async || link.system().get_status(GetStatusRequest {}).await).await?;
    print(&mut session, status)?;
    Ok(Exit::Done)
}

/// Prints a status, also for the verbs that change it.
pub(super) fn print(session: &mut Session, status: v1::Status) -> Result<(), Stop> {
    let status = Status::from(status);
    session.out.document(&status, |out| {
        for line in table::fields(&status.fields()) {
            out.line(&line)?;
        }
        let users = status.user_rows();
        if !users.is_empty() {
            out.line("")?;
            for line in table::lines(Status::USER_HEADER, users) {
                out.line(&line)?;
            }
        }
        Ok(())
    })
}
