//! Starts and ends: every exit is told truly, and nothing is left. Not here: who may ask (`fencing`).

use fusion_shim::cgroup::{self, Kind};
use fusion_shim::wire::{ExitKind, Limits, Reply, Request, StopWhy};
use fusion_sys::pidfd::PidFd;
use rustix::process::Signal;

use crate::rig::{Daemon, Rig, code, processes_with, signal, uses_cgroup, wait_for_end, with_each_backend};

#[test]
fn every_exit_is_told_truly() {
    with_each_backend(|rig| {
        let mut serial = 0;
        for expected in [0, 1, 2, 7, 42, 75, 126, 127, 128, 200, 254, 255] {
            serial += 1;
            let record = rig.run_script(serial, &format!("exit {expected}"));
            assert_eq!((record.serial, code(&record)), (serial, Some(expected)));
            assert!(record.pid > 0 && !record.killed && record.stop.is_none());
            assert_eq!(record.nonce, rig.spec.nonce);
        }
        for expected in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15] {
            serial += 1;
            let record = rig.run_script(serial, &format!("kill -{expected} $$; exit 3"));
            assert_eq!(signal(&record), Some(expected), "signal {expected} is at its default");
        }
    });
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_the_grace() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "trap '' TERM; echo ready; exec sleep 1000");
        rig.stop(1, 30);
        let record = rig.daemon.exited();
        assert_eq!(signal(&record), Some(9));
        assert!(record.killed);
        assert_eq!(record.stop, Some(StopWhy::Cancelled));
    });
}

#[test]
fn a_program_that_heeds_sigterm_ends_by_itself() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "trap 'exit 5' TERM; echo ready; while :; do :; done");
        rig.stop(1, 60_000);
        let record = rig.daemon.exited();
        assert_eq!((code(&record), record.killed, record.stop), (Some(5), false, Some(StopWhy::Cancelled)));
    });
}

#[test]
fn a_stop_may_be_repeated_and_the_shorter_grace_counts() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "trap '' TERM; echo ready; exec sleep 1000");
        rig.stop(1, 3_600_000);
        rig.daemon.send(&Request::Stop { serial: 1, grace_ms: 0, why: StopWhy::Terminated });
        // A stop of another attempt is ignored.
        rig.stop(2, 0);
        let record = rig.daemon.exited();
        assert_eq!((signal(&record), record.stop), (Some(9), Some(StopWhy::Cancelled)));
    });
}

#[test]
fn descendants_that_left_the_session_end_with_the_attempt() {
    with_each_backend(|rig| {
        let word = format!("98765.{}", rig.welcome.pid);
        // One holds the pipes, one has let them go, one ignores what it can.
        let script = format!(
            "(setsid sleep {word} &); (setsid sleep {word} >/dev/null 2>&1 </dev/null &); \
             (trap '' TERM HUP INT; setsid sh -c 'sleep {word}; :' &); echo done; exit 4"
        );
        let record = rig.run_script(1, &script);
        assert_eq!(code(&record), Some(4));
        assert_eq!(processes_with(&word), Vec::<u32>::new());
        assert_eq!(rig.text(1), "done\n");
    });
}

#[test]
fn a_tree_that_forks_all_the_time_ends() {
    with_each_backend(|rig| {
        let word = format!("98766.{}", rig.welcome.pid);
        // Each shell starts its successor and ends; there is always a young one.
        let script = format!(
            "f() {{ (setsid sh -c 'sleep {word} & exec sh -c \"$0\" \"$0\"' \"$1\" &) ; }}; \
             f 'sleep 0.01; (setsid sh -c \"$0\" \"$0\" &)'; echo ready; exec sleep 1000"
        );
        rig.start_until_output(1, &script);
        rig.stop(1, 0);
        assert_eq!(signal(&rig.daemon.exited()), Some(9));
        assert_eq!(processes_with(&word), Vec::<u32>::new());
    });
}

