//! Stories of `--concurrency-key`: of one user's tasks with the same key at most one is active.

use fusion_tests::{Ctl, Daemon};

/// A daemon with three agents.
fn three_agents() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    for name in ["a", "b", "c"] {
        ctl.spawn_fake(name, &[]);
    }
    (daemon, ctl)
}

#[test]
fn task_concurrency_key_lets_one_run_at_a_time_by_priority_and_age() {
    let (mut daemon, ctl) = three_agents();
    let key = ["--concurrency-key", "deploy"];
    let mut gates = ["first", "old", "urgent"].map(|name| daemon.fifo(name));
    let scripts = gates.each_ref().map(|gate| format!("await {}", gate.path()));
    let first = ctl.submit(&scripts[0], &key);
    ctl.task_in(&first, "running");
    let old = ctl.submit(&scripts[1], &key);
    let urgent = ctl.submit(&scripts[2], &["--priority", "9", "--concurrency-key", "deploy"]);
    let free = ctl.submit("say beside", &["--concurrency-key", "other"]);
    assert_eq!(ctl.ended(&free)["state"], "succeeded");
    assert_eq!(ctl.json(&["task", "show", &old])["concurrencyKey"], "deploy");
    let why = ctl.json(&["why", &urgent]);
    assert_eq!(why["reasons"][0]["code"], "concurrency_key", "{why}");
    assert!(why["reasons"][0]["text"].as_str().unwrap().contains(&first), "{why}");
    daemon.kill9();
    daemon.start_again();
    gates[0].open_gate(1);
    ctl.ended(&first);
    ctl.task_in(&urgent, "running");
    assert_eq!(ctl.json(&["task", "show", &old])["state"], "queued");
    gates[2].open_gate(1);
    ctl.ended(&urgent);
    gates[1].open_gate(1);
    assert_eq!(ctl.ended(&old)["state"], "succeeded");
}

#[test]
fn task_concurrency_key_in_a_file_keeps_hundreds_apart() {
    let (daemon, ctl) = three_agents();
    let ledger = daemon.ledger("ledger");
    let mut lines = String::new();
    for number in 0..120 {
        let prompt = format!("ledger {}", ledger.path());
        let line = serde_json::json!({"prompt": prompt, "concurrencyKey": format!("k{}", number % 4)});
        lines.push_str(&format!("{line}\n"));
    }
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, lines).unwrap();
    let done = ctl.run(&["-q", "task", "submit", "--file", file.to_str().unwrap()]).expect_code(0);
    let _waited = ctl.run_with(&["task", "wait", "-", "--timeout", "40s"], &done.stdout).expect_code(0);
    let tasks = ctl.json(&["task", "list"]);
    let mut spans: Vec<(String, String, String)> = Vec::new();
    for task in tasks.as_array().unwrap() {
        // Without the zone, so that 40 sorts before 40.25.
        let text = |value: &serde_json::Value| value.as_str().unwrap().trim_end_matches('Z').to_owned();
        let attempt = &task["attempts"][0];
        spans.push((
            text(&task["concurrencyKey"]),
            text(&attempt["dispatchTime"]),
            text(&attempt["endTime"]),
        ));
    }
    spans.sort();
    assert_eq!(spans.len(), 120);
    for pair in spans.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        assert!(pair[0].2 <= pair[1].1, "two of one key at once: {pair:?}");
    }
}
