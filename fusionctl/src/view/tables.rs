//! How the lists look on terminals of 80 and 120 columns and in a pipe: snapshots.
//!
//! Not for: single cells; each view tests its own.

use std::time::{Duration, SystemTime};

use fusion_proto::v1;

use super::agent::Agent;
use super::event::Event;
use super::profile::Profile;
use super::task::Task;
use crate::output::Listed;
use crate::table::lay_out;

/// The same list at each width, with the width above it.
fn at_widths<T: Listed>(items: &[T]) -> String {
    let mut text = String::new();
    for width in [Some(80), Some(120), None] {
        let rows = items.iter().map(Listed::row).collect();
        let lines = lay_out(T::HEADER, T::LEAST, rows, width, false);
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(
            width.is_none_or(|width| widest <= usize::from(width)),
            "{widest} columns\n{}",
            lines.join("\n")
        );
        text.push_str(&width.map_or("in a pipe".to_owned(), |width| format!("{width} columns")));
        text.push_str(&format!("\n{}\n\n", lines.join("\n")));
    }
    text
}

/// An age in whole minutes, so that a slow machine prints the same.
fn ago(minutes: u64) -> Option<prost_types::Timestamp> {
    Some((SystemTime::now() - Duration::from_secs(minutes * 60 + 5)).into())
}

fn task(tail: &str, state: v1::TaskState, title: &str) -> Task {
    Task::from(v1::Task {
        id: format!("tsk_01m81dnybzbvw09ewt{tail}"),
        state: state.into(),
        user: "ada".to_owned(),
        priority: 5,
        title: title.to_owned(),
        create_time: ago(3),
        ..v1::Task::default()
    })
}

#[test]
fn tasks() {
    let long = "Read the whole log of last night, find the first request that failed and say what it has in common with the others";
    insta::assert_snapshot!(at_widths(&[
        task("k00abcde", v1::TaskState::Running, long),
        task("k36038n1", v1::TaskState::WaitingApproval, "merge"),
        task("k9z8y7x6", v1::TaskState::TimedOut, "grün 漢字 \u{1b}[2J"),
    ]));
}

#[test]
fn agents() {
    let agent = |name: &str, state: v1::AgentState, reason: &str, task: Option<&str>| {
        Agent::from(v1::Agent {
            id: format!("agt_01m81dnyacqyhghn5c{:0>8}", name.len()),
            name: name.to_owned(),
            user: "ada".to_owned(),
            profile: "claude".to_owned(),
            state: state.into(),
            reason: reason.to_owned(),
            task: task.map(str::to_owned),
            capabilities: ["code", "review", "sh"].map(str::to_owned).into(),
            create_time: ago(130),
            ..v1::Agent::default()
        })
    };
    insta::assert_snapshot!(at_widths(&[
        agent("builder", v1::AgentState::Busy, "", Some("tsk_01m81dnybzbvw09ewtbk36038n")),
        agent(
            "a-name-that-somebody-made-with-care",
            v1::AgentState::Quarantined,
            "its shim ended 5 times within 10 minutes",
            None
        ),
    ]));
}

#[test]
fn events() {
    let event = |seq: u64, kind: &str, data: &str| {
        Event::from(v1::Event {
            seq,
            time: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 250_000_000 }),
            r#type: kind.to_owned(),
            actor: "user:1000".to_owned(),
            subject: "tsk_01m81dnybzbvw09ewtbk36038n".to_owned(),
            data: data.to_owned(),
            user: "ada".to_owned(),
        })
    };
    insta::assert_snapshot!(at_widths(&[
        event(41, "task.submitted", "{}"),
        event(
            1042,
            "attempt.exited",
            r#"{"attempt":1,"exitCode":3,"cpuSeconds":0.012,"tail":"cannot find the file that was named in the prompt"}"#
        ),
    ]));
}

#[test]
fn profiles() {
    let profile = |name: &str, source: &str, description: &str| {
        Profile::from(v1::Profile {
            name: name.to_owned(),
            kind: "exec".to_owned(),
            capabilities: vec!["sh".to_owned()],
            source: source.to_owned(),
            description: description.to_owned(),
            ..v1::Profile::default()
        })
    };
    insta::assert_snapshot!(at_widths(&[
        profile("shell", "built in", "runs the task's text as a /bin/sh script"),
        profile(
            "claude",
            "/etc/fusiond/profiles.d/claude.toml",
            "Claude Code, one process per task, with the gateway's keys and the user's own settings"
        ),
    ]));
}
