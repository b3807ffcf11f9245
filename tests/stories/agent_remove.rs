//! Stories of `agent remove`.

use std::path::Path;

use fusion_tests::{Daemon, Watch};

use crate::daemon_with_agent;

#[test]
fn agent_remove_takes_record_logs_and_workspace_of_a_terminated_agent() {
    let (daemon, ctl) = daemon_with_agent();
    let agent = ctl.json(&["agent", "show", "a"]);
    let (id, workspace) = (agent["id"].as_str().unwrap(), agent["workspace"].as_str().unwrap());
    let task = ctl.submit("say some words", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert!(!logs_of(&daemon, id).is_empty());
    let mut watch = Watch::from_now(&ctl);
    ctl.ok(&["agent", "terminate", "a"]);
    assert_eq!(ctl.ok(&["agent", "remove", "a"]), "a", "a terminated agent still goes by its name");
    watch.expect("workspace.removed", id);
    watch.expect("agent.removed", id);
    assert!(!Path::new(workspace).exists());
    assert_eq!(logs_of(&daemon, id), Vec::<String>::new());
    assert_eq!(ctl.refused(3, &["agent", "show", id])["code"], "agent_not_found");
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "succeeded", "the task's record stays");
    ctl.spawn_fake("a", &[]);
}

#[test]
fn agent_remove_of_a_living_agent_is_refused_with_the_next_step_and_forced_ends_it() {
    let (daemon, ctl) = daemon_with_agent();
    let error = ctl.refused(4, &["agent", "remove", "a"]);
    assert_eq!(error["code"], "agent_alive");
    assert!(error["hint"].as_str().unwrap().contains("agent terminate"), "{error}");
    ctl.agent_in("a", "idle");
    let task = ctl.submit("ignore-term\nstall", &[]);
    ctl.agent_in("a", "busy");
    ctl.ok(&["agent", "remove", "--force", "--grace", "100ms", "a"]);
    assert_eq!(daemon.processes(), Vec::new());
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    assert_eq!(ctl.json(&["agent", "list", "--all"]), serde_json::json!([]));
}

#[test]
fn agent_remove_keeps_the_workspace_if_asked_to() {
    let (daemon, ctl) = daemon_with_agent();
    let agent = ctl.json(&["agent", "show", "a"]);
    let (id, workspace) = (agent["id"].as_str().unwrap(), agent["workspace"].as_str().unwrap());
    std::fs::write(Path::new(workspace).join("result"), "work").unwrap();
    ctl.ok(&["agent", "terminate", "a"]);
    ctl.ok(&["agent", "remove", "a", "--keep-workspace"]);
    assert_eq!(ctl.run(&["agent", "show", id]).code, 3);
    assert_eq!(logs_of(&daemon, id), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(Path::new(workspace).join("result")).unwrap(), "work");
}

#[test]
fn agent_remove_of_several_tells_of_each() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    ctl.ok(&["agent", "terminate", "b"]);
    let done = ctl.run(&["agent", "remove", "a", "b", "nobody"]).expect_code(3);
    assert_eq!(done.stdout, "b\n");
    assert!(done.stderr.contains("only what a terminated agent left"), "{done}");
    assert!(done.stderr.contains("no agent \"nobody\""), "{done}");
}

#[test]
fn agent_verbs_take_several_and_print_documents() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    for (verb, state) in [("pause", "paused"), ("resume", "idle"), ("restart", "idle")] {
        let done = ctl.run(&["agent", verb, "a", "b", "nobody"]).expect_code(3);
        let lines: Vec<&str> = done.stdout.lines().collect();
        let ends = [format!(" a {state}"), format!(" b {state}")];
        assert!(lines.len() == 2 && lines.iter().zip(&ends).all(|(line, end)| line.ends_with(end)), "{done}");
        assert!(done.stderr.contains("no agent \"nobody\""), "{done}");
    }
    let both = ctl.json(&["agent", "terminate", "a", "b"]);
    let words = |field: &str| -> Vec<String> {
        both.as_array().unwrap().iter().map(|agent| agent[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (words("name"), words("state")),
        (vec!["a".to_owned(), "b".to_owned()], vec!["terminated".to_owned(); 2])
    );
    assert_eq!(ctl.ok(&["-q", "workspace", "remove", "a"]), words("id")[0]);
    let gone = ctl.json(&["agent", "remove", "a"]);
    assert_eq!((gone["id"].as_str(), gone["name"].as_str()), (Some(&*words("id")[0]), Some("a")));
    assert_eq!(ctl.ok(&["-q", "agent", "remove", "b"]), words("id")[1]);
}

/// The folders of logs that are there for an agent.
fn logs_of(daemon: &Daemon, agent: &str) -> Vec<String> {
    let entries = std::fs::read_dir(daemon.root().join("state/i")).expect("a folder of the daemon");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(agent)).collect()
}
