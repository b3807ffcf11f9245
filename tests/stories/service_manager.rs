//! Stories of the daemon under a service manager, whose part the test plays: notices, watchdog, a socket handed over.
//!
//! Not for: a real systemd with scopes for agents; that takes a machine of its own.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fusion_tests::{Ctl, Deadline, binary, wait_for_exit, wait_readable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

/// The service manager's end of a daemon.
struct Service {
    folder: TempDir,
    notices: UnixDatagram,
    child: Child,
}

impl Service {
    fn start(dress: impl FnOnce(&Path, &mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let path = folder.path().join("notify");
        let notices = UnixDatagram::bind(&path).expect("our own folder can be written");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("export LISTEN_PID=$$ WATCHDOG_PID=$$; exec 3<&0 </dev/null; exec \"$@\"")
            .arg("sh");
        command.arg(binary("fusiond")).arg("--root").arg(folder.path().join("root"));
        command.env("NOTIFY_SOCKET", &path).env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
        dress(folder.path(), &mut command);
        let child = command.stderr(Stdio::null()).spawn().expect("fusiond can be started");
        Self { folder, notices, child }
    }

    /// The lines of the next notice that is no meal of the watchdog.
    fn news(&self) -> String {
        loop {
            let notice = self.notice();
            if notice != "WATCHDOG=1" {
                return notice;
            }
        }
    }

    fn notice(&self) -> String {
        let ready = wait_readable(&[self.notices.as_fd()], Deadline::default());
        assert_eq!(ready, Some(0), "the daemon tells nothing");
        let mut bytes = [0; 4096];
        let count = self.notices.recv(&mut bytes).expect("a readable socket has a message");
        String::from_utf8_lossy(&bytes[..count]).trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let process =
            pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).expect("it is not waited for yet");
        pidfd_send_signal(process, signal).expect("our own child can be signalled");
    }

    fn end(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        assert_eq!(self.news(), STOPPING);
        self.child.wait().expect("our own child can be waited for").code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        fusion_tests::processes::end_all(&self.folder.path().join("root"));
        if let Ok(id) = std::fs::read_to_string(self.folder.path().join("root/state/id")) {
            fusion_tests::processes::remove_groups(&format!("fusion-{id}"));
        }
    }
}

/// Agents have ten seconds and five to leave, and what follows a minute: the service manager is to wait so long.
const STOPPING: &str = "STOPPING=1\nEXTEND_TIMEOUT_USEC=75000000";

#[test]
fn readiness_reload_and_end_are_told_and_the_watchdog_is_fed() {
    let mut service = Service::start(|_, command| {
        command.env("WATCHDOG_USEC", "100000");
    });
    assert_eq!(service.news(), "READY=1");
    for _ in 0..3 {
        assert_eq!(service.notice(), "WATCHDOG=1");
    }
    service.signal(Signal::HUP);
    let reloading = service.news();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(service.news(), "READY=1");
    assert_eq!(service.end(), Some(0));
}

#[test]
fn without_a_watchdog_nothing_is_told_after_readiness() {
    let mut service = Service::start(|_, _| ());
    assert_eq!(service.notice(), "READY=1");
    service.signal(Signal::TERM);
    assert_eq!(service.notice(), STOPPING);
    let pid = Pid::from_child(&service.child);
    assert!(wait_for_exit(pid, Deadline::default()) || service.child.wait().is_ok());
}

#[test]
fn a_socket_that_is_handed_over_is_served_and_left() {
    let mut socket = None;
    let mut service = Service::start(|folder, command| {
        let path = folder.join("handed.sock");
        let listener = UnixListener::bind(&path).expect("our own folder can be written");
        command.stdin(Stdio::from(OwnedFd::from(listener))).env("LISTEN_FDS", "1");
        socket = Some(path);
    });
    let socket = socket.expect("it was dressed");
    // Nobody waits for readiness: whoever connects before is served as soon as the daemon is there.
    let agents = Ctl::new(&socket).ok(&["-q", "agent", "list"]);
    assert_eq!(agents, "");
    assert_eq!(service.news(), "READY=1");
    assert!(!service.folder.path().join("root/run/fusiond.sock").exists(), "there is one socket");
    assert_eq!(service.end(), Some(0));
    assert!(socket.exists(), "it is the service manager's");
}

#[test]
fn what_is_no_listening_socket_is_not_taken_for_one() {
    let mut service = Service::start(|_, command| {
        command.env("LISTEN_FDS", "1");
    });
    assert_eq!(service.child.wait().expect("our own child can be waited for").code(), Some(1));
}
