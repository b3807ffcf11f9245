//! Stories of `profile list|show|apply`.

use fusion_tests::Daemon;

#[test]
fn profile_list_has_the_built_in_ones() {
    let daemon = Daemon::start();
    let profiles = daemon.ctl().json(&["profile", "list"]);
    let names: Vec<&str> =
        profiles.as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap()).collect();
    for name in ["command", "shell"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn profile_show_tells_what_it_runs() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let shell = ctl.json(&["profile", "show", "shell"]);
    assert_eq!(shell["kind"], "exec");
    assert_eq!(shell["command"][0], "/bin/sh");
    assert_eq!(ctl.refused(3, &["profile", "show", "nobody"])["code"], "profile_not_found");
}

#[test]
fn profile_idle_timeout_holds_for_tasks_that_name_none() {
    let mut daemon = Daemon::start();
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    let profile = "[profile.brief]\ncommand = [\"/bin/sh\"]\nidle_timeout = \"300ms\"\n";
    std::fs::write(folder.join("brief.toml"), profile).expect("a file");
    daemon.kill9();
    daemon.start_again();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "b", "--profile", "brief"]);
    let task = ctl.submit("sleep 60", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(ended["failure"]["code"], "timeout_idle");
}

#[test]
fn profile_show_of_a_name_that_is_nearly_right_says_what_is_perhaps_meant() {
    let daemon = Daemon::start();
    let refusal = daemon.ctl().refused(3, &["profile", "show", "shel"]);
    assert_eq!(refusal["code"], "profile_not_found");
    assert!(refusal["hint"].as_str().is_some_and(|hint| hint.contains("\"shell\"")), "{refusal}");
}

/// A file in the folder of the story.
fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path = daemon.folder().join(name);
    std::fs::write(&path, text).expect("our own folder can be written");
    path.to_str().expect("plain letters").to_owned()
}

const GREETER: &str = "[profile.greeter]\ncommand = [\"/bin/echo\", \"hello\"]\ncapabilities = [\"greet\"]\n";

#[test]
fn profile_apply_is_in_force_at_once_and_outlives_a_crash() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let path = file(&daemon, "greeter.toml", GREETER);
    ctl.ok(&["profile", "apply", &path]);
    let shown = ctl.json(&["profile", "show", "greeter"]);
    assert_eq!(shown["source"], "applied");
    daemon.kill9();
    daemon.start_again();
    ctl.ok(&["agent", "spawn", "g", "--profile", "greeter"]);
    let task = ctl.submit("x", &["--capability", "greet"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]).trim(), "hello");
    let events = ctl.json(&["event", "list"]).to_string();
    assert!(events.contains("profile.applied"), "{events}");
}

#[test]
fn profile_apply_leaves_agents_that_exist_as_they_are() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["profile", "apply", &file(&daemon, "a.toml", GREETER)]);
    ctl.ok(&["agent", "spawn", "old", "--profile", "greeter"]);
    let changed = GREETER.replace("hello", "good evening");
    ctl.ok(&["profile", "apply", &file(&daemon, "b.toml", &changed)]);
    ctl.ok(&["agent", "spawn", "new", "--profile", "greeter"]);
    for (agent, says) in [("old", "hello"), ("new", "good evening")] {
        let task = ctl.submit("x", &["--agent", agent]);
        ctl.ended(&task);
        assert_eq!(ctl.ok(&["task", "result", &task]).trim(), says);
    }
    ctl.ok(&["profile", "apply", "--remove", "greeter"]);
    assert_eq!(ctl.refused(3, &["profile", "show", "greeter"])["code"], "profile_not_found");
    assert_eq!(ctl.refused(3, &["profile", "apply", "--remove", "greeter"])["code"], "profile_not_found");
    let task = ctl.submit("x", &["--agent", "old"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn profile_apply_wins_over_a_built_in_one_until_it_is_removed() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let shell = "[profile.shell]\ncommand = [\"/bin/cat\"]\ncapabilities = [\"sh\"]\n";
    ctl.ok(&["profile", "apply", &file(&daemon, "shell.toml", shell)]);
    assert_eq!(ctl.json(&["profile", "show", "shell"])["command"][0], "/bin/cat");
    ctl.ok(&["profile", "apply", "--remove", "shell"]);
    assert_eq!(ctl.json(&["profile", "show", "shell"])["command"][0], "/bin/sh");
}

#[test]
fn profile_apply_of_a_text_with_mistakes_names_line_and_column_and_keeps_nothing() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let text = format!("{GREETER}\n[profile.b]\ncommand = [\"x\"]\nkindd = \"exec\"\n");
    let refusal = ctl.refused(2, &["profile", "apply", &file(&daemon, "p.toml", &text)]);
    assert_eq!(refusal["code"], "profile_invalid");
    assert!(refusal["detail"].as_str().is_some_and(|detail| detail.contains("p.toml:7:1: ")), "{refusal}");
    assert_eq!(ctl.refused(3, &["profile", "show", "greeter"])["code"], "profile_not_found");
    let empty = ctl.refused(2, &["profile", "apply", &file(&daemon, "e.toml", "")]);
    assert_eq!(empty["code"], "profile_invalid");
    let large = format!("{GREETER}# {}\n", "x".repeat(70_000));
    let refusal = ctl.refused(2, &["profile", "apply", &file(&daemon, "l.toml", &large)]);
    assert_eq!(refusal["code"], "too_large");
}

