//! `why`: what a task or an agent waits for, and what would change that.

use fusion_proto::v1::ExplainRequest;

use super::Session;
use crate::error::{Exit, Stop};
use crate::view::explanation::Explanation;

const AFTER: &str = "\
Example:
  fusionctl why tsk_4f2k9x0a";

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id of a task or an agent, a unique part of one, or an agent's name
    #[arg(value_name = "ID")]
    subject: String,
}

/// Asks the daemon's rules.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ExplainRequest { subject: args.subject };
    let answer = link.repeat(async || link.tasks().explain(request.clone()).await).await?;
    let explanation = Explanation::from(answer);
    if session.out.is_quiet() {
        session.out.line(&explanation.subject)?;
        session.out.flush()?;
        return Ok(Exit::Done);
    }
    session.out.document(&explanation, |out| {
        for line in explanation.lines() {
            out.line(&line)?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
