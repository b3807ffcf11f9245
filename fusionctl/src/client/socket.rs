//! Sockets on this machine: which ones to try, connecting to one, and what to say when none answers.
//!
//! Not for: what is spoken on them, nor daemons elsewhere ([`super::ssh`]).

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::UnixStream;

use crate::error::{Complaint, Exit};

/// The longest path that fits into `sockaddr_un` with its final zero (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The usual sockets, in order: the rootless daemon's, then the system's.
pub(super) fn usual(env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let runtime = env("XDG_RUNTIME_DIR").filter(|value| !value.as_os_str().is_empty());
    let rootless = runtime.map(|dir| dir.join("fusiond/fusiond.sock"));
    rootless.into_iter().chain([PathBuf::from("/run/fusiond/fusiond.sock")]).collect()
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

pub(super) fn unreachable(tried: &[(PathBuf, io::Error)]) -> Complaint {
    let list: Vec<String> =
        tried.iter().map(|(path, error)| format!("{} ({})", path.display(), reason(error))).collect();
    let detail = format!("tried {}", list.join(", "));
    if let Some((path, _)) = tried.iter().find(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied) {
        let message = format!("this user may not use the socket {}", path.display());
        return Complaint::new(Exit::NotPermitted, "socket_denied", message)
            .detail(detail)
            .hint("ask an administrator to add you to the group of the socket, or run your own daemon: `fusiond --user`");
    }
    Complaint::new(Exit::Unreachable, "daemon_unreachable", "no daemon answers").detail(detail).hint(
        "start one with `fusiond --user`, as root with `fusiond`, or to try it with `fusiond --root DIR`; \
         name its socket with --socket PATH or FUSION_SOCKET",
    )
}

fn reason(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "does not exist"),
        (io::ErrorKind::ConnectionRefused, "nobody listens"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
    ];
    let word = known.iter().find(|(kind, _)| *kind == error.kind());
    word.map_or_else(|| error.to_string(), |(_, word)| (*word).to_owned())
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

    #[test]
    fn an_unreachable_daemon_names_every_socket_tried() {
        let tried = [
            ("/a".into(), io::ErrorKind::NotFound.into()),
            ("/b".into(), io::ErrorKind::ConnectionRefused.into()),
        ];
        let complaint = unreachable(&tried);
        assert_eq!(complaint.exit, Exit::Unreachable);
        assert_eq!(complaint.detail.as_deref(), Some("tried /a (does not exist), /b (nobody listens)"));
        assert!(complaint.hint.unwrap().contains("fusiond --user"));
    }

    #[test]
    fn a_socket_that_is_there_but_forbidden_is_a_matter_of_permission() {
        let tried = [("/a".into(), io::ErrorKind::PermissionDenied.into())];
        assert_eq!(unreachable(&tried).exit, Exit::NotPermitted);
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
