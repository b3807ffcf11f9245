//! Waiting for a child that does something for a user who asks, with that user's rights: bounded in time, its words taken
//! piece by piece. Blocks; for threads that may.
//!
//! Not here: what the child does, and with which rights it is started.

use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fusion_sys::pidfd::PidFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::identity::Owner;

/// How a child ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself; with the last of its words on standard error, if they were listened to.
    Exited(ExitStatus, String),
    /// It took too long, and was killed with what it had started.
    TooLong,
    /// Nobody wants to hear more; what did not end by itself then was killed with what it had started.
    Unheard,
}

/// What is kept of standard error.
const WORDS_BYTES_MAX: usize = 2 << 10;
/// Between the end of the pipes and the kill.
const FAREWELL: Duration = Duration::from_secs(2);
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Starts a program as a user, without a shell. When it has ended, or the child's standard input is closed, or the daemon
/// is gone, all that it leaves behind is ended. Its environment passes by a pipe: the loader of root's own program would
/// obey it (ld.so(8)), and arguments can be read by everybody.
pub(super) fn start_as(
    shim: &Path,
    owner: &Owner,
    argv: &[&str],
    env: &[(&str, &OsStr)],
    [out, err]: [Stdio; 2],
) -> io::Result<Child> {
    let mut command = Command::new(shim);
    command.arg("run-as");
    if let Some(identity) = &owner.identity {
        let ids = [identity.uid, identity.gid].into_iter().chain(identity.groups.iter().copied());
        command.args(ids.map(|id| id.to_string()));
    }
    command.arg("--").args(argv).env_clear().current_dir("/").process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(out).stderr(err).spawn()?;
    let pair = |(name, value): &(&str, &OsStr)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat();
    let pairs: Vec<u8> = env.iter().flat_map(pair).collect();
    let length = u32::try_from(pairs.len()).map_err(io::Error::other)?.to_le_bytes();
    let told = child.stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(&[&length, &pairs[..]].concat()));
    if let Err(error) = told {
        let wish = child.stdin.take();
        end(&child, wish);
        child.wait()?;
        return Err(error);
    }
    Ok(child)
}

/// Hears a child, which leads a process group of its own, out to its end, at most until `until`. Each piece of its
/// standard output goes to `take`, which may end it.
pub(super) fn attend(
    mut child: Child,
    until: Instant,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Ended> {
    let wish = child.stdin.take();
    let heard = hear(&mut child, until, take);
    // Whom nobody hears any more may put away what it has made.
    let is_over = match heard {
        Ok(Heard::Out(_)) => true,
        Ok(Heard::Unheard) => is_over(&child, Instant::now() + FAREWELL).unwrap_or(false),
        Ok(Heard::TooLong) | Err(_) => false,
    };
    if !is_over {
        end(&child, wish);
    }
    let status = child.wait()?;
    Ok(match heard? {
        Heard::Out(words) => Ended::Exited(status, words),
        Heard::TooLong => Ended::TooLong,
        Heard::Unheard => Ended::Unheard,
    })
}

enum Heard {
    Out(String),
    TooLong,
    Unheard,
}

fn hear(
    child: &mut Child,
    until: Instant,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Heard> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut words = Vec::new();
    let mut chunk = vec![0; PIECE_BYTES_MAX];
    while out.is_some() || err.is_some() {
        let files = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
        let Some(ready) = first_ready(&files, until)? else { return Ok(Heard::TooLong) };
        if ready == 0 {
            let count = read_some(&mut out, &mut chunk)?;
            if count > 0 && take(&chunk[..count]).is_break() {
                return Ok(Heard::Unheard);
            }
        } else {
            let count = read_some(&mut err, &mut chunk)?;
            words.extend_from_slice(&chunk[..count]);
            let surplus = words.len().saturating_sub(WORDS_BYTES_MAX);
            words.drain(..surplus);
        }
    }
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    Ok(if is_over(child, until)? { Heard::Out(words) } else { Heard::TooLong })
}

fn is_over(child: &Child, until: Instant) -> io::Result<bool> {
    let process = PidFd::open(child.id())?;
    Ok(first_ready(&[Some(process.as_fd())], until)?.is_some())
}

/// Reads once; at the end the pipe is closed.
fn read_some(pipe: &mut Option<impl Read>, chunk: &mut [u8]) -> io::Result<usize> {
    let count = pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(chunk))?;
    if count == 0 {
        *pipe = None;
    }
    Ok(count)
}

/// The place of the first file that can be read; `None` when the time is over.
fn first_ready(files: &[Option<std::os::fd::BorrowedFd<'_>>], until: Instant) -> io::Result<Option<usize>> {
    let mut places = Vec::with_capacity(files.len());
    let mut asked = Vec::with_capacity(files.len());
    for (place, file) in files.iter().enumerate() {
        if let Some(file) = file {
            places.push(place);
            asked.push(PollFd::from_borrowed_fd(*file, PollFlags::IN));
        }
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut asked, Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) => {
                let at = asked.iter().position(|file| !file.revents().is_empty());
                return Ok(at.map(|at| places[at]));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends it with what it has started. Who ends when nobody holds its standard input any more has time for that.
#[expect(
    clippy::disallowed_methods,
    reason = "the group's leader is our own child that nobody has waited for"
)]
fn end(child: &Child, wish: Option<ChildStdin>) {
    let obeys = wish.is_some();
    drop(wish);
    if obeys && is_over(child, Instant::now() + FAREWELL).unwrap_or(false) {
        return;
    }
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // ESRCH: it is ending just now.
        let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
