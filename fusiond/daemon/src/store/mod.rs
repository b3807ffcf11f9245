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
//! `lock`, `journal/<first record>.log`, `db/`, `checkpoint/<record>.ckpt`, `reserve`, `clean`; after a
//! restore `restored`, and from its first start `restored.begun`.
//!
//! Not for: what keys and bodies mean (the engine's), decisions, retention. Only `tree.rs` names sled.

mod apply;
mod batch;
mod checkpoint;
mod compact;
mod error;
mod home;
mod journal;
mod migrate;
mod pending;
mod probe;
mod reader;
mod recover;
mod space;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use batch::{Batch, Change, KEY_BYTES_MAX, RECORD_BYTES_MAX, SCHEMA_KEY};
pub use error::{BackupError, CloseError, CommitError, OpenError, ReadError};
pub use probe::probe_main;
pub use reader::{Entry, Reader};
pub use recover::restore;

use self::apply::Applier;
use self::error::io_error;
use self::home::Home;
use self::journal::{AppendError, Writer};
use self::pending::{Pending, Stop};
use self::recover::Recovered;
use self::space::{DATABASE_MARGIN, Reserve};

/// Number of a journal record: 1, 2, 3 … without a gap; 0 is "before the first".
pub type Seq = u64;

/// One step of a migration: what the body under `key`, written in schema `n`, is in `n + 1`; `None`: the
/// same bytes. The text of a refusal is shown to the person who starts the daemon.
pub type Migration = fn(key: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String>;

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
    /// At start the database is rebuilt smaller when its files are larger than this many times what lives in
    /// it …
    pub compact_factor: u64,
    /// … and larger than this many bytes.
    pub compact_floor_bytes: u64,
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
            compact_factor: 4,
            compact_floor_bytes: 64 << 20,
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
    /// The database was rebuilt. Unless it was restored, tell an operator: this is a fault of disk, kernel or sled.
    pub rebuilt: Option<Rebuilt>,
    /// A backup was put here, and no daemon has found out yet what became of everything since ([`Store::outgrow_backup`]).
    pub of_backup: bool,
    /// The journal ended before the (intact) database and was set aside here.
    pub journal_set_aside: Option<PathBuf>,
    /// The database had grown far beyond what lives in it and was rebuilt smaller. No fault.
    pub compacted: Option<Compacted>,
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
    /// Where the old one is now; `None` when there was none.
    pub set_aside: Option<PathBuf>,
    /// Nothing was wrong: it is the first start from a backup.
    pub is_restored: bool,
}

/// What a compaction did to the files of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Their bytes before.
    pub from_bytes: u64,
    /// Their bytes after.
    pub to_bytes: u64,
}

/// Free space of the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes free to this process.
    pub free_bytes: u64,
    /// [`Config::free_floor_bytes`].
    pub floor_bytes: u64,
    /// Above the floor and the database keeping up: new work may be admitted.
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

impl Direction {
    /// `a` comes strictly before `b`.
    fn is_before<T: Ord>(self, a: &T, b: &T) -> bool {
        match self {
            Direction::Ascending => a < b,
            Direction::Descending => a > b,
        }
    }
}

/// The store; owned by the engine thread. `Send`, used by one thread.
pub struct Store {
    journal: Writer,
    pending: Arc<Pending>,
    reader: Reader,
    door: reader::Door,
    reserve: Arc<Reserve>,
    config: Arc<Config>,
    home: Home,
    scratch: Vec<u8>,
    applier: Option<JoinHandle<io::Result<()>>>,
    _lock: File,
}

impl Store {
    /// Opens or makes the store in `config.dir`, after replaying the journal, repairing what can be
    /// repaired and migrating older data. Blocks; call it before the runtime starts.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is lost or deleted by a refusal.
    pub fn open(config: Config) -> Result<(Store, Opened), OpenError> {
        let started = Instant::now();
        config.check().map_err(OpenError::Config)?;
        let home = Home::at(&config.dir);
        home.make()?;
        let lock = home.lock()?;
        let reserve = Arc::new(Reserve::new(&home.dir, config.reserve_bytes, config.free_floor_bytes));
        ensure_space(&home, &reserve)?;
        let recovered = recover::recover(&config, &home)?;
        let mut opened = recovered.opened.clone();
        let mut store = Store::start(recovered, config, home, reserve, lock)?;
        if opened.schema_found < store.config.schema {
            store.migrate(opened.schema_found)?;
            opened.seq = store.seq();
        }
        opened.duration = started.elapsed();
        Ok((store, opened))
    }

