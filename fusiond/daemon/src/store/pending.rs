//! What is committed and not yet in the database: the newest value of each key, where readers see it, the
//! writer adds to it and the apply thread takes it away. The one lock that these three share.
//!
//! ```text
//!  writer ──insert──► active ──take──► applying ──(in the database, synced)──► gone
//! ```
//! Not for: the journal, the database.

use std::collections::btree_map::Entry as Slot;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::batch::Change;
use super::tree::{self, Bounds, Bytes, Changed};
use super::{Backup, BackupError, CommitError, Direction, Seq, value};

/// Counted for each entry beside its bytes: node of the map, reference counts, allocator.
const ENTRY_OVERHEAD: u64 = 96;

/// Changes that travel to the database together.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) changed: Changed,
    pub(super) bytes: u64,
    /// The last record in it.
    pub(super) seq: Seq,
    /// When the first change arrived; `None` while empty.
    pub(super) since: Option<Instant>,
}

/// An order to the apply thread, answered when done.
pub(super) enum Order {
    /// Make a checkpoint of everything committed.
    Checkpoint(SyncSender<Result<Backup, BackupError>>),
    /// Write everything committed to a file.
    Backup(PathBuf, SyncSender<Result<Backup, BackupError>>),
}

/// How the apply thread ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Not at all.
    No,
    /// After bringing everything to the database and making a checkpoint.
    Clean,
    /// At once; the journal has everything.
    Now,
}

/// What is behind the lock.
pub(super) struct State {
    pub(super) active: Layer,
    pub(super) applying: Option<Arc<Layer>>,
    pub(super) orders: Vec<Order>,
    pub(super) stop: Stop,
    /// Bytes of journal written since the last checkpoint.
    pub(super) journal_bytes: u64,
    /// The apply thread waits for disk space.
    pub(super) starved: bool,
    poison: Option<Arc<io::Error>>,
}

/// Shared by the writer, the apply thread and the readers.
pub(super) struct Pending {
    state: Mutex<State>,
    /// The apply thread waits here for work.
    pub(super) work: Condvar,
    /// The writer waits here for room.
    room: Condvar,
    flush_bytes: u64,
    bytes_max: u64,
}

