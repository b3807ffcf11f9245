//! A shim in a temporary folder, and a daemon's end of its socket. Not here: what is tested.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use fusion_shim::cgroup::{self, Ground, Kind};
use fusion_shim::frame::{decode_frame, encode_frame, encode_record};
use fusion_shim::log::{Reader, Stream};
use fusion_shim::tree::{Marker, kill_all};
use fusion_shim::wire::{
    AttemptSpec, Backend, Content, ExitKind, ExitRecord, Identity, IncarnationSpec, LOG_QUOTA_BYTES_DEFAULT,
    Limits, Observed, PROTOCOL, Reply, Request, Started, StdinEnd, StopWhy, UMASK_DEFAULT, Welcome,
};
use fusion_sys::pidfd::PidFd;
use rustix::process::Signal;

pub(crate) const UID: u32 = 60_123;
pub(crate) const NONCE: [u8; 16] = [7; 16];
/// Nothing here takes longer, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    folder: tempfile::TempDir,
    ground: Ground,
    pub(crate) spec: IncarnationSpec,
    pub(crate) daemon: Daemon,
    pub(crate) welcome: Welcome,
    shim: PidFd,
}

/// A daemon's connection.
pub(crate) struct Daemon {
    socket: UnixStream,
    inbox: Vec<u8>,
}

/// Runs a test with every way to hold a tree that this machine has.
pub(crate) fn with_each_backend(test: impl Fn(&mut Rig)) {
    let ground = cgroup::probe(&base(), None);
    for kind in [Kind::V2, Kind::V1, Kind::None] {
        if ground.choose(cgroup::Wanted::Forced(kind)).is_ok() {
            eprintln!("backend {kind:?}");
            test(&mut Rig::new(kind, Limits::default()));
        }
    }
    ground.remove_bases();
}

/// One folder per process: nextest runs each test in its own, cargo all in one.
fn base() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("fusion-shim-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Rig {
    pub(crate) fn new(kind: Kind, limits: Limits) -> Self {
        Self::with_segments(kind, limits, 1 << 20)
    }

    pub(crate) fn with_segments(kind: Kind, limits: Limits, segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).expect("chmod");
        let ground = cgroup::probe(&base(), None);
        let backend = ground.create(kind, "agt_test", 1, &limits).expect("cgroups");
        let identity = is_root().then(|| Identity { uid: UID, gid: UID + 1, groups: vec![UID + 3, UID + 2] });
        let spec = IncarnationSpec {
            protocol: PROTOCOL,
            agent: "agt_test".to_owned(),
            incarnation: 1,
            nonce: NONCE,
            identity,
            limits,
            backend,
            segment_bytes,
        };
        for name in ["agt_test.1", "state", "work"] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("a folder");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("chmod");
        }
        let owner = is_root().then_some(UID);
        std::os::unix::fs::chown(folder.path().join("work"), owner, None).expect("chown");
        let run = folder.path().join("agt_test.1");
        std::fs::write(run.join("spec"), encode_record(&spec).expect("a spec")).expect("a file");
        let status = start_shim(&run, &folder.path().join("state"));
        assert!(status.success(), "the shim says {status}");
        let (daemon, welcome) = Daemon::hello(&run, 1).expect("a welcome");
        let shim = PidFd::open(welcome.pid).expect("the shim lives");
        Self { folder, ground, spec, daemon, welcome, shim }
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.path().join("agt_test.1")
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn work_folder(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A marker that only this rig's processes have.
    fn socket_value(&self) -> Vec<u8> {
        self.folder.path().join("agent.sock").into_os_string().into_encoded_bytes()
    }

    pub(crate) fn attempt(&self, argv: &[&str]) -> AttemptSpec {
        AttemptSpec {
            argv: argv.iter().map(|text| text.as_bytes().to_vec()).collect(),
            env: vec![
                (b"PATH".to_vec(), b"/usr/local/bin:/usr/bin:/bin".to_vec()),
                (b"FUSION_SOCKET".to_vec(), self.socket_value()),
            ],
            cwd: self.work_folder().into_os_string().into_encoded_bytes(),
            stdin: Content::Empty,
            stdin_end: StdinEnd::Closed,
            files: None,
            rlimits: Vec::new(),
            umask: UMASK_DEFAULT,
            no_new_privs: true,
            log_quota_bytes: LOG_QUOTA_BYTES_DEFAULT,
        }
    }

    pub(crate) fn start(&mut self, serial: u32, spec: AttemptSpec) {
        self.daemon.send(&Request::Start { serial, spec, ack: Vec::new() });
    }

    pub(crate) fn start_script(&mut self, serial: u32, script: &str) {
        let spec = self.attempt(&["/bin/sh", "-c", script]);
        self.start(serial, spec);
    }

    /// Runs a script to its end.
    pub(crate) fn run_script(&mut self, serial: u32, script: &str) -> ExitRecord {
        self.start_script(serial, script);
        self.daemon.exited()
    }

    /// Starts a script and waits until it has written something.
    pub(crate) fn start_until_output(&mut self, serial: u32, script: &str) -> Started {
        self.start_script(serial, script);
        let started = self.daemon.started();
        self.wait_until("there is output", |rig| rig.daemon.observe().out_bytes > 0);
        started
    }

    pub(crate) fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < until, "waited in vain until {what}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn stop(&mut self, serial: u32, grace_ms: u64) {
        self.daemon.send(&Request::Stop { serial, grace_ms, why: StopWhy::Cancelled });
    }

    pub(crate) fn reconnect(&mut self, epoch: u64) -> Welcome {
        let (daemon, welcome) = Daemon::hello(&self.run_folder(), epoch).expect("a welcome");
        self.daemon = daemon;
        welcome
    }

    /// The whole log of an attempt: both streams in order, and the bytes that are missing.
    pub(crate) fn log(&self, serial: u32) -> (Vec<(Stream, Vec<u8>)>, u64) {
        let folder = OwnedFd::from(std::fs::File::open(self.state_folder()).expect("the state folder"));
        let mut reader = Reader::new(folder, serial);
        let (mut pieces, mut missing) = (Vec::new(), 0);
        while let Some(piece) = reader.next(1 << 20).expect("a readable log") {
            missing += piece.missing_bytes;
            pieces.push((piece.stream, piece.bytes));
        }
        (pieces, missing)
    }

    pub(crate) fn text(&self, serial: u32) -> String {
        let bytes: Vec<u8> = self.log(serial).0.into_iter().flat_map(|(_, bytes)| bytes).collect();
        String::from_utf8(bytes).expect("text")
    }

    pub(crate) fn kill_shim(&self) {
        self.shim.signal(Signal::KILL).expect("the shim lives");
        wait_for_end(&self.shim);
    }

    pub(crate) fn end_shim(&self, signal: Signal) {
        self.shim.signal(signal).expect("the shim lives");
    }

    /// How often the shim has left the processor: asleep means never.
    pub(crate) fn shim_switches(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.welcome.pid)).expect("a status");
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        lines.filter_map(|line| line.split_once(':')?.1.trim().parse::<u64>().ok()).sum()
    }

    pub(crate) fn wait_for_shim_to_end(&self) {
        wait_for_end(&self.shim);
    }

    pub(crate) fn kill_rest(&self) -> u32 {
        kill_all(&self.spec.backend, &Marker::new("FUSION_SOCKET", &self.socket_value()), DEADLINE)
            .expect("a kill")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !self.shim.has_ended().unwrap_or(true) {
            self.kill_shim();
        }
        let left = self.kill_rest();
        let removed = cgroup::remove(&self.spec.backend, DEADLINE);
        self.ground.remove_bases();
        if !std::thread::panicking() {
            assert_eq!(left, 0, "processes are left");
            removed.expect("empty cgroups");
        }
    }
}

