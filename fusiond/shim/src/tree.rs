//! A living process tree: killing, freezing, looking at it, in the three ways that a machine may offer.
//!
//! Every way ends the same: repeat until nothing is left. No process is signalled by a remembered number: numbers
//! come from the kernel's list of the moment, are pinned by a pidfd, and are checked again before the signal.
//! Not here: waiting for children (the shim's) and making cgroups (`cgroup`).

mod descendants;
mod stray;
mod v1;
mod v2;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use fusion_sys::process::{Look, reap_any};
use rustix::process::Signal;

pub use self::stray::Marker;
use crate::wire::{Backend, Limits};

/// The tree of one incarnation, with its files open.
#[derive(Debug)]
pub enum Tree {
    /// Held by the `agent` cgroup of a version 2 folder.
    V2(v2::Group),
    /// Held by version 1 cgroups.
    V1(v1::Groups),
    /// Held by descent from the calling process.
    Descendants,
}

/// What a tree uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of the living processes and the children that they have waited for.
    pub cpu_ms: u64,
    /// Memory now.
    pub memory_bytes: u64,
    /// Processes now.
    pub processes: u32,
}

impl Tree {
    /// Opens the tree of a backend.
    ///
    /// # Errors
    /// If a cgroup is not there or not writable.
    pub fn open(backend: &Backend) -> io::Result<Self> {
        match backend {
            Backend::CgroupV2 { path } => Ok(Self::V2(v2::Group::open(path.as_ref())?)),
            Backend::CgroupV1 { freezer, memory, pids, cpu } => {
                let others = [memory, pids, cpu].map(|path| path.as_deref());
                Ok(Self::V1(v1::Groups::open(freezer, others)?))
            }
            Backend::None => Ok(Self::Descendants),
        }
    }

    /// The folder for `CLONE_INTO_CGROUP`.
    #[must_use]
    pub fn folder(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::V2(group) => group.folder(),
            Self::V1(_) | Self::Descendants => None,
        }
    }

    /// The files that a child has to write itself into.
    #[must_use]
    pub fn tasks_files(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::V1(groups) => groups.tasks_files(),
            Self::V2(group) => group.procs_file().into_iter().collect(),
            Self::Descendants => Vec::new(),
        }
    }

    /// Prepares an empty tree for the next attempt.
    ///
    /// # Errors
    /// If a cgroup cannot be made anew; it can be used all the same, at some cost.
    pub fn renew(&mut self, limits: &Limits) -> io::Result<()> {
        match self {
            Self::V2(group) => group.renew(limits),
            Self::V1(_) | Self::Descendants => Ok(()),
        }
    }

    /// One round of killing everything. What was frozen can die afterwards. Call it again until [`Tree::is_empty`],
    /// and until the calling process has no child.
    ///
    /// # Errors
    /// If the kernel's files refuse; a process that is gone is no error.
    pub fn kill_round(&self) -> io::Result<()> {
        match self {
            Self::V2(group) => group.kill(),
            Self::V1(groups) => groups.kill_round(),
            Self::Descendants => {
                descendants::kill_round(std::process::id());
                Ok(())
            }
        }
    }

    /// Kills descendants of the calling process that have left the cgroup.
    pub fn kill_descendants(&self) {
        descendants::kill_round(std::process::id());
    }

    /// Whether the cgroup holds no process. Descent is told by wait4(2) instead: always true there.
    ///
    /// # Errors
    /// If the kernel's files cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        match self {
            Self::V2(group) => group.is_empty(),
            Self::V1(groups) => Ok(groups.pids()?.is_empty()),
            Self::Descendants => Ok(true),
        }
    }

    /// Orders the whole tree to stand still. Repeat until [`Tree::is_frozen`].
    ///
    /// # Errors
    /// If the kernel's files refuse.
    pub fn freeze(&self) -> io::Result<()> {
        match self {
            Self::V2(group) => group.set_frozen(true),
            Self::V1(groups) => groups.set_state("FROZEN"),
            Self::Descendants => {
                descendants::stop_all(std::process::id());
                Ok(())
            }
        }
    }

    /// Whether the whole tree stands still.
    ///
    /// # Errors
    /// If the kernel's files cannot be read.
    pub fn is_frozen(&self) -> io::Result<bool> {
        match self {
            Self::V2(group) => group.is_frozen(),
            Self::V1(groups) => groups.is_frozen(),
            Self::Descendants => Ok(descendants::all_stopped(std::process::id())),
        }
    }

    /// Lets the tree go on.
    ///
    /// # Errors
    /// If the kernel's files refuse.
    pub fn thaw(&self) -> io::Result<()> {
        match self {
            Self::V2(group) => group.set_frozen(false),
            Self::V1(groups) => groups.set_state("THAWED"),
            Self::Descendants => {
                descendants::signal_all(std::process::id(), Signal::CONT);
                Ok(())
            }
        }
    }

    /// What the tree uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (pids, memory) = match self {
            Self::V2(group) => (group.pids().unwrap_or_default(), group.memory_bytes()),
            Self::V1(groups) => (groups.pids().unwrap_or_default(), groups.memory_bytes()),
            Self::Descendants => (descendants::list(std::process::id()), None),
        };
        let stats: Vec<_> = pids.iter().filter_map(|pid| fusion_sys::process::stat(*pid).ok()).collect();
        let ticks: u64 = stats.iter().map(|stat| stat.cpu_ticks).sum();
        let pages: u64 = stats.iter().map(|stat| stat.resident_pages).sum();
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        Usage {
            cpu_ms: ticks * 1000 / rustix::param::clock_ticks_per_second().max(1),
            memory_bytes: memory.unwrap_or(pages * page_bytes),
            processes: u32::try_from(stats.len()).unwrap_or(u32::MAX),
        }
    }

    /// Processes killed for want of memory since the cgroup was made; 0 where nothing counts them.
    #[must_use]
    pub fn oom_kills(&self) -> u32 {
        match self {
            Self::V2(group) => group.oom_kills(),
            Self::V1(groups) => groups.oom_kills(),
            Self::Descendants => 0,
        }
    }

    /// Begins a new measurement of [`Tree::peak_memory_bytes`].
    pub fn reset_peak_memory(&self) {
        match self {
            Self::V2(group) => group.reset_peak_memory(),
            Self::V1(groups) => groups.reset_peak_memory(),
            Self::Descendants => {}
        }
    }

    /// The highest memory use of the cgroup since the last reset, where one counts it.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        match self {
            Self::V2(group) => group.peak_memory_bytes(),
            Self::V1(groups) => groups.peak_memory_bytes(),
            Self::Descendants => None,
        }
    }
}

