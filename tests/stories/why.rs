//! Stories of `why`: the answer names what would change it.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn why_names_the_missing_capability() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--capability", "fly"]);
    let why = ctl.json(&["why", &task]);
    assert_eq!(why["subject"], task.as_str());
    assert_eq!(why["state"], "queued");
    assert!(why["reasons"].to_string().contains("fly"), "{why}");
    assert!(ctl.ok(&["why", &task]).contains("fly"));
}

#[test]
fn why_names_the_task_it_waits_for() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let first = ctl.submit("x", &[]);
    let second = ctl.submit("x", &["--after", &first]);
    assert!(ctl.json(&["why", &second])["reasons"].to_string().contains(&first));
    assert!(ctl.json(&["why", &first])["reasons"].to_string().contains("agent"));
}

#[test]
fn why_explains_an_agent() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "pause", "a"]);
    let why = ctl.json(&["why", "a"]);
    assert_eq!(why["state"], "paused");
    assert!(why["reasons"].to_string().contains("resume"), "{why}");
    let _error = ctl.refused(3, &["why", "nobody"]);
}
