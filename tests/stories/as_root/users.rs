//! Stories about several users of one daemon: each sees what is theirs, and runs as themselves.

use fusion_tests::{Ctl, Daemon, processes, users};

/// A daemon that runs as root, and two users who speak to it.
fn daemon_with_two_users() -> (Daemon, Ctl, Ctl) {
    let daemon = Daemon::start();
    let (first, second) = (daemon.ctl().as_user(&users::first()), daemon.ctl().as_user(&users::second()));
    (daemon, first, second)
}

#[test]
fn users_agents_run_as_their_owner_without_privilege() {
    let (daemon, first, _) = daemon_with_two_users();
    first.spawn_fake("a", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = first.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    let pid: i32 = bell.next_pid();
    let uid = users::first().uid.to_string();
    for (key, expected) in [("Uid", vec![uid.as_str(); 4]), ("Gid", vec![uid.as_str(); 4])] {
        let found = processes::status(pid, key).unwrap();
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expected, "{key}");
    }
    for (key, expected) in [("Groups", ""), ("NoNewPrivs", "1")] {
        assert!(
            matches!(processes::status(pid, key).as_deref(), Some(found) if found == expected || found == uid),
            "{key}"
        );
    }
    for key in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(processes::status(pid, key).unwrap().trim_start_matches('0'), "", "{key}");
    }
    gate.open_gate(1);
    assert_eq!(first.ended(&task)["state"], "succeeded");
}

#[test]
fn users_workspaces_are_closed_to_each_other() {
    let (_daemon, first, second) = daemon_with_two_users();
    first.spawn_fake("a", &[]);
    second.ok(&["agent", "spawn", "b", "--profile", "shell"]);
    let workspace = first.json(&["agent", "show", "a"])["workspace"].as_str().unwrap().to_owned();
    let written = first.submit(&format!("write {workspace}/secret x"), &[]);
    assert_eq!(first.ended(&written)["state"], "succeeded");
    for script in [format!("cat {workspace}/secret"), format!("ls {workspace}"), format!("ls {workspace}/..")]
    {
        let task = second.submit(&script, &[]);
        assert_eq!(second.ended(&task)["state"], "failed", "{script}");
    }
}

#[test]
fn users_see_and_touch_only_what_is_theirs() {
    let (_daemon, first, second) = daemon_with_two_users();
    let agent = first.spawn_fake("a", &[]);
    let task = first.submit("say secret", &["--key", "k"]);
    first.ended(&task);
    for noun in ["agent", "task"] {
        assert_eq!(second.json(&[noun, "list"]).as_array().map(Vec::len), Some(0));
    }
    assert_eq!(second.json(&["event", "list"]).to_string().matches(&task).count(), 0);
    for args in [
        vec!["agent", "show", &agent],
        vec!["agent", "pause", &agent],
        vec!["agent", "resume", &agent],
        vec!["agent", "restart", &agent],
        vec!["agent", "terminate", &agent],
        vec!["agent", "logs", &agent],
        vec!["agent", "show", "a"],
        vec!["task", "show", &task],
        vec!["task", "show", "key:k"],
        vec!["task", "cancel", &task],
        vec!["task", "retry", &task],
        vec!["task", "resolve", &task, "--fail"],
        vec!["task", "logs", &task],
        vec!["task", "result", &task],
        vec!["task", "wait", &task],
        vec!["why", &task],
        vec!["why", &agent],
        vec!["task", "submit", "--agent", &agent, "say x"],
        vec!["task", "submit", "--after", &task, "say x"],
    ] {
        let done = second.run(&args);
        assert_eq!(done.code, 3, "what is not theirs does not exist for them: {done}");
    }
    assert_eq!(first.json(&["agent", "show", "a"])["state"], "idle");
}

#[test]
fn users_may_not_steer_the_daemon() {
    let (daemon, first, _) = daemon_with_two_users();
    let folder = daemon.folder().join("open");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.join("backup");
    for args in [
        vec!["system", "drain"],
        vec!["system", "shutdown"],
        vec!["system", "backup", file.to_str().unwrap()],
    ] {
        let done = first.run(&args);
        assert_eq!(done.code, 5, "{done}");
    }
    first.ok(&["system", "status"]);
}

