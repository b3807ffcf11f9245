//! Folders reached by descriptors, never through links, and the removal of whole trees.
//!
//! Root uses the first half below a folder it owns. The second half, [`remove_below`], is meant to be run as the user
//! who owns the tree: whatever the user changes meanwhile, no more than that user's own files are touched.
//! Not here: which folders there are.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, unlinkat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a file below `folder` with `flags`; no component may be a link, `..`, or on another file system.
///
/// # Errors
/// `ELOOP` for a link, `EXDEV` for a way out, `ENOENT`, and what openat2(2) lists.
pub fn open_beneath<Fd: AsFd>(folder: Fd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::CLOEXEC;
    loop {
        match openat2(&folder, path, flags, mode, resolve) {
            // EAGAIN: something was renamed during the walk; EINTR: a signal came.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A container's filter may forbid the call.
            Err(Errno::NOSYS | Errno::PERM) => return walk_beneath(folder, path, flags, mode),
            other => return Ok(other?),
        }
    }
}

/// Opens the folder `path` below `folder`, as [`open_beneath`].
///
/// # Errors
/// As [`open_beneath`]; `ENOTDIR`.
pub fn open_folder_beneath<Fd: AsFd>(folder: Fd, path: &Path) -> io::Result<OwnedFd> {
    open_beneath(folder, path, FOLDER, Mode::empty())
}

/// Makes a folder with exactly this mode, or finds it, and opens it without following a link.
///
/// # Errors
/// `ELOOP` or `ENOTDIR` if there is something else of that name; those of mkdirat(2).
pub fn make_folder_at<Fd: AsFd>(folder: Fd, name: &str, mode: Mode) -> io::Result<OwnedFd> {
    let made = match rustix::fs::mkdirat(&folder, name, mode) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let opened = openat(&folder, name, FOLDER, Mode::empty())?;
    if made {
        // The umask has no say.
        rustix::fs::fchmod(&opened, mode)?;
    }
    Ok(opened)
}

/// One component after the other, each without following a link.
fn walk_beneath<Fd: AsFd>(folder: Fd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                return Err(Errno::XDEV.into());
            }
        }
    }
    let Some((last, parents)) = names.split_last() else { return Ok(openat(folder, c".", flags, mode)?) };
    let device = rustix::fs::fstat(&folder)?.st_dev;
    let mut here = folder.as_fd().try_clone_to_owned()?;
    for name in parents {
        here = openat(&here, name, FOLDER, Mode::empty())?;
        if rustix::fs::fstat(&here)?.st_dev != device {
            return Err(Errno::XDEV.into());
        }
    }
    Ok(openat(&here, last, flags | OFlags::NOFOLLOW, mode)?)
}

/// What [`remove_below`] could not remove.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// How many names are left at least.
    pub count: u64,
    /// The first reason.
    pub first: Option<io::Error>,
}

impl Leftovers {
    fn note(&mut self, error: Errno) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.into());
    }
}

/// Removes everything below `folder`, not the folder itself. Trees of any depth take three descriptors: folders
/// found below are moved up to the top before they are emptied. Links are removed, never followed.
///
/// # Errors
/// If `folder` cannot be read. What cannot be removed is counted and passed over.
pub fn remove_below<Fd: AsFd>(folder: Fd) -> io::Result<Leftovers> {
    let mut leftovers = Leftovers::default();
    let mut moved: u64 = 0;
    loop {
        let before = moved;
        let mut emptied_all = true;
        leftovers = Leftovers { first: leftovers.first.take(), count: 0 };
        for (name, kind) in entries(&folder)? {
            match remove_one(&folder, &folder, &name, kind, &mut moved) {
                Ok(Removal::Gone) => {}
                Ok(Removal::Later) => emptied_all = false,
                Err(error) => leftovers.note(error),
            }
        }
        if moved == before && emptied_all {
            return Ok(leftovers);
        }
        if moved == before {
            // No folder moved and none went away: what is left stays.
            leftovers.note(Errno::NOTEMPTY);
            return Ok(leftovers);
        }
    }
}

