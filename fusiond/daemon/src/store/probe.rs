//! Opening the database in a process that may die of it.
//!
//! sled 0.34 panics on some damaged files, and opens others with entries gone. So after anything but a clean
//! stop a child opens it first and compares every entry with the census; its exit status is the verdict.
//! It dies with its parent, and after a limit.
//!
//! Not for: what is done about a bad verdict.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};

use super::Probe;
use super::tree::Tree;

/// A database is read at least this fast; a larger one gets more time.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// So much of what the child says is kept.
const WORDS_MAX: usize = 400;

/// Body of the probe process: opens the database in `db` and checks every value; returns the exit code and
/// says on standard error what is wrong.
pub fn probe_main(db: &Path) -> i32 {
    // With the parent gone the database belongs to the next daemon, at once.
    if let Err(e) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("tie to the parent: {e}");
        return 1;
    }
    match Tree::open(db, 8 << 20).map_err(|e| e.to_string()).and_then(|tree| tree.verify()) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("{reason}");
            1
        }
    }
}

/// The verdict of a child on the database in `db`; `Err` says what is wrong with it.
pub(super) fn judge(probe: &Probe, db: &Path) -> Result<(), String> {
    let Probe::Command { program, args, limit } = probe else {
        return Ok(());
    };
    let limit = *limit + Duration::from_secs(size(db) / BYTES_PER_SECOND);
    let mut child = Command::new(program)
        .args(args)
        .arg(db)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("its probe {} did not start: {e}", program.display()))?;
    let ended = wait(&child, limit);
    if !matches!(ended, Ok(true)) {
        // It may have ended this moment; then there is nothing to kill.
        child.kill().unwrap_or_default();
    }
    let status = child.wait().map_err(|e| format!("its probe could not be waited for: {e}"))?;
    match ended {
        Err(e) => Err(format!("its probe could not be watched: {e}")),
        Ok(false) => Err(format!("opening it took longer than {} s", limit.as_secs())),
        Ok(true) if status.success() => Ok(()),
        Ok(true) => Err(format!("{} ({status})", words(&mut child))),
    }
}

/// Waits for the child to end; `false` after the limit.
fn wait(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn words(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // Whatever was read before a failure is what there is to tell.
        stderr.take(1 << 16).read_to_end(&mut said).unwrap_or_default();
    }
    let said = String::from_utf8_lossy(&said);
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match said.is_empty() {
        true => "its probe said nothing".to_owned(),
        false => said.chars().take(WORDS_MAX).collect(),
    }
}

fn size(db: &Path) -> u64 {
    db.join("db").metadata().map_or(0, |m| m.len())
}