impl Pending {
    pub(super) fn new(flush_bytes: u64, bytes_max: u64) -> Pending {
        let state = State {
            active: Layer::default(),
            applying: None,
            orders: Vec::new(),
            stop: Stop::No,
            journal_bytes: 0,
            starved: false,
            poison: None,
        };
        Pending {
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            flush_bytes,
            bytes_max,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding it cannot leave half a change: each section is one insert or swap.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for more.
    pub(super) fn wait_for_room(&self) -> Result<(), CommitError> {
        let mut state = self.lock();
        loop {
            if let Some(source) = &state.poison {
                return Err(CommitError::Poisoned { source: source.clone() });
            }
            if state.active.bytes < self.bytes_max {
                return Ok(());
            }
            if state.starved {
                return Err(CommitError::NoSpace);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds the changes of a durable record of `bytes`.
    pub(super) fn insert<'a>(
        &self,
        seq: Seq,
        schema: u8,
        bytes: u64,
        changes: impl Iterator<Item = Change<'a>>,
        scratch: &mut Vec<u8>,
    ) {
        let mut state = self.lock();
        let before = state.active.bytes;
        changes.for_each(|change| state.active.insert(schema, change, scratch));
        state.active.seq = seq;
        state.journal_bytes += bytes;
        let begins = state.active.since.is_none();
        if begins {
            state.active.since = Some(Instant::now());
        }
        let fills = before < self.flush_bytes && state.active.bytes >= self.flush_bytes;
        drop(state);
        if begins || fills {
            self.work.notify_one();
        }
    }

    /// Nothing more may be written; the first reason stays.
    pub(super) fn poison(&self, e: io::Error) -> CommitError {
        let mut state = self.lock();
        let source = state.poison.get_or_insert_with(|| Arc::new(e)).clone();
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        CommitError::Poisoned { source }
    }

    /// Gives an order to the apply thread.
    pub(super) fn order(&self, order: Order) {
        let mut state = self.lock();
        // An order to a thread that is gone is dropped, and its answer with it: the caller sees "closed".
        if state.stop == Stop::No && state.poison.is_none() {
            state.orders.push(order);
        }
        drop(state);
        self.work.notify_all();
    }

    /// Ends the apply thread.
    pub(super) fn stop(&self, stop: Stop) {
        self.lock().stop = stop;
        self.work.notify_all();
    }

    /// What was applied is in the database.
    pub(super) fn applied(&self) {
        let mut state = self.lock();
        state.applying = None;
        state.starved = false;
        drop(state);
        self.room.notify_all();
    }

    /// The apply thread found no space.
    pub(super) fn starve(&self) {
        self.lock().starved = true;
        self.room.notify_all();
    }
}

impl State {
    pub(super) fn poison(&self) -> Option<&Arc<io::Error>> {
        self.poison.as_ref()
    }

    /// Moves the active changes to `applying` and returns them.
    pub(super) fn take(&mut self) -> Arc<Layer> {
        let seq = self.active.seq;
        let layer = Arc::new(std::mem::take(&mut self.active));
        self.active.seq = seq;
        self.applying = Some(layer.clone());
        layer
    }

    /// The pending value of `key`; `Some(None)`: deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let applying = || self.applying.as_ref().and_then(|layer| layer.changed.get(key));
        self.active.changed.get(key).or_else(applying).cloned()
    }

    /// The pending changes within `bounds`, in `direction`, up to and including the `limit`-th put: with
    /// these alone `limit` entries can be shown, so no later one matters.
    pub(super) fn range(
        &self,
        bounds: &Bounds,
        direction: Direction,
        limit: usize,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        let mut newer = within(Some(&self.active), bounds, direction).peekable();
        let mut older = within(self.applying.as_deref(), bounds, direction).peekable();
        let mut found = Vec::new();
        let mut puts = 0;
        while puts < limit {
            let first = match (newer.peek(), older.peek()) {
                (None, None) => break,
                (Some((new, _)), Some((old, _))) if direction.is_before(old, new) => older.next(),
                (Some((new, _)), Some((old, _))) if new == old => {
                    older.next();
                    newer.next()
                }
                (Some(_), _) => newer.next(),
                (None, Some(_)) => older.next(),
            };
            let (key, value) = first.expect("it was peeked at");
            puts += usize::from(value.is_some());
            found.push((key.clone(), value.clone()));
        }
        found
    }
}

fn within<'a>(
    layer: Option<&'a Layer>,
    bounds: &Bounds,
    direction: Direction,
) -> impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> {
    let layer = layer.filter(|_| !tree::is_empty(bounds));
    let mut range =
        layer.map(|layer| layer.changed.range::<[u8], _>((as_slice(&bounds.0), as_slice(&bounds.1))));
    std::iter::from_fn(move || match direction {
        Direction::Ascending => range.as_mut()?.next(),
        Direction::Descending => range.as_mut()?.next_back(),
    })
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

impl Layer {
    /// Adds one change; the last of a key wins.
    pub(super) fn insert(&mut self, schema: u8, change: Change<'_>, scratch: &mut Vec<u8>) {
        let (key, new) = match change {
            Change::Put { key, body } => {
                value::encode(scratch, key, schema, body);
                (key, Some(Bytes::from(scratch.as_slice())))
            }
            Change::Delete { key } => (key, None),
        };
        self.bytes += new.as_ref().map_or(0, |v| v.len() as u64);
        match self.changed.entry(Bytes::from(key)) {
            Slot::Vacant(slot) => {
                self.bytes += key.len() as u64 + ENTRY_OVERHEAD;
                slot.insert(new);
            }
            Slot::Occupied(mut slot) => {
                self.bytes -= slot.get().as_ref().map_or(0, |v| v.len() as u64);
                slot.insert(new);
            }
        }
    }
}
