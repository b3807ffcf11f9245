//! Waiting on descriptors with a deadline. Not here: what is waited for.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::PATIENCE;

/// A moment after which waiting is over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `from_now` ahead.
    #[must_use]
    pub fn after(from_now: Duration) -> Self {
        Self(Instant::now() + from_now)
    }

    /// What is left of it.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::after(PATIENCE)
    }
}

/// Waits until one of `fds` can be read or has hung up; answers its place in the list, none when time is up.
///
/// # Panics
///
/// When poll(2) fails for another reason than a signal.
#[must_use]
pub fn wait_readable(fds: &[BorrowedFd<'_>], deadline: Deadline) -> Option<usize> {
    loop {
        let mut polled: Vec<PollFd<'_>> =
            fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let left = Timespec::try_from(deadline.remaining()).expect("a deadline fits a timespec");
        match poll(&mut polled, Some(&left)) {
            Ok(0) => return None,
            Ok(_) => return polled.iter().position(|fd| !fd.revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => panic!("poll failed: {error}"),
        }
    }
}

/// Waits until the process `pid` has exited, whoever its parent is; false when time is up.
///
/// The pid must be known not to have been reused: read it from a live oracle, not from memory.
#[must_use]
pub fn wait_for_exit(pid: Pid, deadline: Deadline) -> bool {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => wait_readable(&[pidfd.as_fd()], deadline).is_some(),
        Err(_) => true,
    }
}
