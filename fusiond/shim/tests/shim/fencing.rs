//! One daemon at a time, one start per serial, no record lost. Not here: lives of programs (`lives`).

use fusion_shim::frame::decode_record;
use fusion_shim::wire::{ExitRecord, PROTOCOL, RefusedWhy, Reply, Request, StartMark, StartRefusedWhy};

use crate::rig::{Daemon, NONCE, code, start_shim, with_each_backend};

#[test]
fn a_new_daemon_adopts_the_running_attempt() {
    with_each_backend(|rig| {
        let fifo = rig.work_folder().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o666)).expect("a fifo");
        rustix::fs::chmod(&fifo, rustix::fs::Mode::from_raw_mode(0o666)).expect("chmod");
        let started = rig.start_until_output(1, "echo before; read line < fifo; echo $line; exit 9");
        let welcome = rig.reconnect(2);
        assert_eq!(welcome.running.as_ref(), Some(&started));
        assert_eq!((welcome.highest_started, welcome.exits.len(), welcome.frozen), (1, 0, false));
        assert_eq!(welcome.pid, rig.welcome.pid);
        assert_eq!(fusion_sys::process::start_time(welcome.pid).expect("it lives"), welcome.start_time_ticks);
        std::fs::write(&fifo, "after\n").expect("a reader");
        assert_eq!(code(&rig.daemon.exited()), Some(9));
        assert_eq!(rig.text(1), "before\nafter\n");
    });
}

#[test]
fn an_older_daemon_is_refused_and_an_equal_or_newer_one_takes_over() {
    with_each_backend(|rig| {
        rig.reconnect(5);
        let refused = Daemon::hello(&rig.run_folder(), 4).err();
        let why = RefusedWhy::LowerEpoch { highest: 5 };
        assert_eq!(refused, Some(Box::new(Reply::Refused { why })));
        assert_eq!(rig.daemon.observe().serial, None, "the one in charge is undisturbed");
        let (mut equal, _) = Daemon::hello(&rig.run_folder(), 5).expect("a welcome");
        assert_eq!(rig.daemon.receive(), None, "the older connection is hung up");
        assert_eq!(equal.observe().serial, None);
    });
}

#[test]
fn strangers_are_refused() {
    with_each_backend(|rig| {
        let mut stranger = Daemon::connect(&rig.run_folder());
        stranger.send(&Request::Hello { protocol: PROTOCOL, epoch: 9, nonce: [0; 16] });
        assert_eq!(stranger.receive(), Some(Reply::Refused { why: RefusedWhy::WrongNonce }));
        assert_eq!(stranger.receive(), None);
        let mut stranger = Daemon::connect(&rig.run_folder());
        stranger.send(&Request::Hello { protocol: 999, epoch: 9, nonce: NONCE });
        let why = RefusedWhy::WrongProtocol { protocol: PROTOCOL };
        assert_eq!(stranger.receive(), Some(Reply::Refused { why }));
        let mut stranger = Daemon::connect(&rig.run_folder());
        stranger.send(&Request::Shutdown { grace_ms: 0 });
        assert_eq!(stranger.receive(), None, "hello comes first");
        assert_eq!(rig.daemon.observe().serial, None, "the one in charge is undisturbed");
    });
}

#[test]
fn a_serial_starts_once() {
    with_each_backend(|rig| {
        assert_eq!(code(&rig.run_script(3, "exit 0")), Some(0));
        for serial in [1, 3] {
            rig.start_script(serial, "exit 0");
            let why = StartRefusedWhy::SerialUsed;
            assert_eq!(rig.daemon.receive(), Some(Reply::StartRefused { serial, highest: 3, why }));
        }
        rig.start_until_output(4, "echo ready; exec sleep 1000");
        rig.start_script(5, "exit 0");
        let why = StartRefusedWhy::Busy { serial: 4 };
        assert_eq!(rig.daemon.receive(), Some(Reply::StartRefused { serial: 5, highest: 4, why }));
        let mark = std::fs::read(rig.run_folder().join("started.4")).expect("a mark");
        let mark: StartMark = decode_record(&mark).expect("a mark");
        assert_eq!((mark.serial, mark.nonce), (4, NONCE));
        assert!(!rig.run_folder().join("started.5").exists());
        // A refused serial was not spent.
        rig.stop(4, 0);
        rig.daemon.exited();
        assert_eq!(code(&rig.run_script(5, "exit 8")), Some(8));
    });
}

#[test]
fn an_exit_that_nobody_acknowledged_is_kept_told_again_and_synced() {
    with_each_backend(|rig| {
        let record = rig.run_script(1, "echo words; exit 3");
        let kept = |folder: std::path::PathBuf| -> ExitRecord {
            decode_record(&std::fs::read(folder.join("exit.1")).expect("a record")).expect("a record")
        };
        assert_eq!(kept(rig.run_folder()), record);
        assert_eq!(record.tail, b"words\n");
        assert!(!rig.state_folder().join("exit.1").exists(), "no sync while the daemon listens");
        // Hanging up: the next connection is served after that has been dealt with.
        rig.daemon = Daemon::connect(&rig.run_folder());
        rig.wait_until("the record is on disk", |rig| rig.state_folder().join("exit.1").exists());
        assert_eq!(kept(rig.state_folder()), record);
        let welcome = rig.reconnect(2);
        assert_eq!(welcome.exits, [record]);
        // An acknowledgement may ride with the next start.
        let spec = rig.attempt(&["true"]);
        rig.daemon.send(&Request::Start { serial: 2, spec, ack: vec![1, 77] });
        assert_eq!(code(&rig.daemon.exited()), Some(0));
        for folder in [rig.run_folder(), rig.state_folder()] {
            assert!(!folder.join("exit.1").exists() && !folder.join("started.1").exists());
        }
        assert_eq!(rig.reconnect(3).exits.len(), 1);
    });
}

#[test]
fn an_exit_without_a_daemon_goes_to_disk_at_once() {
    with_each_backend(|rig| {
        rig.start_until_output(1, "echo ready; while [ ! -e go ]; do :; done; exit 12");
        rig.daemon = Daemon::connect(&rig.run_folder());
        std::fs::write(rig.work_folder().join("go"), "").expect("a file");
        rig.wait_until("the record is on disk", |rig| rig.state_folder().join("exit.1").exists());
        let exits = rig.reconnect(2).exits;
        assert_eq!(exits.iter().map(code).collect::<Vec<_>>(), [Some(12)]);
    });
}

#[test]
fn a_second_shim_or_a_given_up_folder_ends_with_75() {
    with_each_backend(|rig| {
        assert_eq!(start_shim(&rig.run_folder(), &rig.state_folder()).code(), Some(75));
        let moved = rig.run_folder().with_file_name("given-up");
        rig.kill_shim();
        std::fs::rename(rig.run_folder(), &moved).expect("a rename");
        assert_eq!(start_shim(&moved, &rig.state_folder()).code(), Some(75));
        std::fs::remove_file(moved.join("spec")).expect("the spec");
        assert_eq!(start_shim(&moved, &rig.state_folder()).code(), Some(75));
    });
}
