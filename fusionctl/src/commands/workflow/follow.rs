//! Following a run to its end: a line for each step, over restarts of the daemon.
//!
//! Not for: how the end is shown in formats for programs.

use std::io::Write as _;

use fusion_proto::v1::{Event, GetRunRequest, Run as WireRun, RunState, WatchEventsRequest};
use serde_json::Value;
use tonic::Status;

use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::Stop;
use crate::output::Format;
use crate::table::printable;
use crate::view::workflow::Run;

/// A line for people, beside what is printed.
pub(super) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Waits until a run has ended, telling each step; returns it as it ended.
pub(super) async fn follow(session: &mut Session, link: &Link, run: WireRun) -> Result<WireRun, Stop> {
    let tells = session.out.format() == Format::Table && !session.out.is_quiet();
    if tells {
        session.out.line(&run.id)?;
        session.out.flush()?;
    }
    let mut request = WatchEventsRequest { since_seq: Some(0), subject: run.id.clone() };
    let mut patience = Patience::new();
    let mut run = run;
    loop {
        if has_ended(run.state()) {
            return Ok(run);
        }
        let lost = watch(session, link, &mut request, &mut patience, tells).await?;
        if let Some(status) = lost {
            patience.outlive(link, status).await?;
        }
        let id = run.id.clone();
        run = link.repeat(async || link.workflows().get_run(GetRunRequest { run: id.clone() }).await).await?;
    }
}

pub(super) fn has_ended(state: RunState) -> bool {
    match state {
        RunState::Succeeded | RunState::Failed | RunState::Cancelled => true,
        RunState::Unspecified | RunState::Running | RunState::Paused => false,
    }
}

/// Tells the steps until the run ends (`None`) or the stream does.
async fn watch(
    session: &mut Session,
    link: &Link,
    request: &mut WatchEventsRequest,
    patience: &mut Patience,
    tells: bool,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.events().watch_events(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(event)) => {
                patience.renew();
                request.since_seq = Some(event.seq);
                if let Some(line) = step(&event).filter(|_| tells) {
                    session.out.line(&line)?;
                    session.out.flush()?;
                }
                if matches!(event.r#type.as_str(), "run.succeeded" | "run.failed" | "run.cancelled") {
                    return Ok(None);
                }
            }
            Ok(None) => return Ok(Some(Status::unavailable("the daemon ended the stream of events"))),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// `fix[3] failed: exit code 1`; nothing for what is told otherwise.
fn step(event: &Event) -> Option<String> {
    let data: Value = serde_json::from_str(&event.data).ok()?;
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    let item = data.get("item").map(|item| format!("[{item}]")).unwrap_or_default();
    let node = format!("{}{item}", text("node"));
    let line = match event.r#type.as_str() {
        "node.started" => format!("{node} running"),
        "node.succeeded" => format!("{node} succeeded"),
        "node.failed" => format!("{node} failed: {}", text("message")),
        "node.skipped" => format!("{node} skipped: {}", text("reason")),
        "node.cancelled" => format!("{node} cancelled"),
        "node.retried" => format!("{node} is done again: {}", text("reason")),
        "node.waiting" => format!("{node} waiting"),
        "node.asked" => {
            format!("{node} waits for approval: fusionctl workflow approve {} {node}", event.subject)
        }
        "node.decided" if data.get("approved") == Some(&Value::Bool(true)) => {
            format!("{node} approved by {} {}", event.actor, text("comment"))
        }
        "node.decided" => format!("{node} rejected by {} {}", event.actor, text("comment")),
        "run.edited" => format!("the run has another definition: revision {}", data["revision"]),
        "run.paused" => "the run is paused".to_owned(),
        "run.resumed" => "the run goes on".to_owned(),
        _ => return None,
    };
    Some(printable(line.trim_end()))
}

/// Prints how a run that was followed ended.
pub(super) fn finish(session: &mut Session, run: WireRun) -> Result<(), Stop> {
    let run = Run::from(run);
    if session.out.is_quiet() {
        session.out.line(&run.id)?;
        return session.out.flush();
    }
    session.out.document(&run, |out| out.line(&run.state_line()))
}
