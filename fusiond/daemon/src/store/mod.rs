//! The store room: bytes under keys, durable before anybody is told.
//!
//! ```text
//!  engine ── commit(batch) ──► journal  (append + fdatasync, then the caller goes on)
//!                 │
//!                 ▼
//!              pending  (newest value of each key, seen by every Reader)
//!                 │  thread store-apply: about once a second, or every few MiB
//!                 ▼
//!               sled  (state and searchable history) ── flush, fsync ──► checkpoint ──► old segments dropped
//! ```
//! The journal is the truth, sled is its index: a database that is corrupt, unopenable or behind is set
//! aside and rebuilt from the newest valid checkpoint and the journal after it. Folder:
//! `lock`, `journal/<first record>.log`, `db/`, `checkpoint/<record>.ckpt`, `reserve`, `clean`.
//!
//! Not for: what keys and bodies mean (the engine's), decisions, retention. Only `tree.rs` names sled.

mod batch;
mod error;
mod journal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use batch::{Batch, Change, KEY_BYTES_MAX, RECORD_BYTES_MAX, SCHEMA_KEY};
pub use error::{BackupError, CommitError, OpenError, ReadError};

/// Number of a journal record: 1, 2, 3 … without a gap; 0 is "before the first".
pub type Seq = u64;

/// One step of a migration: sees the whole state of schema `n` and fills the batch with what differs in
/// `n + 1`. The text of a refusal is shown to the person who starts the daemon.
pub type Migration = fn(&Reader, &mut Batch) -> Result<(), String>;

/// How a store is kept. [`Config::new`] gives the usual values.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder; made with mode 0700 if absent.
    pub dir: PathBuf,
    /// The schema that this program writes, 1 to 255. Stamped on every value; older data is migrated.
    pub schema: u32,
    /// Entry `i` brings schema `i + 1` to `i + 2`; one fewer than `schema`.
    pub migrations: &'static [Migration],
    /// Size of a journal segment.
    pub segment_bytes: u64,
    /// [`Store::space`] is not ok below this many free bytes.
    pub free_floor_bytes: u64,
    /// Size of the file that is given back to the file system when a commit meets a full disk.
    pub reserve_bytes: u64,
    /// Cache of the database; its memory is 3 to 4 times this.
    pub cache_bytes: u64,
    /// Changes go to the database this long after the first of them.
    pub flush_interval: Duration,
    /// They go earlier when there are this many bytes of them.
    pub flush_bytes: u64,
    /// A commit waits when this many bytes have not reached the database.
    pub pending_bytes_max: u64,
    /// A checkpoint is made when this much journal was written since the last.
    pub checkpoint_bytes: u64,
    /// … or when it is this old and something was written since.
    pub checkpoint_interval: Duration,
    /// Checkpoints kept; the journal is kept back to the oldest of them.
    pub checkpoints_kept: usize,
    /// How the database is tried out in a process of its own before this one opens it.
    pub probe: Probe,
}

/// The command that opens the database first: a damaged one may panic, abort or hang. It must end up in
/// [`probe_main`] with the folder that is appended to its arguments.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Run this and wait for it.
    Command {
        /// The program; `/proc/self/exe` is this one.
        program: PathBuf,
        /// Its arguments before the folder.
        args: Vec<OsString>,
        /// How long it may take for a small database; large ones get more.
        limit: Duration,
    },
    /// Open without trying. For tests of other rooms only: a damaged database may end the process.
    Skip,
}

/// The hidden argument of the daemon that means "be the probe": `fusiond --probe-store DB_DIR`.
pub const PROBE_ARGUMENT: &str = "--probe-store";

impl Config {
    /// The usual values for a store in `dir` of schema 1.
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        Config {
            dir: dir.into(),
            schema: 1,
            migrations: &[],
            segment_bytes: 8 << 20,
            free_floor_bytes: 256 << 20,
            reserve_bytes: 16 << 20,
            cache_bytes: 16 << 20,
            flush_interval: Duration::from_secs(1),
            flush_bytes: 4 << 20,
            pending_bytes_max: 64 << 20,
            checkpoint_bytes: 64 << 20,
            checkpoint_interval: Duration::from_secs(3600),
            checkpoints_kept: 2,
            probe: Probe::Command {
                program: PathBuf::from("/proc/self/exe"),
                args: vec![OsString::from(PROBE_ARGUMENT)],
                limit: Duration::from_secs(10),
            },
        }
    }
}

