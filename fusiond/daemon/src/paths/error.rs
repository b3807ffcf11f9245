//! Why a place cannot be had, and what to do about it. Not here: looking for places.

use std::io;
use std::path::PathBuf;

/// Places that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// `--user` as root.
    #[error("root cannot run a daemon for one user (--user)")]
    UserIsRoot,
    /// System mode without root.
    #[error("the system's daemon must run as root, this is uid {uid}")]
    NotRoot {
        /// Who we are.
        uid: u32,
    },
    /// `--user` without `XDG_RUNTIME_DIR`.
    #[error("XDG_RUNTIME_DIR is not set to an absolute path")]
    NoRuntimeDir,
    /// `--user` without a home.
    #[error("HOME is not set to an absolute path")]
    NoHome,
    /// A folder or file refuses.
    #[error("cannot {verb} folder {path}", path = path.display())]
    Folder {
        /// What was tried.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder belongs to somebody else.
    #[error("folder {path} belongs to uid {owner}, expected uid {expected}", path = path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// A folder lets others do what they must not.
    #[error("folder {path} has mode {mode:04o}, expected {expected:04o} or tighter", path = path.display())]
    Loose {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The widest that is accepted.
        expected: u32,
    },
    /// Somebody listens on the socket, whatever state they serve.
    #[error("the socket {path} is in use by process {pid}", path = path.display())]
    SocketInUse {
        /// Which.
        path: PathBuf,
        /// Who listens.
        pid: u32,
    },
}

impl PathsError {
    /// Whether it stays so until a person mends it.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::UserIsRoot
            | Self::NotRoot { .. }
            | Self::NoRuntimeDir
            | Self::NoHome
            | Self::Owner { .. }
            | Self::Loose { .. } => true,
            Self::Folder { .. } | Self::SocketInUse { .. } => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UserIsRoot => {
                "start it without --user to serve all users, or with --root DIR to try it".into()
            }
            Self::NotRoot { .. } => "start it with --user, or with --root DIR to try it".into(),
            Self::NoRuntimeDir => {
                "log in through a session that sets it (loginctl enable-linger $USER), or set it to a folder of \
                 yours with mode 0700, for example /run/user/$(id -u)"
                    .into()
            }
            Self::NoHome => "set HOME, or XDG_STATE_HOME and XDG_CONFIG_HOME".into(),
            Self::Folder { path, .. } => {
                format!("look at it and the folders above it: namei -l {}", path.display())
            }
            Self::Owner { path, expected, .. } => {
                format!("if it is meant for this daemon: chown {expected} {}", path.display())
            }
            Self::Loose { path, expected, .. } => {
                format!("if nobody else needs more: chmod {expected:04o} {}", path.display())
            }
            Self::SocketInUse { pid, .. } => {
                format!("end that daemon first (kill {pid}; agents go on), or give this one a --root DIR of its own")
            }
        }
    }
}
