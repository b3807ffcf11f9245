//! Sockets on this machine: which ones to try, and connecting to one.
//!
//! Not for: what is spoken on them, what to say when none answers ([`super::unreachable`]), daemons elsewhere
//! ([`super::ssh`]).

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::UnixStream;

/// The longest path that fits into `sockaddr_un` with its final zero (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where the daemon for every user of the machine listens.
pub(super) const SYSTEM: &str = "/run/fusiond/fusiond.sock";

/// The usual sockets, in order: the rootless daemon's, then the system's.
pub(super) fn usual(env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    rootless(env).into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// Where the daemon of this user alone listens.
pub(super) fn rootless(env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let runtime = env("XDG_RUNTIME_DIR").filter(|value| !value.as_os_str().is_empty());
    runtime.map(|folder| folder.join("fusiond/fusiond.sock"))
}

/// Connects to a socket at a path of any length: a long one is reached through its opened folder.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return UnixStream::connect(path).await;
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let opened = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(through(opened.as_raw_fd(), name)).await
}

/// The short path of `name` in the folder opened as `fd` (proc_pid_fd(5)).
fn through(fd: i32, name: &OsStr) -> PathBuf {
    let mut bytes = format!("/proc/self/fd/{fd}/").into_bytes();
    bytes.extend_from_slice(name.as_bytes());
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_rootless_socket_comes_before_that_of_the_system() {
        let system = PathBuf::from("/run/fusiond/fusiond.sock");
        let rootless = env(&[("XDG_RUNTIME_DIR", "/run/user/7")]);
        assert_eq!(usual(rootless), ["/run/user/7/fusiond/fusiond.sock".into(), system.clone()]);
        assert_eq!(usual(env(&[("XDG_RUNTIME_DIR", "")])), [system]);
    }

    #[tokio::test]
    async fn a_socket_behind_a_long_path_is_reached() {
        let top = std::env::temp_dir().join(format!("fusionctl-{}", std::process::id()));
        let folder = top.join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&folder).unwrap();
        let opened = std::fs::File::open(&folder).unwrap();
        let listener =
            tokio::net::UnixListener::bind(through(opened.as_raw_fd(), OsStr::new("s.sock"))).unwrap();
        let reached = connect(&folder.join("s.sock")).await;
        drop(listener);
        std::fs::remove_dir_all(&top).unwrap();
        assert!(reached.is_ok());
    }
}
