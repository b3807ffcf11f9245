//! Stories of `agent update`.

use fusion_tests::{Daemon, binary};

use crate::daemon_with_agent;

#[test]
fn agent_update_changes_name_capabilities_and_environment() {
    let (mut daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("env", &["--capability", "gpu"]);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    let changed = ctl.json(&[
        "agent",
        "update",
        "a",
        "--name",
        "b",
        "--capability",
        "gpu",
        "--env",
        "LEVEL=debug",
        "--restart",
        "never",
        "--idle-timeout",
        "5m",
    ]);
    assert_eq!((&changed["name"], &changed["restart"]), (&"b".into(), &"never".into()), "{changed}");
    assert_eq!(changed["idleTimeout"], "5m");
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let seen = ctl.ok(&["task", "result", &task]);
    assert!(seen.lines().any(|line| line == "FUSION_AGENT_NAME=b"), "{seen}");
    assert!(seen.lines().any(|line| line == "LEVEL=debug"), "{seen}");
    daemon.kill9();
    daemon.start_again();
    ctl.ok(&["agent", "update", "b", "--unset-env", "LEVEL", "--idle-timeout", "none"]);
    let task = ctl.submit("env", &["--capability", "gpu"]);
    ctl.ended(&task);
    assert!(!ctl.ok(&["task", "result", &task]).contains("LEVEL"));
    assert!(ctl.json(&["agent", "show", "b"])["idleTimeout"].is_null());
}

#[test]
fn agent_update_refuses_what_cannot_be_changed() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("other", &[]);
    assert_eq!(ctl.refused(4, &["agent", "update", "a", "--name", "other"])["code"], "name_taken");
    assert_eq!(ctl.refused(2, &["agent", "update", "a", "--name", "a b"])["code"], "name_invalid");
    assert_eq!(ctl.refused(2, &["agent", "update", "a"])["code"], "usage");
    let profile = ctl.refused(2, &["agent", "update", "a", "--profile", "shell"]);
    assert!(profile["message"].as_str().unwrap().contains("profile"), "{profile}");
    assert_eq!(ctl.refused(3, &["agent", "update", "nobody", "--name", "c"])["code"], "agent_not_found");
    ctl.ok(&["agent", "terminate", "other"]);
    let other = ctl.json(&["agent", "list", "--all"]);
    let other = other.as_array().unwrap().iter().find(|agent| agent["name"] == "other").unwrap();
    let id = other["id"].as_str().unwrap();
    assert_eq!(ctl.refused(4, &["agent", "update", id, "--name", "c"])["code"], "agent_state");
}

#[test]
fn agent_update_of_a_limit_that_was_never_there_is_refused_without_a_cgroup_for_it() {
    let daemon = Daemon::with(fusion_tests::Setup::with_backend("none"));
    let ctl = daemon.ctl();
    let fake = binary("fake-agent");
    ctl.ok(&["agent", "spawn", "a", "--profile", "command", "--", fake.to_str().unwrap()]);
    assert_eq!(ctl.refused(4, &["agent", "update", "a", "--memory", "1G"])["code"], "limit_fixed");
    assert!(ctl.json(&["agent", "show", "a"])["limits"].is_null());
}
