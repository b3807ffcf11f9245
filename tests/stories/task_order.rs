//! Stories about which task runs next: priority, age, dependencies, time.

use fusion_tests::{Daemon, Setup, instant};

use crate::daemon_with_agent;

/// Starts the agent on a gate, so that what is submitted next must queue; answers the gate's task.
fn hold(ctl: &fusion_tests::Ctl, bell: &mut fusion_tests::Fifo, gate: &fusion_tests::Fifo) -> String {
    let task = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    bell.next_line();
    task
}

#[test]
fn task_order_is_priority_then_age() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    hold(&ctl, &mut bell, &gate);
    for (name, priority) in [("mid1", "5"), ("low", "0"), ("mid2", "5"), ("high", "9")] {
        let _task = ctl.submit(&format!("ring {} {name}", bell.path()), &["--priority", priority]);
    }
    gate.open_gate(1);
    let order: Vec<String> = (0..4).map(|_| bell.next_line()).collect();
    assert_eq!(order, ["high", "mid1", "mid2", "low"]);
}

#[test]
fn task_after_runs_when_all_it_comes_after_succeeded() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let first = hold(&ctl, &mut bell, &gate);
    let second = ctl.submit(&format!("ring {} second", bell.path()), &["--after", &first, "--priority", "0"]);
    let third = ctl.submit(
        &format!("ring {} third", bell.path()),
        &["--after", &first, "--after", &second, "--priority", "9"],
    );
    assert_eq!(ctl.json(&["task", "show", &third])["state"], "blocked");
    gate.open_gate(1);
    assert_eq!([bell.next_line(), bell.next_line()], ["second", "third"]);
    assert_eq!(ctl.ended(&third)["state"], "succeeded");
}

#[test]
fn task_after_a_failed_one_fails_with_dependency_failed_down_the_chain() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "pause", "a"]);
    let first = ctl.submit("exit 1", &[]);
    let second = ctl.submit("say x", &["--after", &first]);
    let third = ctl.submit("say x", &["--after", &second]);
    ctl.ok(&["agent", "resume", "a"]);
    for task in [second, third] {
        let ended = ctl.ended(&task);
        assert_eq!(ended["state"], "failed");
        assert_eq!(ended["failure"]["code"], "dependency_failed");
        assert_eq!(ended["attempts"].as_array().map_or(0, Vec::len), 0);
    }
}

#[test]
fn task_not_before_waits_for_the_instant_also_over_a_restart() {
    let (mut daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--not-before", "2s"]);
    let deferred = ctl.json(&["task", "show", &task]);
    assert_eq!(deferred["state"], "deferred");
    daemon.kill9();
    daemon.start_again();
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded");
    let began = instant(ended["attempts"][0]["startTime"].as_str().unwrap());
    assert!(began >= instant(deferred["notBefore"].as_str().unwrap()), "{ended}");
}

#[test]
fn task_order_keeps_to_the_limit_of_running_attempts() {
    let config = "[limits]\nmax_running = 1\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    ctl.spawn_fake("b", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let first = hold(&ctl, &mut bell, &gate);
    let second = ctl.submit(&format!("ring {} second", bell.path()), &[]);
    assert_eq!(ctl.json(&["task", "show", &second])["state"], "queued");
    assert_eq!(ctl.json(&["system", "status"])["running"], 1);
    gate.open_gate(1);
    assert_eq!(bell.next_line(), "second");
    assert_eq!(ctl.ended(&first)["state"], "succeeded");
}
