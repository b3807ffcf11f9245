//! A tree in version 1 cgroups. The freezer finds it, stops it, and keeps it from forking while it is killed; the
//! other hierarchies only limit and count. Not here: version 2.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use fusion_sys::file::write_all;
use fusion_sys::pidfd::PidFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Signal;

use super::{is_gone, parse_pids, read_at, read_short, value_of};

/// The cgroups of an incarnation.
#[derive(Debug)]
pub struct Groups {
    freezer: Freezer,
    tasks: Vec<OwnedFd>,
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    oom_control: OwnedFd,
    usage: OwnedFd,
    peak: OwnedFd,
}

impl Memory {
    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            oom_control: open(&folder.join("memory.oom_control"), OFlags::RDONLY)?,
            usage: open(&folder.join("memory.usage_in_bytes"), OFlags::RDONLY)?,
            peak: open(&folder.join("memory.max_usage_in_bytes"), OFlags::RDWR)?,
        })
    }
}

#[derive(Debug)]
struct Freezer {
    folder: OwnedFd,
    state: OwnedFd,
}

/// How long a round of killing waits for the freeze: nearly always far less than a millisecond is needed, and an
/// incomplete freeze only means another round.
const FREEZE_LOOKS: u32 = 20;

impl Groups {
    /// `others` are the folders in the memory, pids and cpu hierarchies.
    pub(super) fn open(freezer: &str, others: [Option<&str>; 3]) -> io::Result<Self> {
        let tasks = |folder: &str| open(&Path::new(folder).join("tasks"), OFlags::WRONLY);
        let tasks = std::iter::once(freezer)
            .chain(others.into_iter().flatten())
            .map(tasks)
            .collect::<io::Result<_>>()?;
        let memory = others[0].map(|folder| Memory::open(folder.as_ref())).transpose()?;
        Ok(Self { freezer: Freezer::open(freezer.as_ref())?, tasks, memory })
    }

    pub(super) fn tasks_files(&self) -> Vec<BorrowedFd<'_>> {
        self.tasks.iter().map(AsFd::as_fd).collect()
    }

    pub(super) fn kill_round(&self) -> io::Result<()> {
        self.freezer.kill_round()
    }

    pub(super) fn pids(&self) -> io::Result<Vec<u32>> {
        self.freezer.pids()
    }

    pub(super) fn set_state(&self, state: &str) -> io::Result<()> {
        write_all(&self.freezer.state, state.as_bytes())
    }

    pub(super) fn is_frozen(&self) -> io::Result<bool> {
        self.freezer.is_frozen()
    }

    pub(super) fn memory_bytes(&self) -> Option<u64> {
        number(&self.memory.as_ref()?.usage)
    }

    pub(super) fn oom_kills(&self) -> u32 {
        let text = self.memory.as_ref().and_then(|memory| read_short(&memory.oom_control).ok());
        text.and_then(|text| value_of(&text, "oom_kill"))
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0)
    }

    pub(super) fn reset_peak_memory(&self) {
        if let Some(memory) = &self.memory {
            // A peak that stays high is still a true bound.
            let _refused = write_all(&memory.peak, b"0");
        }
    }

    pub(super) fn peak_memory_bytes(&self) -> Option<u64> {
        number(&self.memory.as_ref()?.peak)
    }
}

fn number(file: &OwnedFd) -> Option<u64> {
    read_short(file).ok()?.trim().parse().ok()
}

impl Freezer {
    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: open(folder, OFlags::RDONLY | OFlags::DIRECTORY)?,
            state: open(&folder.join("freezer.state"), OFlags::RDWR)?,
        })
    }

    /// Opened anew each time: an open file keeps the list that it has read first.
    fn pids(&self) -> io::Result<Vec<u32>> {
        let procs = openat(&self.folder, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(parse_pids(&read_at(&procs)?))
    }

    fn is_frozen(&self) -> io::Result<bool> {
        Ok(read_short(&self.state)?.trim() == "FROZEN")
    }

    /// Stop all, kill all, let them die.
    fn kill_round(&self) -> io::Result<()> {
        write_all(&self.state, b"FROZEN")?;
        for _ in 0..FREEZE_LOOKS {
            if self.is_frozen()? {
                break;
            }
            crate::cgroup::pause(Duration::from_micros(500));
        }
        let killed = self.pids().map(|pids| pids.into_iter().for_each(|pid| self.kill_member(pid)));
        write_all(&self.state, b"THAWED")?;
        killed
    }

    /// The list may be old when it is read: the process is pinned first, and its membership asked then.
    fn kill_member(&self, pid: u32) {
        let Ok(pinned) = PidFd::open(pid) else { return };
        let members = self.pids().unwrap_or_default();
        if members.contains(&pid) {
            // ESRCH: it has ended, which was the aim.
            let _ended = pinned.signal(Signal::KILL);
        }
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// One round against the freezer cgroup of an incarnation; returns how many processes it held before.
pub(super) fn kill_whole(folder: &str) -> io::Result<u32> {
    let freezer = match Freezer::open(folder.as_ref()) {
        Ok(freezer) => freezer,
        Err(error) if is_gone(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let held = freezer.pids()?.len();
    if held > 0 || freezer.is_frozen()? {
        freezer.kill_round()?;
    }
    Ok(u32::try_from(held).unwrap_or(u32::MAX))
}
