//! Stories of `event list` and `event tail`.

use fusion_tests::{Deadline, Watch};

use crate::daemon_with_agent;

#[test]
fn event_list_tells_the_life_of_a_task_with_its_actors() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("exit 3", &[]);
    ctl.ended(&task);
    let events = ctl.json(&["event", "list"]);
    let of_task: Vec<&serde_json::Value> =
        events.as_array().unwrap().iter().filter(|event| event["subject"] == task.as_str()).collect();
    let kinds: Vec<&str> = of_task.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"task.submitted"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"task.failed"), "{kinds:?}");
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(of_task[0]["actor"], format!("user:{uid}"));
    let certificate =
        of_task.iter().find(|event| event["type"] == "attempt.exited").expect("a death certificate");
    assert!(certificate["data"].is_object(), "{certificate}");
}

#[test]
fn event_list_since_a_number_goes_on_after_it() {
    let (_daemon, ctl) = daemon_with_agent();
    let all = ctl.json(&["event", "list"]);
    let all = all.as_array().unwrap();
    let third = all[2]["seq"].as_u64().unwrap();
    let rest = ctl.json(&["event", "list", "--since", &third.to_string()]);
    assert_eq!(rest.as_array().unwrap()[..], all[3..]);
}

#[test]
fn event_tail_has_no_gap_over_a_killed_daemon() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut tasks = vec![ctl.submit("say x", &[])];
    ctl.ended(&tasks[0]);
    daemon.kill9();
    daemon.start_again();
    tasks.push(ctl.submit("say x", &[]));
    ctl.ended(&tasks[1]);
    let mut watch = Watch::since(&ctl, 0);
    let mut seen = Vec::new();
    let deadline = Deadline::default();
    while let Some(event) = watch.next_before(deadline) {
        let is_last = event["type"] == "task.succeeded" && event["subject"] == tasks[1].as_str();
        seen.push(event["seq"].as_u64().unwrap());
        if is_last {
            break;
        }
    }
    let expected: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, expected);
}

#[test]
fn event_list_takes_subjects_as_other_verbs_do() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--key", "k"]);
    ctl.ended(&task);
    let types = |subject: &str| -> Vec<String> {
        let events = ctl.json(&["event", "list", "--subject", subject]);
        events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let whole = types(&task);
    assert_eq!(whole.first().map(String::as_str), Some("task.submitted"));
    assert_eq!(types(&format!("tsk_{}", &task[task.len() - 8..])), whole);
    assert_eq!(types("key:k"), whole);
    assert_eq!(types("a").first().map(String::as_str), Some("agent.spawned"));
    for verb in ["list", "tail"] {
        assert_eq!(ctl.refused(3, &["event", verb, "--subject", "nosuch"])["code"], "subject_not_found");
    }
    let gone = ctl.json(&["event", "list", "--subject", "tsk_00000000000000000000000000"]);
    assert_eq!(gone, serde_json::json!([]), "what is removed goes by its full id");
}
