//! The output of attempts on disk: the format, its writer (the shim) and its reader (the daemon).
//! Not here: the pipes, and how logs are served.
//!
//! # Format
//! In the state folder of an incarnation, for attempt `k`:
//!
//! | file | content |
//! | --- | --- |
//! | `<k>.out`, `<k>.err` | the raw bytes of a stream from offset 0, made at its first byte |
//! | `<k>.out.<base>` | the segment that begins at offset `base` of the stream |
//! | `<k>.idx` | the order of the two streams and the times, made when it has something to tell |
//!
//! Offsets count every byte that the program wrote. Where a segment ends before the base of the next, the bytes
//! between were dropped; so were those before the first segment that is left (the oldest whole segments go when the
//! quota is exceeded). Files are only appended to and never renamed, so a reader can keep its place.
//!
//! An entry of the index has 24 bytes, all numbers little endian: `u64` wall clock in milliseconds, `u64` offset,
//! `u32` stream (1 out, 2 err), `u32` zero. It says: from here on this stream continues at this offset, read at this
//! time, until the next entry. It is written before the bytes that it announces, when the stream changes and when the
//! entry before is older than the resolution: 10 ms, doubled with each 256 KiB of the index. An incomplete entry at
//! the end counts as absent. Without an index all there is was read within 10 ms of the last change of the file. After
//! [`INDEX_BYTES_MAX`] no more entries follow, and what comes later is in no order between the streams.

mod reader;
mod sync;
mod writer;

pub use self::reader::{Cursor, Piece, Reader};
pub use self::sync::sync;
pub use self::writer::Writer;

/// The longest index: 174,762 changes between the streams of one attempt, or eighty days of times.
pub const INDEX_BYTES_MAX: u64 = 4 << 20;

const ENTRY_BYTES: usize = 24;

/// How exact times are at first. Finer would cost a line-by-line writer more than it tells a reader.
const RESOLUTION_MS: u64 = 10;

/// After so many bytes of index, times are noted half as often.
const RESOLUTION_STEP_BYTES: u64 = 256 << 10;

/// One of the two outputs of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Out, Self::Err];

    fn index(self) -> usize {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

fn segment_name(serial: u32, stream: Stream, base: u64) -> String {
    let suffix = stream.suffix();
    if base == 0 { format!("{serial}.{suffix}") } else { format!("{serial}.{suffix}.{base}") }
}

fn index_name(serial: u32) -> String {
    format!("{serial}.idx")
}

/// One entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    unix_ms: u64,
    offset: u64,
    stream: Stream,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let number: u32 = match self.stream {
            Stream::Out => 1,
            Stream::Err => 2,
        };
        bytes[..8].copy_from_slice(&self.unix_ms.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    /// `None` for an entry that this version does not know.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (unix_ms, rest) = bytes.split_first_chunk::<8>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (number, _) = rest.split_first_chunk::<4>()?;
        let stream = match u32::from_le_bytes(*number) {
            1 => Stream::Out,
            2 => Stream::Err,
            _unknown => return None,
        };
        Some(Self { unix_ms: u64::from_le_bytes(*unix_ms), offset: u64::from_le_bytes(*offset), stream })
    }
}

#[cfg(test)]
mod tests;
