//! The apply thread: brings what is committed to the database, makes checkpoints, drops old segments.
//!
//! It wakes for work only: a second after a first change, at enough changes, for an order, and once a
//! checkpoint is due. An idle store gives it none. It alone changes the database, so between two of its
//! acts the database stands still at one record: that is the moment of a checkpoint or backup, during which
//! the writer goes on.
//!
//! Not for: reading, opening.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::journal::segment;
use super::pending::{Layer, Order, Pending, State, Stop};
use super::space::{DATABASE_MARGIN, Reserve};
use super::tree::Tree;
use super::{Backup, BackupError, Config, Seq, checkpoint};

/// sled rewrites whole pages for small changes: so many bytes of disk for one of change are seen as possible.
const SPACE_FACTOR: u64 = 8;
/// After a failed checkpoint the next is tried this much later.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(60);

pub(super) struct Applier {
    pub(super) pending: Arc<Pending>,
    pub(super) tree: Tree,
    pub(super) config: Arc<Config>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) journal: PathBuf,
    pub(super) checkpoints: PathBuf,
    /// The record of the newest checkpoint.
    pub(super) checkpoint_seq: Seq,
    /// When that was made, or the store opened.
    pub(super) checkpoint_at: Instant,
    /// After a failure: no unasked try before this.
    pub(super) checkpoint_not_before: Instant,
}

/// Why the thread woke.
enum Work {
    /// Changes are due, or an order needs them applied first.
    Apply,
    /// The hour is over.
    Checkpoint,
    /// The end.
    End(Stop),
}

impl Applier {
    /// The thread's body. `Err`: not everything was brought to rest.
    pub(super) fn run(mut self) -> io::Result<()> {
        let ended = self.run_until_stopped();
        if let Err(e) = &ended {
            self.pending.poison(io::Error::new(e.kind(), e.to_string()));
        }
        // Callers that wait for an answer see their channel close.
        self.pending.lock().orders.clear();
        ended
    }

    fn run_until_stopped(&mut self) -> io::Result<()> {
        loop {
            match self.wait() {
                Work::Apply => {
                    // Orders first: what was committed before one was given is applied before it is obeyed.
                    let orders = std::mem::take(&mut self.pending.lock().orders);
                    let applied = self.apply()?;
                    if !applied && orders.is_empty() {
                        continue;
                    }
                    orders.into_iter().try_for_each(|order| self.obey(order, applied))?;
                    if self.is_checkpoint_due() {
                        self.checkpoint_unasked()?;
                    }
                }
                Work::Checkpoint => self.checkpoint_unasked()?,
                Work::End(Stop::Clean) => return self.end_clean(),
                Work::End(Stop::Now | Stop::No) => return Ok(()),
            }
        }
    }

