//! The journal: the truth on disk. Appends a record and returns once it is durable.
//!
//! One writer. A record is never split between segments. A failed write or sync leaves unknown what the
//! disk holds, so the caller must stop for good; only a refusal for space leaves everything as it was.
//!
//! Not for: what the changes mean, when segments may be dropped.

pub(super) mod record;
pub(super) mod replay;
pub(super) mod segment;

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::ReadWriteFlags;

use self::record::Salt;
use self::segment::Spares;
use super::Seq;
use super::space::{Reserve, is_no_space};

/// Why a record was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// No room for another segment; nothing was written.
    NoSpace,
    /// Unknown what was written.
    Failed(io::Error),
}

/// Where the journal ends and how it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The last record.
    pub(super) seq: Seq,
    /// Its check sum.
    pub(super) prev: u32,
    /// The segment to go on in; `None`: begin a new one.
    pub(super) open: Option<OpenEnd>,
}

/// The end of the newest segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenEnd {
    pub(super) path: PathBuf,
    pub(super) salt: Salt,
    /// Where the last record begins, with the header of the segment if it is the first.
    pub(super) last: u64,
    /// Where the next one begins.
    pub(super) offset: u64,
}

/// The writing end.
pub(super) struct Writer {
    dir: PathBuf,
    seq: Seq,
    prev: u32,
    open: Option<Open>,
    spares: Spares,
    reserve: Arc<Reserve>,
}

struct Open {
    file: File,
    offset: u64,
    size: u64,
    salt: Salt,
}

impl Writer {
    /// Goes on after `end`.
    pub(super) fn start(
        dir: &Path,
        end: End,
        segment_bytes: u64,
        reserve: Arc<Reserve>,
    ) -> io::Result<Writer> {
        let open = match end.open {
            Some(OpenEnd { path, salt, last, offset }) => {
                let file = OpenOptions::new().read(true).write(true).open(path)?;
                let size = file.metadata()?.len();
                write_again(&file, last, offset)?;
                Some(Open { file, offset, size, salt })
            }
            None => None,
        };
        // A crash may have come between the new name of a segment and the sync of its folder.
        File::open(dir)?.sync_all()?;
        let spares = Spares::start(dir.to_owned(), segment_bytes, reserve.clone())?;
        Ok(Writer { dir: dir.to_owned(), seq: end.seq, prev: end.prev, open, spares, reserve })
    }

    /// The last record.
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    /// Asks for the reserve to be made again, in the background.
    pub(super) fn order_reserve(&self) {
        self.spares.order_reserve();
    }

    /// Appends `record`, whose first [`record::HEADER`] bytes are room for the header, and syncs it.
    pub(super) fn append(&mut self, record: &mut [u8]) -> Result<Seq, AppendError> {
        let seq = self.seq + 1;
        let length = record.len() as u64;
        let crc = match self.open.as_mut().filter(|open| open.offset + length <= open.size) {
            Some(open) => {
                let crc = record::seal(record, seq, self.prev, open.salt);
                write_durably(&open.file, &[record], open.offset, &self.reserve)
                    .map_err(AppendError::Failed)?;
                open.offset += length;
                crc
            }
            None => {
                let salt = Salt::draw().map_err(AppendError::Failed)?;
                let crc = record::seal(record, seq, self.prev, salt);
                self.open = Some(self.begin_segment(seq, record, salt)?);
                crc
            }
        };
        self.seq = seq;
        self.prev = crc;
        Ok(seq)
    }

    fn begin_segment(&mut self, seq: Seq, record: &[u8], salt: Salt) -> Result<Open, AppendError> {
        let used = (record::SEGMENT_HEADER + record.len()) as u64;
        let spare = match self.spares.take(used) {
            // That refusal may be an old one; another try is made in any case.
            Err(e) if is_no_space(&e) => {
                self.reserve.release();
                self.spares.take(used)
            }
            other => other,
        };
        let spare = spare.map_err(|e| match is_no_space(&e) {
            true => AppendError::NoSpace,
            false => AppendError::Failed(e),
        })?;
        let header = record::segment_header(seq, self.prev, salt);
        let begun = write_durably(&spare.file, &[&header, record], 0, &self.reserve)
            .and_then(|()| fs::rename(&spare.path, self.dir.join(segment::name(seq))))
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .and_then(|()| self.spares.order_next());
        begun.map_err(AppendError::Failed)?;
        Ok(Open { file: spare.file, offset: used, size: spare.size, salt })
    }
}

/// A write that failed may have left its record in memory alone, where reading finds it and no sync brings it to the
/// disk any more (fsync(2): pages of a failed write count as clean). Written once more, it is there or refused.
fn write_again(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    try_write_durably(file, &[&bytes], from)
}

/// Writes the parts one after the other at `offset`; durable on return. On file systems that allocate on
/// every write the disk may be full here: the reserve is given back and the same bytes written again.
fn write_durably(file: &File, parts: &[&[u8]], offset: u64, reserve: &Reserve) -> io::Result<()> {
    match try_write_durably(file, parts, offset) {
        Err(e) if is_no_space(&e) && reserve.release() => try_write_durably(file, parts, offset),
        other => other,
    }
}

fn try_write_durably(file: &File, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    while left > 0 {
        // RWF_DSYNC (pwritev2(2)): the write and its fdatasync in one call.
        match rustix::io::pwritev2(file, rest, offset, ReadWriteFlags::DSYNC) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                left -= n;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
