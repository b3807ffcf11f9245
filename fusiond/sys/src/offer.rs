//! Which calls this kernel offers, asked without doing anything. Not here: what is lost without one.

use std::io;

/// A call that older kernels lack, and that a container's filter may forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// clone3(2), Linux 5.3; into a cgroup since 5.7.
    Clone3,
    /// close_range(2), Linux 5.9.
    CloseRange,
}

impl Call {
    /// Whether it is there.
    ///
    /// # Errors
    /// What the kernel answers instead: `ENOSYS`, or `EPERM` of a filter.
    pub fn check(self) -> io::Result<()> {
        let outcome = match self {
            // SAFETY: a structure of no bytes is refused before it is read, and nothing is cloned.
            Self::Clone3 => unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0usize) },
            // SAFETY: no descriptor has the highest number, so none is closed.
            Self::CloseRange => unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0u32) },
        };
        let error = io::Error::last_os_error();
        match (self, outcome, error.raw_os_error()) {
            (_, 0.., _) | (Self::Clone3, _, Some(libc::EINVAL)) => Ok(()),
            (Self::Clone3 | Self::CloseRange, ..) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn asking_says_that_they_are_here_and_does_nothing() {
        let (one, other) = UnixStream::pair().unwrap();
        for call in [Call::Clone3, Call::CloseRange] {
            call.check().unwrap();
        }
        one.set_nonblocking(true).unwrap();
        let open = io::Read::read(&mut &one, &mut [0]).unwrap_err();
        assert_eq!(open.kind(), io::ErrorKind::WouldBlock, "the other end is still there");
        drop(other);
    }
}
