//! Who is at the other end of a Unix socket, as the kernel saw it at `connect`. See unix(7), socket(7).
//! Not here: what that peer may do.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::pidfd::PidFd;

/// The opener of a connection. A connection can be passed on; it keeps the authority of its opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id at the time of `connect`.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// `SO_PEERCRED`.
///
/// # Errors
/// `ENOTSOCK` and the like; `EPERM` for a peer that this user namespace does not know (its uid is the overflow
/// uid or -1), or whose process lives in a pid namespace that is not visible here.
pub fn credentials<Fd: AsFd>(socket: Fd) -> io::Result<Peer> {
    // The typed wrappers assert on a pid of 0, which an invisible process has: read the raw structure.
    let mut raw = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `raw` is a live `ucred` of `length` bytes, and every bit pattern of it is valid.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut raw).cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = u32::try_from(raw.pid).unwrap_or(0);
    if pid == 0 || raw.uid == u32::MAX || raw.uid == OVERFLOW_ID {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(Peer { pid, uid: raw.uid, gid: raw.gid })
}

/// What the kernel shows for ids that a user namespace does not map (`/proc/sys/kernel/overflowuid`).
pub const OVERFLOW_ID: u32 = 65534;

/// `SO_PEERGROUPS`: the supplementary groups.
///
/// # Errors
/// Those of getsockopt(2).
pub fn groups<Fd: AsFd>(socket: Fd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 32];
    loop {
        let mut length = libc::socklen_t::try_from(groups.len() * size_of::<u32>()).unwrap_or(0);
        // SAFETY: the buffer is live and `length` bytes long; the kernel writes ids, any bits are valid.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).unwrap_or(0) / size_of::<u32>();
        if outcome == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // ERANGE: too small, and `length` says how much is needed.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// `SO_PEERPIDFD` (Linux 6.5): the process of the opener, free of races.
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel; `EINVAL` or `ESRCH` if that process is gone.
pub fn pidfd<Fd: AsFd>(socket: Fd) -> io::Result<PidFd> {
    let mut raw: c_int = -1;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `raw` is a live `int` of `length` bytes.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut raw).cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: on success the kernel has installed a new descriptor that nobody else owns.
    Ok(PidFd::from(unsafe { OwnedFd::from_raw_fd(raw) }))
}

/// From include/uapi/asm-generic/socket.h.
const SO_PEERGROUPS: c_int = 59;
/// From include/uapi/asm-generic/socket.h.
const SO_PEERPIDFD: c_int = 77;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_pair_knows_its_own_process() {
        let (here, _there) = UnixStream::pair().expect("a socket pair");
        let peer = credentials(&here).expect("credentials");
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::getuid().as_raw());
        let mut expected: Vec<u32> =
            rustix::process::getgroups().expect("groups").iter().map(|gid| gid.as_raw()).collect();
        let mut found = groups(&here).expect("peer groups");
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert!(!pidfd(&here).expect("a pidfd").has_ended().expect("poll"));
    }
}
