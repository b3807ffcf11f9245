//! `fusion-shim run-as [UID GID GROUP…] -- PROGRAM ARG…`: starts a program as that user, ends with it all that it leaves
//! behind, also what has a session of its own, and then ends as it did.
//!
//! ```text
//! standard input   4 bytes, little endian: the length of the rest; NAME=value NUL …: the program's environment; then open as
//!                  long as somebody wants the program: closed, everything ends at once
//! ```
//!
//! A user's environment never is that of a process of root: the loader of programs obeys it (`LD_PRELOAD`, ld.so(8)).
//! Root itself starts nothing that a user's PATH names. Not here: what is asked, and how long it may take.

use std::ffi::{CString, OsString};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::process::ExitCode;

use fusion_shim::tree::end_descendants;
use fusion_sys::caps;
use fusion_sys::pidfd::PidFd;
use fusion_sys::process::{Credentials, End, Look, reap_any, reset_signals, stdio_to_null};
use fusion_sys::spawn::{Launch, SpawnError, Stage};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Signal, getpid, kill_process_group, set_child_subreaper, set_dumpable_behavior,
};

use crate::failed;
use crate::identity::named;
use crate::launch::{OOM_SCORE_ADJ, candidates};

/// The exit statuses that shells give for these.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;
/// Added to the number of a signal, as shells do.
const BY_SIGNAL: i32 = 128;
/// As much as the kernel lets a program have (execve(2), a quarter of the usual stack).
const ENVIRONMENT_BYTES_MAX: u32 = 2 << 20;
/// New files are their owner's alone.
const UMASK: u32 = 0o077;

/// Ends as the program does, or with the status that a shell gives where there is none.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let mut parts = words.splitn(2, |word| word == "--");
    let (Some(ids), Some(argv @ [_, ..])) = (parts.next(), parts.next()) else {
        return failed(
            "cannot tell the user from the program",
            &io::Error::from(io::ErrorKind::InvalidInput),
        );
    };
    match keep(ids, argv) {
        Ok(code) => code,
        Err(error) => failed("cannot run a program as its user", &error),
    }
}

fn keep(ids: &[OsString], argv: &[OsString]) -> io::Result<ExitCode> {
    reset_signals(&[]);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Whoever loses its parent below here becomes a child of this process (prctl(2), PR_SET_CHILD_SUBREAPER).
    set_child_subreaper(Some(getpid()))?;
    let identity = named(ids)?;
    if identity.is_some() {
        caps::drop_bounding_set()?;
    }
    let wish = io::stdin().as_fd().try_clone_to_owned()?;
    let pid = match start(identity, argv, environment()?)? {
        Ok(pid) => pid,
        Err(error) => return no_program(&error),
    };
    // The pipes end with those who write to them.
    let ended = stdio_to_null().and_then(|()| until_over(pid, &wish));
    end_descendants()?;
    Ok(ended?.map_or(ExitCode::FAILURE, code))
}

fn environment() -> io::Result<Vec<CString>> {
    let mut stdin = io::stdin().lock();
    let mut length = [0; 4];
    stdin.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > ENVIRONMENT_BYTES_MAX {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let mut block = Vec::new();
    stdin.take(length.into()).read_to_end(&mut block)?;
    let pieces = block.split_inclusive(|byte| *byte == 0);
    pieces.map(|piece| CString::from_vec_with_nul(piece.to_vec()).map_err(io::Error::other)).collect()
}

fn start(
    identity: Option<Credentials>,
    argv: &[OsString],
    envp: Vec<CString>,
) -> io::Result<Result<u32, SpawnError>> {
    let argv: Result<Vec<CString>, _> =
        argv.iter().map(|word| CString::new(word.clone().into_vec())).collect();
    let argv = argv?;
    let path = envp.iter().find_map(|pair| pair.to_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    let paths = candidates(argv.first().map_or(&[][..], |name| name.to_bytes()), path);
    let paths: Result<Vec<CString>, _> = paths.into_iter().map(CString::new).collect();
    let null = OwnedFd::from(std::fs::File::open("/dev/null")?);
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    let err = io::stderr().as_fd().try_clone_to_owned()?;
    let launch = Launch {
        paths: paths?,
        argv,
        envp,
        cwd: c"/".to_owned(),
        stdio: [null.as_fd(), out.as_fd(), err.as_fd()],
        cgroup: None,
        tasks_files: Vec::new(),
        identity,
        rlimits: Vec::new(),
        umask: UMASK,
        no_new_privs: true,
        oom_score_adj: Some(OOM_SCORE_ADJ),
    };
    Ok(launch.start())
}

/// A step of becoming the user that failed is not the program's fault.
fn no_program(error: &SpawnError) -> io::Result<ExitCode> {
    if error.stage != Stage::Exec {
        return Err(io::Error::other(error.to_string()));
    }
    let is_missing = error.source.kind() == io::ErrorKind::NotFound;
    Ok(ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUNNABLE }))
}

/// How the program ended; `None` when nobody wants it any more.
fn until_over(pid: u32, wish: &OwnedFd) -> io::Result<Option<End>> {
    let process = PidFd::open(pid)?;
    loop {
        let mut asked = [PollFd::new(&process, PollFlags::IN), PollFd::new(wish, PollFlags::empty())];
        match poll(&mut asked, None) {
            Ok(_) => {
                end_group(pid);
                return if asked[0].revents().is_empty() { Ok(None) } else { end_of(pid) };
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// In one call, which a program that forks without end does not outrun; what has left its group is met one by one.
#[expect(
    clippy::disallowed_methods,
    reason = "the group's leader is our own child that nobody has waited for"
)]
fn end_group(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // ESRCH: there is nobody left in it.
    let _empty = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// Orphans that ended before it are put away on the way.
fn end_of(pid: u32) -> io::Result<Option<End>> {
    loop {
        match reap_any()? {
            Look::Reaped(child) if child.pid == pid => return Ok(Some(child.end)),
            Look::Reaped(_) => {}
            Look::AllAlive | Look::Childless => return Ok(None),
        }
    }
}

fn code(end: End) -> ExitCode {
    let number = match end {
        End::Exited(status) => status,
        End::Signaled { signal, core: _ } => BY_SIGNAL + signal,
    };
    u8::try_from(number).map_or(ExitCode::FAILURE, ExitCode::from)
}