/// Stands in for the agent CLIs that there are profiles of: takes the flags that each has, the prompt on standard input and the
/// user's own HOME, and answers as it does.
const AGENT_CLIS: [(&str, &str, &str); 3] = [
    (
        "claude",
        "-p --verbose --output-format stream-json --permission-mode acceptEdits",
        r#"{"type":"system","subtype":"init","session_id":"s"}
{"type":"assistant","message":{"content":[{"type":"text","text":"I begin"}],"usage":{"input_tokens":900,"output_tokens":900}}}
{"total_cost_usd":0.25,"usage":{"input_tokens":11,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":20},"is_error":false,"result":"heard %s","type":"result"}"#,
    ),
    (
        "codex",
        "exec --json --skip-git-repo-check --sandbox workspace-write -",
        r#"{"type":"thread.started","thread_id":"t"}
{"type":"item.completed","item":{"id":"item_0","type":"error","message":"a warning"}}
{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"I begin"}}
{"type":"item.completed","item":{"id":"item_2","type":"command_execution","command":"true","aggregated_output":"","exit_code":0}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"heard %s"}}
{"type":"turn.completed","usage":{"input_tokens":30,"cached_input_tokens":4,"output_tokens":6}}"#,
    ),
    (
        "gemini",
        "--output-format json --approval-mode auto_edit --skip-trust",
        r#"{"session_id":"s","response":"heard %s","stats":{"models":{}}}"#,
    ),
];

#[test]
fn profile_of_an_agent_cli_gives_answer_and_cost() {
    let daemon = Daemon::start();
    let bin = daemon.folder().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    for (name, flags, answer) in AGENT_CLIS {
        let script = format!(
            "#!/bin/sh\n[ \"$*\" = '{flags}' ] && [ \"$HOME\" != \"$PWD\" ] || exit 64\nread -r prompt\nprintf '{answer}\\n' \"$prompt\"\n"
        );
        std::fs::write(bin.join(name), script).expect("a file");
    }
    for path in [bin.clone(), bin.join("claude"), bin.join("codex"), bin.join("gemini")] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    let ctl = daemon.ctl();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    for (name, usd, tokens) in [("claude", 0.25, 36), ("codex", 0.0, 36), ("gemini", 0.0, 0)] {
        let words = ["run", name, "--result", "--timeout", "1m", "the prompt"];
        let output = ctl.command(&words).env("PATH", &path).output().expect("fusionctl runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "heard the prompt\n", "{name}: {output:?}");
        let tasks = ctl.json(&["task", "list"]);
        let of_it = tasks.as_array().unwrap().iter().find(|task| {
            let shown = ctl.json(&["agent", "show", task["agent"].as_str().unwrap()]);
            shown["profile"] == name
        });
        let task = ctl.json(&["task", "show", of_it.expect("its task")["id"].as_str().unwrap()]);
        let usage = &task["attempts"][0]["usage"];
        assert_eq!(usage["usd"].as_f64().unwrap_or_default(), usd, "{task}");
        assert_eq!(usage["tokens"].as_u64().unwrap_or_default(), tokens, "{task}");
    }
}
