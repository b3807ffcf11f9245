//! `fusion-shim du SECONDS [UID GID]`: counts what lies below the working directory, as that user, and prints it as
//! [`fusion_shim::usage::Usage`]. Links are counted, never followed; other file systems are not entered. When the time is
//! over it prints what it has so far.
//!
//! Not here: whose workspace it is, and what becomes of the figures (the daemon).

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fusion_shim::usage::{Count, Usage};
use fusion_sys::folder::open_folder_beneath;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failed;
use crate::identity::become_named;

/// Blocks of stat(2).
const BLOCK_BYTES: u64 = 512;
/// Remembering more files with several names would cost more memory than the answer is worth: 48 MiB.
const LINKED_MAX: usize = 1 << 20;
/// Of a tree whose names alone are more, the child that counts it ends, not the machine.
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// Exit status 0 if the folder itself could be read.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
    let seconds =
        arguments.split_first().and_then(|(first, rest)| Some((first.to_str()?.parse().ok()?, rest)));
    let Some((seconds, identity)) = seconds else {
        return failed("cannot read the time that it may take", &wrong());
    };
    if let Err(error) = become_named(identity) {
        return failed("cannot become the owner of the tree", &error);
    }
    let counted = Walk::begin(Duration::from_secs(seconds)).and_then(Walk::finish);
    match counted.and_then(|usage| io::stdout().write_all(usage.to_string().as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("cannot count the folder", &error),
    }
}

/// A folder that is being read, and the names of the folders in it that are still to be.
struct Level {
    folder: OwnedFd,
    inside: Vec<CString>,
}

struct Walk {
    levels: Vec<Level>,
    usage: Usage,
    linked: BTreeSet<(u64, u64)>,
    until: Instant,
}

impl Walk {
    fn begin(patience: Duration) -> io::Result<Self> {
        // A deep tree takes one descriptor for each level.
        let files = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
        let memory = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
        setrlimit(Resource::As, memory)?;
        let until = Instant::now() + patience;
        let top = OwnedFd::from(std::fs::File::open(".")?);
        let mut walk = Self { levels: Vec::new(), usage: Usage::default(), linked: BTreeSet::new(), until };
        walk.read(top)?;
        Ok(walk)
    }

    /// To the end of the tree, or of the time.
    fn finish(mut self) -> io::Result<Usage> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.inside.pop() else {
                self.levels.pop();
                continue;
            };
            let opened = open_folder_beneath(&level.folder, Path::new(OsStr::from_bytes(name.as_bytes())));
            match opened.and_then(|folder| self.read(folder)) {
                Ok(()) => {}
                Err(error) if is_elsewhere(&error) => {}
                Err(_) => self.usage.unread += 1,
            }
            if self.usage.count == Count::Cut {
                break;
            }
        }
        Ok(self.usage)
    }

    /// Counts what is in a folder; the folders in it wait.
    fn read(&mut self, folder: OwnedFd) -> io::Result<()> {
        let mut inside = Vec::new();
        for entry in Dir::read_from(&folder)? {
            if Instant::now() >= self.until || self.linked.len() >= LINKED_MAX {
                self.usage.count = Count::Cut;
                break;
            }
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // It may be gone by now.
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder {
                self.usage.folders += 1;
                inside.push(name.to_owned());
            } else if stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino)) {
                continue;
            } else {
                self.usage.files += 1;
                self.usage.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
            self.usage.disk_bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        }
        self.levels.push(Level { folder, inside });
        Ok(())
    }
}

/// Gone meanwhile, replaced by a link, or the root of another file system: nothing of this tree is left out.
fn is_elsewhere(error: &io::Error) -> bool {
    let elsewhere = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::XDEV];
    error.raw_os_error().is_some_and(|number| elsewhere.iter().any(|errno| errno.raw_os_error() == number))
}
