//! Reading what is committed, from any thread: the pending changes laid over the database.
//!
//! A call sees everything committed before it began. A range is taken while the writer and the apply thread
//! go on: each of its entries is at least as new as the call, the whole is no picture of one moment (a
//! backup is).
//!
//! Not for: writing; deciding who may read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::pending::{Order, Pending};
use super::tree::{self, Bytes, View};
use super::{Backup, BackupError, Direction, ReadError, value};

/// Entries read at once by a scan of everything.
const PAGE: usize = 1024;

/// The database for readers; empty once the store is closed.
pub(super) type Door = Arc<RwLock<Option<View>>>;

/// A stored value with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `kind/id`.
    pub key: Vec<u8>,
    /// The schema that was current when it was written.
    pub version: u8,
    /// The value.
    pub body: Vec<u8>,
}

/// Reads what is committed, from any thread; cheap to clone. Each call sees everything that was committed
/// before it began; a range is no frozen picture of one moment.
#[derive(Clone)]
pub struct Reader {
    pending: Arc<Pending>,
    door: Door,
    /// The newest schema that this program knows.
    known: u8,
}

impl Reader {
    pub(super) fn new(pending: Arc<Pending>, door: Door, known: u8) -> Reader {
        Reader { pending, door, known }
    }

    /// The body under `key`; `None` if there is none.
    ///
    /// # Errors
    /// [`ReadError`]; a key that is not there is none.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let guard = self.enter();
        let view = guard.as_ref().ok_or(ReadError::Closed)?;
        let pending = self.pending.lock().get(key);
        let found = match pending {
            Some(value) => value,
            // No entry has an empty key or one that begins with zero; the database keeps its own there.
            None if key.first().is_none_or(|b| *b == 0) => None,
            None => view.get(key).map_err(ReadError::Database)?,
        };
        found.map(|value| Ok(self.decode(key, &value)?.1.to_vec())).transpose()
    }

    /// At most `limit` entries whose keys begin with `prefix`, strictly after `after` in `direction`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn range(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        self.page(prefix, after, limit, direction, |key, version, body| {
            entries.push(Entry { key: key.to_vec(), version, body: body.to_vec() });
        })?;
        Ok(entries)
    }

    /// Calls `each(key, version, body)` for every entry whose key begins with `prefix`, in key order.
    /// Returns how many there were.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn scan(&self, prefix: &[u8], mut each: impl FnMut(&[u8], u8, &[u8])) -> Result<u64, ReadError> {
        let mut last: Option<Vec<u8>> = None;
        let mut count = 0;
        loop {
            let mut seen = 0;
            let mut newest = Bytes::default();
            self.page(prefix, last.as_deref(), PAGE, Direction::Ascending, |key, version, body| {
                each(key, version, body);
                newest = key.clone();
                seen += 1;
            })?;
            count += seen as u64;
            if seen < PAGE {
                return Ok(count);
            }
            last = Some(newest.to_vec());
        }
    }

    /// Writes everything committed so far to the new file `to` (mode 0600), while the engine goes on
    /// committing. Blocks the caller until the file is durable.
    ///
    /// # Errors
    /// [`BackupError`]; the store itself goes on.
    pub fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        let to: PathBuf = to.to_owned();
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists { path: to });
        }
        self.ask(|answer| Order::Backup(to, answer))
    }

    pub(super) fn checkpoint(&self) -> Result<Backup, BackupError> {
        self.ask(Order::Checkpoint)
    }

    fn ask(
        &self,
        order: impl FnOnce(std::sync::mpsc::SyncSender<Result<Backup, BackupError>>) -> Order,
    ) -> Result<Backup, BackupError> {
        let (answer, done) = std::sync::mpsc::sync_channel(1);
        self.pending.order(order(answer));
        done.recv().unwrap_or(Err(BackupError::Closed))
    }

    fn enter(&self) -> RwLockReadGuard<'_, Option<View>> {
        self.door.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        direction: Direction,
        mut each: impl FnMut(&Bytes, u8, &[u8]),
    ) -> Result<(), ReadError> {
        let guard = self.enter();
        let view = guard.as_ref().ok_or(ReadError::Closed)?;
        let bounds = tree::bounds(prefix, after, direction);
        if limit == 0 || tree::is_empty(&bounds) {
            return Ok(());
        }
        let mut over = self.pending.lock().range(&bounds, direction, limit).into_iter().peekable();
        let mut under = view.range(bounds, direction).peekable();
        let mut shown = 0;
        while shown < limit {
            let overlays = match (over.peek(), under.peek()) {
                (Some((above, _)), Some(Ok((below, _)))) => !direction.is_before(below, above),
                (Some(_), None) => true,
                (Some(_), Some(Err(_))) | (None, _) => false,
            };
            let (key, value) = if overlays {
                let (key, new) = over.next().expect("it was peeked at");
                under.next_if(|entry| matches!(entry, Ok((below, _)) if *below == key));
                (key, new)
            } else {
                let Some(entry) = under.next() else { break };
                let (key, value) = entry.map_err(ReadError::Database)?;
                (key, Some(value))
            };
            if let Some(value) = value {
                let (version, body) = self.decode(&key, &value)?;
                each(&key, version, body);
                shown += 1;
            }
        }
        Ok(())
    }

    fn decode<'a>(&self, key: &[u8], value: &'a [u8]) -> Result<(u8, &'a [u8]), ReadError> {
        let key_text = || String::from_utf8_lossy(key).into_owned();
        match value::decode(key, value) {
            None => Err(ReadError::Corrupt { key: key_text() }),
            // A migration that was cut off has left it.
            Some((found, _)) if found > self.known => {
                Err(ReadError::Newer { key: key_text(), found, known: self.known })
            }
            Some(whole) => Ok(whole),
        }
    }
}
