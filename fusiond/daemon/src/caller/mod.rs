//! Who is calling: the kernel's word about the peer of a connection, never a claim.
//!
//! ```text
//!  SO_PEERCRED ──► uid, pid ──┬─ in an agent's cgroup ────────────────► agent(id)
//!                             ├─ root, the daemon's own uid, or in the
//!                             │  group fusion-admin (SO_PEERGROUPS) ──► admin
//!                             └─ else ────────────────────────────────► user(uid)
//! ```
//!
//! A connection keeps the authority of the process that opened it. Whether an agent of that id lives and who owns it
//! is the engine's to know. Not here: what a caller may do.

mod cgroup;
mod fitness;
mod names;

use std::io;
use std::os::fd::AsFd;

use fusion_core::{AgentId, Caller, Rights, Uid};
use fusion_sys::peer;
use fusion_sys::pidfd::PidFd;

pub use self::cgroup::agent_of_cgroup;
pub use self::fitness::unfitness;
pub use self::names::{Names, User};

/// The group whose members manage everything.
pub const ADMIN_GROUP: &str = "fusion-admin";

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// The process, at the time of `connect`.
    pub pid: u32,
    /// The agent and its incarnation, if the process is one of an agent's.
    pub agent: Option<(AgentId, u32)>,
    /// The caller that the core knows.
    pub caller: Caller,
}

/// A connection that is refused.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The kernel does not say who it is, or shows a uid that is nobody's.
    #[error("the kernel does not tell who opened this connection")]
    Unknown(#[source] io::Error),
    /// The process that opened it is no more, so that nobody can tell whether it was an agent's.
    #[error("process {pid}, which opened this connection, has ended")]
    Gone {
        /// It.
        pid: u32,
    },
    /// Somebody other than the user whom the daemon serves.
    #[error("this daemon serves uid {own} alone, not uid {uid}")]
    Stranger {
        /// Who called.
        uid: u32,
        /// Whom it serves.
        own: u32,
    },
}

/// What is needed to tell callers apart; made once at the start.
#[derive(Clone, Debug)]
pub struct Door {
    own_uid: u32,
    serves_all: bool,
    admin_gid: Option<u32>,
    cgroup: String,
}

impl Door {
    /// A door of the daemon that runs as `own_uid`. `cgroup` is the name of the cgroup below which its agents live.
    /// Asks the name service for the group of admins once.
    ///
    /// # Errors
    /// If the name service does not answer; without it nobody could tell who is an admin.
    pub fn open(own_uid: u32, cgroup: &str) -> io::Result<Self> {
        let admin_gid = fusion_sys::account::group_id(ADMIN_GROUP)?;
        Ok(Self { own_uid, serves_all: own_uid == 0, admin_gid, cgroup: cgroup.to_owned() })
    }

    /// Who opened this connection on the main socket. Call it once, right after `accept`.
    ///
    /// # Errors
    /// [`CallerError`]; the connection is to be closed.
    pub fn identify<Fd: AsFd>(&self, socket: Fd) -> Result<Identity, CallerError> {
        let peer = peer::credentials(&socket).map_err(CallerError::Unknown)?;
        self.check_user(peer.uid)?;
        let groups = peer::groups(&socket).map_err(CallerError::Unknown)?;
        let agent = self.agent_of(&socket, peer.pid)?;
        let rights = self.rights(peer.uid, peer.gid, &groups, agent);
        let caller = Caller { uid: Uid(peer.uid), rights };
        Ok(Identity { uid: peer.uid, gid: peer.gid, pid: peer.pid, agent, caller })
    }

    /// A daemon without root cannot act for others.
    fn check_user(&self, uid: u32) -> Result<(), CallerError> {
        match self.serves_all || uid == self.own_uid || uid == 0 {
            true => Ok(()),
            false => Err(CallerError::Stranger { uid, own: self.own_uid }),
        }
    }

    fn rights(&self, uid: u32, gid: u32, groups: &[u32], agent: Option<(AgentId, u32)>) -> Rights {
        let in_group = self.admin_gid.is_some_and(|admin| gid == admin || groups.contains(&admin));
        match agent {
            // Less than its user may do, also where that user is root.
            Some((agent, _)) => Rights::Agent(agent),
            None if uid == 0 || uid == self.own_uid || in_group => Rights::Admin,
            None => Rights::User,
        }
    }

    /// An agent could let a child connect, take over the connection, and have the child end: so a peer that cannot be
    /// looked at any more is refused.
    fn agent_of<Fd: AsFd>(&self, socket: Fd, pid: u32) -> Result<Option<(AgentId, u32)>, CallerError> {
        let gone = CallerError::Gone { pid };
        let pinned = match peer::pidfd(&socket) {
            Ok(pinned) => pinned,
            // Before Linux 6.5: the number may be somebody else's by now, which only a race can show.
            Err(error) if is_unknown_option(&error) => match PidFd::open(pid) {
                Ok(pinned) => pinned,
                Err(_) => return Err(gone),
            },
            Err(_) => return Err(gone),
        };
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return Err(gone) };
        // Only while it lives is the number its own.
        match pinned.has_ended() {
            Ok(false) => Ok(agent_of_cgroup(&text, &self.cgroup)),
            Ok(true) | Err(_) => Err(gone),
        }
    }
}

fn is_unknown_option(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOPROTOOPT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn door(own_uid: u32) -> Door {
        Door { own_uid, serves_all: own_uid == 0, admin_gid: Some(777), cgroup: "fusion-x".into() }
    }

    #[test]
    fn a_peer_of_the_daemons_own_uid_is_an_admin() {
        let (here, _there) = UnixStream::pair().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let identity = Door::open(own, "fusion-x").unwrap().identify(&here).unwrap();
        assert_eq!((identity.uid, identity.pid, identity.agent), (own, std::process::id(), None));
        assert_eq!(identity.caller, Caller { uid: Uid(own), rights: Rights::Admin });
    }

    #[test]
    fn rights_follow_uid_group_and_cgroup() {
        let agent = AgentId(7);
        let system = door(0);
        assert_eq!(system.rights(0, 0, &[], None), Rights::Admin);
        assert_eq!(system.rights(1000, 1000, &[4, 24], None), Rights::User);
        assert_eq!(system.rights(1000, 1000, &[4, 777], None), Rights::Admin);
        assert_eq!(system.rights(1000, 777, &[], None), Rights::Admin);
        assert_eq!(system.rights(0, 0, &[777], Some((agent, 2))), Rights::Agent(agent));
        assert_eq!(door(1000).rights(1000, 1000, &[], None), Rights::Admin);
        let without = Door { admin_gid: None, ..door(0) };
        assert_eq!(without.rights(1000, 777, &[777], None), Rights::User);
    }

    #[test]
    fn a_daemon_of_one_user_refuses_strangers_but_not_root() {
        let rootless = door(1000);
        assert!(rootless.check_user(1000).is_ok() && rootless.check_user(0).is_ok());
        assert_eq!(
            rootless.check_user(1001).unwrap_err().to_string(),
            "this daemon serves uid 1000 alone, not uid 1001"
        );
        assert!(door(0).check_user(1001).is_ok());
    }

    #[test]
    fn a_peer_that_has_ended_is_refused() {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let program =
            "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ARGV[0])) or die";
        let mut child =
            Command::new("perl").args(["-e", program]).arg(&path).stdin(Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        let (socket, _) = listener.accept().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let refused = Door::open(own, "fusion-x").unwrap().identify(&socket);
        assert!(matches!(refused, Err(CallerError::Gone { .. })), "{refused:?}");
    }
}