/// Ends everything of an incarnation whose shim is dead: all of its cgroups (with a shim that hangs, if there is
/// one) and every process that carries its marker in its environment, until nothing is left. Blocks; for a thread of
/// its own. A missing cgroup is an empty one.
///
/// Returns how many processes are left when `patience` is over: 0 means done.
///
/// # Errors
/// If the kernel's files refuse.
pub fn kill_all(backend: &Backend, marker: &Marker, patience: Duration) -> io::Result<u32> {
    let until = Instant::now() + patience;
    let mut quiet_rounds = 0;
    loop {
        let held = match backend {
            Backend::CgroupV2 { path } => v2::kill_whole(path.as_ref())?,
            Backend::CgroupV1 { freezer, .. } => v1::kill_whole(freezer)?,
            Backend::None => 0,
        };
        let strays = marker.kill_round();
        let left = held + strays.killed;
        quiet_rounds = if left == 0 { quiet_rounds + 1 } else { 0 };
        let enough = if strays.unreadable == 0 { QUIET_ROUNDS } else { QUIET_ROUNDS_UNSURE };
        if quiet_rounds >= enough || Instant::now() >= until {
            return Ok(left);
        }
        crate::cgroup::pause(BETWEEN_ROUNDS);
    }
}

/// Ends all descendants of the calling process, which is their reaper and has one thread, until there are none. Blocks.
///
/// # Errors
/// None are expected; those of wait4(2).
pub fn end_descendants() -> io::Result<()> {
    loop {
        descendants::kill_round(std::process::id());
        loop {
            match reap_any()? {
                Look::Reaped(_) => {}
                Look::AllAlive => break,
                Look::Childless => return Ok(()),
            }
        }
        crate::cgroup::pause(BETWEEN_ROUNDS);
    }
}

/// What was killed needs a moment to go.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(2);

/// A fork can hide from one look at the list of processes, not from two in a row.
const QUIET_ROUNDS: u32 = 2;

/// Some process shows no environment: it was born without one, or is in its `execve`, which takes less than these
/// rounds.
const QUIET_ROUNDS_UNSURE: u32 = 10;

/// Reads a file of a few lines, which the kernel gives in one piece, by its open descriptor.
fn read_short(file: &impl std::os::fd::AsFd) -> io::Result<String> {
    let mut text = Vec::with_capacity(1024);
    rustix::io::pread(file, rustix::buffer::spare_capacity(&mut text), 0)?;
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Reads a whole file of a cgroup by its open descriptor.
fn read_at(file: &impl std::os::fd::AsFd) -> io::Result<String> {
    let mut text = Vec::with_capacity(4096);
    loop {
        let offset = u64::try_from(text.len()).unwrap_or(u64::MAX);
        text.reserve(4096);
        if rustix::io::pread(file, rustix::buffer::spare_capacity(&mut text), offset)? == 0 {
            break;
        }
    }
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The number after `key` and a space at the start of a line.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The process ids in a list of the kernel.
fn parse_pids(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid != 0).collect()
}

/// `ENODEV`: the cgroup was removed while its file was open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}
