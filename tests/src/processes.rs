//! The process oracle: what is alive below a root, as /proc tells it.
//!
//! A process belongs to a root when its command line, its environment or its working directory names the root: a
//! shim has it in its arguments, an attempt in `FUSION_WORKSPACE`, and what an attempt left behind at least stands
//! in the workspace. Zombies count as dead: their reaper may be slow, they run nothing.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{Deadline, wait_readable};

/// One living process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its pid at the moment of looking.
    pub pid: i32,
    /// The program's short name.
    pub name: String,
    /// Its arguments, joined with spaces.
    pub command: String,
    /// The state letter of proc_pid_stat(5).
    pub state: char,
    /// The effective uid.
    pub uid: u32,
}

impl Process {
    /// Whether it is the shim of an agent.
    #[must_use]
    pub fn is_shim(&self) -> bool {
        self.name == "fusion-shim"
    }
}

/// All living processes that belong to `root`, in the order of their pids.
#[must_use]
pub fn below(root: &Path) -> Vec<Process> {
    let mut found: Vec<Process> =
        pids().into_iter().filter(|pid| belongs(*pid, root)).filter_map(look).collect();
    found.sort();
    found
}

/// What /proc says about `pid`; none when it is dead or a zombie.
#[must_use]
pub fn look(pid: i32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let state = rest.trim_start().chars().next()?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let command = std::fs::read(folder.join("cmdline")).ok()?;
    let command = command.strip_suffix(b"\0").unwrap_or(&command);
    let command = String::from_utf8_lossy(command).replace('\0', " ");
    Some(Process { pid, name: name.to_owned(), command, state, uid: effective_uid(&folder)? })
}

/// The value of `key` in the status file of `pid`, such as `NoNewPrivs`.
#[must_use]
pub fn status(pid: i32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Ends all that belongs to `root`, thawing it first. For cleaning up: a story that needs this to leave nothing behind
/// has failed in its own words before.
pub fn end_all(root: &Path) {
    let mut empty_rounds = 0;
    // A process may fork while it is being killed, and one in its execve(2) shows no environment: each round finds
    // what the one before let slip, and only two empty ones in a row are believed.
    for _ in 0..50 {
        let living = below(root);
        empty_rounds = if living.is_empty() { empty_rounds + 1 } else { 0 };
        if empty_rounds == 2 {
            break;
        }
        for process in living {
            groups_of(process.pid).iter().for_each(|group| thaw(group));
            kill(process.pid, root);
        }
    }
}

/// Removes the control groups called `name`, with those in them, wherever a daemon may have made them.
pub fn remove_groups(name: &str) {
    let Ok(mounts) = std::fs::read_to_string("/proc/mounts") else { return };
    let Ok(own) = std::fs::read_to_string("/proc/self/cgroup") else { return };
    let places: BTreeSet<&str> =
        own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).chain(["/"]).collect();
    for mount in mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()) {
        let [_, folder, "cgroup" | "cgroup2", ..] = mount.as_slice() else { continue };
        for place in &places {
            remove_group(&Path::new(folder).join(place.trim_start_matches('/')).join(name));
        }
    }
}

/// Removes a group and those in it; the kernel refuses while anything lives in one.
fn remove_group(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    drop(std::fs::remove_dir(group));
}

/// Sends `signal` to `pid` if it still belongs to `root`; false when it is gone.
#[must_use]
pub fn signal(pid: i32, root: &Path, signal: Signal) -> bool {
    let Some(id) = Pid::from_raw(pid) else { return false };
    let Ok(pidfd) = pidfd_open(id, PidfdFlags::empty()) else { return false };
    // The descriptor pins the process; looking again afterwards makes sure that it pins the right one.
    belongs(pid, root) && pidfd_send_signal(&pidfd, signal).is_ok()
}

fn kill(pid: i32, root: &Path) {
    let Some(id) = Pid::from_raw(pid) else { return };
    let Ok(pidfd) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if belongs(pid, root) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
        use std::os::fd::AsFd as _;
        let _ended = wait_readable(&[pidfd.as_fd()], Deadline::after(std::time::Duration::from_secs(2)));
    }
}

fn pids() -> Vec<i32> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| u32::try_from(*pid) != Ok(own))
        .collect()
}

fn belongs(pid: i32, root: &Path) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stands_in = std::fs::read_link(folder.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root));
    let needle = root.as_os_str().as_bytes();
    let names = |file: &str| std::fs::read(folder.join(file)).is_ok_and(|bytes| contains(&bytes, needle));
    (stands_in || names("cmdline") || names("environ")) && !is_harness(&folder)
}

/// The story's own helpers name the root too: fusionctl has it in `--socket`, cargo and the tests in nothing.
fn is_harness(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim_end() == "fusionctl")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn effective_uid(folder: &Path) -> Option<u32> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The control groups of `pid` that a daemon made, from /proc/PID/cgroup (cgroups(7)).
fn groups_of(pid: i32) -> Vec<PathBuf> {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return Vec::new() };
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let mounted = mounts(controllers).into_iter().map(|mount| mount.join(path.trim_start_matches('/')));
        groups.extend(mounted.filter(|group| names_fusion(group)));
    }
    groups
}

fn names_fusion(group: &Path) -> bool {
    group.components().any(|part| part.as_os_str().as_bytes().starts_with(b"fusion"))
}

fn mounts(controllers: &str) -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    if controllers.is_empty() {
        vec![base.join("unified"), base.to_path_buf()]
    } else {
        controllers.split(',').map(|name| base.join(name.trim_start_matches("name="))).collect()
    }
}

/// A frozen process does not die of a signal in cgroup v1; both writes fail harmlessly where they do not apply.
fn thaw(group: &Path) {
    drop(std::fs::write(group.join("freezer.state"), b"THAWED"));
    drop(std::fs::write(group.join("cgroup.freeze"), b"0"));
}
