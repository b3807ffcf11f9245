//! Stories about the end of tasks: retries, exit 75, cancel, retry, resolve, wait.

use fusion_tests::{Ctl, Daemon, processes};
use rustix::process::Signal;

use crate::{daemon_with_agent, last_attempt};

#[test]
fn task_end_with_another_exit_code_is_a_failure_and_not_retried() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("exit 3", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["failure"]["code"], "exit_nonzero");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!(last_attempt(&ended)["exitCode"], 3);
    let task = ctl.submit("signal 6", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["failure"]["code"], "signaled");
    assert_eq!(last_attempt(&ended)["signal"], 6);
}

#[test]
fn task_end_with_zero_has_an_exit_code_too() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &[]);
    assert_eq!(last_attempt(&ctl.ended(&task))["exitCode"], 0);
}

#[test]
fn task_end_of_a_missing_program_names_it() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "command", "--", "/no/such/program"]);
    let task = ctl.submit("x", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["failure"]["code"], "program_not_found");
    assert!(ended["failure"]["message"].as_str().unwrap().contains("/no/such/program"), "{ended}");
}

#[test]
fn task_retries_try_as_often_as_asked() {
    let (daemon, ctl) = daemon_with_agent();
    let ledger = daemon.ledger("ledger");
    let task = ctl.submit(&format!("ledger {}\nexit 1", ledger.path()), &["--retries", "1"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(ended["dead"], true);
    let entries = ledger.entries();
    assert_eq!(entries.len(), 2);
    assert!(entries.values().all(|entry| entry.starts.len() == 1));
}

#[test]
fn task_end_with_75_is_tried_again_and_not_counted() {
    let (daemon, ctl) = daemon_with_agent();
    let mark = daemon.folder().join("mark");
    let script = format!("test -e {0} || {{ touch {0}; exit 75; }}; echo second", mark.display());
    ctl.ok(&["agent", "spawn", "sh", "--profile", "shell", "--capability", "sh"]);
    let task = ctl.submit(&script, &["--capability", "sh"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(ended["attempts"][0]["failure"]["code"], "try_again_later");
    assert_eq!(ctl.ok(&["task", "result", &task]), "second");
}

#[test]
fn task_cancel_of_a_queued_task_keeps_it_from_running() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = ctl.submit("say x", &[]);
    ctl.ok(&["task", "cancel", &task]);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "cancelled");
    ctl.spawn_fake("a", &[]);
    assert_eq!(ctl.run(&["task", "wait", &task]).code, 1);
    assert!(matches!(ctl.run(&["task", "cancel", &task]).code, 0 | 4));
}

#[test]
fn task_cancel_by_label_ends_all_of_them() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let tasks: Vec<String> = (0..3).map(|_| ctl.submit("say x", &["--label", "l=1"])).collect();
    let other = ctl.submit("say x", &["--label", "l=2"]);
    ctl.ok(&["task", "cancel", "--label", "l=1"]);
    for task in tasks {
        assert_eq!(ctl.json(&["task", "show", &task])["state"], "cancelled");
    }
    assert_eq!(ctl.json(&["task", "show", &other])["state"], "queued");
}

#[test]
fn task_cancel_of_a_running_task_records_the_end() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    ctl.ok(&["task", "cancel", &task]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "cancelled");
    assert_eq!(last_attempt(&ended)["signal"], 15);
    ctl.agent_in("a", "idle");
}

#[test]
fn task_retry_queues_an_ended_task_again() {
    let (daemon, ctl) = daemon_with_agent();
    let gate = daemon.folder().join("gate");
    let script = format!("test -e {}", gate.display());
    ctl.ok(&["agent", "spawn", "sh", "--profile", "shell", "--capability", "sh"]);
    let task = ctl.submit(&script, &["--capability", "sh"]);
    assert_eq!(ctl.ended(&task)["state"], "failed");
    std::fs::write(&gate, "").unwrap();
    ctl.ok(&["task", "retry", &task]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(2));
    let running = ctl.submit("true", &["--capability", "nobody"]);
    assert_eq!(ctl.refused(4, &["task", "retry", &running])["code"], "task_state");
}

/// A task that is lost because its shim was killed.
fn lost_task(daemon: &Daemon, ctl: &Ctl, flags: &[&str]) -> String {
    let mut bell = daemon.fifo("bell");
    ctl.spawn_fake("a", &["--restart", "always"]);
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), flags);
    bell.next_line();
    let shim =
        daemon.processes().into_iter().find(processes::Process::is_shim).expect("the agent has a shim");
    assert!(processes::signal(shim.pid, &daemon.root(), Signal::KILL));
    task
}

#[test]
fn task_resolve_decides_a_lost_task() {
    for (flag, state) in [("--fail", "failed"), ("--succeed", "succeeded")] {
        let daemon = Daemon::start();
        let ctl = daemon.ctl();
        let task = lost_task(&daemon, &ctl, &[]);
        let lost = ctl.task_in(&task, "lost");
        assert_eq!(lost["attempts"].as_array().map(Vec::len), Some(1), "nothing runs again unasked");
        assert_eq!(last_attempt(&lost)["state"], "lost");
        ctl.ok(&["task", "resolve", &task, flag]);
        assert_eq!(ctl.ended(&task)["state"], state);
        assert_eq!(ctl.refused(4, &["task", "resolve", &task, flag])["code"], "task_state");
    }
}

#[test]
fn task_resolve_with_retry_runs_it_again() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = lost_task(&daemon, &ctl, &[]);
    ctl.task_in(&task, "lost");
    ctl.ok(&["task", "resolve", &task, "--retry"]);
    let running = ctl.task_in(&task, "running");
    assert_eq!(running["attempts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn task_on_lost_fail_and_retry_need_nobody() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = lost_task(&daemon, &ctl, &["--on-lost", "fail"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["failure"]["code"], "lost_shim");
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = lost_task(&daemon, &ctl, &["--on-lost", "retry"]);
    ctl.until("it runs again", |ctl| {
        let shown = ctl.json(&["task", "show", &task]);
        (shown["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
}

#[test]
fn task_wait_exits_with_the_worst_of_several() {
    let (_daemon, ctl) = daemon_with_agent();
    let good = ctl.submit("say x", &[]);
    let bad = ctl.submit("exit 1", &[]);
    let never = ctl.submit("say x", &["--capability", "fly"]);
    assert_eq!(ctl.run(&["task", "wait", &good]).code, 0);
    assert_eq!(ctl.run(&["task", "wait", &good, &bad]).code, 1);
    assert_eq!(ctl.run(&["task", "wait", &bad, &never, "--timeout", "200ms"]).code, 7);
    assert_eq!(ctl.run(&["task", "wait", &good, "tsk_nothing"]).code, 3);
    let piped = ctl.run_with(&["task", "wait", "-"], &format!("{good}\n{bad}\n"));
    assert_eq!(piped.code, 1, "{piped}");
}
