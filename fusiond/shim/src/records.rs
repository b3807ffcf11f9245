//! Marks and exit records: in memory and in the run folder until the daemon acknowledges them, on disk if it hangs up
//! before. Not here: what is in them (`wire`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fusion_shim::frame::encode_record;
use fusion_shim::names;
use fusion_shim::wire::{ExitRecord, StartMark};
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};

/// The exit records that nobody has acknowledged.
#[derive(Default)]
pub(crate) struct Records {
    unacknowledged: Vec<Held>,
}

struct Held {
    record: ExitRecord,
    synced: bool,
}

/// Writes the mark of an attempt that is about to start.
///
/// A mark that is cut off by a crash was followed by no start, and still says "may have run": that is safe.
pub(crate) fn mark(run: &OwnedFd, mark: &StartMark) -> io::Result<()> {
    let file = create(run, &names::started(mark.serial))?;
    fusion_sys::file::write_all(file, &record_bytes(mark)?)
}

/// Notes that the shim was asked to end.
pub(crate) fn mark_stopped(run: &OwnedFd, nonce: &[u8; 16]) -> io::Result<()> {
    fusion_sys::file::write_all(create(run, names::STOPPED)?, nonce)
}

impl Records {
    /// Keeps a new record, in memory at least: a full run folder must not lose it while the shim lives.
    pub(crate) fn add(&mut self, run: &OwnedFd, record: ExitRecord) {
        let _kept_in_memory = write_renamed(run, &record);
        self.unacknowledged.push(Held { record, synced: false });
    }

    pub(crate) fn list(&self) -> Vec<ExitRecord> {
        self.unacknowledged.iter().map(|held| held.record.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// The daemon has these in its journal.
    pub(crate) fn acknowledge(&mut self, run: &OwnedFd, state: &OwnedFd, serials: &[u32]) {
        self.unacknowledged.retain(|held| {
            let serial = held.record.serial;
            let known = serials.contains(&serial);
            if known {
                remove(run, &names::started(serial));
                remove(run, &names::exit(serial));
            }
            if known && held.synced {
                remove(state, &names::exit(serial));
            }
            !known
        });
    }

    /// Nobody listens: what is not acknowledged must outlive a power cut, and first the output whose end it tells. A disk that
    /// refuses is tried again at the next hang-up or exit; the run folder has the records meanwhile. While somebody
    /// listens, output is not waited for: that would cost each attempt as much as all else that is written for it, and who
    /// reads a result compares its length with the one in the record.
    pub(crate) fn sync(&mut self, state: &OwnedFd) {
        let mut any = false;
        for held in self.unacknowledged.iter_mut().filter(|held| !held.synced) {
            held.synced =
                sync_output(state, &held.record).and_then(|()| write_synced(state, &held.record)).is_ok();
            any |= held.synced;
        }
        if any && rustix::fs::fsync(state).is_err() {
            self.unacknowledged.iter_mut().for_each(|held| held.synced = false);
        }
    }
}

fn sync_output(state: &OwnedFd, record: &ExitRecord) -> io::Result<()> {
    if record.out_bytes + record.err_bytes == 0 {
        Ok(())
    } else {
        fusion_shim::log::sync(state, record.serial)
    }
}

fn write_renamed(folder: &OwnedFd, record: &ExitRecord) -> io::Result<()> {
    let name = names::exit(record.serial);
    let new = format!("{name}.new");
    fusion_sys::file::write_all(create(folder, &new)?, &record_bytes(record)?)?;
    Ok(renameat(folder, new.as_str(), folder, name.as_str())?)
}

fn write_synced(folder: &OwnedFd, record: &ExitRecord) -> io::Result<()> {
    let name = names::exit(record.serial);
    let new = format!("{name}.new");
    let file = create(folder, &new)?;
    fusion_sys::file::write_all(&file, &record_bytes(record)?)?;
    rustix::fs::fsync(&file)?;
    Ok(renameat(folder, new.as_str(), folder, name.as_str())?)
}

fn record_bytes<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    encode_record(value).map_err(io::Error::other)
}

fn create(folder: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?)
}

fn remove(folder: &OwnedFd, name: &str) {
    // Gone already: the daemon may tidy up itself.
    let _gone = unlinkat(folder, name, AtFlags::empty());
}
