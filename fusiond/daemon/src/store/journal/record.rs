//! The bytes of a journal record and of a segment's header.
//!
//! ```text
//! segment = magic 8 | first seq u64 | prev u32 | salt u32 | crc u32 | record … | zeros
//! record  = length u32 (all of it) | crc u32 | seq u64 | prev u32 | payload
//! ```
//! Little-endian. `crc` (CRC-32, of everything but itself) of one record is `prev` of the next, so a record
//! proves the whole line before it. The CRC of records begins with the salt of their segment, a random number that nobody
//! is told: users' words stand in payloads as they are, and no words look like a record. Segments of the first format
//! have no salt. Not for: files, and what a payload means.

use crate::store::Seq;

/// Bytes of a record before its payload.
pub(in crate::store) const HEADER: usize = 20;
/// Bytes of a segment before its first record.
pub(in crate::store) const SEGMENT_HEADER: usize = 28;
const MAGIC: &[u8; 8] = b"FUSJRNL2";
/// Without a salt.
const MAGIC_1: &[u8; 8] = b"FUSJRNL1";

/// Where the sums of a segment's records begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Salt(pub(in crate::store) u32);

impl Salt {
    /// A new one.
    pub(super) fn draw() -> std::io::Result<Salt> {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Salt(u32::from_le_bytes(bytes)))
    }
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) first: Seq,
    /// The sum of the record before the first.
    pub(super) prev: u32,
    pub(super) salt: Salt,
    /// Where the first record begins.
    pub(super) length: usize,
}

/// A record whose check sum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) seq: Seq,
    pub(super) prev: u32,
    pub(super) crc: u32,
    pub(super) payload: &'a [u8],
}

impl Record<'_> {
    pub(super) fn length(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// Fills in the header of `record` (header room and payload); returns its check sum.
pub(in crate::store) fn seal(record: &mut [u8], seq: Seq, prev: u32, salt: Salt) -> u32 {
    let length = record.len() as u32;
    record[0..4].copy_from_slice(&length.to_le_bytes());
    record[8..16].copy_from_slice(&seq.to_le_bytes());
    record[16..20].copy_from_slice(&prev.to_le_bytes());
    let crc = sum(record, salt);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The record that begins at the first byte, if one does.
pub(super) fn parse(bytes: &[u8], salt: Salt) -> Option<Record<'_>> {
    let header = bytes.get(..HEADER)?;
    let length = u32_at(header, 0) as usize;
    if length <= HEADER || length > bytes.len() {
        return None;
    }
    let crc = u32_at(header, 4);
    let record = &bytes[..length];
    (sum(record, salt) == crc).then(|| Record {
        seq: u64_at(header, 8),
        prev: u32_at(header, 16),
        crc,
        payload: &record[HEADER..],
    })
}

/// The first record in `bytes`, at any offset, whose number is above `seq`; with its offset. What only looks like the
/// beginning of one costs little: users choose the bytes of payloads.
pub(super) fn find_later(bytes: &[u8], seq: Seq, salt: Salt) -> Option<(usize, Seq)> {
    let highest = seq.saturating_add(bytes.len() as u64 / HEADER as u64 + 1);
    let mut sums = None;
    (0..bytes.len().saturating_sub(HEADER)).find_map(|at| {
        let found = u64_at(bytes, at + 8);
        let length = u32_at(bytes, at) as usize;
        if found <= seq || found > highest || length <= HEADER || length > bytes.len() - at {
            return None;
        }
        let sums = sums.get_or_insert_with(|| Sums::of(bytes));
        let start = crc32fast::Hasher::new_with_initial(start_of_sum(&bytes[at..], salt));
        let whole = joined(start, sums.of_part(at + 8, at + length), length - 8);
        (whole == u32_at(bytes, at + 4)).then_some((at, found))
    })
}

/// The sums of all beginnings of some bytes, from which that of any part follows: `crc(ab) = crc(a)·x^|b| + crc(b)`, as
/// `crc32_combine` of zlib has it.
struct Sums<'a> {
    bytes: &'a [u8],
    /// Of the first `i * STEP` bytes.
    at_steps: Vec<u32>,
}

impl<'a> Sums<'a> {
    const STEP: usize = 1024;

