//! A batch: the changes of one turn, encoded straight into the bytes of one journal record.
//!
//! ```text
//! payload = schema u8, then per change:  1 | key length u16 | body length u32 | key | body     (put)
//!                                        2 | key length u16 | key                              (delete)
//! ```
//! Integers are little-endian. Room for the record's header is kept in front, so that a commit is one
//! `pwrite` of this very buffer.
//!
//! Not for: sums and sequence numbers (the journal's), the shape of bodies (the caller's).

use super::journal::record;

/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Largest record in bytes: header and all changes.
pub const RECORD_BYTES_MAX: usize = 256 << 20;
/// The one key that belongs to the store: the schema of the stored data, `u32` little-endian.
pub const SCHEMA_KEY: &[u8] = b"meta/schema";

const PUT: u8 = 1;
const DELETE: u8 = 2;
const BODY: usize = record::HEADER + 1;

/// One change: a whole-value put or a delete. Replaying it twice is the same as once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key holds this body from now on.
    Put {
        /// `kind/id`.
        key: &'a [u8],
        /// The value, opaque here.
        body: &'a [u8],
    },
    /// The key is gone; deleting what is not there is fine.
    Delete {
        /// `kind/id`.
        key: &'a [u8],
    },
}

/// Changes that become durable together. Keep one and use it again: [`super::Store::commit`] empties
/// it and keeps its memory.
#[derive(Debug, Clone)]
pub struct Batch {
    buffer: Vec<u8>,
    count: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { buffer: vec![0; BODY], count: 0 }
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// The key holds `body` from now on. Of two changes of one key the later wins.
    ///
    /// # Panics
    /// If the key is empty, begins with a zero byte, is longer than [`KEY_BYTES_MAX`] or is
    /// [`SCHEMA_KEY`]; if the body is larger than [`RECORD_BYTES_MAX`].
    pub fn put(&mut self, key: &[u8], body: &[u8]) {
        check_key(key);
        self.push_put(key, body);
    }

    /// The key is gone from now on.
    ///
    /// # Panics
    /// As [`Batch::put`].
    pub fn delete(&mut self, key: &[u8]) {
        check_key(key);
        self.buffer.push(DELETE);
        self.buffer.extend_from_slice(&key_length(key));
        self.buffer.extend_from_slice(key);
        self.count += 1;
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No change in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the record that it becomes, in bytes.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets the changes, keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.truncate(BODY);
        self.count = 0;
    }

    /// The changes in order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        Changes { rest: &self.buffer[BODY..] }
            .map(|c| c.expect("a batch holds only what put and delete wrote"))
    }

    pub(super) fn push_put(&mut self, key: &[u8], body: &[u8]) {
        assert!(body.len() <= RECORD_BYTES_MAX, "body of {} bytes", body.len());
        self.buffer.push(PUT);
        self.buffer.extend_from_slice(&key_length(key));
        self.buffer.extend_from_slice(&(body.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(body);
        self.count += 1;
    }

    /// The record's bytes with the schema filled in and room for the header in front.
    pub(super) fn record_mut(&mut self, schema: u8) -> &mut [u8] {
        self.buffer[record::HEADER] = schema;
        &mut self.buffer
    }
}

fn check_key(key: &[u8]) {
    assert!(!key.is_empty() && key.len() <= KEY_BYTES_MAX, "key of {} bytes", key.len());
    assert!(key[0] != 0 && key != SCHEMA_KEY, "key {:?} belongs to the store", String::from_utf8_lossy(key));
}

fn key_length(key: &[u8]) -> [u8; 2] {
    (key.len() as u16).to_le_bytes()
}

/// Reads a record's payload: the schema and the changes. A change that cannot be read is `Err` and ends
/// the iteration.
pub(super) fn decode(payload: &[u8]) -> Option<(u8, Changes<'_>)> {
    let (schema, rest) = payload.split_first()?;
    Some((*schema, Changes { rest }))
}

/// The changes of a payload.
pub(super) struct Changes<'a> {
    rest: &'a [u8],
}

/// A change that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Changes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }

    fn change(&mut self) -> Option<Change<'a>> {
        let tag = self.take(1)?[0];
        let key_len = usize::from(u16::from_le_bytes(self.take(2)?.try_into().ok()?));
        match tag {
            PUT => {
                let body_len = u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize;
                Some(Change::Put { key: self.take(key_len)?, body: self.take(body_len)? })
            }
            DELETE => Some(Change::Delete { key: self.take(key_len)? }),
            _ => None,
        }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.change().ok_or_else(|| {
            self.rest = &[];
            Malformed
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back_in_order() {
        let mut batch = Batch::new();
        batch.put(b"task/1", b"body");
        batch.delete(b"task/2");
        batch.put(b"task/3", b"");
        let expected = [
            Change::Put { key: b"task/1", body: b"body" },
            Change::Delete { key: b"task/2" },
            Change::Put { key: b"task/3", body: b"" },
        ];
        assert_eq!(batch.changes().collect::<Vec<_>>(), expected);
        batch.clear();
        assert!(batch.is_empty() && batch.changes().next().is_none());
    }

    #[test]
    fn a_cut_payload_is_malformed_and_never_panics() {
        let mut batch = Batch::new();
        batch.put(b"task/1", b"body");
        let payload = batch.record_mut(1)[record::HEADER..].to_vec();
        for cut in 2..payload.len() {
            let (_, changes) = decode(&payload[..cut]).expect("the schema byte is there");
            assert_eq!(changes.last(), Some(Err(Malformed)), "cut at {cut}");
        }
    }
}
