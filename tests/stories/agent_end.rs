//! Stories of `agent terminate`: it returns when no process of the agent is left, whatever the agent does.

use std::time::{Duration, Instant};

use fusion_tests::{Daemon, Setup, Watch};

use crate::daemon_with_agent;

#[test]
fn agent_terminate_leaves_no_process_and_keeps_the_workspace() {
    let (daemon, ctl) = daemon_with_agent();
    let workspace = ctl.json(&["agent", "show", "a"])["workspace"].as_str().unwrap().to_owned();
    let agent = ctl.json(&["agent", "terminate", "a"]);
    assert_eq!(agent["state"], "terminated");
    assert_eq!(daemon.processes(), []);
    assert!(std::path::Path::new(&workspace).is_dir());
}

#[test]
fn agent_terminate_gives_the_task_back_to_the_queue_uncounted() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    ctl.ok(&["agent", "terminate", "a"]);
    let shown = ctl.json(&["task", "show", &task]);
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["attempts"][0]["failure"]["code"], "agent_terminated");
    assert_eq!(shown["attempts"][0]["signal"], 15);
}

#[test]
fn agent_terminate_waits_for_the_grace_it_was_given() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let _task = ctl.submit(&format!("ignore-term\nring {}\nstall", bell.path()), &[]);
    bell.next_line();
    let begin = Instant::now();
    ctl.ok(&["agent", "terminate", "a", "--grace", "300ms"]);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(daemon.processes(), []);
}

#[test]
fn agent_terminate_and_others_take_the_grace_of_the_settings_where_nobody_names_one() {
    let config = "[runtime]\ngrace = \"100ms\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let deaf = |agent: &str| {
        ctl.spawn_fake(agent, &[]);
        let mut bell = daemon.fifo(agent);
        let task = ctl.submit(&format!("ignore-term\nring {}\nstall", bell.path()), &["--agent", agent]);
        bell.next_line();
        task
    };
    let (first, second, _third) = (deaf("a"), deaf("b"), deaf("c"));
    let begin = Instant::now();
    ctl.ok(&["task", "cancel", &first]);
    ctl.ok(&["agent", "terminate", "b"]);
    ctl.ok(&["agent", "remove", "--force", "c"]);
    assert!(begin.elapsed() < Duration::from_secs(10), "one of them waited as long as without the setting");
    for task in [first, second] {
        assert_eq!(ctl.json(&["task", "show", &task])["attempts"][0]["signal"], 9);
    }
}

#[test]
fn agent_terminate_ends_a_paused_agent_too() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let _task = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    ctl.ok(&["agent", "pause", "a"]);
    ctl.ok(&["agent", "terminate", "a", "--grace", "200ms"]);
    assert_eq!(daemon.processes(), []);
}

#[test]
fn agent_terminate_goes_on_after_a_crash_of_the_daemon() {
    let (mut daemon, ctl) = daemon_with_agent();
    let id = ctl.json(&["agent", "show", "a"])["id"].as_str().unwrap().to_owned();
    let mut bell = daemon.fifo("bell");
    let _task = ctl.submit(&format!("ignore-term\nring {}\nstall", bell.path()), &[]);
    bell.next_line();
    let mut watch = Watch::from_now(&ctl);
    let mut stopping = ctl.command(&["agent", "terminate", "a", "--grace", "2s"]).spawn().unwrap();
    watch.expect("agent.stopping", &id);
    daemon.kill9();
    daemon.start_again();
    // Its name is free again, its id stays.
    ctl.agent_in(&id, "terminated");
    assert_eq!(daemon.processes(), []);
    stopping.wait().unwrap();
}

#[test]
fn agent_terminate_twice_is_no_error_or_a_clear_one() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "terminate", "a"]);
    let again = ctl.run(&["agent", "terminate", "a"]);
    assert!(matches!(again.code, 0 | 3 | 4), "{again}");
}
