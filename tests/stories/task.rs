//! Stories of `task list` and `task show`.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_list_is_newest_first_and_filtered_by_state_and_label() {
    let (_daemon, ctl) = daemon_with_agent();
    let good = ctl.submit("say x", &["--label", "l=1"]);
    let bad = ctl.submit("exit 1", &["--label", "l=1", "--label", "m=2"]);
    ctl.ended(&good);
    ctl.ended(&bad);
    let ids = |args: &[&str]| -> Vec<String> {
        let mut all = vec!["task", "list"];
        all.extend_from_slice(args);
        let tasks = ctl.json(&all);
        tasks.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), [&*bad, &*good]);
    assert_eq!(ids(&["--state", "succeeded"]), [&*good]);
    assert_eq!(ids(&["--label", "l=1", "--label", "m=2"]), [&*bad]);
    assert!(ids(&["--state", "running"]).is_empty());
}

#[test]
fn task_list_pages_through_more_than_one_page() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let lines = "{\"prompt\": \"x\"}\n".repeat(2500);
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, lines).unwrap();
    ctl.ok(&["-q", "task", "submit", "--file", file.to_str().unwrap()]);
    let tasks = ctl.json(&["task", "list"]);
    let mut ids: Vec<&str> =
        tasks.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 2500);
}

#[test]
fn task_show_has_what_was_asked_and_what_became_of_it() {
    let (_daemon, ctl) = daemon_with_agent();
    let flags = ["--priority", "7", "--key", "k", "--label", "a=b", "--timeout", "10m", "--retries", "2"];
    let task = ctl.submit("say answer", &flags);
    ctl.ended(&task);
    let shown = ctl.json(&["task", "show", &task]);
    assert_eq!(shown["priority"], 7);
    assert_eq!(shown["key"], "k");
    assert_eq!(shown["labels"]["a"], "b");
    assert_eq!(shown["timeout"], "10m");
    assert_eq!(shown["retries"], 2);
    assert_eq!(shown["prompt"], "say answer");
    assert_eq!(shown["result"].as_str().map(str::trim_end), Some("answer"));
    assert_eq!(shown["attempts"][0]["state"], "exited");
    assert_eq!(shown["attempts"][0]["sandbox"], "user");
    for time in ["createTime", "endTime"] {
        let text = shown[time].as_str().unwrap();
        assert!(text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T', "{time} is {text}");
    }
}

#[test]
fn task_show_of_nothing_is_not_found() {
    let (_daemon, ctl) = daemon_with_agent();
    for name in ["tsk_", "tsk_00000000000000000000000000", "key:none", "x", "../../etc", "💥"] {
        assert_eq!(ctl.refused(3, &["task", "show", name])["code"], "task_not_found", "{name:?}");
    }
}
