//! `system doctor`: which guarantees hold on this machine.

use fusion_proto::v1::DiagnoseRequest;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table;
use crate::view::system::Diagnosis;

const AFTER: &str = "\
Exits with 1 when a check failed; a weak one is a guarantee less, not an error. Programs of
profiles are looked for in your PATH, as you. With -q nothing is printed.

Example:
  fusionctl system doctor";

/// Arguments of `system doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {}

/// Fetches and prints the checks.
pub(crate) async fn run(mut session: Session, Args {}: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let path = std::env::var("PATH").unwrap_or_default();
    let answer =
        link.repeat(async || link.system().diagnose(DiagnoseRequest { path: path.clone() }).await).await?;
    let diagnosis = Diagnosis::from(answer);
    let exit = Exit::of_success(!diagnosis.failed());
    if session.out.is_quiet() {
        return Ok(exit);
    }
    session.out.document(&diagnosis, |out| {
        for line in table::lines_in_full(Diagnosis::HEADER, diagnosis.rows()) {
            out.line(&line)?;
        }
        let remedies = diagnosis.remedies();
        if !remedies.is_empty() {
            out.line("\nWhat would mend it:")?;
        }
        for remedy in remedies {
            out.line(&format!("  {}", table::printable(&remedy)))?;
        }
        out.line("")?;
        for line in table::fields(&[("Guarantees", diagnosis.summary())]) {
            out.line(&line)?;
        }
        Ok(())
    })?;
    Ok(exit)
}
