//! Stories of `agent spawn`: what an agent is when it is there, and what it is refused for.

use std::path::Path;

use fusion_tests::{Daemon, binary, is_root, processes};

use crate::daemon_with_agent;

#[test]
fn agent_spawn_returns_an_idle_agent_with_a_workspace_of_its_own() {
    let daemon = Daemon::start();
    let agent = daemon.ctl().json(&["agent", "spawn", "a", "--profile", "shell", "--capability", "sh"]);
    assert_eq!(agent["state"], "idle");
    assert_eq!(agent["name"], "a");
    assert_eq!(agent["incarnation"], 1);
    assert_eq!(agent["capabilities"], serde_json::json!(["sh"]));
    let workspace = std::path::PathBuf::from(agent["workspace"].as_str().unwrap());
    assert!(workspace.starts_with(daemon.root().join("workspaces")), "{workspace:?}");
    for folder in [workspace.as_path(), workspace.parent().unwrap()] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&folder.metadata().unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o700, "{folder:?}");
    }
}

#[test]
fn agent_spawn_starts_the_shim_alone() {
    let (daemon, _ctl) = daemon_with_agent();
    let living = daemon.processes();
    assert_eq!(living.len(), 1, "{living:?}");
    assert!(living[0].is_shim());
}

#[test]
fn agent_spawn_prints_the_id_which_goes_by_prefix_and_name() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let id = ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    assert!(id.starts_with("agt_"), "{id}");
    for name in ["a", &id, &id[4..], &id[id.len() - 8..]] {
        if name.len() < id.len() && name != "a" && !id[4..].starts_with(name) {
            // A part from the end is unique too.
            assert_eq!(ctl.json(&["agent", "show", name])["id"], id.as_str());
            continue;
        }
        assert_eq!(ctl.json(&["agent", "show", name])["id"], id.as_str());
    }
}

#[test]
fn agent_spawn_refuses_a_name_that_is_taken_until_its_owner_is_gone() {
    let (_daemon, ctl) = daemon_with_agent();
    let error = ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell"]);
    assert_eq!(error["code"], "name_taken");
    ctl.ok(&["agent", "terminate", "a"]);
    ctl.spawn_fake("a", &[]);
}

#[test]
fn agent_spawn_refuses_what_it_cannot_do() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    assert_eq!(ctl.refused(3, &["agent", "spawn", "x", "--profile", "nobody"])["code"], "profile_not_found");
    assert_eq!(ctl.refused(2, &["agent", "spawn", "x", "--profile", "command"])["code"], "command_missing");
    let extra = ctl.refused(2, &["agent", "spawn", "x", "--profile", "shell", "--", "wc"]);
    assert_eq!(extra["code"], "command_unexpected");
    assert_eq!(ctl.refused(2, &["agent", "spawn", "a b", "--profile", "shell"])["code"], "name_invalid");
    assert_eq!(ctl.json(&["agent", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn agent_spawn_makes_up_a_name() {
    let daemon = Daemon::start();
    let agent = daemon.ctl().json(&["agent", "spawn", "--profile", "shell"]);
    assert!(agent["name"].as_str().unwrap().starts_with("shell"), "{agent}");
}

#[test]
fn agent_spawn_replaces_the_prompt_in_the_command() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let program = binary("fake-agent");
    ctl.ok(&[
        "agent",
        "spawn",
        "a",
        "--profile",
        "command",
        "--",
        program.to_str().unwrap(),
        "say <{{ prompt }}>",
    ]);
    let task = ctl.submit("a word; $HOME", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "<a word; $HOME>");
}

#[test]
fn agent_spawn_builds_the_environment_from_nothing() {
    let daemon = Daemon::with(fusion_tests::Setup {
        env: vec![("SECRET_OF_THE_DAEMON".to_owned(), "1".to_owned())],
        ..fusion_tests::Setup::default()
    });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &["--env", "MINE=yes"]);
    let task = ctl.submit("env\ncwd", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let result = ctl.ok(&["task", "result", &task]);
    let names: Vec<&str> =
        result.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let agent = ctl.json(&["agent", "show", "a"]);
    for name in names.iter().filter(|name| !name.starts_with("FUSION_")) {
        let known =
            ["HOME", "LANG", "LOGNAME", "MINE", "PATH", "SHELL", "TMPDIR", "TRACEPARENT", "USER", "TERM"];
        assert!(known.contains(name), "{name} comes from nowhere:\n{result}");
    }
    for line in [
        "MINE=yes".to_owned(),
        format!("FUSION_TASK_ID={task}"),
        "FUSION_ATTEMPT=1".to_owned(),
        format!("FUSION_AGENT_ID={}", agent["id"].as_str().unwrap()),
        "FUSION_AGENT_NAME=a".to_owned(),
        format!("FUSION_WORKSPACE={}", agent["workspace"].as_str().unwrap()),
        format!("PATH={}", std::env::var("PATH").unwrap()),
        agent["workspace"].as_str().unwrap().to_owned(),
    ] {
        assert!(result.lines().any(|found| found == line), "{line} is missing in:\n{result}");
    }
    assert!(result.lines().any(|found| found.starts_with("TRACEPARENT=00-")), "{result}");
}

#[test]
fn agent_spawn_takes_no_descriptor_and_no_privilege_along() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    let pid: i32 = bell.next_pid();
    assert_eq!(processes::status(pid, "NoNewPrivs").as_deref(), Some("1"));
    // An agent of root is root; those of users are looked at in `as_root::users`.
    if !is_root() {
        assert_eq!(processes::status(pid, "CapEff").unwrap().trim_start_matches('0'), "", "{task}");
    }
    let mut open: Vec<i32> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter(|entry| {
            // The pipes that the script itself opens are its own.
            let own = [bell.path(), gate.path()].map(Path::new);
            std::fs::read_link(entry.path()).is_ok_and(|target| !own.contains(&target.as_path()))
        })
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect();
    open.sort_unstable();
    assert_eq!(open, [0, 1, 2]);
    assert_eq!(processes::status(pid, "Umask").as_deref().map(|mask| &mask[mask.len() - 2..]), Some("77"));
}
