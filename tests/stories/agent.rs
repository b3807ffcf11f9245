//! Stories of `agent list|show|pause|resume|restart|logs`.

use std::time::Duration;

use fusion_tests::processes::{self, Process};
use fusion_tests::{Daemon, Deadline, Setup, Watch};
use rustix::process::Signal;

use crate::daemon_with_agent;

#[test]
fn agent_list_is_in_the_order_of_spawning_and_without_the_terminated() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("c", &[]);
    ctl.spawn_fake("b", &[]);
    let names = |agents: serde_json::Value| -> Vec<String> {
        agents.as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(ctl.json(&["agent", "list"])), ["a", "c", "b"]);
    ctl.ok(&["agent", "terminate", "c"]);
    assert_eq!(names(ctl.json(&["agent", "list"])), ["a", "b"]);
    assert_eq!(names(ctl.json(&["agent", "list", "--all"])), ["a", "c", "b"]);
}

#[test]
fn agent_show_tells_what_it_works_on() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    bell.next_line();
    let agent = ctl.json(&["agent", "show", "a"]);
    assert_eq!(agent["state"], "busy");
    assert_eq!(agent["task"], task.as_str());
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let agent = ctl.agent_in("a", "idle");
    assert_eq!(agent["tasksSucceeded"], 1);
    assert!(agent.get("task").is_none(), "{agent}");
}

#[test]
fn agent_show_of_nobody_is_not_found() {
    let (_daemon, ctl) = daemon_with_agent();
    for name in ["nobody", "agt_", "agt_00000000000000000000000000", "../a", "", "💥"] {
        assert_eq!(ctl.refused(3, &["agent", "show", name])["code"], "agent_not_found", "{name:?}");
    }
}

#[test]
fn agent_pause_with_drain_lets_the_running_task_end_first() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script = format!("ring {}\nawait {}", bell.path(), gate.path());
    let first = ctl.submit(&script, &[]);
    bell.next_line();
    let second = ctl.submit(&script, &[]);
    ctl.ok(&["agent", "pause", "a", "--drain"]);
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "draining");
    gate.open_gate(1);
    assert_eq!(ctl.ended(&first)["state"], "succeeded");
    ctl.agent_in("a", "paused");
    assert_eq!(ctl.json(&["task", "show", &second])["state"], "queued");
    ctl.ok(&["agent", "resume", "a"]);
    bell.next_line();
    gate.open_gate(1);
    assert_eq!(ctl.ended(&second)["state"], "succeeded");
}

#[test]
fn agent_pause_of_an_idle_agent_keeps_work_from_it() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "pause", "a"]);
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "paused");
    let task = ctl.submit("say done", &[]);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    assert_eq!(ctl.run(&["task", "wait", &task, "--timeout", "300ms"]).code, 7);
    ctl.ok(&["agent", "resume", "a"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn agent_pause_survives_the_daemon() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}\nring {}", bell.path(), gate.path(), bell.path()), &[]);
    bell.next_line();
    ctl.ok(&["agent", "pause", "a"]);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "paused");
    gate.open_gate(1);
    assert_eq!(bell.line_before(Deadline::after(Duration::from_millis(300))), None);
    ctl.ok(&["agent", "resume", "a"]);
    bell.next_line();
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn agent_resume_of_an_agent_that_is_not_paused_is_refused() {
    let (_daemon, ctl) = daemon_with_agent();
    assert_eq!(ctl.refused(4, &["agent", "resume", "a"])["code"], "agent_state");
}

#[test]
fn agent_restart_begins_the_next_incarnation_and_runs_the_task_again() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    let first: i32 = bell.next_pid();
    let agent = ctl.json(&["agent", "restart", "a"]);
    assert_eq!(agent["incarnation"], 2);
    let second: i32 = bell.next_pid();
    assert_ne!(first, second);
    assert_eq!(processes::look(first), None);
    gate.open_gate(1);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded");
    assert_eq!(ended["attempts"][0]["failure"]["code"], "agent_terminated");
    assert_eq!(ended["attempts"][1]["incarnation"], 2);
}

#[test]
fn agent_restart_policy_starts_a_dead_shim_again() {
    let (daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("kept", &["--restart", "always"]);
    let id = ctl.json(&["agent", "show", "kept"])["id"].as_str().unwrap().to_owned();
    let mut watch = Watch::from_now(&ctl);
    let shim =
        daemon.processes().into_iter().find(|process| process.command.contains(&id)).expect("it has a shim");
    assert!(processes::signal(shim.pid, &daemon.root(), Signal::KILL));
    watch.expect("agent.crashed", &id);
    watch.expect("agent.ready", &id);
    let agent = ctl.json(&["agent", "show", "kept"]);
    assert_eq!(agent["state"], "idle");
    assert_eq!(agent["incarnation"], 2);
}

#[test]
fn agent_quarantine_ends_a_crash_loop_until_a_restart_lifts_it() {
    let config = "[runtime]\nrestart_backoff = \"20ms\"\nquarantine_crashes = 3\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let id = ctl.spawn_fake("a", &["--restart", "always"]);
    let mut watch = Watch::from_now(&ctl);
    for crash in 1..=3 {
        let shim = daemon.processes().into_iter().find(Process::is_shim).expect("it has a shim");
        assert!(processes::signal(shim.pid, &daemon.root(), Signal::KILL));
        watch.expect("agent.crashed", &id);
        if crash < 3 {
            watch.expect("agent.ready", &id);
        }
    }
    watch.expect("agent.quarantined", &id);
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "quarantined");
    assert!(ctl.json(&["why", "a"])["reasons"].to_string().contains("restart"));
    ctl.ok(&["agent", "restart", "a"]);
    let task = ctl.submit("say better", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn agent_logs_hold_the_output_of_its_attempts_in_order() {
    let (_daemon, ctl) = daemon_with_agent();
    for word in ["one", "two", "three"] {
        let task = ctl.submit(&format!("say {word}"), &[]);
        assert_eq!(ctl.ended(&task)["state"], "succeeded");
    }
    assert_eq!(ctl.ok(&["agent", "logs", "a", "--raw"]), "one\ntwo\nthree");
}

#[test]
fn agent_connections_are_limited_and_free_again_when_they_are_closed() {
    use std::os::unix::net::UnixStream;
    let (daemon, ctl) = daemon_with_agent();
    let agent = ctl.json(&["agent", "show", "a"])["id"].as_str().unwrap().to_owned();
    let socket = daemon.root().join(format!("run/i/{agent}.1/agent.sock"));
    let inside = ctl.through(&socket);
    let _shown = inside.ok(&["agent", "show", "a"]);
    let held: Vec<_> = (0..64).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    for _ in 0..3 {
        assert_eq!(inside.refused(8, &["agent", "show", "a"])["code"], "connection_limit");
    }
    let _shown = ctl.ok(&["agent", "show", "a"]);
    drop(held);
    ctl.until("places are free again", |_| (inside.run(&["agent", "show", "a"]).code == 0).then_some(()));
}