#[test]
fn users_may_give_the_same_name_and_key_to_different_things() {
    let (_daemon, first, second) = daemon_with_two_users();
    assert_ne!(first.spawn_fake("a", &[]), second.spawn_fake("a", &[]));
    let [one, two] = [&first, &second].map(|ctl| ctl.submit("say x", &["--key", "k"]));
    assert_ne!(one, two);
    assert_eq!(first.ended(&one)["state"], "succeeded");
    assert_eq!(second.ended(&two)["state"], "succeeded");
}

#[test]
fn users_tasks_run_on_their_own_agents_alone() {
    let (_daemon, first, second) = daemon_with_two_users();
    first.spawn_fake("a", &[]);
    let task = second.submit("say x", &[]);
    assert_eq!(second.run(&["task", "wait", &task, "--timeout", "300ms"]).code, 7);
    assert_eq!(second.json(&["task", "show", &task])["state"], "queued");
}

#[test]
fn users_with_many_tasks_do_not_starve_others() {
    let config = "[limits]\nmax_running = 1\n".to_owned();
    let daemon = Daemon::with(fusion_tests::Setup { config, ..fusion_tests::Setup::default() });
    let (first, second) = (daemon.ctl().as_user(&users::first()), daemon.ctl().as_user(&users::second()));
    first.spawn_fake("a", &[]);
    second.spawn_fake("b", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script = |name: &str| format!("ring {} {name}\nawait {}", bell.path(), gate.path());
    let (mine, yours) = (script("first"), script("second"));
    for _ in 0..10 {
        let _task = first.submit(&mine, &["--priority", "9"]);
    }
    assert_eq!(bell.next_line(), "first");
    let _task = second.submit(&yours, &["--priority", "0"]);
    gate.open_gate(1);
    assert_eq!(bell.next_line(), "second", "one task of another user waits for one turn, not for ten");
}

#[test]
fn users_without_a_login_may_not_own_agents_unless_it_is_allowed() {
    let daemon = Daemon::start();
    // Every Debian and Fedora has the account `daemon`, whose shell is nologin.
    let spawn = ["agent", "spawn", "a", "--profile", "shell", "--user", "daemon"];
    assert_eq!(daemon.ctl().refused(5, &spawn)["code"], "user_unfit");
    assert_eq!(daemon.ctl().json(&["agent", "list", "--all"]).as_array().map(Vec::len), Some(0));
    drop(daemon);
    let config = "allow_nologin_users = true\n".to_owned();
    let daemon = Daemon::with(fusion_tests::Setup { config, ..fusion_tests::Setup::default() });
    daemon.ctl().ok(&spawn);
    assert_eq!(daemon.ctl().json(&["agent", "show", "a"])["user"], "daemon");
}

#[test]
fn users_see_and_use_their_own_profiles_alone() {
    let daemon = Daemon::start();
    let (one, two) = (users::first(), users::second());
    let (first, second) = (daemon.ctl().as_user(&one), daemon.ctl().as_user(&two));
    let text = "[profile.mine]\ncommand = [\"/usr/bin/id\", \"-u\"]\ncapabilities = [\"id\"]\n";
    let applied = first.run_with(&["profile", "apply", "-"], text);
    assert_eq!(applied.code, 0, "{applied}");
    assert_eq!(second.refused(3, &["profile", "show", "mine"])["code"], "profile_not_found");
    assert_eq!(second.refused(3, &["agent", "spawn", "a", "--profile", "mine"])["code"], "profile_not_found");
    assert!(!second.ok(&["event", "list"]).contains("profile.applied"));
    let forbidden = second.run_with(&["profile", "apply", "-", "--user", &one.name], text);
    assert_eq!(forbidden.code, 5, "{forbidden}");
    first.ok(&["agent", "spawn", "a", "--profile", "mine"]);
    let task = first.submit("x", &["--capability", "id"]);
    first.ended(&task);
    assert_eq!(first.ok(&["task", "result", &task]).trim(), one.uid.to_string());
    let status = daemon.ctl().json(&["system", "status"]);
    let row = status["users"]
        .as_array()
        .expect("root sees a table")
        .iter()
        .find(|row| row["user"] == one.name.as_str());
    assert_eq!(row.expect("the user has a row")["agents"], 1, "{status}");
    assert!(second.json(&["system", "status"])["users"].is_null());
}

#[test]
fn users_pools_of_applied_profiles_serve_nobody_else() {
    let (daemon, first, second) = daemon_with_two_users();
    let text =
        "[profile.mine]\ncommand = [\"/bin/sh\"]\ncapabilities = [\"mine\"]\npool = {max = 2, min = 1}\n";
    let file = daemon.folder().join("mine.toml");
    std::fs::write(&file, text).expect("our own folder can be written");
    first.ok(&["profile", "apply", file.to_str().expect("plain letters")]);
    // Its min is kept from the start.
    let agents = first.until("one is there", |ctl| {
        let agents = ctl.json(&["agent", "list"]);
        (agents.as_array().map(Vec::len) == Some(1)).then_some(agents)
    });
    assert_eq!(agents[0]["user"], users::first().name);
    let others = second.submit("id -u", &["--capability", "mine"]);
    let own = first.submit("id -u", &["--capability", "mine"]);
    assert_eq!(first.ended(&own)["state"], "succeeded");
    assert_eq!(first.ok(&["task", "result", &own]), users::first().uid.to_string());
    assert_eq!(second.json(&["agent", "list"]).as_array().map(Vec::len), Some(0));
    assert_eq!(second.json(&["why", &others])["reasons"][0]["code"], "no_agent");
}

#[test]
fn users_secrets_are_neither_seen_nor_given_to_others() {
    let (daemon, first, second) = daemon_with_two_users();
    let _set = first.run_with(&["secret", "set", "token"], "hunter2hunter2").expect_code(0);
    let _own = second.run_with(&["secret", "set", "token"], "another-value").expect_code(0);
    let _only = first.run_with(&["secret", "set", "only"], "first-alone").expect_code(0);
    assert_eq!(second.json(&["secret", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(second.refused(3, &["secret", "remove", "only"])["code"], "secret_not_found");
    let name = users::first().name;
    for verb in [&["secret", "list", "--user", &name][..], &["secret", "remove", "only", "--user", &name]] {
        assert_eq!(second.refused(5, verb)["code"], "not_permitted", "{verb:?}");
    }
    let foreign = second.refused(3, &["task", "submit", "--secret", "only", "echo $only"]);
    assert_eq!(foreign["code"], "secret_not_found");
    second.ok(&["agent", "spawn", "b", "--profile", "shell", "--secret", "token=TOKEN"]);
    let task = second.submit("test \"$TOKEN\" = another-value", &[]);
    assert_eq!(second.ended(&task)["state"], "succeeded", "each is given the value of its owner");
    assert_eq!(second.json(&["event", "list"]).to_string().matches("only").count(), 0);
    // Sealed for one user, a value cannot be opened as another's: it is in no file in the clear.
    let found = std::process::Command::new("grep").args(["-rl", "first-alone"]).arg(daemon.root()).output();
    assert!(found.expect("grep can be started").stdout.is_empty());
}

#[test]
fn users_stored_prompts_are_of_each_alone_also_where_they_are_alike() {
    let (daemon, first, second) = daemon_with_two_users();
    let file = daemon.folder().join("prompt");
    std::fs::write(&file, "x".repeat(2 << 20)).expect("our own folder can be written");
    let submit =
        ["task", "submit", "--capability", "fly", "--input-file", file.to_str().expect("plain letters")];
    let [one, again, other] = [&first, &first, &second].map(|ctl| {
        let task = ctl.id(&submit);
        ctl.json(&["task", "show", &task])["input"].as_str().expect("it is stored apart").to_owned()
    });
    assert_eq!(one, again, "it is stored once");
    assert_ne!(one, other, "nobody learns by a name what others have");
}

#[test]
fn users_are_told_of_their_own_in_status() {
    let (daemon, first, second) = daemon_with_two_users();
    first.spawn_fake("a", &[]);
    let failed = first.submit("exit 3", &[]);
    assert_eq!(first.ended(&failed)["state"], "failed");
    let status = |ctl: &Ctl| ctl.json(&["system", "status"]);
    let (own, other, all) = (status(&first), status(&second), status(&daemon.ctl()));
    for seen in [&own, &all] {
        assert!(seen["attention"].to_string().contains("1 task failed"), "{seen}");
        assert_eq!((&seen["agents"]["idle"], &seen["tasks"]["failed"]), (&1.into(), &1.into()), "{seen}");
    }
    assert!(second.ok(&["system", "status"]).starts_with("Attention:  nothing needs you"), "{other}");
    for field in ["agents", "tasks", "submittedPerSecond"] {
        let none = [serde_json::Value::Null, serde_json::json!({}), serde_json::json!(0.0)];
        assert!(none.contains(&other[field]), "{field}: {other}");
    }
}