    fn wait(&self) -> Work {
        let mut state = self.pending.lock();
        loop {
            if state.stop != Stop::No {
                return Work::End(state.stop);
            }
            if state.poison().is_some() {
                return Work::End(Stop::Now);
            }
            if !state.orders.is_empty() {
                return Work::Apply;
            }
            let (due, work) = match self.next_due(&state) {
                Some(next) => next,
                None => {
                    state = self.pending.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            let now = Instant::now();
            if due <= now {
                return work;
            }
            let waited = self.pending.work.wait_timeout(state, due - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn next_due(&self, state: &State) -> Option<(Instant, Work)> {
        match state.active.since {
            // Full, unless there is no space for it: then once an interval.
            Some(since) if state.active.bytes >= self.config.flush_bytes && !state.starved => {
                Some((since, Work::Apply))
            }
            Some(since) => Some((since + self.config.flush_interval, Work::Apply)),
            None if self.tree.census().seq > self.checkpoint_seq => Some((self.hourly(), Work::Checkpoint)),
            None => None,
        }
    }

    /// Brings the active changes to the database; `false` if there is no space for that.
    fn apply(&mut self) -> io::Result<bool> {
        let mut state = self.pending.lock();
        if state.active.since.is_none() {
            return Ok(true);
        }
        let need = state.active.bytes * SPACE_FACTOR + DATABASE_MARGIN;
        if !self.has_space(need) {
            state.active.since = Some(Instant::now());
            drop(state);
            self.pending.starve();
            return Ok(false);
        }
        let layer = state.take();
        drop(state);
        self.apply_layer(&layer)?;
        self.pending.applied();
        Ok(true)
    }

    fn apply_layer(&mut self, layer: &Layer) -> io::Result<()> {
        self.tree.apply(&layer.changed, layer.seq)?;
        self.tree.sync()
    }

    fn has_space(&self, need: u64) -> bool {
        self.reserve.free_bytes() >= need || (self.reserve.release() && self.reserve.free_bytes() >= need)
    }

    fn obey(&mut self, order: Order, applied: bool) -> io::Result<()> {
        let (answer, done) = match order {
            Order::Checkpoint(answer) => {
                (answer, if applied { self.checkpoint() } else { Err(no_space(&self.config)) })
            }
            Order::Backup(to, answer) => {
                (answer, if applied { self.write(&to) } else { Err(no_space(&self.config)) })
            }
        };
        let lost = inconsistency(&done);
        // A caller that no longer waits needs no answer.
        answer.send(done).unwrap_or_default();
        lost
    }

    fn is_checkpoint_due(&self) -> bool {
        let now = Instant::now();
        let behind = self.tree.census().seq > self.checkpoint_seq;
        let much = self.pending.lock().journal_bytes >= self.config.checkpoint_bytes;
        behind && (now >= self.hourly() || (much && now >= self.checkpoint_not_before))
    }

    fn hourly(&self) -> Instant {
        self.checkpoint_not_before.max(self.checkpoint_at + self.config.checkpoint_interval)
    }

    fn checkpoint_unasked(&mut self) -> io::Result<()> {
        let done = self.checkpoint();
        if let Err(e) = &done {
            tracing::warn!("checkpoint failed; the journal is kept until one succeeds: {e}");
            self.checkpoint_not_before = Instant::now() + CHECKPOINT_RETRY;
        }
        inconsistency(&done)
    }

    fn checkpoint(&mut self) -> Result<Backup, BackupError> {
        let seq = self.tree.census().seq;
        let backup = self.write(&checkpoint::path(&self.checkpoints, seq))?;
        self.checkpoint_seq = seq;
        self.checkpoint_at = Instant::now();
        self.pending.lock().journal_bytes = 0;
        let dropped = checkpoint::prune(&self.checkpoints, self.config.checkpoints_kept)
            .and_then(|oldest| oldest.map_or(Ok(0), |oldest| segment::drop_covered(&self.journal, oldest)));
        if let Err(e) = dropped {
            tracing::warn!("old journal segments could not be dropped: {e}");
        }
        Ok(backup)
    }

    fn write(&self, to: &Path) -> Result<Backup, BackupError> {
        checkpoint::write_tree(&self.tree, to)
    }

    fn end_clean(&mut self) -> io::Result<()> {
        if !self.apply()? {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        if self.tree.census().seq > self.checkpoint_seq {
            self.checkpoint_unasked()?;
        }
        Ok(())
    }
}

/// A database that lost entries ends the store; any other failure concerns its caller alone.
fn inconsistency(done: &Result<Backup, BackupError>) -> io::Result<()> {
    match done {
        Err(e @ BackupError::Inconsistent { .. }) => Err(io::Error::other(e.to_string())),
        Err(BackupError::Closed | BackupError::Exists { .. } | BackupError::Io { .. }) | Ok(_) => Ok(()),
    }
}

fn no_space(config: &Config) -> BackupError {
    let source: io::Error = rustix::io::Errno::NOSPC.into();
    BackupError::Io {
        tried: "bring the committed changes to the database in",
        path: config.dir.clone(),
        source,
    }
}
