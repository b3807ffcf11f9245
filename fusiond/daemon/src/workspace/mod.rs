//! Workspaces: `<root>/<user>/<agent>/`, both levels 0700 and their user's; made and removed without ever following a
//! path through a folder that a user can change.
//!
//! ```text
//! <root>          the daemon's, opened once; writable for nobody else
//! <root>/.new     the daemon's, 0700: a folder is made here, given to its user, then moved to its place
//! <root>/.gitignore  under `--root`, which may lie in a checkout
//! <root>/.trash   the daemon's, 0700: a folder is moved here, emptied by a process of its user, then removed
//! <root>/<user>   the user's: only openat2 without links, mkdir, rename and rmdir by descriptors below it
//! ```
//!
//! So root gives away only folders that nobody else could touch, and walks no tree that somebody else can change.
//! Not here: what is in a workspace, who may have one.

mod root;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use fusion_core::{AgentId, Uid};
use fusion_sys::folder::open_folder_beneath;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fchown, fstat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

pub use self::root::{RootError, Workspaces, hide_from_git};

/// Why a workspace could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the workspace {path}", path = path.display())]
pub struct WorkspaceError {
    /// What was tried: `make` or `remove`.
    pub verb: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl WorkspaceError {
    /// The error with its reason, one sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{self}: {}", self.source)
    }
}

/// Removes everything below a folder, which has this group, with the rights of its user.
pub type Empty<'a> = &'a mut dyn FnMut(OwnedFd, u32) -> io::Result<()>;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Workspaces {
    /// Where the workspace of an agent is; nothing is looked at.
    #[must_use]
    pub fn path(&self, user: &str, agent: AgentId) -> PathBuf {
        self.root().join(user).join(agent.to_string())
    }

    /// The user in a path that [`Workspaces::path`] of this root has made.
    #[must_use]
    pub fn user_of(&self, workspace: &Path) -> Option<String> {
        let mut below = workspace.strip_prefix(self.root()).ok()?.components();
        let user = match below.next()? {
            Component::Normal(user) => user.to_str()?,
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
                return None;
            }
        };
        AgentId::parse(below.next()?.as_os_str().to_str()?)?;
        below.next().is_none().then(|| user.to_owned())
    }

    /// Makes the workspace of an agent, or finds it. Blocks.
    ///
    /// # Errors
    /// [`WorkspaceError`]; also if something is there that is not the user's own folder.
    pub fn make(&self, user: &str, agent: AgentId, owner: Uid, gid: u32) -> Result<(), WorkspaceError> {
        let made = check_name(user).and_then(|()| {
            let folder = self.make_level(self.folder(), user, owner, gid)?;
            self.make_level(&folder, &agent.to_string(), owner, gid).map(drop)
        });
        made.map_err(|source| WorkspaceError { verb: "make", path: self.path(user, agent), source })
    }

    /// Opens the workspace of an agent to look into it; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// Those of openat2(2); also if something is there that is not the user's own folder.
    pub fn open_one(&self, user: &str, agent: AgentId, owner: Uid) -> io::Result<Option<OwnedFd>> {
        check_name(user)?;
        let place = Path::new(user).join(agent.to_string());
        let Some(folder) = absent_as_none(open_folder_beneath(self.folder(), &place))? else {
            return Ok(None);
        };
        check_owner(&folder, owner)?;
        Ok(Some(folder))
    }

    /// Removes the workspace of an agent with everything in it; an absent one is removed. The folder of its user stays.
    /// Files are removed by `empty`, which is to do it as their user. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`WorkspaceError`]: what is left is out of the user's reach, and the next try goes on.
    pub fn remove(
        &self,
        user: &str,
        agent: AgentId,
        owner: Uid,
        empty: Empty<'_>,
    ) -> Result<(), WorkspaceError> {
        let removed = check_name(user).and_then(|()| self.throw_away(user, &agent.to_string(), owner, empty));
        removed.map_err(|source| WorkspaceError { verb: "remove", path: self.path(user, agent), source })
    }

    /// One level: the folder `name` in `parent`, the user's.
    fn make_level(&self, parent: impl AsFd, name: &str, owner: Uid, gid: u32) -> io::Result<OwnedFd> {
        match open_folder_beneath(&parent, Path::new(name)) {
            Ok(found) => return check_owned(found, owner),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let staging = self.staging();
        // Left by a crash: nobody can have put anything into it.
        match unlinkat(staging, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::fs::mkdirat(staging, name, Mode::RWXU)?;
        let fresh = openat(staging, name, FOLDER, Mode::empty())?;
        fchmod(&fresh, Mode::RWXU)?;
        if rustix::process::geteuid().as_raw() != owner.0 {
            let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(gid));
            fchown(&fresh, Some(uid), Some(gid))?;
        }
        match renameat_with(staging, name, &parent, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(fresh),
            // Another agent of the same user was faster.
            Err(Errno::EXIST) => check_owned(open_folder_beneath(&parent, Path::new(name))?, owner),
            Err(error) => Err(error.into()),
        }
    }

    fn throw_away(&self, user: &str, name: &str, owner: Uid, empty: Empty<'_>) -> io::Result<()> {
        let trash = self.trash();
        if let Some(folder) = absent_as_none(open_folder_beneath(self.folder(), Path::new(user)))? {
            // The name itself is moved, be it a link.
            match renameat_with(&folder, name, trash, name, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::EXIST) => {
                    // An earlier removal has not come to its end: first that one.
                    empty_and_remove(trash, name, owner, &mut *empty)?;
                    renameat_with(&folder, name, trash, name, RenameFlags::NOREPLACE)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        empty_and_remove(trash, name, owner, empty)
    }
}

/// Of something in the trash, which only the daemon can name.
fn empty_and_remove(trash: &OwnedFd, name: &str, owner: Uid, empty: Empty<'_>) -> io::Result<()> {
    let folder = match openat(trash, name, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        // A link or a file that the user has put there.
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(trash, name, AtFlags::empty())?),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&folder)?;
    if stat.st_uid == owner.0 {
        // Its user may have taken away the right to change it.
        fchmod(&folder, Mode::RWXU)?;
        empty(folder, stat.st_gid)?;
    }
    // Somebody else's folder is no workspace: it goes if it is empty.
    Ok(unlinkat(trash, name, AtFlags::REMOVEDIR)?)
}

/// A found folder must be the user's; that it is the user's alone is made sure of.
fn check_owned(folder: OwnedFd, owner: Uid) -> io::Result<OwnedFd> {
    let mode = check_owner(&folder, owner)?;
    if mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO) != Mode::RWXU {
        fchmod(&folder, Mode::RWXU)?;
    }
    Ok(folder)
}

