//! One real `fusiond` with a root of its own. Whatever a story does, nothing of it is left behind.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{Mode, chmod};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use crate::{Ctl, Deadline, Fifo, Ledger, TestUser, binary, processes, wait_readable};

/// How a daemon is to be started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The content of its configuration file.
    pub config: String,
    /// Added to its environment.
    pub env: Vec<(String, String)>,
    /// Who runs it, if not the user who runs the test.
    pub user: Option<TestUser>,
    /// Where its run folder lies.
    pub run_folder: RunFolder,
}

/// Where the run folder of a daemon lies. In system mode it is `/run`, which is memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunFolder {
    /// On the disk of the temporary folder.
    #[default]
    Disk,
    /// On a tmpfs of its own; needs root.
    Memory,
}

/// Names the backend that every daemon is forced to use whose setup names none: `FUSION_STORIES_BACKEND=none cargo
/// nextest run -p fusion-tests` tells all stories again that way.
const BACKEND: &str = "FUSION_STORIES_BACKEND";

/// A daemon in a temporary folder.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    setup: Setup,
    child: Option<Child>,
}

impl Setup {
    /// A daemon that holds process trees in the way `backend` names, or as it comes where the kernel has not got that.
    #[must_use]
    pub fn with_backend(backend: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let has = |kind: &str| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
        let backend = match backend {
            "cgroup-v1" if !has("cgroup") => "auto",
            "cgroup-v2" if !has("cgroup2") => "auto",
            other => other,
        };
        Self { config: format!("[runtime]\nbackend = \"{backend}\"\n"), ..Self::default() }
    }
}