    fn start(
        recovered: Recovered,
        config: Config,
        home: Home,
        reserve: Arc<Reserve>,
        lock: File,
    ) -> Result<Store, OpenError> {
        let config = Arc::new(config);
        let pending = Arc::new(Pending::new(config.flush_bytes, config.pending_bytes_max));
        pending.lock().journal_bytes = recovered.journal_bytes;
        let door = Arc::new(RwLock::new(Some(recovered.tree.view())));
        let journal = Writer::start(&home.journal, recovered.end, config.segment_bytes, reserve.clone())
            .map_err(io_error("open the newest segment in", &home.journal))?;
        let applier = Applier {
            pending: pending.clone(),
            tree: recovered.tree,
            config: config.clone(),
            reserve: reserve.clone(),
            journal: home.journal.clone(),
            checkpoints: home.checkpoints.clone(),
            checkpoint_seq: recovered.checkpoint_seq,
            checkpoint_at: Instant::now(),
            checkpoint_not_before: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("store-apply".to_owned()).spawn(move || applier.run());
        let applier = Some(thread.map_err(io_error("start the apply thread for", &home.dir))?);
        let reader = Reader::new(pending.clone(), door.clone(), config.schema as u8);
        let scratch = Vec::new();
        Ok(Store { journal, pending, reader, door, reserve, config, home, scratch, applier, _lock: lock })
    }

    /// Makes the batch durable as one record and empties it; returns its number. When it returns `Ok`
    /// every [`Reader`] sees it and no crash loses it. An empty batch writes nothing and returns the
    /// number of the last record. On an error the batch is as before.
    ///
    /// # Errors
    /// See [`CommitError`]: refused for space or size with nothing written, or poisoned.
    pub fn commit(&mut self, batch: &mut Batch) -> Result<Seq, CommitError> {
        if batch.is_empty() {
            return Ok(self.journal.seq());
        }
        if batch.bytes() > RECORD_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes: batch.bytes(), max: RECORD_BYTES_MAX });
        }
        self.commit_as(batch, self.config.schema as u8)
    }

    fn commit_as(&mut self, batch: &mut Batch, schema: u8) -> Result<Seq, CommitError> {
        self.pending.wait_for_room()?;
        let seq = self.journal.append(batch.record_mut(schema)).map_err(|e| match e {
            AppendError::NoSpace => CommitError::NoSpace,
            AppendError::Failed(e) => self.pending.poison(e),
        })?;
        self.pending.insert(seq, schema, batch.bytes() as u64, batch.changes(), &mut self.scratch);
        batch.clear();
        Ok(seq)
    }

    /// The last durable record.
    pub fn seq(&self) -> Seq {
        self.journal.seq()
    }

    /// A reader for other threads.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Calls `each(key, version, body)` for every entry in key order, [`SCHEMA_KEY`] among them. Returns how
    /// many there were.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn load_all(&self, each: impl FnMut(&[u8], u8, &[u8])) -> Result<u64, ReadError> {
        self.load(b"", each)
    }

    /// As [`Store::load_all`], for the keys that begin with `prefix`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn load(&self, prefix: &[u8], each: impl FnMut(&[u8], u8, &[u8])) -> Result<u64, ReadError> {
        self.reader.scan(prefix, each)
    }

    /// Makes a checkpoint of everything committed so far and waits for it.
    ///
    /// # Errors
    /// [`BackupError`]; the store itself goes on.
    pub fn checkpoint(&self) -> Result<Backup, BackupError> {
        self.reader.checkpoint()
    }

    /// Free space now. A system call; ask once a turn at most.
    pub fn space(&self) -> Space {
        let free_bytes = self.reserve.free_bytes();
        let floor_bytes = self.config.free_floor_bytes;
        if !self.reserve.is_present() && self.reserve.is_affordable() {
            self.journal.order_reserve();
        }
        let keeps_up = !self.pending.lock().starved;
        Space { free_bytes, floor_bytes, ok: free_bytes >= floor_bytes && keeps_up }
    }

    /// What the backup that was put here did not know of is on record now.
    ///
    /// # Errors
    /// The mark cannot be removed: the next start takes the state for a backup's.
    pub fn outgrow_backup(&self) -> Result<(), OpenError> {
        self.home.end_restored()
    }

    /// Brings everything to the database, makes a checkpoint, marks the folder as cleanly closed.
    /// Readers fail with [`ReadError::Closed`] from now on. A store that is dropped instead loses nothing;
    /// the next start only takes longer.
    ///
    /// # Errors
    /// What kept it from coming to rest; still nothing is lost.
    pub fn close(mut self) -> Result<(), CloseError> {
        self.stop(Stop::Clean)?;
        if !tree::wait_released(&self.home.db) {
            return Err(CloseError::Busy);
        }
        Ok(self.home.mark_clean()?)
    }

    fn stop(&mut self, stop: Stop) -> io::Result<()> {
        self.pending.stop(stop);
        self.door.write().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.applier.take().map(JoinHandle::join);
        ended
            .unwrap_or(Ok(Ok(())))
            .unwrap_or_else(|_| Err(io::Error::other("the store-apply thread panicked")))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The journal holds everything, whatever the thread says.
        self.stop(Stop::Now).unwrap_or_default();
    }
}

fn ensure_space(home: &Home, reserve: &Reserve) -> Result<(), OpenError> {
    let need_bytes = DATABASE_MARGIN;
    if reserve.free_bytes() >= need_bytes {
        return Ok(());
    }
    reserve.release();
    match reserve.free_bytes() {
        free if free >= need_bytes => Ok(()),
        free_bytes => Err(OpenError::NoSpace { dir: home.dir.clone(), free_bytes, need_bytes }),
    }
}

impl Config {
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=255).contains(&self.schema) {
            return Err("the schema is between 1 and 255");
        }
        if self.migrations.len() + 1 != self.schema as usize {
            return Err("one migration is needed for each schema but the first");
        }
        if self.segment_bytes == 0 || self.checkpoints_kept == 0 || self.pending_bytes_max == 0 {
            return Err("segments, checkpoints and pending bytes are at least one");
        }
        if self.compact_factor == 0 {
            return Err("a database is compacted above at least once its live bytes");
        }
        Ok(())
    }
}
