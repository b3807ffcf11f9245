//! From a fresh process to a detached shim that holds the lock, listens, and has no more power than it needs.
//! Not here: the loop (`engine`).

use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusion_shim::frame::{FrameError, decode_record};
use fusion_shim::names;
use fusion_shim::tree::Tree;
use fusion_shim::wire::{Backend, IncarnationSpec, PROTOCOL};
use fusion_sys::caps::{self, Caps};
use fusion_sys::file::Lock;
use fusion_sys::process;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Everything that the loop works with.
pub(crate) struct Begun {
    /// The run folder.
    pub(crate) run: OwnedFd,
    /// The state folder.
    pub(crate) state: OwnedFd,
    pub(crate) spec: IncarnationSpec,
    pub(crate) boot_id: [u8; 16],
    pub(crate) tree: Tree,
    pub(crate) listener: OwnedFd,
    pub(crate) signals: process::SignalFd,
    /// `/dev/null`, for agents without input.
    pub(crate) null: OwnedFd,
    /// Held for life; nobody asks for it again.
    _lock: Lock,
}

/// Why there is no shim now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error("this run folder is not for this shim: {0}")]
    NotMine(&'static str),
    #[error("cannot {step}")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the spec")]
    Spec(#[source] FrameError),
}

/// Names the step that an error comes from.
fn step(step: &'static str) -> impl FnOnce(io::Error) -> StartupError {
    move |source| StartupError::Step { step, source }
}

/// The kernel's killer of processes meets the shim nearly last.
const OOM_SCORE: &str = "-900";

/// Signals that end neither the shim nor pass unnoticed: a terminal or a broken pipe is no reason to leave an agent.
const IGNORED: [c_int; 3] = [1, 2, 13];

const SIGCHLD: c_int = 17;

/// What tells the shim to end its agent in order, and then itself: SIGTERM from a person, SIGURG from a scope that is
/// stopped. systemd sends that to every process of the scope, and programs ignore it, so that it is the shim that ends
/// them and knows so.
pub(crate) const ENDING: [c_int; 2] = [15, fusion_shim::wire::SIGNAL_OF_SCOPE];

/// Begins in the run folder, the working directory, as soon as `go` ends: until then the daemon houses this process. The
/// caller's process ends with status 0 when all has succeeded; this returns in the detached child.
pub(crate) fn begin(state: &Path, mut go: impl io::Read) -> Result<Begun, StartupError> {
    io::copy(&mut go, &mut io::sink()).map_err(step("wait for the daemon's word"))?;
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| openat(CWD, path, folder, Mode::empty()).map_err(io::Error::from);
    let run = open(Path::new(".")).map_err(step("open the run folder"))?;
    let state = open(state).map_err(step("open the state folder"))?;
    let lock = take_lock(&run)?;
    let spec = read_spec(&run)?;
    process::reset_signals(&IGNORED);
    let listener = listen(&run).map_err(step("listen on shim.sock"))?;
    let boot_id = process::boot_id().map_err(step("read the boot id"))?;
    enter_own_cgroup(&spec.backend).map_err(step("enter the shim's cgroup"))?;
    let tree = Tree::open(&spec.backend).map_err(step("open the agent's cgroup"))?;
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let null = null.map_err(io::Error::from).map_err(step("open /dev/null"))?;
    // Only a privileged shim may; the others keep the score of their daemon.
    let _unprivileged = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    give_up_power(&spec).map_err(step("give up capabilities"))?;
    let signals = detach().map_err(step("leave the parent"))?;
    Ok(Begun { run, state, spec, boot_id, tree, listener, signals, null, _lock: lock })
}

/// The lock says that this is the only shim here; its link count and the folder's name, that "here" is still the place
/// that the daemon means: it renames a run folder away, lock in hand, when it gives the incarnation up.
fn take_lock(run: &OwnedFd) -> Result<Lock, StartupError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match openat(run, names::LOCK, flags, Mode::RUSR | Mode::WUSR) {
        Err(rustix::io::Errno::NOENT) => return Err(StartupError::NotMine("the run folder was removed")),
        other => other.map_err(io::Error::from).map_err(step("open the lock"))?,
    };
    let lock = Lock::try_exclusive(file).map_err(step("take the lock"))?;
    let lock = lock.ok_or(StartupError::NotMine("another shim holds the lock"))?;
    let held = rustix::fs::fstat(&lock).map_err(io::Error::from).map_err(step("look at the lock"))?;
    match rustix::fs::statat(run, names::LOCK, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if named.st_ino == held.st_ino && named.st_dev == held.st_dev => Ok(lock),
        Ok(_) | Err(_) => Err(StartupError::NotMine("the lock was replaced")),
    }
}

fn read_spec(run: &OwnedFd) -> Result<IncarnationSpec, StartupError> {
    let file =
        match openat(run, names::SPEC, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Err(StartupError::NotMine("there is no spec")),
            other => other.map_err(io::Error::from).map_err(step("open the spec"))?,
        };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes).map_err(step("read the spec"))?;
    let spec: IncarnationSpec = decode_record(&bytes).map_err(StartupError::Spec)?;
    let here = std::env::current_dir().map_err(|_| StartupError::NotMine("the run folder was removed"))?;
    let name = format!("{}.{}", spec.agent, spec.incarnation);
    if here.file_name().is_none_or(|folder| *folder != *name) {
        return Err(StartupError::NotMine("the run folder has another name"));
    }
    if spec.protocol != PROTOCOL {
        return Err(StartupError::NotMine("the spec speaks another protocol"));
    }
    if spec.identity.as_ref().is_some_and(|identity| identity.uid == 0) {
        return Err(StartupError::NotMine("an agent may not be root"));
    }
    Ok(spec)
}

/// The path is relative: the full one may be longer than the 107 bytes of a socket address.
fn listen(run: &OwnedFd) -> io::Result<OwnedFd> {
    match rustix::fs::unlinkat(run, names::SOCKET, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::process::umask(Mode::from_raw_mode(0o177));
    rustix::net::bind(&socket, &SocketAddrUnix::new(names::SOCKET)?)?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::net::listen(&socket, 8)?;
    Ok(socket)
}

/// Limits and kills that are meant for the agent must not meet its shim. In version 1 the shim stays where it is: the
/// cgroup is the agent's alone.
fn enter_own_cgroup(backend: &Backend) -> io::Result<()> {
    match backend {
        Backend::CgroupV2 { path } => std::fs::write(PathBuf::from(path).join("shim/cgroup.procs"), "0"),
        Backend::CgroupV1 { .. } | Backend::None => Ok(()),
    }
}

/// Keeps what starting and ending a user's processes takes, no more:
/// * `CAP_SETUID`, `CAP_SETGID`: becoming the user;
/// * `CAP_KILL`: signals to that user's processes;
/// * `CAP_SYS_RESOURCE`: raising an agent's out-of-memory score for good. Without it the agent could lower its score to
///   the shim's own.
///
/// The bounding set is emptied here, once; `CAP_SETPCAP` is then of no use any more. Files and cgroups are reached as
/// their owner, root.
fn give_up_power(spec: &IncarnationSpec) -> io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    if !rustix::process::geteuid().is_root() || spec.identity.is_none() {
        return Ok(());
    }
    caps::drop_bounding_set()?;
    caps::keep_only(Caps::SETUID | Caps::SETGID | Caps::KILL | Caps::SYS_RESOURCE)
}

/// What a fork does not inherit comes after it.
fn detach() -> io::Result<process::SignalFd> {
    process::detach()?;
    process::stdio_to_null()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    process::SignalFd::open(&[&[SIGCHLD], &ENDING[..]].concat())
}
