//! Stories of `task update`: what was asked for changes as long as no attempt runs.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_update_changes_what_has_not_started_for_good() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let flags = ["--env", "WORD=kept", "--label", "a=1", "--label", "b=1", "--timeout", "1h", "--key", "k"];
    let task = ctl.submit("say before", &flags);
    ctl.ok(&["task", "hold", &task]);
    ctl.ok(&[
        "task",
        "update",
        &task,
        "--priority",
        "9",
        "--prompt",
        "env",
        "--add-label",
        "a=2",
        "--remove-label",
        "b",
        "--timeout",
        "none",
        "--queue-timeout",
        "10m",
        "--retries",
        "3",
    ]);
    daemon.kill9();
    daemon.start_again();
    let shown = ctl.json(&["task", "show", &task]);
    assert_eq!((&shown["priority"], &shown["retries"]), (&9.into(), &3.into()));
    assert_eq!(shown["prompt"], "env");
    assert_eq!(shown["labels"], serde_json::json!({"a": "2"}));
    assert_eq!((&shown["timeout"], &shown["queueTimeout"]), (&serde_json::Value::Null, &"10m".into()));
    assert_eq!(ctl.submit("say before", &flags), task, "its key means what was submitted");
    ctl.spawn_fake("a", &[]);
    ctl.ok(&["task", "release", &task]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let environment = ctl.ok(&["task", "result", &task]);
    assert!(environment.lines().any(|line| line == "WORD=kept"), "{environment}");
    let events = ctl.ok(&["-o", "jsonl", "event", "list"]);
    let updated = events.lines().find(|line| line.contains("task.updated")).expect("an event tells it");
    assert!(updated.contains("\"priority\"") && updated.contains("\"prompt\""), "{updated}");
}

#[test]
fn task_update_of_the_priority_changes_who_is_next() {
    let (daemon, ctl) = daemon_with_agent();
    let mut gate = daemon.fifo("gate");
    let running = ctl.submit(&format!("await {}", gate.path()), &[]);
    ctl.task_in(&running, "running");
    let ledger = daemon.ledger("ledger");
    let [early, late] = ["early", "late"].map(|_| ctl.submit(&format!("ledger {}", ledger.path()), &[]));
    ctl.ok(&["task", "update", &late, "--priority", "8"]);
    gate.open_gate(1);
    ctl.ended(&early);
    let serial = |task: &str| {
        let events = ctl.ok(&["-o", "jsonl", "event", "list"]);
        let started = events.lines().position(|line| line.contains("task.started") && line.contains(task));
        started.expect("it was started")
    };
    assert!(serial(&late) < serial(&early));
}

#[test]
fn task_update_is_refused_for_what_runs_and_for_nonsense() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let running = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    assert_eq!(ctl.refused(4, &["task", "update", &running, "--priority", "1"])["code"], "task_state");
    let queued = ctl.submit("x", &["--capability", "fly"]);
    assert_eq!(ctl.refused(2, &["task", "update", &queued])["code"], "usage");
    assert_eq!(ctl.refused(2, &["task", "update", &queued, "--prompt", ""])["code"], "field_missing");
    assert_eq!(ctl.refused(2, &["task", "update", &queued, "--add-label", "a b=c"])["code"], "label_invalid");
    assert_eq!(ctl.refused(3, &["task", "update", &queued, "--agent", "nobody"])["code"], "agent_not_found");
    assert_eq!(ctl.refused(3, &["task", "update", "tsk_none", "--priority", "1"])["code"], "task_not_found");
    let command = ctl.id(&["task", "submit", "--capability", "fly", "--run", "--", "true"]);
    assert_eq!(ctl.refused(2, &["task", "update", &command, "--prompt", "x"])["code"], "field_invalid");
    assert_eq!(ctl.json(&["task", "show", &queued])["prompt"], "x", "nothing is half done");
}
