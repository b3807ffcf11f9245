//! The database: the one file that names sled (0.34.7). One tree; entries, and under a key that no entry can
//! have the [`Census`] of what it holds, in the same sled batch as the changes it counts.
//!
//! sled's own `flush` does not sync the file's size and metadata (`sync_file_range`), so a flush here is
//! followed by an fsync of its file and folders. Its flusher thread is off: nothing happens in it unasked.
//!
//! Not for: deciding when, and what to do about damage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(super) use sled::IVec as Bytes;

use super::value::{self, Census};
use super::{Direction, SCHEMA_KEY};

/// Sorts before every entry: keys of entries do not begin with a zero byte.
const CENSUS_KEY: &[u8] = b"\0census";
const FIRST_KEY: &[u8] = &[1];

/// Changes in one sled batch: below, the batches themselves cost more; above, memory. Few in tests, so that they
/// see crashes in between.
const PORTION: usize = if cfg!(test) { 32 } else { 256 };

/// Threads that read everything: a start after a crash waits for them.
const READERS: usize = 2;

/// How long sled may take to let go of its file.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// Newest value of each changed key, `None` where it was deleted. Values are encoded.
pub(super) type Changed = BTreeMap<Bytes, Option<Bytes>>;

/// An open database and what it holds. One owner; others read through [`View`].
pub(super) struct Tree {
    db: sled::Db,
    census: Census,
    synced: Vec<File>,
}

/// The reading side; cheap to clone. The database closes when the last of them and the [`Tree`] are gone.
#[derive(Clone)]
pub(super) struct View {
    tree: sled::Tree,
}

impl Tree {
    /// Opens or makes the database in the folder `path`. A damaged one may make this panic, abort or hang.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> io::Result<Tree> {
        let db = open_when_released(path, cache_bytes)?;
        let census = match db.get(CENSUS_KEY).map_err(io_error)? {
            Some(bytes) => {
                Census::from_bytes(&bytes).ok_or_else(|| io::Error::other("the census is not readable"))?
            }
            None if db.is_empty() => Census::default(),
            None => return Err(io::Error::other("the census is missing")),
        };
        let synced = [path.join("db"), path.join("blobs"), path.to_owned()].into_iter().map(File::open);
        let synced = synced.collect::<io::Result<Vec<_>>>()?;
        Ok(Tree { db, census, synced })
    }

    /// What it holds, as counted.
    pub(super) fn census(&self) -> Census {
        self.census
    }

    /// The schema of what it holds.
    pub(super) fn schema(&self) -> io::Result<u32> {
        let value = self.db.get(SCHEMA_KEY).map_err(io_error)?;
        let body = value.as_ref().and_then(|value| value::decode(SCHEMA_KEY, value)).map(|(_, body)| body);
        let schema = body.and_then(|body| body.try_into().ok()).map(u32::from_le_bytes);
        schema.ok_or_else(|| io::Error::other("the schema of the database is not readable"))
    }

    /// The reading side.
    pub(super) fn view(&self) -> View {
        View { tree: (*self.db).clone() }
    }

    /// Makes the changes and counts them. In portions, as one large sled batch keeps every page that it
    /// replaces in memory until its end; after a crash in between the census is that of what is there, with
    /// the number of the record before, so that a replay makes all the changes again. Not durable before
    /// [`Tree::sync`].
    pub(super) fn apply(&mut self, changed: &Changed, seq: u64) -> io::Result<()> {
        let mut rest = changed.iter().peekable();
        while rest.peek().is_some() {
            self.apply_portion(rest.by_ref().take(PORTION), self.census)?;
        }
        self.apply_portion(std::iter::empty(), Census { seq, ..self.census })
    }

    fn apply_portion<'a>(
        &mut self,
        portion: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
        mut census: Census,
    ) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        for (key, new) in portion {
            let old = self.db.get(key).map_err(io_error)?;
            old.iter().for_each(|value| census.remove(value));
            match new {
                Some(value) => {
                    census.add(value);
                    batch.insert(key, value);
                }
                None if old.is_some() => batch.remove(key),
                None => {}
            }
        }
        batch.insert(CENSUS_KEY, &census.to_bytes());
        self.db.apply_batch(batch).map_err(io_error)?;
        self.census = census;
        Ok(())
    }

    /// Makes durable what was applied.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.db.flush().map_err(io_error)?;
        self.synced.iter().try_for_each(File::sync_all)
    }

    /// Every entry in key order, with its encoded value.
    pub(super) fn entries(&self) -> impl Iterator<Item = io::Result<(Bytes, Bytes)>> {
        self.db.range(FIRST_KEY..).map(|entry| entry.map_err(io_error))
    }

    /// Reads everything, with [`READERS`] threads, and compares it with the census.
    pub(super) fn verify(&self) -> Result<(), String> {
        let kinds = self.kinds().map_err(|e| e.to_string())?;
        let next = AtomicUsize::new(0);
        let read = || {
            let mut mine = std::iter::from_fn(|| kinds.get(next.fetch_add(1, Ordering::Relaxed)));
            mine.try_fold(Census::default(), |found, kind| Ok::<_, String>(found.and(self.count(kind)?)))
        };
        let found = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            let counted =
                readers.into_iter().map(|reader| reader.join().unwrap_or_else(|e| resume_unwind(e)));
            counted.collect::<Result<Vec<Census>, String>>()
        })?;
        let start = Census { seq: self.census.seq, ..Census::default() };
        let found = found.into_iter().fold(start, Census::and);
        match found == self.census {
            true => Ok(()),
            false => Err(format!("it holds {} entries, {} were counted", found.entries, self.census.entries)),
        }
    }

    /// The bounds of each kind of keys: those with the same beginning up to a `/`.
    fn kinds(&self) -> io::Result<Vec<Bounds>> {
        let mut kinds = Vec::new();
        let mut low = FIRST_KEY.to_vec();
        while let Some(first) = self.db.range(low.clone()..).next() {
            let (key, _) = first.map_err(io_error)?;
            let kind = key.iter().position(|byte| *byte == b'/').map_or(&key[..], |end| &key[..=end]);
            let Some(next) = successor(kind) else {
                kinds.push((Bound::Included(low), Bound::Unbounded));
                break;
            };
            kinds.push((Bound::Included(low), Bound::Excluded(next.clone())));
            low = next;
        }
        Ok(kinds)
    }

    fn count(&self, bounds: &Bounds) -> Result<Census, String> {
        let mut found = Census::default();
        for entry in self.db.range::<Vec<u8>, _>(bounds.clone()) {
            let (key, value) = entry.map_err(|e| e.to_string())?;
            if value::decode(&key, &value).is_none() {
                return Err(format!("the value under {:?} is corrupt", String::from_utf8_lossy(&key)));
            }
            found.add(&value);
        }
        Ok(found)
    }
}

