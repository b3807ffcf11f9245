//! From a folder to a database that holds every acknowledged record.
//!
//! ```text
//!  nothing there ─► checkpoint 0, empty database
//!  database good ────────────────────────────┐
//!  bad, missing, or behind a checkpoint       ├─► replay the journal after it ─► open
//!    └─► built anew from a checkpoint, ───────┘
//!        the old one set aside
//! ```
//! Each step can be cut off by a crash and starts over. Nothing is deleted but half-built databases and what
//! a compaction replaced. When records are missing the answer is an error that says which.
//!
//! Not for: migrations, threads.

use std::fs;
use std::path::{Path, PathBuf};

use super::batch::{self, Change};
use super::error::{OpenError, io_error};
use super::home::{Home, remove_folder, set_aside, sync_folder};
use super::journal::{self, replay, segment};
use super::pending::Layer;
use super::tree::Tree;
use super::value::Census;
use super::{Backup, BackupError, Config, Opened, Rebuilt, SCHEMA_KEY, Seq, checkpoint, compact, probe};

/// Entries of a checkpoint go to the database in portions of this many bytes.
const PORTION: u64 = 4 << 20;

/// A database that is up to date with the journal.
pub(super) struct Recovered {
    pub(super) tree: Tree,
    pub(super) end: journal::End,
    pub(super) checkpoint_seq: Seq,
    /// Bytes of journal that no checkpoint covers, in whole segments.
    pub(super) journal_bytes: u64,
    pub(super) opened: Opened,
}

/// What lies in the folder.
struct Found {
    checkpoints: Vec<(Seq, PathBuf)>,
    segments: Vec<segment::Segment>,
}

/// See the file's head.
pub(super) fn recover(config: &Config, home: &Home) -> Result<Recovered, OpenError> {
    compact::put_back(home)?;
    let found = Found {
        checkpoints: checkpoint::list(&home.checkpoints).map_err(io_error("list", &home.checkpoints))?,
        segments: segment::list(&home.journal).map_err(io_error("list", &home.journal))?,
    };
    let fresh = found.checkpoints.is_empty() && found.segments.is_empty() && !exists(home);
    if fresh && home.is_restored() {
        return Err(OpenError::NoCheckpoint { reason: "a restore was begun and not finished".to_owned() });
    }
    let (mut tree, rebuilt) = match fresh {
        true => (make(config, home)?, None),
        false => find(config, home, &found)?,
    };
    check_schema(config.schema, tree.schema().map_err(io_error("read", &home.db))?)?;
    let replayed = replay_into(&mut tree, config, home, &found)?;
    let schema_found = tree.schema().map_err(io_error("read", &home.db))?;
    let mut checkpoint_seq = found.checkpoints.first().map_or(0, |(seq, _)| *seq);
    let torn_bytes = replayed.torn.as_ref().map_or(0, |torn| torn.bytes);
    if let (Some(torn), Some(open)) = (&replayed.torn, &replayed.end.open) {
        replay::wipe(&open.path, torn)?;
    }
    let mut end = replayed.end;
    let mut journal_set_aside = None;
    let seq = tree.census().seq;
    if end.seq < seq {
        journal_set_aside = Some(begin_journal_anew(&tree, home)?);
        checkpoint_seq = seq;
        end = journal::End { seq, prev: 0, open: None };
    }
    let mended = rebuilt.is_some() || journal_set_aside.is_some();
    let mut compacted = None;
    if compact::sweep(home) && !mended {
        let done = compact::compact(tree, config, home, checkpoint_bytes(&found, checkpoint_seq))?;
        tree = done.tree;
        compacted = done.compacted;
        checkpoint_seq = done.checkpoint_seq.unwrap_or(checkpoint_seq);
    }
    let opened = Opened {
        fresh,
        schema_found,
        seq,
        replayed: replayed.records,
        torn_bytes,
        rebuilt,
        of_backup: home.is_of_backup(),
        journal_set_aside,
        compacted,
        duration: std::time::Duration::ZERO,
    };
    let journal_bytes = bytes_after(&found.segments, checkpoint_seq);
    Ok(Recovered { tree, end, checkpoint_seq, journal_bytes, opened })
}

fn bytes_after(segments: &[segment::Segment], seq: Seq) -> u64 {
    let after = segments.iter().filter(|s| s.first > seq);
    after.map(|s| s.path.metadata().map_or(0, |m| m.len())).sum()
}

/// About what a checkpoint would take: the newest one, and the journal after it. The journal counts in full,
/// so that changes that no checkpoint has yet are not mistaken for room to gain.
fn checkpoint_bytes(found: &Found, checkpoint_seq: Seq) -> u64 {
    let newest = found.checkpoints.first().and_then(|(_, path)| path.metadata().ok());
    newest.map_or(0, |m| m.len()) + bytes_after(&found.segments, checkpoint_seq)
}

