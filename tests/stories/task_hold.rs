//! Stories of `task hold` and `task release`.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_hold_keeps_a_task_from_starting_until_it_is_released() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let held = ctl.submit("say held", &["--hold"]);
    let other = ctl.submit("say other", &[]);
    ctl.ok(&["task", "hold", &other]);
    ctl.ok(&["task", "hold", &other]);
    daemon.kill9();
    daemon.start_again();
    ctl.spawn_fake("a", &[]);
    let free = ctl.submit("say free", &[]);
    assert_eq!(ctl.ended(&free)["state"], "succeeded");
    for task in [&held, &other] {
        assert_eq!(ctl.json(&["task", "show", task])["state"], "held");
    }
    assert_eq!(ctl.json(&["task", "list", "--state", "held"]).as_array().map(Vec::len), Some(2));
    let why = ctl.json(&["why", &held]);
    assert_eq!(why["reasons"][0]["code"], "held", "{why}");
    assert!(why["reasons"][0]["remedy"].as_str().unwrap().contains("task release"), "{why}");
    ctl.ok(&["task", "release", &held]);
    assert_eq!(ctl.ended(&held)["state"], "succeeded");
    ctl.ok(&["task", "release", &other]);
    assert_eq!(ctl.ended(&other)["state"], "succeeded");
    let events = ctl.ok(&["-o", "jsonl", "event", "list"]);
    for word in ["task.held", "task.released"] {
        assert!(events.contains(word), "{events}");
    }
}

#[test]
fn task_hold_of_a_running_or_ended_task_is_refused() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    assert_eq!(ctl.refused(4, &["task", "hold", &task])["code"], "task_state");
    ctl.ok(&["task", "cancel", &task]);
    assert_eq!(ctl.refused(4, &["task", "hold", &task])["code"], "task_state");
    assert_eq!(ctl.refused(4, &["task", "release", &task])["code"], "task_state");
}

#[test]
fn task_hold_leaves_dependencies_and_the_queue_timeout_as_they_were() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let first = ctl.submit("say first", &[]);
    let second = ctl.submit("say second", &["--after", &first]);
    let patient = ctl.submit("say x", &["--capability", "fly", "--queue-timeout", "700ms"]);
    ctl.ok(&["task", "hold", &second, &patient]);
    ctl.spawn_fake("a", &[]);
    ctl.ended(&first);
    assert_eq!(ctl.run(&["task", "wait", &patient, "--timeout", "1s"]).code, 7, "its clock stands still");
    assert_eq!(ctl.json(&["task", "show", &second])["state"], "held");
    ctl.ok(&["task", "release", &second, &patient]);
    assert_eq!(ctl.ended(&second)["state"], "succeeded");
    assert_eq!(ctl.ended(&patient)["failure"]["code"], "timeout_queue");
}
