//! Stories of pools: agents that nobody spawned.

use fusion_tests::{Ctl, Daemon, binary};

/// A daemon with a profile "p" whose agents work through scripts of fake-agent, and its pool.
fn daemon_with_pool(pool: &str) -> (Daemon, Ctl) {
    let mut daemon = Daemon::start();
    daemon.kill9();
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("our own folder can be written");
    let fake = binary("fake-agent");
    let profile = format!(
        "[profile.p]\ncommand = [{:?}]\ncapabilities = [\"fake\"]\npool = {pool}\n",
        fake.to_str().expect("a plain name")
    );
    std::fs::write(folder.join("p.toml"), profile).expect("our own folder can be written");
    daemon.start_again();
    let ctl = daemon.ctl();
    (daemon, ctl)
}

fn living(ctl: &Ctl) -> usize {
    ctl.json(&["agent", "list"]).as_array().map_or(0, Vec::len)
}

#[test]
fn pool_starts_an_agent_for_a_task_and_ends_it_when_idle() {
    let (daemon, ctl) = daemon_with_pool("{max = 2, idle_timeout = \"300ms\"}");
    assert_eq!(living(&ctl), 0);
    let task = ctl.submit("say done", &["--capability", "fake"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "done");
    let agent = ctl.json(&["agent", "list", "--all"])[0].clone();
    assert_eq!((&agent["profile"], &agent["stay"]), (&"p".into(), &"pool".into()), "{agent}");
    assert!(agent["name"].as_str().unwrap().starts_with("p-"), "{agent}");
    ctl.until("the idle agent has ended", |ctl| (living(ctl) == 0).then_some(()));
    assert!(daemon.processes().is_empty());
}

#[test]
fn pool_grows_to_its_max_and_no_further_and_why_says_so() {
    let (daemon, ctl) = daemon_with_pool("{min = 1, max = 2, idle_timeout = \"300ms\"}");
    let mut gate = daemon.fifo("gate");
    let script = format!("await {}", gate.path());
    let tasks: Vec<String> = (0..3).map(|_| ctl.submit(&script, &["--capability", "fake"])).collect();
    for task in &tasks[..2] {
        ctl.task_in(task, "running");
    }
    assert_eq!(living(&ctl), 2);
    let why = ctl.json(&["why", &tasks[2]]);
    let codes: Vec<&str> =
        why["reasons"].as_array().unwrap().iter().filter_map(|reason| reason["code"].as_str()).collect();
    assert_eq!(codes, ["agents_busy", "pool_full"], "{why}");
    gate.open_gate(3);
    for task in &tasks {
        assert_eq!(ctl.ended(task)["state"], "succeeded");
    }
    ctl.until("one is kept", |ctl| (living(ctl) == 1).then_some(()));
}

#[test]
fn pool_agents_are_found_after_a_crash_and_not_made_again() {
    let (mut daemon, ctl) = daemon_with_pool("{max = 3, idle_timeout = \"10m\"}");
    let mut gate = daemon.fifo("gate");
    let script = format!("await {}", gate.path());
    let tasks: Vec<String> = (0..2).map(|_| ctl.submit(&script, &["--capability", "fake"])).collect();
    for task in &tasks {
        ctl.task_in(task, "running");
    }
    for _ in 0..3 {
        daemon.kill9();
        daemon.start_again();
    }
    gate.open_gate(2);
    for task in &tasks {
        assert_eq!(ctl.ended(task)["attempts"].as_array().map(Vec::len), Some(1));
    }
    let more = ctl.submit("say more", &["--capability", "fake"]);
    assert_eq!(ctl.ended(&more)["state"], "succeeded");
    assert_eq!(living(&ctl), 2, "idle ones were there");
}

#[test]
fn pool_respects_the_limits_of_its_user() {
    let (_daemon, ctl) = daemon_with_pool("{max = 30, idle_timeout = \"10m\"}");
    let limit = 20;
    let tasks: Vec<String> = (0..limit + 1).map(|_| ctl.submit("stall", &["--capability", "fake"])).collect();
    ctl.until("the limit is reached", |ctl| (living(ctl) == limit).then_some(()));
    let why = ctl.json(&["why", &tasks[limit]]);
    let last = why["reasons"].as_array().and_then(|reasons| reasons.last()).cloned().unwrap();
    assert_eq!(last["code"], "user_agent_limit", "{why}");
}

#[test]
fn run_takes_an_idle_agent_of_the_pool() {
    let (_daemon, ctl) = daemon_with_pool("{max = 2, idle_timeout = \"10m\"}");
    let first = ctl.submit("say first", &["--capability", "fake"]);
    ctl.ended(&first);
    let agents = ctl.json(&["agent", "list"]);
    let done = ctl.run(&["run", "p", "say second"]).expect_code(0);
    assert_eq!(done.stdout, "second\n");
    let after = ctl.json(&["agent", "list"]);
    assert_eq!(after[0]["id"], agents[0]["id"], "it stays");
    assert_eq!(after.as_array().map(Vec::len), Some(1));
    assert_eq!(after[0]["tasksSucceeded"], 2);

    ctl.ok(&["run", "p", "--name", "own", "say third"]);
    let after = ctl.json(&["agent", "show", agents[0]["id"].as_str().unwrap()]);
    assert_eq!(after["tasksSucceeded"], 2, "who names an agent wants that one");
}

#[test]
fn pool_of_a_profile_is_shown_and_a_wrong_one_is_left_out() {
    let (daemon, ctl) = daemon_with_pool("{min = 3, max = 2}");
    assert_eq!(ctl.refused(3, &["profile", "show", "p"])["code"], "profile_not_found");
    assert!(daemon.log().contains("min 3 is more than max 2"), "{}", daemon.log());
    let (_daemon, ctl) = daemon_with_pool("{max = 2}");
    let shown = ctl.ok(&["profile", "show", "p"]);
    assert!(shown.contains("pool = {min = 0, max = 2, idle_timeout = \"5m\"}"), "{shown}");
}

#[test]
fn pool_of_a_profile_that_a_user_applied_serves_that_user_and_has_the_path_that_it_names() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let profile = |env: &str| {
        let text = format!(
            "[profile.mine]\ncommand = [\"/bin/sh\"]\ncapabilities = [\"mine\"]\n{env}pool = {{max = 1, idle_timeout = \"10m\"}}\n"
        );
        let file = daemon.folder().join("mine.toml");
        std::fs::write(&file, text).expect("our own folder can be written");
        ctl.ok(&["profile", "apply", file.to_str().expect("plain letters")]);
    };
    profile("");
    let task = ctl.submit("echo $PATH", &["--capability", "mine"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let path = ctl.ok(&["task", "result", &task]);
    assert!(path.ends_with("/.local/bin:/usr/local/bin:/usr/bin:/bin"), "{path}");
    let agent = ctl.json(&["agent", "list"])[0]["id"].as_str().unwrap().to_owned();
    ctl.ok(&["agent", "terminate", &agent]);
    profile("env = {PATH = \"/opt/mine:/usr/bin:/bin\"}\n");
    daemon.kill9();
    daemon.start_again();
    let task = ctl.submit("echo $PATH", &["--capability", "mine"]);
    ctl.ended(&task);
    assert_eq!(ctl.ok(&["task", "result", &task]), "/opt/mine:/usr/bin:/bin");
    ctl.ok(&["profile", "apply", "--remove", "mine"]);
    ctl.until("nobody is kept for a profile that is gone", |ctl| (living(ctl) == 0).then_some(()));
}
