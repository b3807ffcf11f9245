//! `why`: what a task, an agent or a run waits for, and what would change that; without a name, what waits at all.

use fusion_proto::v1::{ExplainRequest, ExplainWaitingRequest};

use super::Session;
use crate::error::{Exit, Stop};
use crate::view::explanation::Explanation;

const AFTER: &str = "\
Without an id: the first ten of your things that wait, those first that need you.

Examples:
  fusionctl why
  fusionctl why tsk_4f2k9x0a
  fusionctl why run_7c0m1q3d/gate
  fusionctl why builder";

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Id of a task or an agent, a unique part of one, an agent's name, run_ID, or run_ID/NODE [default: whatever waits]
    #[arg(value_name = "ID")]
    subject: Option<String>,
    /// How many things are explained when none is named
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=100))]
    limit: i32,
}

/// Asks the daemon's rules.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    match args.subject {
        Some(subject) => one(session, subject).await,
        None => waiting(session, args.limit).await,
    }
}

async fn one(mut session: Session, subject: String) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ExplainRequest { subject };
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

async fn waiting(mut session: Session, limit: i32) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let request = ExplainWaitingRequest { limit };
    let answer = link.repeat(async || link.tasks().explain_waiting(request).await).await?;
    let more = answer.more;
    let found: Vec<Explanation> = answer.explanations.into_iter().map(Explanation::from).collect();
    if session.out.is_quiet() {
        for explanation in &found {
            session.out.line(&explanation.subject)?;
        }
        session.out.flush()?;
        return Ok(Exit::Done);
    }
    session.out.document(&found, |out| {
        for line in found.iter().flat_map(Explanation::lines) {
            out.line(&line)?;
        }
        match (found.len(), more) {
            (0, _) => out.line("nothing of yours waits"),
            (_, 0) => Ok(()),
            (_, more) => {
                out.line(&format!("and {more} more; `fusionctl why --limit 100` shows more of them"))
            }
        }
    })?;
    Ok(Exit::Done)
}
