//! A tree in a version 2 cgroup: `cgroup.kill`, `cgroup.freeze`, `cgroup.events`. Not here: version 1.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use fusion_sys::file::write_all;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::wire::Limits;

use super::{is_gone, parse_pids, read_at, read_short, value_of};

/// The `agent` cgroup of an incarnation.
///
/// Where `cgroup.kill` was written once, Linux (6.14 and later) kills every process that is cloned into the cgroup from
/// outside, taking it for one that was forked during the kill. So after a kill the cgroup is made anew; while that
/// cannot be done, children move themselves, which costs milliseconds.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    folder: OwnedFd,
    events: OwnedFd,
    memory_events: Option<OwnedFd>,
    used: Cell<Used>,
    procs: OwnedFd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Fresh,
    Killed,
}

impl Group {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, path.join("agent"), flags, Mode::empty())?;
        let events = open(&folder, "cgroup.events", OFlags::RDONLY)?;
        let procs = open(&folder, "cgroup.procs", OFlags::WRONLY)?;
        let memory_events = open(&folder, "memory.events", OFlags::RDONLY).ok();
        Ok(Self { path: path.to_owned(), folder, events, memory_events, used: Cell::new(Used::Fresh), procs })
    }

    pub(super) fn folder(&self) -> Option<BorrowedFd<'_>> {
        (self.used.get() == Used::Fresh).then(|| self.folder.as_fd())
    }

    /// For children that move themselves.
    pub(super) fn procs_file(&self) -> Option<BorrowedFd<'_>> {
        (self.used.get() == Used::Killed).then(|| self.procs.as_fd())
    }

    /// Makes the cgroup anew after a kill, with the same limits.
    pub(super) fn renew(&mut self, limits: &Limits) -> io::Result<()> {
        if self.used.get() == Used::Fresh {
            return Ok(());
        }
        rustix::fs::rmdir(self.path.join("agent"))?;
        crate::cgroup::furnish_v2(&self.path, limits).map_err(io::Error::other)?;
        *self = Self::open(&self.path)?;
        Ok(())
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        self.used.set(Used::Killed);
        write_all(open(&self.folder, "cgroup.kill", OFlags::WRONLY)?, b"1")?;
        // The kernel kills frozen processes too; the cgroup itself must not stay frozen for the next attempt.
        self.set_frozen(false)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(value_of(&read_short(&self.events)?, "populated") == Some(0))
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> io::Result<()> {
        let value: &[u8] = if frozen { b"1" } else { b"0" };
        write_all(open(&self.folder, "cgroup.freeze", OFlags::WRONLY)?, value)
    }

    pub(super) fn is_frozen(&self) -> io::Result<bool> {
        Ok(value_of(&read_short(&self.events)?, "frozen") == Some(1))
    }

    pub(super) fn pids(&self) -> io::Result<Vec<u32>> {
        Ok(parse_pids(&read_at(&open(&self.folder, "cgroup.procs", OFlags::RDONLY)?)?))
    }

    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.number("memory.current")
    }

    pub(super) fn oom_kills(&self) -> u32 {
        let text = self.memory_events.as_ref().and_then(|events| read_short(events).ok());
        text.and_then(|text| value_of(&text, "oom_kill"))
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0)
    }

    /// Before Linux 6.12 the peak cannot be reset: it is then the incarnation's.
    pub(super) fn reset_peak_memory(&self) {
        if self.memory_events.is_some()
            && let Ok(file) = open(&self.folder, "memory.peak", OFlags::WRONLY)
        {
            let _older_kernel = write_all(file, b"1");
        }
    }

    pub(super) fn peak_memory_bytes(&self) -> Option<u64> {
        self.memory_events.as_ref()?;
        self.number("memory.peak")
    }

    fn number(&self, name: &str) -> Option<u64> {
        read_short(&open(&self.folder, name, OFlags::RDONLY).ok()?).ok()?.trim().parse().ok()
    }
}

fn open(folder: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// One round against the whole folder of an incarnation; returns how many processes it held before. The folder itself
/// holds none, and in a user's scope its files are systemd's.
pub(super) fn kill_whole(path: &Path) -> io::Result<u32> {
    for part in ["shim", "agent"] {
        match std::fs::write(path.join(part).join("cgroup.kill"), "1") {
            Err(error) if !is_gone(&error) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let events = match std::fs::read_to_string(path.join("cgroup.events")) {
        Err(error) if is_gone(&error) => return Ok(0),
        other => other?,
    };
    if value_of(&events, "populated") == Some(0) {
        return Ok(0);
    }
    let count = |name: &str| {
        std::fs::read_to_string(path.join(name).join("cgroup.procs"))
            .map_or(0, |text| parse_pids(&text).len())
    };
    Ok(u32::try_from(count("agent") + count("shim")).unwrap_or(u32::MAX).max(1))
}