impl View {
    /// The encoded value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.tree.get(key).map_err(io_error)
    }

    /// The entries within the bounds.
    pub(super) fn range(
        &self,
        bounds: Bounds,
        direction: Direction,
    ) -> impl Iterator<Item = io::Result<(Bytes, Bytes)>> {
        let mut range = self.tree.range::<Vec<u8>, _>(bounds);
        std::iter::from_fn(move || {
            let entry = match direction {
                Direction::Ascending => range.next(),
                Direction::Descending => range.next_back(),
            };
            entry.map(|entry| entry.map_err(io_error))
        })
    }
}

/// Bounds of a range of keys.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that begin with `prefix` and come strictly after `after` in `direction`.
pub(super) fn bounds(prefix: &[u8], after: Option<&[u8]>, direction: Direction) -> Bounds {
    let low = Bound::Included(prefix.max(FIRST_KEY).to_vec());
    let high = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    match (after, direction) {
        (None, _) => (low, high),
        (Some(after), Direction::Ascending) if after >= prefix => (Bound::Excluded(after.to_vec()), high),
        (Some(_), Direction::Ascending) => (low, high),
        (Some(after), Direction::Descending) => match &high {
            Bound::Excluded(end) if after >= end.as_slice() => (low, high),
            Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded => {
                (low, Bound::Excluded(after.to_vec()))
            }
        },
    }
}

/// The least key above every key that begins with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|b| *b != 0xFF)?;
    let mut next = prefix[..=end].to_vec();
    next[end] += 1;
    Some(next)
}

/// No key lies within: `BTreeMap::range` panics on such bounds.
pub(super) fn is_empty(bounds: &Bounds) -> bool {
    match bounds {
        (Bound::Included(low), Bound::Excluded(high)) | (Bound::Excluded(low), Bound::Excluded(high)) => {
            low >= high
        }
        (Bound::Included(low), Bound::Included(high)) | (Bound::Excluded(low), Bound::Included(high)) => {
            low > high
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// Name, size and CRC-32 of every file of the closed database in `path`, sorted by name.
pub(super) fn fingerprint(path: &Path) -> io::Result<Vec<(String, u64, u32)>> {
    files(path)?.iter().map(|file| fingerprint_of(path, file)).collect()
}

/// Bytes of all the files of the database in `path`.
pub(super) fn size(path: &Path) -> io::Result<u64> {
    files(path)?.iter().map(|file| Ok(file.metadata()?.len())).sum()
}

/// Every file below `path`, sorted.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort();
    Ok(files)
}

fn fingerprint_of(base: &Path, file: &PathBuf) -> io::Result<(String, u64, u32)> {
    use io::Read;
    let mut open = File::open(file)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        let n = open.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
    let name = file.strip_prefix(base).unwrap_or(file).to_string_lossy().into_owned();
    Ok((name, size, hasher.finalize()))
}

/// sled's threads let go of its file (it holds an flock) some time after the last handle is dropped, and a
/// child of this process holds a copy between its fork and its exec.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock that is let go tells nobody: flock(2) has no timeout to wait with"
)]
fn open_when_released(path: &Path, cache_bytes: u64) -> io::Result<sled::Db> {
    let config = sled::Config::default().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    let patience = Instant::now() + RELEASE_MAX;
    loop {
        match config.open() {
            Err(sled::Error::Io(e)) if is_locked(&e) && Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened => return opened.map_err(io_error),
        }
    }
}

fn is_locked(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::WouldBlock || e.to_string().starts_with("could not acquire lock")
}

/// Waits until nobody has the database in `path` open; `false` if that takes too long.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock that is let go tells nobody: flock(2) has no timeout to wait with"
)]
pub(super) fn wait_released(path: &Path) -> bool {
    let patience = Instant::now() + RELEASE_MAX;
    let Ok(file) = File::open(path.join("db")) else { return true };
    while file.try_lock().is_err() {
        if Instant::now() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn io_error(e: sled::Error) -> io::Error {
    match e {
        sled::Error::Io(e) => e,
        other @ (sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. }) => io::Error::other(other),
    }
}
