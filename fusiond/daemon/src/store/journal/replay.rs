//! Reading the journal at start: every record after a given one, in order, or a precise refusal.
//!
//! A crash can leave one thing only: a record at the very end that is partly written. It was never
//! acknowledged and is wiped. Anything else (a broken record with a valid one behind it, a segment that is
//! missing, doubled, renamed or swapped) means that acknowledged records are gone, and is refused.
//!
//! Not for: applying what is read.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record::Salt;
use super::segment::Segment;
use super::{End, OpenEnd, record};
use crate::store::error::{OpenError, io_error};
use crate::store::{Seq, batch};

/// What a replay found.
#[derive(Debug)]
pub(in crate::store) struct Replayed {
    /// Where the journal ends; below the record asked for when the journal ends before it.
    pub(in crate::store) end: End,
    /// Records handed out.
    pub(in crate::store) records: u64,
    /// Bytes of an unfinished record at the end, with where it begins.
    pub(in crate::store) torn: Option<Torn>,
}

/// An unfinished record at the end.
#[derive(Debug)]
pub(in crate::store) struct Torn {
    /// First byte of it.
    pub(in crate::store) from: u64,
    /// Up to its last byte that is not zero.
    pub(in crate::store) bytes: u64,
}

struct Walk<F> {
    base: Seq,
    seq: Seq,
    prev: u32,
    records: u64,
    each: F,
}

/// Calls `each(seq, schema, changes)` for every record after `base`. `segments` is [`super::segment::list`].
///
/// # Errors
/// [`OpenError::Gap`] if the journal begins after `base + 1`, [`OpenError::JournalDamaged`], and what
/// `each` returns.
pub(in crate::store) fn replay<F>(segments: &[Segment], base: Seq, each: F) -> Result<Replayed, OpenError>
where
    F: FnMut(Seq, u8, batch::Changes<'_>) -> Result<(), OpenError>,
{
    let Some(oldest) = segments.first() else {
        let end = End { seq: base, prev: 0, open: None };
        return Ok(Replayed { end, records: 0, torn: None });
    };
    if oldest.first > base + 1 {
        return Err(OpenError::Gap { have: base, journal_from: oldest.first });
    }
    let from = segments.partition_point(|s| s.first <= base + 1) - 1;
    let mut walk = Walk { base, seq: segments[from].first - 1, prev: 0, records: 0, each };
    let mut open = None;
    let mut torn = None;
    for (i, segment) in segments.iter().enumerate().skip(from) {
        let bytes = fs::read(&segment.path).map_err(io_error("read", &segment.path))?;
        let (begin, salt) = walk.header(segment, &bytes, i == from)?;
        let (last, end) = walk.records(segment, &bytes, begin, salt)?;
        torn = walk.rest(segment, &bytes[end..], end, salt, i + 1 == segments.len())?;
        let path = segment.path.clone();
        open = Some(OpenEnd { path, salt, last: last as u64, offset: end as u64 });
    }
    let end = End { seq: walk.seq, prev: walk.prev, open };
    Ok(Replayed { end, records: walk.records, torn })
}

impl<F> Walk<F>
where
    F: FnMut(Seq, u8, batch::Changes<'_>) -> Result<(), OpenError>,
{
    /// Where the records begin, and where their sums do.
    fn header(
        &mut self,
        segment: &Segment,
        bytes: &[u8],
        begins_here: bool,
    ) -> Result<(usize, Salt), OpenError> {
        let record::SegmentHeader { first, prev, salt, length } =
            record::parse_segment_header(bytes).ok_or_else(|| damaged(segment, 0, "its header is broken"))?;
        if first != segment.first {
            return Err(damaged(segment, 0, format!("its header says that it begins at record {first}")));
        }
        if begins_here {
            self.prev = prev;
        } else if first != self.seq + 1 || prev != self.prev {
            let expected = self.seq + 1;
            return Err(damaged(
                segment,
                0,
                format!("record {expected} was expected here, with the sum {:08x}", self.prev),
            ));
        }
        Ok((length, salt))
    }

    /// Where the last record begins (the segment, if it is the first), and where it ends.
    fn records(
        &mut self,
        segment: &Segment,
        bytes: &[u8],
        begin: usize,
        salt: Salt,
    ) -> Result<(usize, usize), OpenError> {
        let (mut at, mut last) = (begin, 0);
        while let Some(found) = record::parse(&bytes[at..], salt) {
            if found.seq != self.seq + 1 || found.prev != self.prev {
                let reason =
                    format!("record {} stands where record {} was expected", found.seq, self.seq + 1);
                return Err(damaged(segment, at, reason));
            }
            if found.seq > self.base {
                let (schema, changes) = batch::decode(found.payload)
                    .ok_or_else(|| damaged(segment, at, "a record without content"))?;
                (self.each)(found.seq, schema, changes)?;
                self.records += 1;
            }
            self.seq = found.seq;
            self.prev = found.crc;
            last = if at == begin { 0 } else { at };
            at += found.length();
        }
        Ok((last, at))
    }

    /// Judges what stands behind the last record of a segment.
    fn rest(
        &self,
        segment: &Segment,
        rest: &[u8],
        at: usize,
        salt: Salt,
        is_last: bool,
    ) -> Result<Option<Torn>, OpenError> {
        let used = used_bytes(rest);
        if used == 0 {
            return Ok(None);
        }
        if !is_last {
            let reason = format!("record {} is broken and later segments exist", self.seq + 1);
            return Err(damaged(segment, at, reason));
        }
        if let Some((offset, later)) = record::find_later(rest, self.seq, salt) {
            let reason = format!(
                "record {} is broken, but record {later} at byte {} is whole",
                self.seq + 1,
                at + offset
            );
            return Err(damaged(segment, at, reason));
        }
        Ok(Some(Torn { from: at as u64, bytes: used as u64 }))
    }
}

/// Wipes an unfinished record, so that what is appended next is followed by zeros.
pub(in crate::store) fn wipe(path: &Path, torn: &Torn) -> Result<(), OpenError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("open", path))?;
    file.write_all_at(&vec![0; torn.bytes as usize], torn.from).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))
}

/// Bytes up to the last one that is not zero.
fn used_bytes(bytes: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let zeros = [0; BLOCK];
    let block = bytes.chunks(BLOCK).rposition(|block| block != &zeros[..block.len()]);
    block.map_or(0, |i| {
        let end = bytes.len().min((i + 1) * BLOCK);
        bytes[..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
    })
}

fn damaged(segment: &Segment, offset: usize, reason: impl Into<String>) -> OpenError {
    OpenError::JournalDamaged { segment: segment.path.clone(), offset: offset as u64, reason: reason.into() }
}
