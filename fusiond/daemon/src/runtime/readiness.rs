//! Descriptors that tokio has no type for, awaited: watches of folders, ends of processes. Not here: reading them.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor for being readable. Needs a tokio runtime around it.
///
/// # Errors
/// If the runtime ends, or takes no more descriptors.
#[expect(
    deprecated,
    reason = "unsound only for types that may close or lend their descriptor, which OwnedFd does not; its successor is unsafe, and that is for fusion-sys"
)]
pub(super) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