#[test]
fn what_cannot_start_says_which_step_failed() {
    with_each_backend(|rig| {
        let failure = |rig: &mut Rig, serial, spec| {
            rig.start(serial, spec);
            match rig.daemon.exited().kind {
                ExitKind::StartFailed { stage, errno, message } => (stage, errno, message),
                other @ (ExitKind::Exited { .. }
                | ExitKind::Signaled { .. }
                | ExitKind::OutputInvalid { .. }) => panic!("it ran: {other:?}"),
            }
        };
        let spec = rig.attempt(&["no-such-program"]);
        let (stage, errno, message) = failure(rig, 1, spec);
        assert_eq!((stage.as_str(), errno), ("execve", 2));
        assert!(message.contains("no-such-program"), "{message}");
        let spec = rig.attempt(&["/etc/passwd"]);
        assert_eq!(failure(rig, 2, spec).1, 13);
        let mut spec = rig.attempt(&["true"]);
        spec.cwd = b"/no/such/folder".to_vec();
        let (stage, errno, _) = failure(rig, 3, spec);
        assert_eq!((stage.as_str(), errno), ("chdir", 2));
        let spec = rig.attempt(&[]);
        assert_eq!(failure(rig, 4, spec).0, "argv");
        // A failed start spends its serial, and the next one works.
        let spec = rig.attempt(&["true"]);
        rig.start(5, spec);
        assert_eq!(code(&rig.daemon.exited()), Some(0));
    });
}

#[test]
fn a_frozen_tree_stands_still_and_goes_on() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "(setsid sh -c 'while :; do echo y; done' &); while :; do echo x; done");
        rig.daemon.send(&Request::Freeze);
        assert!(matches!(rig.daemon.receive(), Some(Reply::Frozen { .. })));
        let mut same = 0;
        let mut last = rig.daemon.observe();
        rig.wait_until("the pipes are drained", |rig| {
            let now = rig.daemon.observe();
            same = if now.out_bytes == last.out_bytes { same + 1 } else { 0 };
            last = now;
            same > 100
        });
        for _ in 0..200 {
            assert_eq!(rig.daemon.observe().out_bytes, last.out_bytes, "a frozen tree writes nothing");
        }
        let spec = rig.attempt(&["true"]);
        rig.start(2, spec);
        assert!(matches!(rig.daemon.receive(), Some(Reply::StartRefused { .. })));
        assert!(rig.reconnect(2).frozen);
        rig.daemon.send(&Request::Thaw);
        assert_eq!(rig.daemon.receive(), Some(Reply::Thawed));
        rig.wait_until("it writes again", |rig| rig.daemon.observe().out_bytes > last.out_bytes);
        rig.stop(1, 0);
        rig.daemon.exited();
    });
}

#[test]
fn a_frozen_attempt_can_be_stopped_and_the_next_one_runs() {
    with_each_backend(|rig| {
        for (serial, grace_ms, expected) in [(1, 60_000, 15), (2, 0, 9)] {
            rig.start_until_output(serial, "echo ready; exec sleep 1000");
            rig.daemon.send(&Request::Freeze);
            assert!(matches!(rig.daemon.receive(), Some(Reply::Frozen { .. })));
            rig.stop(serial, grace_ms);
            assert_eq!(signal(&rig.daemon.exited()), Some(expected));
        }
        assert_eq!(code(&rig.run_script(3, "exit 6")), Some(6));
    });
}

#[test]
fn the_main_process_dies_with_its_shim_and_the_rest_can_be_found() {
    with_each_backend(|rig| {
        let word = format!("98767.{}", rig.welcome.pid);
        let script = format!("(setsid sh -c 'sleep {word}; :' &); echo ready; exec sleep 1000");
        let started = rig.start_until_output(1, &script);
        let main = PidFd::open(started.pid).expect("the main process");
        rig.kill_shim();
        wait_for_end(&main);
        assert_eq!(rig.kill_rest(), 0);
        rig.wait_until("the grandchildren are gone", |_| processes_with(&word).is_empty());
    });
}

#[test]
fn a_shutdown_ends_the_attempt_and_waits_for_the_acknowledgement() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "echo ready; exec sleep 1000");
        rig.daemon.send(&Request::Shutdown { grace_ms: 60_000 });
        let record = rig.daemon.exited();
        assert_eq!((signal(&record), record.stop), (Some(15), Some(StopWhy::Shutdown)));
        assert_eq!(rig.daemon.receive(), Some(Reply::Stopped { survivors: 0 }));
        let spec = rig.attempt(&["true"]);
        rig.start(2, spec);
        assert!(matches!(rig.daemon.receive(), Some(Reply::StartRefused { .. })));
        rig.daemon.send(&Request::Ack { serials: vec![1] });
        rig.wait_for_shim_to_end();
        assert!(!rig.run_folder().join("exit.1").exists());
    });
}

