//! Stories about the clocks of a task: run, idle and queue timeouts.

use crate::{daemon_with_agent, last_attempt};

#[test]
fn task_timeout_ends_the_attempt_and_the_task() {
    let (daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say begun\nstall", &["--timeout", "500ms"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(ended["failure"]["code"], "timeout_run");
    assert_eq!(ctl.ok(&["task", "logs", &task]), "begun");
    ctl.agent_in("a", "idle");
    assert_eq!(daemon.processes().len(), 1, "the shim alone is left");
}

#[test]
fn task_idle_timeout_spares_the_busy_and_ends_the_silent() {
    let (_daemon, ctl) = daemon_with_agent();
    let busy = ctl.submit("spin 1500", &["--idle-timeout", "500ms"]);
    assert_eq!(ctl.ended(&busy)["state"], "succeeded");
    let silent = ctl.submit("stall", &["--idle-timeout", "500ms"]);
    let ended = ctl.ended(&silent);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(ended["failure"]["code"], "timeout_idle");
}

#[test]
fn task_queue_timeout_ends_what_nobody_takes() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--capability", "fly", "--queue-timeout", "300ms"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(ended["failure"]["code"], "timeout_queue");
}

#[test]
fn task_timeout_stands_still_while_the_agent_is_frozen() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &["--timeout", "1500ms"]);
    bell.next_line();
    ctl.ok(&["agent", "pause", "a"]);
    assert_eq!(ctl.run(&["task", "wait", &task, "--timeout", "2s"]).code, 7);
    ctl.ok(&["agent", "resume", "a"]);
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn task_timeout_strikes_although_the_daemon_was_killed() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), &["--timeout", "1s"]);
    bell.next_line();
    daemon.kill9();
    daemon.start_again();
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(last_attempt(&ended)["failure"]["code"], "timeout_run");
}
