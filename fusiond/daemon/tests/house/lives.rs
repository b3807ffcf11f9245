//! Lives of incarnations: launch, attempts, adoption, death, stop.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use fusion_core::Outcome;
use fusion_core::task::{ExitKind, StopWhy};
use fusion_core::workspace::Removal;
use fusion_sys::pidfd::PidFd;
use fusiond::runtime::{BackendChoice, Order};
use rustix::process::Signal;

use crate::rig::{Rig, UID, USER, code, on_runtime, shim_pid, with_each_backend};

#[test]
fn a_launched_agent_works_as_its_owner_in_its_workspace_with_a_clean_environment() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        let workspace = std::fs::metadata(rig.workspace()).expect("a workspace");
        let parent = std::fs::metadata(rig.workspace().parent().expect("a user's folder")).expect("a folder");
        for folder in [&workspace, &parent] {
            assert_eq!((folder.uid(), folder.permissions().mode() & 0o7777), (UID, 0o700));
        }
        let exit = rig.run(1, "id -u; id -G; pwd; umask; ulimit -c; env").await;
        assert_eq!(code(&exit), 0, "{exit:?}");
        let output = rig.output(1).await;
        let mut lines = output.lines();
        let workspace = rig.workspace().display().to_string();
        let own = UID.to_string();
        for expected in [own.as_str(), own.as_str(), workspace.as_str(), "0077", "0"] {
            assert_eq!(lines.next(), Some(expected), "{output}");
        }
        let mut names: Vec<&str> = lines.filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        let expected = [
            "EXTRA",
            "FUSION_AGENT_ID",
            "FUSION_AGENT_NAME",
            "FUSION_ATTEMPT",
            "FUSION_SOCKET",
            "FUSION_TASK_ID",
            "FUSION_WORKSPACE",
            "HOME",
            "LANG",
            "LOGNAME",
            "PATH",
            "PWD",
            "SHELL",
            "TERM",
            "TRACEPARENT",
            "USER",
        ];
        assert_eq!(names.iter().filter(|name| **name != "_").copied().collect::<Vec<_>>(), expected);
        assert!(output.contains(&format!("USER={USER}\n")) && output.contains("TERM=dumb\n"), "{output}");
        rig
    });
}

#[test]
fn an_agent_of_the_daemons_own_user_keeps_its_identity() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        let mut setup = (*rig.setup(1)).clone();
        setup.owner = fusion_core::Uid(0);
        setup.recipe.workspace.clear();
        rig.order(Order::Launch { setup: setup.clone().into() });
        assert!(matches!(rig.next().await, Outcome::ShimUp { .. }));
        assert_eq!(code(&rig.run(1, "test $(id -u) = 0 && test $USER = root").await), 0);
        rig.hands.runtime.order(vec![rig.ack(1), rig.stop_shim(1, 0)]);
        assert!(matches!(rig.next().await, Outcome::ShimGone { .. }));
        rig.order(Order::RemoveWorkspace { setup: setup.into(), what: Removal::All });
        assert!(matches!(rig.next().await, Outcome::WorkspaceRemoved { .. }));
        rig.clean_up().await;
    });
}

#[test]
fn ends_are_reported_with_their_cause_and_acknowledgements_ride_with_starts() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        let exit = rig.run(1, "echo broken >&2; exit 3").await;
        assert_eq!((code(&exit), exit.tail.as_str()), (3, "broken\n"));
        rig.hands.runtime.order(vec![rig.ack(1), rig.start(2, "trap '' TERM; echo up; kill -STOP $$")]);
        rig.started(2).await;
        assert!(!rig.run_folder(1).join("exit.1").exists(), "the acknowledgement went with the start");
        rig.order(Order::Observe { agent: rig.agent, incarnation: 1 });
        assert!(matches!(rig.next().await, Outcome::Observed { serial: Some(2), .. }));
        rig.order(Order::Stop {
            agent: rig.agent,
            incarnation: 1,
            serial: 2,
            grace: fusion_core::Millis(0),
            why: StopWhy::TimedOut,
        });
        let exit = rig.exit_of(2).await;
        assert_eq!((exit.kind, exit.stop), (ExitKind::Signaled { signal: 9 }, Some(StopWhy::TimedOut)));
        let exit = rig.run(3, "exit 0").await;
        assert_eq!(code(&exit), 0);
        // A used number is no news: its record was told. The answer to the next question comes first.
        rig.order(rig.start(1, "true"));
        rig.order(Order::Observe { agent: rig.agent, incarnation: 1 });
        let answer = rig.next().await;
        assert!(matches!(answer, Outcome::Observed { serial: None, .. }), "{answer:?}");
        rig
    });
}

#[test]
fn a_frozen_agent_stands_until_it_is_thawed() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        rig.order(rig.start(1, "while :; do :; done"));
        rig.started(1).await;
        let (agent, incarnation) = (rig.agent, 1);
        rig.order(Order::Freeze { agent, incarnation });
        assert!(matches!(rig.next().await, Outcome::Frozen { .. }));
        rig.restart();
        rig.order(Order::Adopt { setup: rig.setup(1) });
        let up = rig.next().await;
        assert!(matches!(up, Outcome::ShimUp { frozen: true, running: Some((1, _)), .. }), "{up:?}");
        rig.order(Order::Thaw { agent, incarnation });
        rig.order(rig.stop_attempt(1));
        let exit = rig.exit_of(1).await;
        assert_eq!(exit.kind, ExitKind::Signaled { signal: 15 });
        rig
    });
}

