//! What can go wrong in the store, kept apart by what the caller has to do: refuse to start
//! ([`OpenError`]), refuse new work or end the process ([`CommitError`]), tell a caller
//! ([`ReadError`], [`BackupError`]).
//!
//! Not for: errors of the core; a key that is not there is no error here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Seq;

/// Why the store did not open. Every variant leaves the files as they were, or renamed; nothing is deleted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds `DIR/lock`.
    #[error("state folder {} is in use by process {}", dir.display(), pid.map_or_else(|| "(unknown)".to_owned(), |p| p.to_string()))]
    Locked {
        /// The state folder.
        dir: PathBuf,
        /// The pid written in the lock file, when it is readable.
        pid: Option<u32>,
    },
    /// The data was written by a newer program.
    #[error("stored schema {found} is newer than {known}, the newest this program knows")]
    NewerSchema {
        /// The schema of the stored data.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// [`super::Config`] makes no sense.
    #[error("store settings: {0}")]
    Config(&'static str),
    /// A migration step refused.
    #[error("migration of the stored state from schema {from} to {}: {reason}", from + 1)]
    Migration {
        /// The schema the step starts from.
        from: u32,
        /// What the step said.
        reason: String,
    },
    /// The journal is damaged in a way that no crash explains: acknowledged records would be lost.
    #[error("journal segment {} is damaged at byte {offset}: {reason}", segment.display())]
    JournalDamaged {
        /// The segment file.
        segment: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What was found and what was expected.
        reason: String,
    },
    /// The journal begins after the point at which the newest usable state ends.
    #[error(
        "the state reaches record {have}, the journal begins at record {journal_from}: records between are missing"
    )]
    Gap {
        /// The last record that the usable state contains.
        have: Seq,
        /// The first record in the journal.
        journal_from: Seq,
    },
    /// The database is unusable and no valid checkpoint exists to rebuild it from.
    #[error("the database is unusable ({reason}) and there is no valid checkpoint to rebuild it from")]
    NoCheckpoint {
        /// Why the database is unusable.
        reason: String,
    },
    /// Too little free space to open safely.
    #[error("state folder {} has {free_bytes} bytes free, {need_bytes} are needed to open it", dir.display())]
    NoSpace {
        /// The state folder.
        dir: PathBuf,
        /// Bytes free to this process.
        free_bytes: u64,
        /// Bytes needed.
        need_bytes: u64,
    },
    /// [`super::restore`] was given a folder that already holds something.
    #[error("folder {} is not empty: a backup is restored only into an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A backup or checkpoint file is not valid.
    #[error("checkpoint {}: {reason}", path.display())]
    BadCheckpoint {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// The kernel refused.
    #[error("{tried} {}", path.display())]
    Io {
        /// What was tried ("create", "fsync", ...).
        tried: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A value could not be read at start.
    #[error("stored state")]
    Read(#[from] ReadError),
    /// A record that the start itself writes (a migration) could not be written.
    #[error("write to the store at start")]
    Commit(#[from] CommitError),
}

impl OpenError {
    /// Whether it stays so until a person mends it.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::NewerSchema { .. }
            | Self::Config(_)
            | Self::Migration { .. }
            | Self::JournalDamaged { .. }
            | Self::Gap { .. }
            | Self::NoCheckpoint { .. }
            | Self::NotEmpty { .. }
            | Self::BadCheckpoint { .. } => true,
            Self::Locked { .. }
            | Self::NoSpace { .. }
            | Self::Io { .. }
            | Self::Read(_)
            | Self::Commit(_) => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        const BACKUP: &str =
            "bring back a backup: set the folder of the store aside, then `fusiond restore FILE`";
        match self {
            Self::Locked { pid: Some(pid), .. } => {
                format!("one daemon serves a state: use the one that runs, or end it first: kill {pid}")
            }
            Self::Locked { pid: None, .. } => "one daemon serves a state: use the one that runs".to_owned(),
            Self::NewerSchema { .. } => {
                "install the newer fusiond again, or bring back a backup that this version wrote".to_owned()
            }
            Self::Config(_) => "mend the settings below [store]".to_owned(),
            Self::Migration { .. } => {
                "start the older fusiond again: nothing of its state was changed; and report this".to_owned()
            }
            Self::JournalDamaged { .. } | Self::Gap { .. } | Self::NoCheckpoint { .. } => BACKUP.to_owned(),
            Self::NoSpace { dir, .. } => {
                format!("free some space: du -xh --max-depth=2 {} | sort -h", dir.display())
            }
            Self::NotEmpty { dir } => format!("set it aside first: mv {0} {0}.old", dir.display()),
            Self::BadCheckpoint { .. } => {
                "give a whole file that `fusionctl system backup` wrote; another backup may be well"
                    .to_owned()
            }
            Self::Io { path, .. } => {
                format!("look at it and the folders above it: namei -l {}", path.display())
            }
            Self::Read(_) => "start it again: the database is rebuilt from the journal".to_owned(),
            Self::Commit(_) => "look at the disk: df -h, dmesg | tail".to_owned(),
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Refused for want of space: nothing was written, the batch and the store are as before. Try
    /// again once space is back.
    #[error("no space left in the state folder")]
    NoSpace,
    /// Larger than one record may be ([`super::RECORD_BYTES_MAX`]); nothing was written.
    #[error("batch of {bytes} bytes is larger than a record may be ({max} bytes)")]
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A write or sync failed, now or earlier: whether the batch is durable is unknown. Every later
    /// call fails too. The process must end without acknowledging anything and start again.
    #[error("the store is poisoned by a failed write")]
    Poisoned {
        /// The first failure.
        #[source]
        source: Arc<io::Error>,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stored value fails its check sum. A restart rebuilds the database.
    #[error("stored value under {key:?} is corrupt")]
    Corrupt {
        /// The key, lossily as text.
        key: String,
    },
    /// A newer program wrote it, and did not finish: only that one reads the rest of the state, too.
    #[error(
        "stored value under {key:?} is of schema {found}, newer than {known}, the newest this program knows"
    )]
    Newer {
        /// The key, lossily as text.
        key: String,
        /// The schema of the value.
        found: u8,
        /// The newest schema that this program knows.
        known: u8,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The database refused.
    #[error("read the database")]
    Database(#[source] io::Error),
}

/// Why a checkpoint or backup was not written. The store itself goes on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store was closed or poisoned meanwhile.
    #[error("the store is closed")]
    Closed,
    /// The target exists.
    #[error("{} exists already", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("{tried} {}", path.display())]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The database does not hold what it should; the store is poisoned, a restart rebuilds it.
    #[error("the database lost entries: {reason}")]
    Inconsistent {
        /// What was found and what was expected.
        reason: String,
    },
}

/// Why a store did not come to rest. Nothing is lost; the next start only takes longer.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The database could not take the last changes, or the store was poisoned.
    #[error("bring the last changes to the database")]
    Apply(#[from] io::Error),
    /// The database did not let go of its files.
    #[error("the database did not let go of its files")]
    Busy,
    /// The mark of a clean stop was not written.
    #[error("mark the state folder as cleanly closed")]
    Mark(#[from] OpenError),
}

/// For `map_err`: the kernel refused `tried` on `path`.
pub(super) fn io_error(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { tried, path, source }
}

/// As [`io_error`], for backups.
pub(super) fn backup_error(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { tried, path, source }
}
