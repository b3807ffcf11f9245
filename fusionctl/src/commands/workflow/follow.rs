//! Following a run to its end, over restarts of the daemon: a tree on a terminal, else a line for each step.
//!
//! Not for: how the tree looks (`live`), how the end is shown in formats for programs.

use std::io::Write as _;

use fusion_proto::v1::{Event, GetRunRequest, Run as WireRun, RunState, WatchEventsRequest};
use serde_json::Value;
use tonic::Status;

use super::live::{self, Live, Told};
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::output::Format;
use crate::table::printable;
use crate::view::word::short_id;
use crate::view::workflow::Run;

/// A line for people, beside what is printed.
pub(super) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    drop(writeln!(std::io::stderr(), "{text}"));
}

pub(super) use crate::commands::INTERRUPTED;

/// What stays on the terminal of a tree when the run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Its last picture.
    Picture,
    /// Nothing: more will be printed.
    Nothing,
}

/// What every verb does with a run that it has begun: says so, or follows it to its end, which is the verb's.
pub(super) async fn begun(
    session: &mut Session,
    link: &Link,
    run: WireRun,
    wait: bool,
) -> Result<Exit, Stop> {
    if !wait {
        session.out.made(&Run::from(run))?;
        return Ok(Exit::Done);
    }
    let Some(ended) = follow(session, link, run, Leaves::Picture).await? else {
        return Ok(Exit::Program(INTERRUPTED));
    };
    let exit = Exit::of_success(ended.state() == RunState::Succeeded);
    finish(session, ended)?;
    Ok(exit)
}

/// Waits until a run has ended: on a terminal as a tree, else a line for each step. Returns it as it ended; `None`: the
/// user has left, and the run goes on.
pub(super) async fn follow(
    session: &mut Session,
    link: &Link,
    run: WireRun,
    leaves: Leaves,
) -> Result<Option<WireRun>, Stop> {
    let id = run.id.clone();
    let tells = session.out.format() == Format::Table && !session.out.is_quiet();
    if tells {
        session.out.line(&id)?;
        session.out.flush()?;
    }
    let mut live = if tells { Live::start(&run) } else { None };
    let telling = if live.is_none() && tells { Telling::Lines } else { Telling::Nothing };
    let ended = tokio::select! {
        ended = attend(session, link, run, &mut live, telling) => Some(ended?),
        _ = tokio::signal::ctrl_c() => None,
    };
    let picture = live.map(Live::finish).unwrap_or_default();
    if ended.is_none() {
        note(&format!("the run goes on: fusionctl workflow show --wait {}", short_id(&id)));
    } else if leaves == Leaves::Picture {
        picture.iter().try_for_each(|line| session.out.line(line))?;
    }
    Ok(ended)
}

/// Whether steps are told as lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    Lines,
    Nothing,
}

/// Whether the part of a run's life that is meant has come: a run that is done again has an earlier one.
fn begins(event: &Event, generation: u32) -> bool {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    event.r#type == "run.rerun" && data["generation"] == generation
}

/// Follows over restarts of the daemon.
async fn attend(
    session: &mut Session,
    link: &Link,
    mut run: WireRun,
    live: &mut Option<Live>,
    telling: Telling,
) -> Result<WireRun, Stop> {
    let mut request = WatchEventsRequest { since_seq: Some(0), subject: run.id.clone() };
    let mut patience = Patience::new();
    let mut skips = (run.generation > 1).then_some(run.generation);
    loop {
        if has_ended(run.state()) {
            return Ok(run);
        }
        let lost = watch(session, link, &mut request, &mut patience, live, telling, &mut skips).await?;
        if let Some(status) = lost {
            patience.outlive(link, status).await?;
        }
        let id = run.id.clone();
        run = link.repeat(async || link.workflows().get_run(GetRunRequest { run: id.clone() }).await).await?;
        if let Some(live) = live {
            live.renew(&run);
        }
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
    live: &mut Option<Live>,
    telling: Telling,
    skips: &mut Option<u32>,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.events().watch_events(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    let mut clock = tokio::time::interval(live::TICK);
    let mut told = Told::All;
    loop {
        let message = tokio::select! {
            message = stream.message() => message,
            _ = clock.tick(), if live.is_some() => {
                redraw(link, &request.subject, live, std::mem::replace(&mut told, Told::All)).await;
                continue;
            }
        };
        let event = match message {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Some(Status::unavailable("the daemon ended the stream of events"))),
            Err(status) => return Ok(Some(status)),
        };
        patience.renew();
        request.since_seq = Some(event.seq);
        if let Some(generation) = *skips {
            *skips = Some(generation).filter(|generation| !begins(&event, *generation));
            continue;
        }
        if let Some(live) = live
            && live.tell(&event) == Told::Ask
        {
            told = Told::Ask;
        }
        if let Some(line) = step(&event).filter(|_| telling == Telling::Lines) {
            session.out.line(&line)?;
            session.out.flush()?;
        }
        if matches!(event.r#type.as_str(), "run.succeeded" | "run.failed" | "run.cancelled") {
            return Ok(None);
        }
    }
}

/// Draws the tree, after a look at the run where events do not say all. A daemon that does not answer is noticed by the
/// stream.
async fn redraw(link: &Link, run: &str, live: &mut Option<Live>, told: Told) {
    let Some(live) = live else { return };
    if told == Told::Ask
        && let Ok(run) = link.workflows().get_run(GetRunRequest { run: run.to_owned() }).await
    {
        live.renew(run.get_ref());
    }
    live.draw();
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
