//! `system reload`: the daemon reads its configuration and the profile folders anew, as on SIGHUP.

use fusion_proto::v1::ReloadRequest;
use serde::Serialize;

use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table::printable;

const AFTER: &str = "\
With a problem in the configuration nothing changes. Agents that run keep what they were made of.

Example:
  fusionctl system reload";

/// Arguments of `system reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    taken: Vec<String>,
    waiting: Vec<String>,
    notes: Vec<String>,
    profiles: u32,
}

/// Asks for it and prints what came of it.
pub(crate) async fn run(mut session: Session, Args {}: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let answer = link.repeat(async || link.system().reload(ReloadRequest {}).await).await?;
    let report = Report {
        taken: answer.taken,
        waiting: answer.waiting,
        notes: answer.notes,
        profiles: answer.profiles,
    };
    session.out.document(&report, |out| {
        for line in report.lines() {
            out.line(&printable(&line))?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let taken = match self.taken.as_slice() {
            [] => "no setting has changed".to_owned(),
            some => format!("in force now: {}", some.join(", ")),
        };
        let mut lines = vec![format!("{taken}; {} profiles for everybody", self.profiles)];
        if !self.waiting.is_empty() {
            lines.push(format!("after a restart: {}", self.waiting.join(", ")));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_restart_is_said_apart() {
        let report = Report {
            taken: vec!["limits.max_running".to_owned()],
            waiting: vec!["store.path".to_owned()],
            notes: vec!["p.toml:1:1: no".to_owned()],
            profiles: 3,
        };
        assert_eq!(
            report.lines(),
            [
                "in force now: limits.max_running; 3 profiles for everybody",
                "after a restart: store.path",
                "note: p.toml:1:1: no"
            ]
        );
    }
}
