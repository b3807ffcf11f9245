//! Making the database small again, at start: its files grow with the changes and do not shrink by themselves.
//!
//! ```text
//!  1  a checkpoint of everything              4  db.rebuilding ─► db
//!  2  db.rebuilding, from it, tried out       5  db.replaced removed
//!  3  db ─► db.replaced
//! ```
//! Each step is durable before the next. A crash before 3 leaves the old database in its place, one before 4
//! has it put back there, one after 4 leaves the new one in its place. What else lies about is removed by
//! the next start that finds the database good. Up to 3 a failure only means that the database stays large.
//!
//! Not for: damage. What is set aside for that has other names and is never touched here.

use std::fs;
use std::io;
use std::path::Path;

use super::error::{OpenError, io_error};
use super::home::{Home, remove_folder, sync_folder};
use super::space::{DATABASE_MARGIN, free_bytes};
use super::tree::{self, Tree};
use super::{BackupError, Compacted, Config, Seq, checkpoint, probe, recover};

/// What an entry needs in a database beside its bytes in a checkpoint. Without it a store of many small
/// entries would be compacted in vain at every start.
const ENTRY_BYTES: u64 = 32;
/// Checkpoint and new database together take less than so many times the live bytes.
const SPACE_FACTOR: u64 = 5;

/// The database after [`compact`], the new one or the old one.
pub(super) struct Done {
    pub(super) tree: Tree,
    /// The record of the checkpoint that was made for it.
    pub(super) checkpoint_seq: Option<Seq>,
    /// `None` if it was not due or did not succeed.
    pub(super) compacted: Option<Compacted>,
}

/// Puts back the old database if a crash came before the new one took its place.
pub(super) fn put_back(home: &Home) -> Result<(), OpenError> {
    if home.db.symlink_metadata().is_ok() || home.replaced.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::rename(&home.replaced, &home.db).map_err(io_error("rename", &home.replaced))?;
    sync_folder(&home.dir)
}

/// Removes what a crash left, now that the database is known to hold everything; `false` if that failed.
pub(super) fn sweep(home: &Home) -> bool {
    let swept = remove_folder(&home.replaced).and_then(|()| remove_folder(&home.building));
    if let Err(e) = &swept {
        tracing::warn!("the remains of an earlier compaction only take space: {e}");
    }
    swept.is_ok()
}

/// Rebuilds the database smaller if its files are much larger than what lives in it, about `checkpoint_bytes`
/// in a checkpoint. `tree` is up to date and synced.
///
/// # Errors
/// [`OpenError::BadCheckpoint`] if the database has lost entries, and what failed after the old database left
/// its place; in both cases nothing is lost and the next start mends it.
pub(super) fn compact(
    tree: Tree,
    config: &Config,
    home: &Home,
    checkpoint_bytes: u64,
) -> Result<Done, OpenError> {
    let from_bytes = tree::size(&home.db).unwrap_or(0);
    let beside = tree.census().entries.saturating_mul(ENTRY_BYTES);
    let live_bytes = checkpoint_bytes.saturating_add(beside);
    if !is_due(config, from_bytes, live_bytes) || !has_space(home, live_bytes) {
        return Ok(Done { tree, checkpoint_seq: None, compacted: None });
    }
    let path = checkpoint::path(&home.checkpoints, tree.census().seq);
    let backup = match checkpoint::write_tree(&tree, &path) {
        Ok(backup) => backup,
        Err(e @ BackupError::Inconsistent { .. }) => return Err(recover::unwritten(&path, e)),
        Err(e @ (BackupError::Closed | BackupError::Exists { .. } | BackupError::Io { .. })) => {
            tracing::warn!("no checkpoint to compact the database from; it stays large: {e}");
            return Ok(Done { tree, checkpoint_seq: None, compacted: None });
        }
    };
    let mut done = Done { tree, checkpoint_seq: Some(backup.seq), compacted: None };
    // Only now is it known how much lives.
    let live_bytes = backup.bytes.saturating_add(beside);
    if !is_due(config, from_bytes, live_bytes) || !has_space(home, live_bytes) {
        return Ok(done);
    }
    match build(config, home, &path) {
        Ok(to_bytes) if to_bytes < from_bytes => {
            let (tree, is_new) = take_place(done.tree, config, home)?;
            done.tree = tree;
            done.compacted = is_new.then_some(Compacted { from_bytes, to_bytes });
        }
        Ok(to_bytes) => {
            tracing::warn!(from_bytes, to_bytes, "compacting would not make the database smaller")
        }
        Err(reason) => tracing::warn!("the database could not be compacted; it stays large: {reason}"),
    }
    sweep(home);
    Ok(done)
}

fn is_due(config: &Config, bytes: u64, live_bytes: u64) -> bool {
    bytes > config.compact_floor_bytes && bytes > live_bytes.saturating_mul(config.compact_factor)
}

/// sled does not survive a full disk, not even while it is read.
fn has_space(home: &Home, live_bytes: u64) -> bool {
    let free_bytes = free_bytes(&home.dir).unwrap_or(0);
    let need_bytes = live_bytes.saturating_mul(SPACE_FACTOR).saturating_add(DATABASE_MARGIN);
    if free_bytes < need_bytes {
        tracing::warn!(free_bytes, need_bytes, "too little space to compact the database; it stays large");
    }
    free_bytes >= need_bytes
}

/// Builds the new database beside its place, durable and compared with its census; returns its bytes.
fn build(config: &Config, home: &Home, checkpoint: &Path) -> Result<u64, String> {
    recover::import(config, home, checkpoint).map_err(|e| e.to_string())?;
    probe::judge(&config.probe, &home.building)?;
    if !tree::wait_released(&home.building) {
        return Err("the new database does not let go of its files".to_owned());
    }
    tree::size(&home.building).map_err(|e| e.to_string())
}

/// Puts the new database in the place of `old`; `false` with the old one if that is still in use.
fn take_place(old: Tree, config: &Config, home: &Home) -> Result<(Tree, bool), OpenError> {
    let census = old.census();
    drop(old);
    // sled names its files by path: what the old one still wrote would end up in the new one.
    if !tree::wait_released(&home.db) {
        tracing::warn!("the old database does not let go of its files; it stays large");
        let old = Tree::open(&home.db, config.cache_bytes).map_err(io_error("open", &home.db))?;
        return Ok((old, false));
    }
    fs::rename(&home.db, &home.replaced).map_err(io_error("rename", &home.db))?;
    sync_folder(&home.dir)?;
    fs::rename(&home.building, &home.db).map_err(io_error("rename to", &home.db))?;
    sync_folder(&home.dir)?;
    let new = Tree::open(&home.db, config.cache_bytes).map_err(io_error("open", &home.db))?;
    if new.census() != census {
        let other = io::Error::other("the compacted database is not the one that was built");
        return Err(io_error("open", &home.db)(other));
    }
    // Trying it out and opening it may have written to it.
    new.sync().map_err(io_error("sync", &home.db))?;
    Ok((new, true))
}
