//! The particulars of events as one JSON object in lowerCamelCase: for the wire, and for nodes that waited for one.
//!
//! Not for: what an event has besides (`api::view::event`).

mod runs;

use fusion_core::task::{Exit, ExitKind};
use fusion_core::{Event, EventKind, Time};
use serde_json::{Map, Value, json};

/// A whole event, as the result of a node that waited for it: in the form in which `event list` shows it.
pub(super) fn whole(event: &Event) -> Value {
    json!({
        "seq": event.seq,
        "time": instant(event.at),
        "type": event.kind.word(),
        "actor": event.actor.to_string(),
        "subject": event.kind.subject().to_string(),
        "data": of(&event.kind),
    })
}

/// RFC 3339 in UTC, always to the millisecond: texts sort as the times do.
fn instant(at: Time) -> String {
    let (seconds, ms) = (at.0 / 1000, at.0 % 1000);
    let whole = prost_types::Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 };
    format!("{}.{ms:03}Z", whole.to_string().trim_end_matches('Z'))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// The particulars of one kind of event.
pub(crate) fn of(kind: &EventKind) -> Map<String, Value> {
    object(match kind {
        EventKind::DaemonStarted { epoch } => json!({"epoch": epoch}),
        EventKind::AgentSpawned { name, profile, .. } => json!({"name": name, "profile": profile}),
        EventKind::AgentReady { incarnation, adopted, .. } => {
            json!({"incarnation": incarnation, "adopted": adopted})
        }
        EventKind::AgentCrashed { incarnation, reason, .. } => {
            json!({"incarnation": incarnation, "reason": reason})
        }
        EventKind::AgentUpdated { what, .. } => json!({"changed": what}),
        EventKind::AgentBackedOff { until, .. } => json!({"until": instant(*until)}),
        EventKind::AgentQuarantined { crashes, .. } => json!({"crashes": crashes}),
        EventKind::AgentRestarted { incarnation, .. } => json!({"incarnation": incarnation}),
        EventKind::AgentStopped { incarnation, .. } => json!({"incarnation": incarnation}),
        EventKind::WorkspaceSeeded { took, .. } => json!({"took": took.to_string()}),
        EventKind::WorkspaceOverQuota { bytes, limit, reason, .. } => {
            json!({"bytes": bytes, "limitBytes": limit, "reason": reason})
        }
        EventKind::WorkspaceWithinQuota { bytes, limit, .. } => json!({"bytes": bytes, "limitBytes": limit}),
        EventKind::WorkspaceSeedFailed { reason, .. }
        | EventKind::WorkspaceKept { reason, .. }
        | EventKind::TaskQueued { reason, .. } => json!({"reason": reason}),
        EventKind::TaskDeferred { until, reason, .. } => json!({"until": instant(*until), "reason": reason}),
        EventKind::TaskStarted { number, agent, incarnation, .. } => {
            json!({"attempt": number, "agent": agent.to_string(), "incarnation": incarnation})
        }
        EventKind::AttemptExited { number, agent, incarnation, exit, .. } => {
            certificate(*number, &agent.to_string(), *incarnation, exit)
        }
        EventKind::AttemptLost { number, agent, incarnation, reason, .. }
        | EventKind::AttemptNotStarted { number, agent, incarnation, reason, .. } => json!({
            "attempt": number, "agent": agent.to_string(), "incarnation": incarnation, "reason": reason,
        }),
        EventKind::StaleNews { incarnation, serial, what, .. } => {
            json!({"incarnation": incarnation, "serial": serial, "what": what})
        }
        EventKind::TaskSucceeded { took, .. } => json!({"took": took.to_string()}),
        EventKind::TaskFailed { code, message, .. }
        | EventKind::TaskTimedOut { code, message, .. }
        | EventKind::TaskLost { code, message, .. } => json!({"code": code, "message": message}),
        EventKind::ProfileApplied { name, .. } | EventKind::ProfileRemoved { name, .. } => {
            json!({"name": name})
        }
        EventKind::TaskResolved { resolution, .. } => json!({"resolution": resolution}),
        EventKind::TaskAsked { kind, text, .. } => json!({"kind": kind, "text": text}),
        EventKind::TaskAnswered { reply, comment, .. } => json!({"reply": reply, "comment": comment}),
        EventKind::TaskUpdated { changed, .. } => json!({"changed": changed}),
        EventKind::SecretSet { name, .. } | EventKind::SecretRemoved { name, .. } => json!({"name": name}),
        fusion_core::of_runs!() => runs::data(kind),
        EventKind::IntakeClosed
        | EventKind::IntakeOpened
        | EventKind::AgentPaused { .. }
        | EventKind::AgentPausing { .. }
        | EventKind::AgentDraining { .. }
        | EventKind::AgentResumed { .. }
        | EventKind::AgentStopping { .. }
        | EventKind::AgentTerminated { .. }
        | EventKind::AgentRemoved { .. }
        | EventKind::WorkspaceSeeding { .. }
        | EventKind::WorkspaceRemoved { .. }
        | EventKind::TaskSubmitted { .. }
        | EventKind::TaskCancelling { .. }
        | EventKind::TaskCancelled { .. }
        | EventKind::TaskRetried { .. }
        | EventKind::TaskHeld { .. }
        | EventKind::TaskReleased { .. } => json!({}),
    })
}

/// The death certificate of an attempt.
fn certificate(number: u32, agent: &str, incarnation: u32, exit: &Exit) -> Value {
    let mut data = json!({
        "attempt": number,
        "agent": agent,
        "incarnation": incarnation,
        "oomKilled": exit.oom_kills > 0,
        "cpuSeconds": exit.cpu.0 as f64 / 1000.0,
        "peakMemoryBytes": exit.peak_memory_bytes,
        "outBytes": exit.out_bytes,
        "errBytes": exit.err_bytes,
        "droppedBytes": exit.dropped_bytes,
        "tail": exit.tail,
    });
    let more = match &exit.kind {
        ExitKind::Exited { code } => json!({"exitCode": code}),
        ExitKind::Signaled { signal } => json!({"signal": signal}),
        ExitKind::OutputInvalid { message } => json!({"exitCode": 0, "outputInvalid": message}),
        ExitKind::StartFailed { stage, errno, message } => {
            json!({"startFailed": {"stage": stage, "errno": errno, "message": message}})
        }
    };
    if let Value::Object(map) = &mut data {
        map.extend(object(more));
        map.extend(exit.cost.usd.map(|usd| ("usd".to_owned(), json!(usd.dollars()))));
        map.extend(exit.cost.tokens.map(|tokens| ("tokens".to_owned(), json!(tokens))));
    }
    data
}