#[test]
fn the_next_daemon_adopts_what_runs_and_hears_what_ended_meanwhile() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        let gate = rig.workspace().join("gate");
        let wait = format!("mkfifo {0} && read word < {0}; exit 4", gate.display());
        rig.order(rig.start(1, &wait));
        rig.started(1).await;
        rig.restart();
        rig.order(Order::Adopt { setup: rig.setup(1) });
        let up = rig.next().await;
        assert!(matches!(up, Outcome::ShimUp { running: Some((1, _)), highest_started: 1, .. }), "{up:?}");
        // Orders and frames go on as before.
        open_gate(&gate).await;
        assert_eq!(code(&rig.exit_of(1).await), 4);
        // What is not acknowledged is told to every daemon that comes.
        for _ in 0..2 {
            rig.restart();
            rig.order(Order::Adopt { setup: rig.setup(1) });
            let Outcome::ShimUp { running: None, exits, .. } = rig.next().await else { panic!("no shim") };
            assert_eq!(
                exits.iter().map(|(serial, exit)| (*serial, code(exit))).collect::<Vec<_>>(),
                [(1, 4)]
            );
        }
        // A repeated launch of the living incarnation finds it.
        rig.restart();
        rig.order(Order::Launch { setup: rig.setup(1) });
        assert!(matches!(rig.next().await, Outcome::ShimUp { highest_started: 1, .. }));
        rig
    });
}

/// Writes into a fifo that somebody reads, or will.
async fn open_gate(gate: &std::path::Path) {
    let gate = gate.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        // The reader makes it: until it is there, look with every change of the folder.
        let folder = gate.parent().expect("a folder");
        let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).expect("a watch");
        rustix::fs::inotify::add_watch(&watch, folder, rustix::fs::inotify::WatchFlags::CREATE)
            .expect("a watch");
        while !gate.exists() {
            rustix::io::read(&watch, &mut [0; 4096]).expect("a change");
        }
        std::fs::write(&gate, "go\n").expect("a reader");
    });
    opened.await.expect("the gate opens");
}

#[test]
fn a_killed_shim_is_told_with_what_it_had_started_and_nothing_of_it_runs_on() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        let exit = rig.run(1, "exit 5").await;
        assert_eq!(code(&exit), 5);
        rig.order(rig.start(2, "(setsid sh -c 'while :; do :; done' &) ; while :; do :; done"));
        rig.started(2).await;
        let shim = PidFd::open(shim_pid(&rig.run_folder(1))).expect("the shim lives");
        shim.signal(Signal::KILL).expect("a signal");
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert_eq!(witness.started, [1, 2]);
        assert_eq!(
            witness.exits.iter().map(|(serial, exit)| (*serial, code(exit))).collect::<Vec<_>>(),
            [(1, 5)]
        );
        assert!(!witness.rebooted && !witness.stopped);
        rig.assert_nothing_is_left(1);
        // A daemon that crashed before it wrote this down is told the same.
        rig.restart();
        rig.order(Order::Adopt { setup: rig.setup(1) });
        let Outcome::ShimGone { witness: again, .. } = rig.next().await else { panic!("no end") };
        assert_eq!(again, witness);
        rig.order(Order::Launch { setup: rig.setup(2) });
        assert!(matches!(rig.next().await, Outcome::ShimUp { incarnation: 2, .. }));
        rig
    });
}

#[test]
fn a_shim_that_died_while_no_daemon_was_there_is_found_dead() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        rig.order(rig.start(1, "while :; do :; done"));
        rig.started(1).await;
        rig.restart();
        let shim = PidFd::open(shim_pid(&rig.run_folder(1))).expect("the shim lives");
        shim.signal(Signal::KILL).expect("a signal");
        rig.order(Order::Adopt { setup: rig.setup(1) });
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert_eq!((witness.started.as_slice(), witness.exits.len()), ([1].as_slice(), 0));
        rig.assert_nothing_is_left(1);
        rig
    });
}

#[test]
fn a_folder_that_is_gone_means_a_reboot() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::None, "");
        rig.order(Order::Adopt { setup: rig.setup(1) });
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert!(witness.rebooted && witness.started.is_empty());
        // So does one that a disk has kept.
        rig.order(Order::Launch { setup: rig.setup(2) });
        assert!(matches!(rig.next().await, Outcome::ShimUp { .. }));
        std::fs::write(rig.run_folder(2).join("boot"), [0; 16]).expect("the mark of another boot");
        let shim = PidFd::open(shim_pid(&rig.run_folder(2))).expect("the shim lives");
        shim.signal(Signal::KILL).expect("a signal");
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert!(witness.rebooted);
        rig.clean_up().await;
    });
}

