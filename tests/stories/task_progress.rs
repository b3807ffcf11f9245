//! Stories of what a person at a terminal sees and is asked, and of what nobody else is.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_progress_shows_counts_for_several_and_one_line_for_one() {
    let (daemon, ctl) = daemon_with_agent();
    let tasks = ["nap 600", "exit 1", "nap 600"].map(|script| ctl.submit(script, &["--label", "l=1"]));
    let done = ctl.on_terminal(&["task", "wait", "--label", "l=1"], "").expect_code(1);
    assert!(done.stdout.contains("/3") && done.stdout.contains("1 running"), "{done}");
    assert!(done.stdout.contains("1 failed"), "{done}");
    for task in &tasks {
        assert!(done.stdout.contains(task), "each end is printed: {done}");
    }
    let done = ctl.on_terminal(&["task", "submit", "--wait", "nap 600"], "").expect_code(0);
    assert!(done.stdout.contains(" is running"), "{done}");
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, "{\"prompt\": \"say x\"}\n".repeat(500)).unwrap();
    let file = file.to_str().unwrap();
    let done = ctl.on_terminal(&["-q", "task", "submit", "--file", file], "").expect_code(0);
    assert!(done.stdout.contains(" accepted, 0 refused, ") && done.stdout.contains("/s, "), "{done}");
    assert_eq!(done.stdout.matches("tsk_").count(), 500, "every id is printed: {done}");
}

#[test]
fn task_progress_is_not_for_pipes() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("nap 300", &[]);
    let done = ctl.run(&["task", "wait", &task, &task]).expect_code(0);
    assert_eq!((done.stdout, done.stderr), (format!("{task} succeeded\n"), String::new()));
}

#[test]
fn task_bulk_verbs_ask_on_a_terminal_unless_told_not_to() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let tasks = ["1", "2", "3"].map(|number| ctl.submit(number, &["--label", "l=1"]));
    let all_are = |state: &str| {
        for task in &tasks {
            assert_eq!(ctl.json(&["task", "show", task])["state"], state);
        }
    };
    let cancel = ["task", "cancel", "--label", "l=1"];
    let done = ctl.on_terminal(&cancel, "n\n").expect_code(1);
    assert!(done.stdout.contains("cancel 3 tasks (3 queued)? [y/N]"), "{done}");
    assert!(done.stdout.contains("nothing was changed"), "{done}");
    all_are("queued");
    let done = ctl.on_terminal(&["task", "hold", "--label", "l=1", "--yes"], "").expect_code(0);
    assert!(!done.stdout.contains("[y/N]"), "{done}");
    all_are("held");
    let _done = ctl.on_terminal(&cancel, "y\n").expect_code(0);
    all_are("cancelled");
}

#[test]
fn task_wait_finds_those_that_ended_long_ago() {
    let config = "[tasks]\nended_in_memory = 5\n".to_owned();
    let daemon = Daemon::with(fusion_tests::Setup { config, ..fusion_tests::Setup::default() });
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, "{\"prompt\": \"exit 0\", \"labels\": {\"l\": \"1\"}}\n".repeat(40)).unwrap();
    let file = file.to_str().unwrap();
    let done = ctl.run(&["task", "submit", "--file", file, "--wait"]).expect_code(0);
    assert_eq!(done.stdout.lines().filter(|line| line.ends_with(" succeeded")).count(), 40, "{done}");
    let bad = ctl.submit("exit 1", &["--label", "l=1"]);
    ctl.ended(&bad);
    let done = ctl.run(&["task", "submit", "--file", file, "--wait"]).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 40, "{done}");
    let done = ctl.run(&["task", "wait", "--label", "l=1"]).expect_code(1);
    assert_eq!(done.stdout.lines().count(), 81, "also those that left the memory: {done}");
    let ids = ctl.ok(&["-q", "task", "list", "--state", "succeeded"]);
    let done = ctl.run_with(&["task", "wait", "-"], &ids).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 80, "{done}");
}