fn exists(home: &Home) -> bool {
    home.db.symlink_metadata().is_ok()
}

fn check_schema(known: u32, found: u32) -> Result<(), OpenError> {
    match found > known {
        true => Err(OpenError::NewerSchema { found, known }),
        false => Ok(()),
    }
}

/// An empty database. The checkpoint comes first, so that a crash from then on is mended like any other.
fn make(config: &Config, home: &Home) -> Result<Tree, OpenError> {
    let mut layer = Layer::default();
    let schema = config.schema.to_le_bytes();
    layer.insert(config.schema as u8, Change::Put { key: SCHEMA_KEY, body: &schema }, &mut Vec::new());
    let entries = layer.changed.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let mut census = Census::default();
    entries.clone().for_each(|(_, value)| census.add(value));
    let path = checkpoint::path(&home.checkpoints, 0);
    let header = checkpoint::Header { schema: config.schema, census };
    checkpoint::write(entries.map(Ok), header, &path).map_err(|e| unwritten(&path, e))?;
    let mut tree = Tree::open(&home.db, config.cache_bytes).map_err(io_error("create", &home.db))?;
    tree.apply(&layer.changed, 0).and_then(|()| tree.sync()).map_err(io_error("write", &home.db))?;
    sync_folder(&home.dir)?;
    Ok(tree)
}

/// The database that is there, or one built anew.
fn find(config: &Config, home: &Home, found: &Found) -> Result<(Tree, Option<Rebuilt>), OpenError> {
    let newest = newest_header(found);
    if let Some(header) = newest {
        check_schema(config.schema, header.schema)?;
    }
    let least = newest.map_or(0, |header| header.census.seq);
    let was_clean = home.take_clean()?;
    let found = match open_existing(config, home, least, was_clean) {
        Ok(tree) => (tree, None),
        Err(reason) => {
            let (tree, rebuilt) = rebuild(config, home, found, reason)?;
            (tree, Some(rebuilt))
        }
    };
    home.begin_restored()?;
    Ok(found)
}

fn newest_header(found: &Found) -> Option<checkpoint::Header> {
    found.checkpoints.iter().find_map(|(_, path)| checkpoint::read_header(path).ok())
}

/// Opens the database that is there; `Err` says why it is of no use.
fn open_existing(config: &Config, home: &Home, least: Seq, was_clean: bool) -> Result<Tree, String> {
    if !exists(home) {
        return Err("it is missing".to_owned());
    }
    if !was_clean {
        probe::judge(&config.probe, &home.db)?;
    }
    let tree = Tree::open(&home.db, config.cache_bytes).map_err(|e| e.to_string())?;
    tree.schema().map_err(|e| e.to_string())?;
    let seq = tree.census().seq;
    match seq < least {
        true => Err(format!("it ends at record {seq}, a checkpoint at {least}")),
        false => Ok(tree),
    }
}

/// Builds the database from the newest valid checkpoint that the journal reaches back to.
fn rebuild(
    config: &Config,
    home: &Home,
    found: &Found,
    reason: String,
) -> Result<(Tree, Rebuilt), OpenError> {
    let journal_from = found.segments.first().map(|s| s.first);
    let is_restored = !exists(home) && home.is_restored();
    let mut refusal = OpenError::NoCheckpoint { reason: reason.clone() };
    for (seq, path) in &found.checkpoints {
        if let Some(journal_from) = journal_from.filter(|first| *first > seq + 1) {
            refusal = OpenError::Gap { have: *seq, journal_from };
            break;
        }
        match import(config, home, path) {
            Ok(header) => {
                check_schema(config.schema, header.schema)?;
                let set_aside = exists(home).then(|| set_aside(&home.db)).transpose()?;
                fs::rename(&home.building, &home.db).map_err(io_error("rename to", &home.db))?;
                sync_folder(&home.dir)?;
                let tree = Tree::open(&home.db, config.cache_bytes).map_err(io_error("open", &home.db))?;
                return Ok((tree, Rebuilt { reason, from: *seq, set_aside, is_restored }));
            }
            Err(other) if !matches!(other, OpenError::BadCheckpoint { .. }) => {
                // Half a database only takes space, which may be what was missing.
                fs::remove_dir_all(&home.building).unwrap_or_default();
                return Err(other);
            }
            Err(bad) => tracing::warn!("checkpoint is of no use: {bad}"),
        }
    }
    Err(refusal)
}

