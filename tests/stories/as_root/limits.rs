//! Stories about limits that need a control group: memory and processes, with the backend that holds them here.

use fusion_tests::{Daemon, Setup};

use crate::last_attempt;

#[test]
fn limits_of_memory_end_the_attempt_alone_and_say_so() {
    let daemon = Daemon::with(Setup::with_backend("auto"));
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &["--memory", "64M"]);
    let task = ctl.submit("alloc 300", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["failure"]["code"], "oom_killed");
    assert_eq!(last_attempt(&ended)["oomKilled"], true);
    let next = ctl.submit("alloc 5", &[]);
    let ended = ctl.ended(&next);
    assert_eq!(ended["state"], "succeeded", "the agent works on: {ended}");
    assert_eq!(ctl.json(&["agent", "show", "a"])["incarnation"], 1);
}

#[test]
fn limits_of_processes_contain_a_fork_bomb() {
    let daemon = Daemon::with(Setup::with_backend("auto"));
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell", "--pids", "30"]);
    let bomb = "for i in $(seq 100); do sleep 60 & done; wait";
    let task = ctl.submit(bomb, &["--timeout", "2s"]);
    let ended = ctl.ended(&task);
    assert!(matches!(ended["state"].as_str(), Some("failed" | "timed_out")), "{ended}");
    assert!(ctl.ok(&["task", "logs", &task]).contains("fork") || ended["state"] == "failed");
    ctl.agent_in("a", "idle");
    assert_eq!(daemon.processes().len(), 1, "the shim alone is left");
}

#[test]
fn limits_that_cannot_be_enforced_are_refused() {
    let daemon = Daemon::with(Setup::with_backend("none"));
    let error = daemon.ctl().refused(4, &["agent", "spawn", "a", "--profile", "shell", "--memory", "64M"]);
    assert_eq!(error["code"], "limit_unenforceable");
}

#[test]
fn limits_are_changed_and_lifted_under_a_living_agent() {
    let mut daemon = Daemon::with(Setup::with_backend("auto"));
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &["--memory", "64M"]);
    ctl.ok(&["agent", "update", "a", "--memory", "600M"]);
    assert_eq!(ctl.ended(&ctl.submit("alloc 200", &[]))["state"], "succeeded");
    ctl.ok(&["agent", "update", "a", "--memory", "64M"]);
    assert_eq!(ctl.ended(&ctl.submit("alloc 200", &[]))["failure"]["code"], "oom_killed");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.ended(&ctl.submit("alloc 200", &[]))["failure"]["code"], "oom_killed");
    ctl.ok(&["agent", "update", "a", "--memory", "none"]);
    assert_eq!(ctl.ended(&ctl.submit("alloc 200", &[]))["state"], "succeeded");
    if ctl.json(&["agent", "show", "a"])["backend"] == "cgroup-v1" {
        assert_eq!(ctl.refused(4, &["agent", "update", "a", "--pids", "30"])["code"], "limit_fixed");
    }
    assert_eq!(ctl.json(&["agent", "show", "a"])["incarnation"], 1);
}
