//! `system status`: counts, limits and health on one screen.

use fusion_proto::v1::{self, GetStatusRequest};

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table;
use crate::view::system::Status;

const AFTER: &str = "\
With -q nothing is printed: the exit code says whether the daemon answers.

Examples:
  fusionctl system status
  fusionctl -q system status && echo 'it answers'";

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

/// Prints a status, also for the verbs that change it. It has no id, so with `-q` there is nothing to print.
pub(super) fn print(session: &mut Session, status: v1::Status) -> Result<(), Stop> {
    if session.out.is_quiet() {
        return Ok(());
    }
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
