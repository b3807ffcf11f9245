//! The bytes of a stored value, and a sum over all of them that shows when the database lost one.
//!
//! ```text
//! value = version u8 | crc u32 | body          crc over key, version and body
//! ```
//! The CRC tells a damaged value; the [`Census`] (how many entries, and an order-free sum over them, kept
//! beside the number of the last applied record) tells a missing or doubled one, which no check sum in the
//! value can: sled opens many damaged files without a word and with entries gone.
//!
//! Not for: where values are kept.

/// Bytes before the body.
const HEADER: usize = 5;

/// Writes the value of `key` into `out`, which is emptied first.
pub(super) fn encode(out: &mut Vec<u8>, key: &[u8], version: u8, body: &[u8]) {
    out.clear();
    out.push(version);
    out.extend_from_slice(&sum(key, version, body).to_le_bytes());
    out.extend_from_slice(body);
}

/// Version and body, if the check sum holds.
pub(super) fn decode<'a>(key: &[u8], value: &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (header, body) = value.split_at_checked(HEADER)?;
    (stored_sum(header) == sum(key, header[0], body)).then_some((header[0], body))
}

fn sum(key: &[u8], version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[version]);
    hasher.update(body);
    hasher.finalize()
}

fn stored_sum(header: &[u8]) -> u32 {
    u32::from_le_bytes(header[1..HEADER].try_into().expect("four bytes were sliced"))
}

/// What the database should hold: the last record in it, the number of its entries, their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Census {
    pub(super) seq: u64,
    pub(super) entries: u64,
    pub(super) sum: u64,
}

impl Census {
    const BYTES: usize = 28;

    pub(super) fn add(&mut self, value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mark(value));
    }

    pub(super) fn remove(&mut self, value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mark(value));
    }

    /// Both together, up to the later record.
    pub(super) fn and(self, other: Census) -> Census {
        Census {
            seq: self.seq.max(other.seq),
            entries: self.entries.wrapping_add(other.entries),
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Census::BYTES] {
        let mut bytes = [0; Census::BYTES];
        bytes[0..8].copy_from_slice(&self.seq.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.entries.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sum.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Census> {
        let bytes: &[u8; Census::BYTES] = bytes.try_into().ok()?;
        let word =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"));
        let crc = u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes were sliced"));
        (crc32fast::hash(&bytes[..24]) == crc).then(|| Census {
            seq: word(0),
            entries: word(8),
            sum: word(16),
        })
    }
}

/// A well mixed number of one value; its CRC binds key, version and body. (The finaliser of SplitMix64.)
fn mark(value: &[u8]) -> u64 {
    let crc = value.get(..HEADER).map_or(0, stored_sum);
    let mut x = (u64::from(crc) | (value.len() as u64) << 32).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_its_key() {
        let mut value = Vec::new();
        encode(&mut value, b"task/1", 3, b"body");
        assert_eq!(decode(b"task/1", &value), Some((3, b"body".as_slice())));
        assert_eq!(decode(b"task/2", &value), None);
        assert_eq!(decode(b"task/1", &value[..8]), None);
        assert_eq!(decode(b"task/1", b""), None);
    }

    #[test]
    fn a_census_is_free_of_order_and_sees_a_missing_entry() {
        let values: Vec<Vec<u8>> = (0u8..10)
            .map(|i| {
                let mut value = Vec::new();
                encode(&mut value, &[b'k', i], 1, &[i]);
                value
            })
            .collect();
        let mut forth = Census::default();
        values.iter().for_each(|v| forth.add(v));
        let mut back = Census::default();
        values.iter().rev().for_each(|v| back.add(v));
        assert_eq!(forth, back);
        let (mut odd, mut even) = (Census::default(), Census::default());
        values.iter().enumerate().for_each(|(i, v)| if i % 2 == 0 { even.add(v) } else { odd.add(v) });
        assert_eq!(even.and(odd), forth);
        back.remove(&values[4]);
        assert_ne!(forth.sum, back.sum);
        assert_eq!(Census::from_bytes(&forth.to_bytes()), Some(forth));
        assert_eq!(Census::from_bytes(&[1; 28]), None);
    }
}
