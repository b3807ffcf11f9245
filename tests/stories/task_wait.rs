//! Stories of `task wait`: what is chosen, and when time counts. Not here: how tasks end (`task_end`).

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_wait_that_is_left_says_that_the_task_goes_on() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut terminal = ctl.terminal(&["task", "submit", "--wait", &format!("ring {}\nstall", bell.path())]);
    bell.next_line();
    terminal.shows(" is running");
    terminal.types("\x03");
    terminal.shows("the task goes on: fusionctl task wait tsk_");
    let _left = terminal.done().expect_code(130);
    assert_eq!(ctl.json(&["task", "list", "--state", "running"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn task_wait_on_a_label_that_no_task_has_finds_nothing() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    drop(ctl.submit("x", &["--label", "batch=7", "--label", "kind=a", "--hold"]));
    let refusal = ctl.refused(3, &["task", "wait", "--label", "bacth=7"]);
    assert_eq!(refusal["message"], "no task with label bacth=7");
    let both = ctl.refused(3, &["task", "wait", "--label", "kind=b", "--label", "batch=7"]);
    assert_eq!(both["message"], "no task with label batch=7 and kind=b");
    let none = ctl.run(&["task", "wait", "--label", "batch=7", "--state", "running"]).expect_code(0);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.starts_with("note: no task with label batch=7 is in that state"), "{none}");
    assert_eq!(ctl.run(&["-q", "task", "wait", "--state", "running"]).expect_code(0).stderr, "");
}

#[test]
fn task_wait_looks_at_all_before_time_counts() {
    let (_daemon, ctl) = daemon_with_agent();
    let good = ctl.submit("say x", &["--label", "l=1"]);
    let bad = ctl.submit("exit 1", &["--label", "l=1"]);
    ctl.ended(&good);
    ctl.ended(&bad);
    assert_eq!(ctl.run(&["task", "wait", &good, "--timeout", "0s"]).expect_code(0).stdout.lines().count(), 1);
    assert_eq!(ctl.json(&["task", "wait", &good])["result"], ctl.json(&["task", "show", &good])["result"]);
    assert!(ctl.json(&["task", "wait", &good])["result"].is_string());
    let both = ctl.run(&["task", "wait", "--label", "l=1", "--timeout", "0s"]).expect_code(1);
    assert_eq!(both.stdout.lines().count(), 2, "{both}");
    let never = ctl.submit("say x", &["--hold"]);
    let some = ctl.run(&["task", "wait", &good, &never, "tsk_nothing", "--timeout", "0s"]).expect_code(3);
    assert_eq!(some.stdout.lines().count(), 1, "{some}");
    assert!(some.stderr.contains("not every task has ended within 0s"), "{some}");
}
