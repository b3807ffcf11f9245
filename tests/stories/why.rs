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

#[test]
fn why_without_a_name_tells_what_waits_and_what_needs_somebody_first() {
    let (_daemon, ctl) = daemon_with_agent();
    assert!(ctl.ok(&["why"]).contains("nothing of yours waits"));
    let first = ctl.submit("say x", &["--capability", "fly"]);
    let second = ctl.submit("say x", &["--after", &first]);
    let urgent = ctl.submit("say x", &["--capability", "fly", "--priority", "9"]);
    ctl.ok(&["agent", "pause", "a"]);
    let agent = ctl.json(&["agent", "show", "a"])["id"].clone();
    let waiting = ctl.json(&["why"]);
    let subjects: Vec<_> =
        waiting.as_array().expect("a list").iter().map(|each| each["subject"].clone()).collect();
    assert_eq!(subjects, [agent, urgent.into(), first.into(), second.into()]);
    assert!(waiting[1]["reasons"].to_string().contains("fly"), "{waiting}");
    let said = ctl.ok(&["why", "--limit", "1"]);
    assert!(said.contains("and 3 more"), "{said}");
}