#[test]
fn a_sigterm_to_the_shim_ends_the_agent_and_then_the_shim() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "echo ready; exec sleep 1000");
        rig.end_shim(Signal::TERM);
        let record = rig.daemon.exited();
        assert_eq!((signal(&record), record.stop), (Some(15), Some(StopWhy::Shutdown)));
        assert_eq!(rig.daemon.receive(), Some(Reply::Stopped { survivors: 0 }));
        // The daemon hangs up without an acknowledgement: the record is on disk before the shim ends.
        rig.daemon = Daemon::unconnected();
        rig.wait_for_shim_to_end();
        assert!(rig.state_folder().join("exit.1").exists());
    });
}

/// Of all processes of a scope that is stopped, only the shim heeds its signal: what it ends then, it ended itself.
#[test]
fn a_scope_that_is_stopped_leaves_the_end_to_the_shim() {
    with_each_backend(|rig| {
        rig.start_until_output(
            1,
            "trap 'echo bye; exit 3' TERM; kill -URG $$; echo ready; sleep 1000 & wait",
        );
        rig.end_shim(Signal::URG);
        let record = rig.daemon.exited();
        assert_eq!((code(&record), record.stop), (Some(3), Some(StopWhy::Shutdown)));
        assert!(rig.text(1).ends_with("bye\n"));
    });
}

#[test]
fn a_shim_with_nothing_to_do_sleeps() {
    with_each_backend(|rig| {
        let spec = rig.attempt(&["sleep", "1000"]);
        rig.start(1, spec);
        rig.daemon = Daemon::unconnected();
        let mut busy = Rig::new(Kind::None, Limits::default());
        let mut spend_time = |first: u32| {
            for serial in first..first + 20 {
                assert_eq!(code(&busy.run_script(serial, "exit 0")), Some(0));
            }
        };
        // The hang-up is dealt with in this time.
        spend_time(1);
        let before = rig.shim_switches();
        spend_time(21);
        assert_eq!(rig.shim_switches(), before);
    });
}

#[test]
fn usage_is_observed_and_recorded() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "echo ready; sleep 1000 & while :; do :; done");
        rig.wait_until("the loop has cost some time", |rig| rig.daemon.observe().cpu_ms >= 50);
        let observed = rig.daemon.observe();
        assert_eq!((observed.serial, observed.processes), (Some(1), 2));
        assert!(observed.memory_bytes > 0 && observed.last_output_unix_ms > 0);
        rig.stop(1, 0);
        let record = rig.daemon.exited();
        assert!(record.cpu_ms >= 50, "{} ms", record.cpu_ms);
        assert!(record.peak_memory_bytes > 0 && record.ended_unix_ms >= record.started_unix_ms);
        assert_eq!(rig.daemon.observe().serial, None);
    });
}

#[test]
fn an_attempt_beyond_its_memory_is_killed_and_the_record_says_so() {
    let ground = cgroup::probe("fusion-shim-test-memory", None);
    let limited = ground.v1.as_ref().is_some_and(|v1| v1.memory.is_some());
    let full = ground.v2.as_ref().is_some_and(|v2| v2.controllers.iter().any(|name| name == "memory"));
    ground.remove_bases();
    let limits = Limits { memory_bytes: Some(32 << 20), cpu_millis: Some(2000), pids: Some(64), io: None };
    for kind in
        [(Kind::V1, limited), (Kind::V2, full)].into_iter().filter_map(|(kind, can)| can.then_some(kind))
    {
        let mut rig = Rig::new(kind, limits);
        assert!(uses_cgroup(&rig.spec.backend));
        let record = rig.run_script(1, "exec tail /dev/zero");
        assert_eq!((signal(&record), record.oom_kills), (Some(9), 1));
        assert!(record.peak_memory_bytes > 16 << 20, "{} bytes", record.peak_memory_bytes);
        assert!(!record.killed, "the kernel killed it, not the shim");
        let record = rig.run_script(2, "exit 0");
        assert_eq!((code(&record), record.oom_kills), (Some(0), 0));
    }
}
