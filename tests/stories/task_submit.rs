//! Stories of `task submit`: what is accepted, once, and what is refused with which code.

use std::fmt::Write as _;

use fusion_tests::{Daemon, Setup};

use crate::{daemon_with_agent, last_attempt};

#[test]
fn task_submit_with_wait_exits_as_the_task_ended() {
    let (_daemon, ctl) = daemon_with_agent();
    assert_eq!(ctl.run(&["task", "submit", "--wait", "say fine"]).code, 0);
    assert_eq!(ctl.run(&["task", "submit", "--wait", "exit 3"]).code, 1);
}

#[test]
fn task_submit_reads_the_prompt_from_standard_input_and_from_files() {
    let (daemon, ctl) = daemon_with_agent();
    let done = ctl.run_with(&["-q", "task", "submit", "-"], "say from stdin").expect_code(0);
    let task = done.stdout.trim().to_owned();
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "from stdin");
    let file = daemon.folder().join("prompt");
    std::fs::write(&file, "say from a file").unwrap();
    let task = ctl.id(&["task", "submit", "--input-file", file.to_str().unwrap()]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "from a file");
}

#[test]
fn task_submit_finds_the_agent_with_the_capabilities() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("plain", &[]);
    let able = ctl.spawn_fake("able", &["--capability", "sum", "--capability", "count"]);
    let task = ctl.submit("say x", &["--capability", "count"]);
    assert_eq!(last_attempt(&ctl.ended(&task))["agent"], able.as_str());
    let nobody = ctl.submit("say x", &["--capability", "fly"]);
    assert_eq!(ctl.json(&["task", "show", &nobody])["state"], "queued");
}

#[test]
fn task_submit_to_a_named_agent_waits_for_that_one() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let b = ctl.spawn_fake("b", &[]);
    for _ in 0..3 {
        let task = ctl.submit("say x", &["--agent", "b"]);
        assert_eq!(last_attempt(&ctl.ended(&task))["agent"], b.as_str());
    }
    assert_eq!(ctl.refused(3, &["task", "submit", "--agent", "c", "say x"])["code"], "agent_not_found");
}

#[test]
fn task_submit_with_the_same_key_is_the_same_task() {
    let (mut daemon, ctl) = daemon_with_agent();
    let first = ctl.submit("say x", &["--key", "k"]);
    assert_eq!(ctl.submit("say x", &["--key", "k"]), first);
    assert_eq!(ctl.refused(4, &["task", "submit", "--key", "k", "say y"])["code"], "key_conflict");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.submit("say x", &["--key", "k"]), first);
    assert_eq!(ctl.json(&["task", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(ctl.json(&["task", "show", "key:k"])["id"], first.as_str());
}

#[test]
fn task_submit_refuses_what_makes_no_sense() {
    let (_daemon, ctl) = daemon_with_agent();
    let long = "x".repeat(300);
    for (code, args) in [
        (2, vec!["--priority", "10", "x"]),
        (2, vec!["--timeout", "soon", "x"]),
        (2, vec!["--capability", "a b", "x"]),
        (2, vec!["--key", &long, "x"]),
        (2, vec!["--label", "nothing", "x"]),
        (3, vec!["--after", "tsk_00000000000000000000000000", "x"]),
        (2, vec![""]),
    ] {
        let mut all = vec!["task", "submit"];
        all.extend(args);
        let done = ctl.run(&all);
        assert_eq!(done.code, code, "{done}");
        assert!(done.stderr.starts_with("error: "), "{done}");
    }
    assert_eq!(ctl.json(&["task", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn task_submit_file_answers_each_line_by_itself() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.folder().join("tasks.jsonl");
    let lines = [
        r#"{"prompt": "say one", "key": "k1", "labels": {"kind": "good"}}"#,
        r#"{"prompt": "say two", "priority": 17}"#,
        r#"{"run": ["sh", "-c", "echo $0 three", "number"], "after": ["key:k1"], "key": "k3", "timeout": "10s", "retries": 1}"#,
        r#"{"prompt": "x", "unknown": 1}"#,
        r#"{"prompt": "say four", "after": ["key:k3"], "key": "k4"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let done = ctl.run(&["-q", "task", "submit", "--file", file.to_str().unwrap()]);
    assert_ne!(done.code, 0, "two lines are refused: {done}");
    assert_eq!(done.stdout.lines().count(), 3, "{done}");
    for line in ["2", "4"] {
        assert!(done.stderr.lines().any(|text| text.contains(&format!("line {line}"))), "{done}");
    }
    assert_eq!(ctl.ended("key:k4")["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", "key:k3"]), "number three");
    assert_eq!(ctl.ok(&["task", "result", "key:k4"]), "four");
    let labelled = ctl.json(&["task", "list", "--label", "kind=good"]);
    assert_eq!(labelled.as_array().map(Vec::len), Some(1), "{labelled}");
}

#[test]
fn task_submit_file_takes_thousands_and_all_of_them_run() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut text = String::new();
    for number in 0..3000 {
        writeln!(text, "{{\"run\": [\"true\"], \"key\": \"k{number}\", \"labels\": {{\"batch\": \"b\"}}}}")
            .unwrap();
    }
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, text).unwrap();
    let done = ctl.run(&["-q", "task", "submit", "--file", file.to_str().unwrap()]).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 3000);
    for name in ["a", "b"] {
        ctl.ok(&["agent", "spawn", name, "--profile", "shell"]);
    }
    let waited = ctl.run(&["task", "wait", "--label", "batch=b", "--timeout", "40s"]);
    assert_eq!(waited.code, 0, "{}", waited.stderr);
    assert_eq!(ctl.json(&["system", "status"])["tasks"]["succeeded"], 3000);
}

#[test]
fn task_submit_refuses_more_than_the_limit() {
    let config = "[limits.per_user]\nmax_queued_tasks = 2\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let _first = ctl.submit("x", &[]);
    let _second = ctl.submit("x", &[]);
    assert_eq!(ctl.refused(8, &["task", "submit", "x"])["code"], "queue_full");
}

#[test]
fn task_submit_with_a_key_is_the_same_task_also_when_that_has_left_the_memory() {
    let config = "[tasks]\nended_in_memory = 1\n".to_owned();
    let mut daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let first = ctl.submit("say once", &["--key", "k"]);
    ctl.ended(&first);
    for _ in 0..2 {
        ctl.ended(&ctl.submit("say more", &[]));
    }
    assert_eq!(ctl.submit("say once", &["--key", "k"]), first);
    assert_eq!(ctl.refused(4, &["task", "submit", "--key", "k", "say twice"])["code"], "key_conflict");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.submit("say once", &["--key", "k"]), first);
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, "{\"prompt\": \"say once\", \"key\": \"k\"}\n")
        .expect("our own folder can be written");
    let again = ctl.ok(&["-q", "task", "submit", "--file", file.to_str().expect("a plain name")]);
    assert_eq!(again.trim(), first);
}