/// Builds a database beside its place from one checkpoint.
pub(super) fn import(config: &Config, home: &Home, path: &Path) -> Result<checkpoint::Header, OpenError> {
    let building = &home.building;
    remove_folder(building)?;
    let mut tree = Tree::open(building, config.cache_bytes).map_err(io_error("create", building))?;
    let mut portion = Layer::default();
    let (header, _) = checkpoint::read(path, |key, value| {
        portion.changed.insert(key.into(), Some(value.into()));
        portion.bytes += (key.len() + value.len()) as u64;
        if portion.bytes < PORTION {
            return Ok(());
        }
        let full = std::mem::take(&mut portion);
        tree.apply(&full.changed, 0).map_err(io_error("write", building))
    })?;
    tree.apply(&portion.changed, header.census.seq)
        .and_then(|()| tree.sync())
        .map_err(io_error("write", building))?;
    match tree.census() == header.census {
        true => Ok(header),
        false => Err(OpenError::BadCheckpoint {
            path: path.to_owned(),
            reason: "an entry stands twice in it".to_owned(),
        }),
    }
}

fn replay_into(
    tree: &mut Tree,
    config: &Config,
    home: &Home,
    found: &Found,
) -> Result<replay::Replayed, OpenError> {
    let mut layer = Layer::default();
    let mut scratch = Vec::new();
    let base = tree.census().seq;
    let replayed = replay::replay(&found.segments, base, |seq, schema, changes| {
        check_schema(config.schema, u32::from(schema))?;
        for change in changes {
            let change = change.map_err(|batch::Malformed| malformed(home, seq))?;
            layer.insert(schema, change, &mut scratch);
        }
        layer.seq = seq;
        if layer.bytes < config.flush_bytes {
            return Ok(());
        }
        let full = std::mem::take(&mut layer);
        tree.apply(&full.changed, full.seq).map_err(io_error("write", &home.db))
    })?;
    if replayed.records > 0 {
        let rest = if layer.seq > 0 { tree.apply(&layer.changed, layer.seq) } else { Ok(()) };
        rest.and_then(|()| tree.sync()).map_err(io_error("write", &home.db))?;
    }
    Ok(replayed)
}

fn malformed(home: &Home, seq: Seq) -> OpenError {
    let reason = format!("record {seq} has a valid sum and unreadable content");
    OpenError::JournalDamaged { segment: home.journal.clone(), offset: 0, reason }
}

/// The journal ends before the (verified) database: it lost records that the database has. It is set aside,
/// and a checkpoint made for the new one to stand on.
fn begin_journal_anew(tree: &Tree, home: &Home) -> Result<PathBuf, OpenError> {
    let path = checkpoint::path(&home.checkpoints, tree.census().seq);
    checkpoint::write_tree(tree, &path).map_err(|e| unwritten(&path, e))?;
    let aside = set_aside(&home.journal)?;
    home.make()?;
    sync_folder(&home.dir)?;
    Ok(aside)
}

pub(super) fn unwritten(path: &Path, e: BackupError) -> OpenError {
    match e {
        BackupError::Io { tried, path, source } => OpenError::Io { tried, path, source },
        other @ (BackupError::Closed | BackupError::Exists { .. } | BackupError::Inconsistent { .. }) => {
            OpenError::BadCheckpoint { path: path.to_owned(), reason: other.to_string() }
        }
    }
}

/// Puts a backup of the schema `known` or an older one into the empty or absent folder `dir`; the next
/// [`super::Store::open`] builds the database from it.
///
/// # Errors
/// [`OpenError::NotEmpty`], [`OpenError::BadCheckpoint`], [`OpenError::NewerSchema`] before anything is written, or the
/// kernel's answer.
pub fn restore(from: &Path, dir: &Path, known: u32) -> Result<Backup, OpenError> {
    let (header, bytes) = checkpoint::read(from, |_, _| Ok(()))?;
    check_schema(known, header.schema)?;
    let home = Home::at(dir);
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        // To set it aside under a daemon that serves it would not end well.
        let _free = dir.join("lock").exists().then(|| home.lock()).transpose()?;
        return Err(OpenError::NotEmpty { dir: dir.to_owned() });
    }
    home.make()?;
    let _lock = home.lock()?;
    home.mark_restored()?;
    let to = checkpoint::path(&home.checkpoints, header.census.seq);
    let part = to.with_extension("part");
    fs::copy(from, &part).map_err(io_error("copy to", &part))?;
    fs::File::open(&part).and_then(|f| f.sync_all()).map_err(io_error("sync", &part))?;
    fs::rename(&part, &to).map_err(io_error("rename to", &to))?;
    sync_folder(&home.checkpoints)?;
    Ok(Backup { seq: header.census.seq, entries: header.census.entries, bytes })
}