impl Daemon {
    /// Starts a daemon as it comes.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    /// Starts a daemon as `setup` says; returns when it is ready.
    ///
    /// # Panics
    ///
    /// When it does not get ready.
    #[track_caller]
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("fusion-")
            .tempdir()
            .expect("the temporary folder can be written");
        // Agents of other users reach fifos and ledgers in it.
        chmod(folder.path(), Mode::from_raw_mode(0o755)).expect("our own folder can be opened to all");
        std::fs::write(folder.path().join("fusiond.toml"), &setup.config)
            .expect("our own folder can be written");
        if let Some(user) = &setup.user {
            std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.uid))
                .expect("root can give a folder away");
        }
        let mut daemon = Self { folder, setup, child: None };
        if daemon.setup.run_folder == RunFolder::Memory {
            daemon.mount_run_folder();
        }
        daemon.start_again();
        daemon
    }

    /// The folder of this story; the root of the daemon lies in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What was given as `--root`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The socket of the daemon.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root().join("run/fusiond.sock")
    }

    /// `fusionctl` for this daemon, as the user who runs the test.
    #[must_use]
    pub fn ctl(&self) -> Ctl {
        Ctl::new(&self.socket())
    }

    /// A new named pipe in the folder of this story.
    #[must_use]
    pub fn fifo(&self, name: &str) -> Fifo {
        Fifo::new(&self.folder.path().join(name))
    }

    /// A new ledger in the folder of this story.
    #[must_use]
    pub fn ledger(&self, name: &str) -> Ledger {
        Ledger::new(&self.folder.path().join(name))
    }

    /// The daemon's pid.
    ///
    /// # Panics
    ///
    /// When it is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon is running").id()
    }

    /// Living processes of this root without the daemon itself.
    #[must_use]
    pub fn processes(&self) -> Vec<processes::Process> {
        let own = self.child.as_ref().map(Child::id);
        let mut found = processes::below(&self.root());
        found.retain(|process| u32::try_from(process.pid).ok() != own && process.name != "fusiond");
        found
    }

    /// What the daemon wrote to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Starts the daemon on the same root; returns when it is ready.
    ///
    /// # Panics
    ///
    /// When it is running already or does not get ready.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the daemon is running");
        let notify_path = self.folder.path().join("notify");
        drop(std::fs::remove_file(&notify_path));
        let notify = UnixDatagram::bind(&notify_path).expect("a socket can be made in our own folder");
        chmod(&notify_path, Mode::from_raw_mode(0o666)).expect("our own socket can be opened to all");
        let child =
            self.command().env("NOTIFY_SOCKET", &notify_path).spawn().expect("fusiond can be started");
        let ready = wait_until_ready(&child, &notify);
        self.child = Some(child);
        assert!(ready, "fusiond did not get ready\n{}", self.log());
    }

    /// Starts a second daemon on this root, which must not work; answers how it ended and what it said.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start_second(&self) -> (ExitStatus, String) {
        let output = self.command().stderr(Stdio::piped()).output().expect("fusiond can be started");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Restores the state of this root, while no daemon runs, from a file that `system backup` wrote.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn restore(&self, file: &Path) {
        assert!(self.child.is_none(), "the daemon is running");
        let mut command = Command::new(binary("fusionctl"));
        command.args(["system", "restore"]).arg(file).arg("--root").arg(self.root());
        let output = command.output().expect("fusionctl can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restoring failed: {said}");
    }

    /// Kills the daemon alone, as a crash would: agents and shims go on.
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the daemon is running");
        child.kill().expect("our child can be killed");
        child.wait().expect("our child can be waited for");
    }

    /// Sends `signal` and waits for the end.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    pub fn stop_with(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait_for_end()
    }

    /// Sends `signal` and does not wait.
    ///
    /// # Panics
    ///
    /// When it is not running.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the daemon is running");
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("our child has a pid");
        pidfd_send_signal(&pidfd, signal).expect("our child can be signalled");
    }

    /// Waits until the daemon has ended by itself.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let child = self.child.as_ref().expect("the daemon is running");
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("our child has a pid");
        let ended = wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some();
        assert!(ended, "fusiond did not end in time\n{}", self.log());
        self.child.take().expect("it was there a line ago").wait().expect("our child can be waited for")
    }

    fn run_folder(&self) -> PathBuf {
        self.root().join("run")
    }

    fn mount_run_folder(&self) {
        std::fs::create_dir_all(self.run_folder()).expect("our own folder can be written");
        for folder in [self.root(), self.run_folder()] {
            chmod(folder, Mode::from_raw_mode(0o711)).expect("our own folder has the mode we give it");
        }
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "mode=711", "tmpfs"]).arg(self.run_folder());
        assert!(
            command.status().is_ok_and(|status| status.success()),
            "a tmpfs cannot be mounted: this needs root"
        );
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("fusiond.log")
    }

    fn command(&self) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("our own folder can be written");
        let mut command = Command::new(binary("fusiond"));
        command.arg("--root").arg(self.root()).arg("--config").arg(self.folder.path().join("fusiond.toml"));
        if let Some(backend) = std::env::var_os(BACKEND).filter(|_| !self.setup.config.contains("backend")) {
            command.arg("--backend").arg(backend);
        }
        command.envs(self.setup.env.iter().map(|(key, value)| (key, value)));
        command.env_remove("NOTIFY_SOCKET").env_remove("XDG_RUNTIME_DIR");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some(user) = &self.setup.user {
            command.uid(user.uid).gid(user.uid).env("HOME", "/nonexistent").current_dir("/");
        }
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        processes::end_all(&self.root());
        // The daemon names its control groups after this file.
        if let Ok(id) = std::fs::read_to_string(self.root().join("state/id")) {
            processes::remove_groups(&format!("fusion-{id}"));
        }
        if self.setup.run_folder == RunFolder::Memory {
            drop(Command::new("umount").arg(self.run_folder()).status());
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}------------------------", self.log());
        }
    }
}

/// Waits for `READY=1` as sd_notify(3) sends it; false when the daemon ends or time is up.
fn wait_until_ready(child: &Child, notify: &UnixDatagram) -> bool {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("our child has a pid");
    let deadline = Deadline::default();
    loop {
        match wait_readable(&[notify.as_fd(), pidfd.as_fd()], deadline) {
            Some(0) => {
                let mut message = [0; 4096];
                let count = notify.recv(&mut message).expect("a readable socket has a message");
                if message[..count].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                    return true;
                }
            }
            Some(_) | None => return false,
        }
    }
}
