//! Stories about crashes: what was accepted is there, nothing runs twice, nobody is forgotten.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use fusion_tests::{Daemon, processes};
use rustix::process::Signal;

use crate::last_attempt;

#[test]
fn daemon_killed_again_and_again_starts_nothing_twice() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let ledger = daemon.ledger("ledger");
    for name in ["a", "b", "c"] {
        ctl.spawn_fake(name, &[]);
    }
    let mut tasks = Vec::new();
    for round in 0..5 {
        for number in 0..8 {
            let code = (round * 8 + number) % 3;
            tasks.push((ctl.submit(&format!("ledger {}\nnap 20\nexit {code}", ledger.path()), &[]), code));
        }
        daemon.kill9();
        daemon.start_again();
    }
    for (task, code) in &tasks {
        let ended = ctl.ended(task);
        assert_eq!(last_attempt(&ended)["exitCode"], *code, "{ended}");
        assert_eq!(
            ended["attempts"].as_array().unwrap().iter().filter(|one| one["state"] == "exited").count(),
            1
        );
    }
    let entries = ledger.entries();
    for (task, code) in &tasks {
        let starts: usize =
            entries.iter().filter(|((id, _), _)| id == task).map(|(_, entry)| entry.starts.len()).sum();
        assert_eq!(starts, 1, "{task} that exits with {code}");
    }
}

#[test]
fn daemon_and_shims_killed_together_lose_no_task_and_leave_no_process() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    for name in ["a", "b"] {
        ctl.spawn_fake(name, &["--restart", "always"]);
    }
    let running: Vec<String> =
        (0..2).map(|_| ctl.submit(&format!("grandchild {0}\nring {0}\nstall", bell.path()), &[])).collect();
    let queued = ctl.submit("say later", &[]);
    for _ in 0..4 {
        bell.next_line();
    }
    let before = daemon.processes();
    daemon.kill9();
    for shim in before.iter().filter(|process| process.is_shim()) {
        assert!(processes::signal(shim.pid, &daemon.root(), Signal::KILL));
    }
    daemon.start_again();
    for task in &running {
        let lost = ctl.task_in(task, "lost");
        assert_eq!(lost["attempts"].as_array().map(Vec::len), Some(1));
    }
    for process in before {
        assert_eq!(processes::look(process.pid), None, "{process:?} outlived its shim");
    }
    assert_eq!(ctl.ended(&queued)["state"], "succeeded");
}

#[test]
fn daemon_killed_forgets_no_setting_of_an_agent() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let flags = ["--capability", "x", "--capability", "y", "--env", "E=1", "--restart", "on-failure"];
    ctl.spawn_fake("a", &flags);
    let before = ctl.json(&["agent", "show", "a"]);
    daemon.kill9();
    daemon.start_again();
    let mut after = ctl.json(&["agent", "show", "a"]);
    after["stateTime"] = before["stateTime"].clone();
    assert_eq!(after, before);
    let task = ctl.submit("env", &["--capability", "y"]);
    ctl.ended(&task);
    assert!(ctl.ok(&["task", "result", &task]).lines().any(|line| line == "E=1"));
}

#[test]
fn agent_of_another_version_goes_on_until_its_version_is_back() {
    // What a shim of protocol 9 says, as `fusion_shim::wire` has it: a length, `Refused`, `WrongProtocol`, 9.
    const REFUSAL: [u8; 7] = [3, 0, 0, 0, 1, 2, 9];
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let agent = ctl.spawn_fake("a", &[]);
    let task = ctl.submit(&format!("ring {}\nawait {}\nsay done", bell.path(), gate.path()), &[]);
    let program = bell.next_pid();
    daemon.kill9();
    let socket = daemon.root().join(format!("run/i/{agent}.1/shim.sock"));
    let aside = socket.with_extension("aside");
    std::fs::rename(&socket, &aside).expect("the shim's socket");
    let listener = UnixListener::bind(&socket).expect("a socket in its place");
    daemon.start_again();
    for _look in 0..2 {
        let (mut stream, _) = listener.accept().expect("the daemon looks");
        stream.read_exact(&mut [0; 4]).expect("a greeting");
        stream.write_all(&REFUSAL).expect("the daemon listens");
    }
    assert!(processes::look(program).is_some(), "{}", daemon.log());
    assert!(daemon.log().contains("a living shim speaks protocol 9"), "{}", daemon.log());
    std::fs::rename(&aside, &socket).expect("the shim's socket");
    drop(listener);
    gate.open_gate(1);
    let ended = ctl.ended(&task);
    assert_eq!((&ended["state"], ended["attempts"].as_array().map(Vec::len)), (&"succeeded".into(), Some(1)));
}