/// Its mode.
fn check_owner(folder: &OwnedFd, owner: Uid) -> io::Result<Mode> {
    let stat = fstat(folder)?;
    if stat.st_uid != owner.0 {
        let reason =
            format!("a folder of user {} is in its place, expected one of user {}", stat.st_uid, owner.0);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(Mode::from_raw_mode(stat.st_mode))
}

/// A user's name is one plain part of a path, and none of the daemon's own.
fn check_name(user: &str) -> io::Result<()> {
    let is_plain = Path::new(user).file_name() == Some(OsStr::new(user)) && !user.starts_with('.');
    is_plain.then_some(()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("\"{user}\" cannot be the name of a folder"))
    })
}

fn absent_as_none<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_user_and_strange_names_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let workspaces = Workspaces::open(root.path()).expect("a root");
        let path = workspaces.path("ada", AgentId(5));
        assert_eq!(workspaces.user_of(&path).as_deref(), Some("ada"));
        assert_eq!(workspaces.user_of(Path::new("/elsewhere/ada/x")), None);
        assert_eq!(workspaces.user_of(&path.join("deeper")), None);
        for name in ["", ".", "..", "a/b", ".trash", "/"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_root_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let error = Workspaces::open(root.path()).expect_err("anybody could swap workspaces");
        assert!(error.to_string().contains("expected"), "{error}");
    }
}
