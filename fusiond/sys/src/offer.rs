//! Which calls this kernel offers, asked without doing anything. Not here: what is lost without one.

use std::io;

/// A call that older kernels lack, and that a container's filter may forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// clone3(2), Linux 5.3; into a cgroup since 5.7.
    Clone3,
    /// close_range(2), Linux 5.9.
    CloseRange,
    /// unshare(2) of a user namespace, Linux 3.8.
    UserNamespace,
    /// landlock_create_ruleset(2), Linux 5.13; switched off, or on, when the machine boots.
    Landlock,
}

impl Call {
    /// Whether it is there.
    ///
    /// # Errors
    /// What the kernel answers instead: `ENOSYS`, `EPERM` of a filter, or `EOPNOTSUPP` of what is switched off.
    pub fn check(self) -> io::Result<()> {
        let outcome = match self {
            // SAFETY: a structure of no bytes is refused before it is read, and nothing is cloned.
            Self::Clone3 => unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0usize) },
            // SAFETY: no descriptor has the highest number, so none is closed.
            Self::CloseRange => unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0u32) },
            // SAFETY: a flag that means nothing is refused before anything is unshared.
            Self::UserNamespace => unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER | 1) },
            // SAFETY: with this flag no rules are read, and the answer is a version.
            Self::Landlock => unsafe {
                libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, ONLY_VERSION)
            },
        };
        let error = io::Error::last_os_error();
        match (self, outcome, error.raw_os_error()) {
            (_, 0.., _) | (Self::Clone3 | Self::UserNamespace, _, Some(libc::EINVAL)) => Ok(()),
            (Self::Clone3 | Self::CloseRange | Self::UserNamespace | Self::Landlock, ..) => Err(error),
        }
    }
}

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ONLY_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn asking_says_that_they_are_here_and_does_nothing() {
        let (one, other) = UnixStream::pair().unwrap();
        let namespace = || std::fs::read_link("/proc/thread-self/ns/user").unwrap();
        let before = namespace();
        for call in [Call::Clone3, Call::CloseRange] {
            call.check().unwrap();
        }
        // A machine may have switched these off; being asked changes nothing either way.
        for call in [Call::UserNamespace, Call::Landlock] {
            drop(call.check());
        }
        assert_eq!(namespace(), before);
        one.set_nonblocking(true).unwrap();
        let open = io::Read::read(&mut &one, &mut [0]).unwrap_err();
        assert_eq!(open.kind(), io::ErrorKind::WouldBlock, "the other end is still there");
        drop(other);
    }
}