#[test]
fn a_stopped_shim_leaves_nothing_and_its_last_end_is_told() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        rig.order(rig.start(1, "(setsid sh -c 'while :; do :; done' &) ; while :; do :; done"));
        rig.started(1).await;
        rig.order(rig.stop_shim(1, 3000));
        let exit = rig.exit_of(1).await;
        assert_eq!(exit.stop, Some(StopWhy::Terminated));
        rig.order(rig.ack(1));
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert!(witness.stopped && !witness.rebooted && witness.exits.is_empty());
        rig.assert_nothing_is_left(1);
        // An order that is let out again after a crash has the same answer.
        rig.restart();
        rig.order(rig.stop_shim(1, 0));
        assert!(matches!(rig.next().await, Outcome::ShimGone { witness, .. } if witness.stopped));
        rig
    });
}

#[test]
fn a_shim_that_hangs_is_waited_for_and_killed_only_by_a_stop() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        rig.restart();
        let shim = PidFd::open(shim_pid(&rig.run_folder(1))).expect("the shim lives");
        shim.signal(Signal::STOP).expect("a signal");
        rig.order(Order::Adopt { setup: rig.setup(1) });
        rig.order(rig.stop_shim(1, 0));
        let Outcome::ShimGone { witness, .. } = rig.next().await else { panic!("no end") };
        assert!(witness.stopped && witness.started.is_empty());
        rig.assert_nothing_is_left(1);
        rig
    });
}

#[test]
fn a_shim_that_comes_back_to_its_senses_is_adopted() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        rig.launch().await;
        rig.restart();
        let shim = PidFd::open(shim_pid(&rig.run_folder(1))).expect("the shim lives");
        shim.signal(Signal::STOP).expect("a signal");
        rig.order(Order::Adopt { setup: rig.setup(1) });
        // Longer than a look: the shim is sought by then.
        let early = tokio::time::timeout(std::time::Duration::from_millis(2500), rig.next()).await;
        assert!(early.is_err(), "nobody can have answered");
        shim.signal(Signal::CONT).expect("a signal");
        assert!(matches!(rig.next().await, Outcome::ShimUp { .. }));
        rig.clean_up().await;
    });
}

#[test]
fn a_stray_is_ended_at_the_start_and_a_known_one_is_left_alone() {
    with_each_backend(|mut rig| async move {
        rig.launch().await;
        rig.order(rig.start(1, "while :; do :; done"));
        rig.started(1).await;
        rig.restart();
        rig.hands.runtime.sweep(&[(rig.agent, 1)]);
        rig.order(Order::Adopt { setup: rig.setup(1) });
        assert!(matches!(rig.next().await, Outcome::ShimUp { running: Some((1, _)), .. }));
        rig.restart();
        let shim = PidFd::open(shim_pid(&rig.run_folder(1))).expect("the shim lives");
        rig.hands.runtime.sweep(&[(rig.agent, 2)]);
        let ended = tokio::task::spawn_blocking(move || {
            let polled = &mut [rustix::event::PollFd::new(&shim, rustix::event::PollFlags::IN)];
            rustix::event::poll(polled, None).expect("poll")
        });
        assert_eq!(ended.await.expect("the stray ends"), 1);
        rig
    });
}

#[test]
fn a_launch_that_fails_tells_why_and_leaves_nothing() {
    with_each_backend(|mut rig| async move {
        let mut setup = (*rig.setup(1)).clone();
        setup.owner = fusion_core::Uid(3_999_999_999);
        rig.order(Order::Launch { setup: setup.into() });
        let Outcome::ShimFailed { reason, .. } = rig.next().await else { panic!("nobody could be found") };
        assert!(reason.contains("no user 3999999999"), "{reason}");
        rig.assert_nothing_is_left(1);
        assert!(!rig.state_folder(1).exists());
        rig
    });
}

#[test]
fn paths_longer_than_a_socket_address_work() {
    on_runtime(async {
        let below = format!("{}/{}", "a-long-folder-name".repeat(6), "another-one".repeat(6));
        let mut rig = Rig::new(BackendChoice::Auto, &below);
        rig.launch().await;
        assert!(rig.run_folder(1).as_os_str().len() > 200);
        assert_eq!(code(&rig.run(1, "test -S $FUSION_SOCKET").await), 0);
        rig.restart();
        rig.order(Order::Adopt { setup: rig.setup(1) });
        assert!(matches!(rig.next().await, Outcome::ShimUp { highest_started: 1, .. }));
        rig.clean_up().await;
    });
}

#[test]
fn whoever_opens_an_agents_socket_is_that_agent() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        rig.launch().await;
        let socket = rig.run_folder(1).join("agent.sock");
        let stat = std::fs::metadata(&socket).expect("a socket");
        assert_eq!((stat.uid(), stat.permissions().mode() & 0o777), (UID, 0o600));
        let _client = tokio::net::UnixStream::connect(&socket).await.expect("root may");
        let connection = rig.hands.connections.recv().await.expect("a connection");
        assert_eq!((connection.agent, connection.owner.0), (rig.agent, UID));
        rig.clean_up().await;
    });
}