    fn of(bytes: &'a [u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        let mut at_steps = vec![0];
        for step in bytes.chunks_exact(Self::STEP) {
            hasher.update(step);
            at_steps.push(hasher.clone().finalize());
        }
        Self { bytes, at_steps }
    }

    fn of_first(&self, count: usize) -> u32 {
        let step = count / Self::STEP;
        let mut hasher = crc32fast::Hasher::new_with_initial(self.at_steps[step]);
        hasher.update(&self.bytes[step * Self::STEP..count]);
        hasher.finalize()
    }

    fn of_part(&self, from: usize, to: usize) -> u32 {
        let before = crc32fast::Hasher::new_with_initial(self.of_first(from));
        self.of_first(to) ^ joined(before, 0, to - from)
    }
}

/// The sum of what `before` has seen and of so many bytes with this sum behind it.
fn joined(mut before: crc32fast::Hasher, sum: u32, count: usize) -> u32 {
    before.combine(&crc32fast::Hasher::new_with_initial_len(sum, count as u64));
    before.finalize()
}

/// A segment's header.
pub(super) fn segment_header(first: Seq, prev: u32, salt: Salt) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[0..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&first.to_le_bytes());
    header[16..20].copy_from_slice(&prev.to_le_bytes());
    header[20..24].copy_from_slice(&salt.0.to_le_bytes());
    let crc = crc32fast::hash(&header[..24]);
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The header of a segment, if it is whole.
pub(super) fn parse_segment_header(bytes: &[u8]) -> Option<SegmentHeader> {
    let length = match bytes.get(..8)? {
        magic if magic == MAGIC => SEGMENT_HEADER,
        magic if magic == MAGIC_1 => SEGMENT_HEADER - 4,
        _unknown => return None,
    };
    let header = bytes.get(..length)?;
    let salt = if length == SEGMENT_HEADER { Salt(u32_at(header, 20)) } else { Salt::default() };
    let whole = crc32fast::hash(&header[..length - 4]) == u32_at(header, length - 4);
    whole.then(|| SegmentHeader { first: u64_at(header, 8), prev: u32_at(header, 16), salt, length })
}

fn sum(record: &[u8], salt: Salt) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start_of_sum(record, salt));
    hasher.update(&record[8..]);
    hasher.finalize()
}

/// Over what stands before the sum itself.
fn start_of_sum(record: &[u8], salt: Salt) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt.0);
    hasher.update(&record[..4]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: Seq, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(payload);
        seal(&mut bytes, seq, 7, SALT);
        bytes
    }

    const SALT: Salt = Salt(0x5EED);

    #[test]
    fn no_single_flipped_bit_passes_for_a_record() {
        let bytes = record(5, b"payload");
        assert_eq!(
            parse(&bytes, SALT).map(|r| (r.seq, r.prev, r.payload)),
            Some((5, 7, b"payload".as_slice()))
        );
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bad, SALT), None, "bit {bit}");
        }
    }

    #[test]
    fn a_later_record_is_found_behind_garbage() {
        let mut bytes = vec![0xA5; 100];
        bytes.extend(record(9, b"x"));
        bytes.extend([0; 50]);
        assert_eq!(find_later(&bytes, 8, SALT), Some((100, 9)));
        assert_eq!(find_later(&bytes, 8, Salt(1)), None, "of another segment");
        assert_eq!(find_later(&bytes, 9, SALT), None);
    }
    #[test]
    fn what_is_made_to_look_like_beginnings_hides_no_record_and_passes_for_none() {
        // Each 16 bytes are a length that reaches to the end, a sum and a number that is due.
        let mut bytes = Vec::new();
        let whole = 200_000_usize;
        while bytes.len() < whole {
            bytes.extend(((whole - bytes.len()) as u32).to_le_bytes());
            bytes.extend([1, 2, 3, 4]);
            bytes.extend(9_u64.to_le_bytes());
        }
        assert_eq!(find_later(&bytes, 8, SALT), None);
        for size in [1, 100, 5_000] {
            let at = bytes.len();
            let mut with = bytes.clone();
            with.extend(record(9, &vec![7; size]));
            with.extend([0; 3]);
            assert_eq!(find_later(&with, 8, SALT), Some((at, 9)), "{size}");
        }
    }
}