pub(crate) fn start_shim(run: &Path, state: &Path) -> ExitStatus {
    Command::new(env!("CARGO_BIN_EXE_fusion-shim"))
        .arg(state)
        .current_dir(run)
        .stdin(std::process::Stdio::null())
        .status()
        .expect("the program runs")
}

pub(crate) fn wait_for_end(process: &PidFd) {
    let until = Instant::now() + DEADLINE;
    while !process.has_ended().expect("poll") {
        assert!(Instant::now() < until, "a process does not end");
        std::thread::yield_now();
    }
}

/// Living processes with this word among their arguments.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
    .collect()
}

impl Daemon {
    pub(crate) fn connect(run: &Path) -> Self {
        let socket = UnixStream::connect(run.join("shim.sock")).expect("the shim listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self { socket, inbox: Vec::new() }
    }

    /// Nobody at either end.
    pub(crate) fn unconnected() -> Self {
        Self { socket: UnixStream::pair().expect("a socket pair").0, inbox: Vec::new() }
    }

    pub(crate) fn hello(run: &Path, epoch: u64) -> Result<(Self, Welcome), Box<Reply>> {
        let mut daemon = Self::connect(run);
        daemon.send(&Request::Hello { protocol: PROTOCOL, epoch, nonce: NONCE });
        match daemon.receive() {
            Some(Reply::Welcome(welcome)) => Ok((daemon, welcome)),
            Some(other) => Err(Box::new(other)),
            None => panic!("the shim hung up"),
        }
    }

    pub(crate) fn send(&mut self, request: &Request) {
        let mut frame = Vec::new();
        encode_frame(request, &mut frame).expect("a frame");
        self.socket.write_all(&frame).expect("the shim reads");
    }

    /// The next reply; `None` at a hang-up.
    pub(crate) fn receive(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, taken)) = decode_frame(&self.inbox).expect("a reply") {
                self.inbox.drain(..taken);
                return Some(reply);
            }
            let mut chunk = [0; 65536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                // A read with a time limit is not restarted by the kernel, whatever interrupts it.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no reply in time: {error}"),
            }
        }
    }

    pub(crate) fn started(&mut self) -> Started {
        match self.receive() {
            Some(Reply::Started(started)) => started,
            other => panic!("expected a start, got {other:?}"),
        }
    }

    /// The next exit record; news of the start may come before.
    pub(crate) fn exited(&mut self) -> ExitRecord {
        loop {
            match self.receive() {
                Some(Reply::Started(_)) => {}
                Some(Reply::Exited(record)) => return record,
                other => panic!("expected an exit, got {other:?}"),
            }
        }
    }

    pub(crate) fn observe(&mut self) -> Observed {
        self.send(&Request::Observe);
        match self.receive() {
            Some(Reply::Observed(observed)) => observed,
            other => panic!("expected an observation, got {other:?}"),
        }
    }
}

pub(crate) fn code(record: &ExitRecord) -> Option<i32> {
    match &record.kind {
        ExitKind::Exited { code } => Some(*code),
        ExitKind::Signaled { .. } | ExitKind::StartFailed { .. } | ExitKind::OutputInvalid { .. } => None,
    }
}

pub(crate) fn signal(record: &ExitRecord) -> Option<i32> {
    match &record.kind {
        ExitKind::Signaled { signal, .. } => Some(*signal),
        ExitKind::Exited { .. } | ExitKind::StartFailed { .. } | ExitKind::OutputInvalid { .. } => None,
    }
}

pub(crate) fn uses_cgroup(backend: &Backend) -> bool {
    match backend {
        Backend::CgroupV2 { .. } | Backend::CgroupV1 { .. } => true,
        Backend::None => false,
    }
}
