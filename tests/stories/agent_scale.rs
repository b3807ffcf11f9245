//! Stories of `agent spawn --replicas` and `agent scale`.

use fusion_tests::{Ctl, Daemon, binary};

fn group(ctl: &Ctl, replicas: &str) -> serde_json::Value {
    let fake = binary("fake-agent");
    let fake = fake.to_str().expect("a plain name");
    ctl.json(&["agent", "spawn", "w", "--profile", "command", "--replicas", replicas, "--", fake])
}

fn names(agents: &serde_json::Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        agents.as_array().into_iter().flatten().filter_map(|agent| agent["name"].as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn agent_spawn_replicas_makes_all_of_them_or_none() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let made = group(&ctl, "3");
    assert_eq!(names(&made), ["w-1", "w-2", "w-3"]);
    assert!(made.as_array().unwrap().iter().all(|agent| agent["state"] == "idle" && agent["group"] == "w"));
    let ids = ctl.ok(&["agent", "spawn", "i", "--profile", "shell", "--replicas", "2"]);
    assert!(
        ids.lines().count() == 2 && ids.lines().all(|id| id.starts_with("agt_") && id.len() == 30),
        "{ids}"
    );
    let one_by_one: Vec<&str> = ["agent", "terminate"].into_iter().chain(ids.lines()).collect();
    ctl.ok(&one_by_one);
    let taken = ctl.refused(4, &["agent", "spawn", "w", "--profile", "shell", "--replicas", "2"]);
    assert_eq!(taken["code"], "name_taken");
    let many = ctl.refused(8, &["agent", "spawn", "v", "--profile", "shell", "--replicas", "18"]);
    assert_eq!(many["code"], "user_agent_limit");
    assert_eq!(names(&ctl.json(&["agent", "list"])).len(), 3);
    let folders: std::collections::BTreeSet<&str> =
        made.as_array().unwrap().iter().filter_map(|agent| agent["workspace"].as_str()).collect();
    assert_eq!(folders.len(), 3, "each has a workspace of its own");
}

#[test]
fn agent_scale_grows_and_shrinks_and_lets_busy_ones_end_their_task() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut gate = daemon.fifo("gate");
    group(&ctl, "2");
    assert_eq!(names(&ctl.json(&["agent", "scale", "w", "4"])), ["w-1", "w-2", "w-3", "w-4"]);
    let task = ctl.submit(&format!("await {}\nsay done", gate.path()), &["--agent", "w-2"]);
    ctl.task_in(&task, "running");
    let left = ctl.json(&["agent", "scale", "w", "1"]);
    assert_eq!(names(&left), ["w-2"], "idle ones went first: {left}");
    ctl.ok(&["agent", "scale", "w", "0"]);
    assert_eq!(ctl.json(&["agent", "show", "w-2"])["state"], "draining");
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    ctl.until("all have ended", |ctl| {
        ctl.json(&["agent", "list"]).as_array().is_some_and(Vec::is_empty).then_some(())
    });
    assert_eq!(ctl.refused(3, &["agent", "scale", "w", "2"])["code"], "agent_not_found");
}

#[test]
fn agent_scale_makes_a_group_of_a_single_agent() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("solo", &["--capability", "x", "--env", "E=1"]);
    let two = ctl.json(&["agent", "scale", "solo", "2"]);
    assert_eq!(names(&two), ["solo", "solo-1"]);
    let task = ctl.submit("env", &["--agent", "solo-1", "--capability", "x"]);
    ctl.ended(&task);
    assert!(ctl.ok(&["task", "result", &task]).lines().any(|line| line == "E=1"));
}
