//! `why` knows every reason there is.
//!
//! Not for: whether the reasons hold in random lives (`hang`).

use crate::golden::Session;

fn after(lines: &[&str]) -> Session {
    let mut session = Session::new();
    lines.iter().for_each(|line| session.line(line));
    session
}

#[test]
fn a_task_without_any_agent_is_told_to_spawn_one() {
    assert_eq!(after(&["user 1000 submit t"]).reasons("t"), ["no_agent"]);
}

#[test]
fn a_task_that_nobody_is_able_to_do_names_what_is_missing() {
    let session = after(&["user 1000 spawn a", "shim a up", "user 1000 submit t --capability gpu"]);
    assert_eq!(session.reasons("t"), ["capabilities"]);
    assert_eq!(session.reasons("a"), ["capabilities"]);
}

#[test]
fn a_task_for_one_agent_waits_for_that_one() {
    let mut session = after(&["user 1000 spawn a", "shim a up", "user 1000 spawn b", "shim b up"]);
    session.line("user 1000 submit t --agent a --capability gpu");
    assert_eq!(session.reasons("t"), ["agent"]);
}

#[test]
fn blocked_deferred_and_ended_tasks_say_so() {
    let mut session = after(&["user 1000 spawn a", "shim a up", "user 1000 submit t1"]);
    session.line("user 1000 submit t2 --after t1");
    assert_eq!(session.reasons("t2"), ["dependency"]);
    session.line("user 1000 submit t3 --not-before 5s");
    assert_eq!(session.reasons("t3"), ["deferred"]);
    assert!(session.reasons("t1").is_empty());
    session.line("exit a 1");
    assert_eq!(session.reasons("t1"), ["exit_nonzero"]);
    assert_eq!(session.reasons("t2"), ["dependency_failed"]);
    session.line("user 1000 cancel t3");
    assert_eq!(session.reasons("t3"), ["cancelled"]);
}

#[test]
fn a_busy_or_frozen_agent_is_the_reason_for_both_tasks() {
    let mut session =
        after(&["user 1000 spawn a", "shim a up", "user 1000 submit t1", "user 1000 submit t2"]);
    assert_eq!(session.reasons("t2"), ["agents_busy"]);
    session.line("user 1000 pause a --drain");
    assert_eq!(session.reasons("a"), ["draining"]);
    session.line("user 1000 pause a");
    assert_eq!(session.reasons("t1"), ["paused"]);
    assert_eq!(session.reasons("a"), ["paused"]);
    session.line("user 1000 cancel t1");
    assert_eq!(session.reasons("t1"), ["paused", "ending"]);
}

#[test]
fn slots_and_the_drain_of_the_daemon_are_reasons_for_task_and_agent() {
    let mut session =
        after(&["config running_max 1", "user 1000 spawn a", "shim a up", "user 1000 submit t1"]);
    session.line("user 1000 spawn b");
    session.line("shim b up");
    session.line("user 1000 submit t2");
    assert_eq!(session.reasons("t2"), ["slots"]);
    assert_eq!(session.reasons("b"), ["slots"]);
    session.line("admin drain");
    assert_eq!(session.reasons("t2"), ["draining", "slots"]);
    assert_eq!(session.reasons("b"), ["draining"]);
}

#[test]
fn a_crashing_agent_tells_its_backoff_and_its_quarantine() {
    let mut session = after(&["user 1000 spawn a", "shim a fails", "shim a fails"]);
    assert_eq!(session.reasons("a"), ["backoff"]);
    session.line("tick 1s");
    session.line("shim a fails");
    assert_eq!(session.reasons("a"), ["quarantined"]);
}

#[test]
fn a_lost_task_names_what_was_lost() {
    let mut session = after(&["user 1000 spawn a", "shim a up", "user 1000 submit t", "shim a dies"]);
    assert_eq!(session.reasons("t"), ["lost_shim"]);
    session.line("user 1000 resolve t fail");
    assert_eq!(session.reasons("t"), ["resolved_failed"]);
}

#[test]
fn an_agent_that_is_looked_for_after_a_start_takes_nothing_and_says_so() {
    let mut session = after(&["user 1000 spawn a", "shim a up", "crash", "hold orders", "boot"]);
    session.line("user 1000 submit t");
    assert_eq!(session.reasons("t"), ["agents_busy"]);
    session.line("release");
    assert!(session.reasons("t").is_empty());
}
