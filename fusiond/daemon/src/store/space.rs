//! Free space: how much there is, and a reserve that is given back when a commit meets a full disk, so that
//! what has happened can still be written while new work is refused.
//!
//! Not for: deciding what is refused (the engine's, by [`super::Space::ok`]).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Free bytes that the journal leaves and the database is not written without: sled rewrites pages even
/// while it is read, and fails for good when it meets a full disk.
pub(super) const DATABASE_MARGIN: u64 = 8 << 20;

/// The disk or the quota is full.
pub(super) fn is_no_space(e: &io::Error) -> bool {
    let errno = Errno::from_io_error(e);
    errno == Some(Errno::NOSPC) || errno == Some(Errno::DQUOT)
}

/// Bytes that this process may still write below `dir` (statvfs(3), `f_bavail`).
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let fs = rustix::fs::statvfs(dir)?;
    Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// A preallocated file that only takes space, until somebody needs it more.
#[derive(Debug)]
pub(super) struct Reserve {
    dir: PathBuf,
    path: PathBuf,
    bytes: u64,
    floor_bytes: u64,
    /// Locked while it is made or given back, so that the two do not overtake each other.
    present: Mutex<bool>,
}

impl Reserve {
    /// The reserve of the state folder `dir`; made later by [`Reserve::refill`].
    pub(super) fn new(dir: &Path, bytes: u64, floor_bytes: u64) -> Reserve {
        let path = dir.join("reserve");
        let present = fs::metadata(&path).is_ok_and(|m| m.len() == bytes) || bytes == 0;
        Reserve { dir: dir.to_owned(), path, bytes, floor_bytes, present: Mutex::new(present) }
    }

    /// In place.
    pub(super) fn is_present(&self) -> bool {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes free now, 0 if the kernel does not say.
    pub(super) fn free_bytes(&self) -> u64 {
        free_bytes(&self.dir).unwrap_or(0)
    }

    /// There is room for the reserve above the floor, and as much again: a reserve that was just given back
    /// is not taken away from the commit that needed it.
    pub(super) fn is_affordable(&self) -> bool {
        self.free_bytes() >= self.floor_bytes.saturating_add(self.bytes.saturating_mul(2))
    }

    /// Gives the space back. `true` if there was any to give.
    pub(super) fn release(&self) -> bool {
        let mut present = self.lock();
        self.bytes > 0 && std::mem::take(&mut *present) && fs::remove_file(&self.path).is_ok()
    }

    /// Makes it again if it is missing and affordable. Failing is fine: [`Reserve::is_present`] says so.
    pub(super) fn refill(&self) {
        let mut present = self.lock();
        if *present || !self.is_affordable() {
            return;
        }
        match self.allocate() {
            Ok(()) => *present = true,
            Err(_) => fs::remove_file(&self.path).unwrap_or_default(),
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            // Such a file system cannot promise space; a file of the right size stands for the reserve.
            Err(Errno::OPNOTSUPP) => file.set_len(self.bytes),
            other => Ok(other?),
        }
    }
}