/// What [`Store::open`] found.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Nothing was there: an empty store was made.
    pub fresh: bool,
    /// The schema that was stored before migrations ran.
    pub schema_found: u32,
    /// The last durable record.
    pub seq: Seq,
    /// Records that the journal had and the database had not.
    pub replayed: u64,
    /// Bytes of a record that a crash cut short; it was never acknowledged.
    pub torn_bytes: u64,
    /// The database was rebuilt. Tell an operator: this is a fault of disk, kernel or sled.
    pub rebuilt: Option<Rebuilt>,
    /// The journal ended before the (intact) database and was set aside here.
    pub journal_set_aside: Option<PathBuf>,
    /// How long it took.
    pub duration: Duration,
}

/// Why and from what the database was rebuilt.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// What was wrong with it.
    pub reason: String,
    /// The checkpoint that it was rebuilt from.
    pub from: Seq,
    /// Where the old one is now; `None` when there was none (after a restore).
    pub set_aside: Option<PathBuf>,
}

/// Free space of the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes free to this process.
    pub free_bytes: u64,
    /// [`Config::free_floor_bytes`].
    pub floor_bytes: u64,
    /// Above the floor, reserve in place and the database keeping up: new work may be admitted.
    pub ok: bool,
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// The last record in it.
    pub seq: Seq,
    /// Number of entries.
    pub entries: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// Which end a range begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

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

/// The store; owned by the engine thread. `Send`, used by one thread.
pub struct Store {
    _later: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl Store {
    /// Opens or makes the store in `config.dir`, after replaying the journal, repairing what can be
    /// repaired and migrating older data. Blocks; call it before the runtime starts.
    pub fn open(_config: Config) -> Result<(Store, Opened), OpenError> {
        unimplemented!()
    }

    /// Makes the batch durable as one record and empties it; returns its number. When it returns `Ok`
    /// every [`Reader`] sees it and no crash loses it. An empty batch writes nothing and returns the
    /// number of the last record. On an error the batch is as before.
    ///
    /// # Errors
    /// See [`CommitError`]: refused for space or size with nothing written, or poisoned.
    pub fn commit(&mut self, _batch: &mut Batch) -> Result<Seq, CommitError> {
        unimplemented!()
    }

    /// The last durable record.
    pub fn seq(&self) -> Seq {
        unimplemented!()
    }

    /// A reader for other threads.
    pub fn reader(&self) -> Reader {
        unimplemented!()
    }

    /// Calls `each(key, version, body)` for every entry in key order.
    pub fn load_all(&self, each: impl FnMut(&[u8], u8, &[u8])) -> Result<u64, ReadError> {
        self.load(b"", each)
    }

    /// As [`Store::load_all`], for the keys that begin with `prefix`. Returns how many there were.
    pub fn load(&self, _prefix: &[u8], _each: impl FnMut(&[u8], u8, &[u8])) -> Result<u64, ReadError> {
        unimplemented!()
    }

    /// Makes a checkpoint of everything committed so far and waits for it.
    pub fn checkpoint(&self) -> Result<Backup, BackupError> {
        unimplemented!()
    }

    /// Free space now. A system call; ask once a turn at most.
    pub fn space(&self) -> Space {
        unimplemented!()
    }

    /// Brings everything to the database, makes a checkpoint, marks the folder as cleanly closed.
    /// Readers fail with [`ReadError::Closed`] from now on. A store that is dropped instead loses nothing;
    /// the next start only takes longer.
    pub fn close(self) -> Result<(), CommitError> {
        unimplemented!()
    }
}

/// Reads what is committed, from any thread; cheap to clone. Each call sees everything that was committed
/// before it began; a range is no frozen picture of one moment.
#[derive(Clone)]
pub struct Reader {}

impl Reader {
    /// The body under `key`.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        unimplemented!()
    }

    /// At most `limit` entries whose keys begin with `prefix`, strictly after `after` in `direction`.
    pub fn range(
        &self,
        _prefix: &[u8],
        _after: Option<&[u8]>,
        _limit: usize,
        _direction: Direction,
    ) -> Result<Vec<Entry>, ReadError> {
        unimplemented!()
    }

    /// Writes everything committed so far to the new file `to` (mode 0600), while the engine goes on
    /// committing. Blocks the caller until the file is durable.
    pub fn backup(&self, _to: &Path) -> Result<Backup, BackupError> {
        unimplemented!()
    }
}

/// Puts a backup into the empty or absent folder `dir`; the next [`Store::open`] builds the database from it.
pub fn restore(_from: &Path, _dir: &Path) -> Result<Backup, OpenError> {
    unimplemented!()
}

/// Body of the probe process: opens the database in `db` and checks every value; the exit code. Says on
/// standard error what is wrong.
pub fn probe_main(_db: &Path) -> i32 {
    unimplemented!()
}
