//! Descriptors that whoever started this process left for it. Not here: which numbers those are (sd_listen_fds(3)).

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketType};

/// Takes a listening Unix stream socket over. Once for each number: what is returned owns it.
///
/// # Errors
/// `EBADF` if nothing is open under the number, `ENOTSOCK` if it is no socket, `EINVAL` if it is one of another kind.
pub fn adopt_listener(number: RawFd) -> io::Result<UnixListener> {
    if number < 3 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: only borrowed, for as long as this function looks at it; a closed number makes the first call fail.
    let seen = unsafe { BorrowedFd::borrow_raw(number) };
    let is_listener = rustix::net::sockopt::socket_domain(seen)? == AddressFamily::UNIX
        && rustix::net::sockopt::socket_type(seen)? == SocketType::STREAM
        && rustix::net::sockopt::socket_acceptconn(seen)?;
    if !is_listener {
        return Err(rustix::io::Errno::INVAL.into());
    }
    rustix::io::fcntl_setfd(seen, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and by the contract above nothing else in this process owns it.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(UnixListener::from(owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_listener_is_taken_over_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let number = UnixListener::bind(&path).unwrap().into_raw_fd();
        let listener = adopt_listener(number).unwrap();
        assert_eq!(listener.as_raw_fd(), number);
        let connected = UnixStream::connect(&path).unwrap();
        assert_eq!(adopt_listener(connected.as_fd().as_raw_fd()).unwrap_err().raw_os_error(), Some(22));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(adopt_listener(file.as_raw_fd()).unwrap_err().raw_os_error(), Some(88));
        assert_eq!(adopt_listener(0).unwrap_err().raw_os_error(), Some(9));
    }
}
