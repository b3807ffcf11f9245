//! Work done by a child with a user's rights: what concerns a user's files is never done as root.
//!
//! Not here: what is done, and starting programs (`spawn`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, waitpid};

use crate::pidfd::PidFd;
use crate::process::{Credentials, become_user};

/// Forks, becomes `user` for ever in the child (`None` keeps the identity), does `work` there, and returns what it
/// answered. A child that takes longer than `patience`, or answers more than `answer_bytes_max`, is killed.
///
/// # Errors
/// The error of `work` by its number; `TimedOut`; `FileTooLarge`; `Unsupported` if the caller has more than one thread
/// (the others would not live on in the child); those of fork(2) and setresuid(2).
pub fn run_as(
    user: Option<&Credentials>,
    answer_bytes_max: usize,
    patience: Duration,
    work: impl FnOnce() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (answer, mouth) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: with one thread no lock can be held by a thread that the child lacks.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            drop(answer);
            let status = speak(&mouth, obey(user, work));
            // SAFETY: ends the child at once; buffers and destructors belong to the parent.
            unsafe { libc::_exit(status) }
        }
        pid => pid,
    };
    drop(mouth);
    let heard = listen(&answer, answer_bytes_max, Instant::now() + patience);
    if heard.is_err() {
        // Its own child, not yet waited for: the number cannot mean another process.
        let child = u32::try_from(pid).ok().and_then(|pid| PidFd::open(pid).ok());
        let _ended_meanwhile = child.map(|child| child.signal(Signal::KILL));
    }
    conclude(wait_for(pid)?, heard?)
}

/// In the child.
fn obey(user: Option<&Credentials>, work: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    if let Some(user) = user {
        become_user(user)?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    work()
}

const DONE: i32 = 0;
const FAILED: i32 = 1;

/// In the child: the answer, or the number of the error.
fn speak(mouth: &OwnedFd, outcome: io::Result<Vec<u8>>) -> i32 {
    let (status, words) = match outcome {
        Ok(answer) => (DONE, answer),
        Err(error) => (FAILED, error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes().to_vec()),
    };
    // Without a listener the parent is gone, and so is the question.
    let _unheard = crate::file::write_all(mouth, &words);
    status
}

fn listen(answer: &OwnedFd, bytes_max: usize, until: Instant) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        wait_readable(answer, until)?;
        match rustix::io::read(answer, &mut chunk) {
            Ok(0) => return Ok(heard),
            Ok(count) => heard.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if heard.len() > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

fn wait_readable(answer: &OwnedFd, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(answer.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait_for(pid: i32) -> io::Result<WaitStatus> {
    loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn conclude(status: WaitStatus, heard: Vec<u8>) -> io::Result<Vec<u8>> {
    match (status.exit_status(), heard.first_chunk::<4>()) {
        (Some(DONE), _) => Ok(heard),
        (Some(FAILED), Some(errno)) => Err(io::Error::from_raw_os_error(i32::from_le_bytes(*errno))),
        (_, _) => Err(io::Error::other("somebody has ended the child that did it")),
    }
}
