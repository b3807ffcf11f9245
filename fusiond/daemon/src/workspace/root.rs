//! The root of all workspaces: opened once, trusted from then on. Not here: what is below it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fusion_sys::folder::make_folder_at;
use rustix::fs::{Mode, OFlags, fstat};

/// The root of all workspaces, open.
#[derive(Debug)]
pub struct Workspaces {
    root: PathBuf,
    folder: OwnedFd,
    staging: OwnedFd,
    trash: OwnedFd,
}

/// The root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be made or opened.
    #[error("cannot use the root of the workspaces {path}", path = path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others could swap what is in it.
    #[error(
        "the root of the workspaces {path} has mode {mode:o} and owner {owner}, expected no more than 0755 and owner {expected}",
        path = path.display()
    )]
    Unsafe {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        owner: u32,
        /// Who should own it.
        expected: u32,
    },
}

/// Users reach their own folder by name and see no others.
const ROOT_MODE: u32 = 0o711;
const WRITABLE_FOR_OTHERS: u32 = 0o022;

impl Workspaces {
    /// Opens the root, which is made (mode 0711) if it is absent and its parent is there.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let failed = |source: io::Error| RootError::Open { path: path.to_owned(), source };
        let root = std::path::absolute(path).map_err(failed)?;
        let folder = open_or_make(&root).map_err(failed)?;
        let stat = fstat(&folder).map_err(|error| failed(error.into()))?;
        let expected = rustix::process::geteuid().as_raw();
        let mode = stat.st_mode & 0o7777;
        if mode & WRITABLE_FOR_OTHERS != 0 || stat.st_uid != expected {
            return Err(RootError::Unsafe { path: root, mode, owner: stat.st_uid, expected });
        }
        let own = |name: &str| make_folder_at(&folder, name, Mode::RWXU).map_err(failed);
        let (staging, trash) = (own(".new")?, own(".trash")?);
        Ok(Self { root, folder, staging, trash })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    pub(super) fn staging(&self) -> &OwnedFd {
        &self.staging
    }

    pub(super) fn trash(&self) -> &OwnedFd {
        &self.trash
    }
}

/// Keeps git from taking up workspaces, should the root lie in a checkout. What is there already stays.
///
/// # Errors
/// Those of openat(2) and write(2).
pub fn hide_from_git(root: &Path) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(root.join(".gitignore"), flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => fusion_sys::file::write_all(&file, b"*\n"),
        Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_or_make(root: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdir(root, Mode::from_raw_mode(ROOT_MODE)) {
        Ok(()) => rustix::fs::chmod(root, Mode::from_raw_mode(ROOT_MODE))?,
        Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // The administrator may have put a link here, to a larger disk: it is followed once.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}