enum Removal {
    Gone,
    Later,
}

/// Removes a name in `folder`, which is `top` or a folder in it; what is below a folder moves to `top`.
fn remove_one(
    top: impl AsFd,
    folder: impl AsFd,
    name: &CStr,
    kind: FileType,
    moved: &mut u64,
) -> Result<Removal, Errno> {
    if kind != FileType::Directory {
        match unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(Removal::Gone),
            // The kind was not told, or has changed.
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error),
        }
    }
    match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(Removal::Gone),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let inner = open_for_removal(&folder, name)?;
    let mut all_gone = true;
    for (below, kind) in entries(&inner).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))? {
        all_gone &= clear_entry(&top, &inner, &below, kind, moved)?;
    }
    if !all_gone {
        return Ok(Removal::Later);
    }
    match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(Removal::Gone),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removal::Later),
        Err(error) => Err(error),
    }
}

/// Takes one name out of `inner`: a file is removed, a folder removed or moved to `top`.
fn clear_entry(
    top: impl AsFd,
    inner: impl AsFd,
    name: &CStr,
    kind: FileType,
    moved: &mut u64,
) -> Result<bool, Errno> {
    if kind != FileType::Directory {
        match unlinkat(&inner, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error),
        }
    }
    match unlinkat(&inner, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    // A folder that changes its parent must be writable itself.
    drop(open_for_removal(&inner, name)?);
    loop {
        *moved += 1;
        let new = format!(".removed-{}-{moved}", std::process::id());
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&inner, name, &top, new.as_str(), flags) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a folder to empty it, giving its owner the rights for that where they are missing.
fn open_for_removal(folder: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let opened = match openat(&folder, name, FOLDER, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // Follows a link that was put here meanwhile: to something of the same user, who runs this.
            rustix::fs::chmodat(&folder, name, Mode::RWXU, AtFlags::empty())?;
            openat(&folder, name, FOLDER, Mode::empty())?
        }
        other => other?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

fn entries(folder: impl AsFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_ways_out_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("in")).expect("a folder");
        std::fs::write(root.path().join("in/file"), "x").expect("a file");
        symlink("in", root.path().join("link")).expect("a link");
        let folder = OwnedFd::from(std::fs::File::open(root.path()).expect("the folder"));
        for open in [open_beneath::<&OwnedFd>, walk_beneath::<&OwnedFd>] {
            let read = |path: &str| open(&folder, Path::new(path), OFlags::RDONLY, Mode::empty());
            assert!(read("in/file").is_ok());
            assert!(read("link/file").is_err());
            assert!(read("../etc").is_err());
            assert!(read("/etc/passwd").is_err());
        }
    }

    #[test]
    fn a_tree_of_ten_thousand_levels_with_links_and_locked_folders_goes_away() {
        let root = tempfile::tempdir().expect("a folder");
        let outside = root.path().join("outside");
        std::fs::write(&outside, "stays").expect("a file");
        let top = root.path().join("top");
        std::fs::create_dir(&top).expect("a folder");
        symlink(root.path(), top.join("link")).expect("a link");
        let top_fd = OwnedFd::from(std::fs::File::open(&top).expect("the folder"));
        let mut here = top_fd.try_clone().expect("a descriptor");
        for _ in 0..10_000 {
            here = make_folder_at(&here, "d", Mode::RWXU).expect("a folder");
        }
        rustix::fs::symlinkat(c"/", &here, c"deepest").expect("a link");
        for locked in ["locked", "wide"] {
            for number in 0..50 {
                std::fs::create_dir_all(top.join(format!("{locked}/{number}/x"))).expect("folders");
                std::fs::write(top.join(format!("{locked}/{number}/file")), "x").expect("a file");
            }
        }
        rustix::fs::chmod(top.join("locked"), Mode::empty()).expect("chmod");
        let leftovers = remove_below(&top_fd).expect("the folder can be read");
        assert_eq!(leftovers.count, 0, "{:?}", leftovers.first);
        assert_eq!(std::fs::read_dir(&top).expect("the folder").count(), 0);
        assert!(outside.exists());
    }
}
