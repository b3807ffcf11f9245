//! `fusion-shim tick FILE [UID GID GROUP…]`: ticks boxes of a task file of spec-kit as its user. Standard input names the nodes
//! one a line; standard output names those without a box. Every other byte of the file stays; a reader sees the old file or
//! the new one.
//!
//! Not here: which tasks are done, and whose file it is (the daemon); what a box is (`fusion-speckit`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fusion_speckit::{FILE_BYTES_MAX, Ticked, name_of, tick};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, fchown, flock, fstat, openat, renameat,
    unlinkat,
};
use rustix::process::{Gid, Resource, Rlimit, setrlimit};

use crate::identity::become_named;
use crate::{failed, say};

/// More names than tasks that are read make no sense.
const NAMES_BYTES_MAX: u64 = 1 << 20;
/// A file of the greatest length takes a part of this.
const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// An editor that saves at the same moment is waited out so often.
const TRIES: usize = 5;

/// Exit status 0 if every box that is there is ticked.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [path, identity @ ..] = arguments else {
        say("tick: expected FILE [UID GID GROUP…]");
        return ExitCode::from(2);
    };
    let memory = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
    let ready = become_named(identity)
        .and_then(|()| Ok(rustix::thread::set_no_new_privs(true)?))
        .and_then(|()| Ok(setrlimit(Resource::As, memory)?));
    if let Err(error) = ready {
        return failed("cannot become the owner of the file", &error);
    }
    let done = read_names().map_err(|error| format!("cannot read which tasks are done: {error}"));
    match done.and_then(|names| tick_file(Path::new(path), &names)) {
        Ok(missing) => {
            let _unread = io::stdout().write_all(missing.join("\n").as_bytes());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            say(&format!("{}: {reason}", path.display()));
            ExitCode::FAILURE
        }
    }
}

fn read_names() -> io::Result<Vec<String>> {
    let mut text = String::new();
    io::stdin().take(NAMES_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(name_of).collect())
}

/// What became of one attempt.
enum Tried {
    Done(Vec<String>),
    /// Somebody else wrote to the file meanwhile.
    Changed,
}

fn tick_file(path: &Path, names: &[String]) -> Result<Vec<String>, String> {
    for _ in 0..TRIES {
        match try_once(path, names)? {
            Tried::Done(missing) => return Ok(missing),
            Tried::Changed => {}
        }
    }
    Err("somebody else goes on writing to it".to_owned())
}

fn try_once(path: &Path, names: &[String]) -> Result<Tried, String> {
    // A link stays one: what it leads to is written.
    let path = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
    let (folder, name) = parts(&path)?;
    let (file, before) = open(&folder, name).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX as u64 + 1;
    (&file).take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let Ticked { bytes: ticked, missing } = tick(&bytes, names).map_err(|refusal| refusal.to_string())?;
    let Some(ticked) = ticked else { return Ok(Tried::Done(missing)) };
    if before.st_uid != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".to_owned());
    }
    let replaced = replace(&folder, name, &before, &ticked).map_err(|error| error.to_string())?;
    Ok(if replaced { Tried::Done(missing) } else { Tried::Changed })
}

fn parts(path: &Path) -> Result<(File, &OsStr), String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err("it is no file".to_owned());
    };
    Ok((File::open(folder).map_err(|error| error.to_string())?, name))
}

/// The file and what it is, while no other errand writes to it. A pipe is not waited for.
fn open(folder: &File, name: &OsStr) -> io::Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    flock(&file, FlockOperation::LockExclusive)?;
    let before = fstat(&file)?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, before))
}

/// Puts the new content in the place of the file, with its rights and its group; `false` if the file is another one by now.
fn replace(folder: &File, name: &OsStr, before: &Stat, bytes: &[u8]) -> io::Result<bool> {
    let draft = draft_name(name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // What an errand left that was killed.
    let _gone = unlinkat(folder, &draft, AtFlags::empty());
    let file = File::from(openat(folder, &draft, flags, Mode::from_raw_mode(0o600))?);
    let written = fill(&file, before, bytes).and_then(|()| is_same(folder, name, before));
    match written {
        Ok(true) => {
            renameat(folder, &draft, folder, name)?;
            folder.sync_all()?;
            Ok(true)
        }
        other => {
            let _gone = unlinkat(folder, &draft, AtFlags::empty());
            other
        }
    }
}

/// Hidden, and the same each time, so that nothing is heaped up.
fn draft_name(name: &OsStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[b".", name.as_bytes(), b".fusiond"].concat()))
}

fn fill(mut file: &File, before: &Stat, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    if fstat(file)?.st_gid != before.st_gid {
        fchown(file, None, Some(Gid::from_raw(before.st_gid)))?;
    }
    fchmod(file.as_fd(), Mode::from_raw_mode(before.st_mode & 0o7777))?;
    file.sync_all()
}

/// Whether nobody has written to the file since it was read.
fn is_same(folder: &File, name: &OsStr, before: &Stat) -> io::Result<bool> {
    let now = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let key = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    Ok(key(&now) == key(before))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_ticked_file_keeps_its_rights_its_bytes_and_the_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("tasks.md"), folder.path().join("link.md"));
        std::fs::write(&file, "\u{feff}# é\r\n- [ ] T001 a\r\n- [ ] T002 b").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        symlink("tasks.md", &link).unwrap();
        assert_eq!(tick_file(&link, &names(&["T002", "T009"])).unwrap(), ["T009"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "\u{feff}# é\r\n- [ ] T001 a\r\n- [x] T002 b");
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        // The same again changes nothing, not even the file's place on the disk.
        let before = std::fs::metadata(&file).unwrap().ino();
        assert_eq!(tick_file(&file, &names(&["T002"])).unwrap(), [""; 0]);
        assert_eq!(std::fs::metadata(&file).unwrap().ino(), before);
    }

    #[test]
    fn what_an_errand_left_that_was_killed_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tasks.md");
        std::fs::write(&file, "- [ ] T001 a\n").unwrap();
        std::fs::write(folder.path().join(".tasks.md.fusiond"), "half").unwrap();
        assert!(tick_file(&file, &names(&["T001"])).is_ok());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "- [x] T001 a\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_task_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| tick_file(path, &names(&["T001"])).unwrap_err();
        assert!(refused(&folder.path().join("missing")).contains("No such file"));
        assert!(refused(folder.path()).contains("no regular file"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(refused(&pipe).contains("no regular file"));
        let text = folder.path().join("notes.md");
        std::fs::write(&text, "no tasks").unwrap();
        assert!(refused(&text).contains("there is no task in it"));
        assert_eq!(std::fs::read_to_string(&text).unwrap(), "no tasks");
    }
}
