//! Processes of an incarnation that nothing holds any more, found by an entry in their environment: the last resort
//! where there are no cgroups and the shim is dead. A process that has overwritten its environment is not found;
//! `doctor` says so of this backend. Not here: trees with a living reaper.

use fusion_sys::pidfd::PidFd;
use fusion_sys::process::children;
use rustix::process::Signal;

/// An environment entry that only the processes of one incarnation have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(Vec<u8>);

impl Marker {
    /// The variable with this exact value, as `FUSION_SOCKET` with the socket's path.
    #[must_use]
    pub fn new(name: &str, value: &[u8]) -> Self {
        Self([name.as_bytes(), b"=", value].concat())
    }

    /// Kills every process with the entry, and their descendants; returns how many there were.
    pub(super) fn kill_round(&self) -> u32 {
        let Ok(folder) = std::fs::read_dir("/proc") else { return 0 };
        let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let marked: Vec<PidFd> = pids.filter_map(|pid| self.pin(pid)).collect();
        for process in &marked {
            // ESRCH: it has ended meanwhile.
            let _ended = process.signal(Signal::KILL);
        }
        u32::try_from(marked.len()).unwrap_or(u32::MAX)
    }

    /// The process, stopped so that it makes no more children, if it has the entry. What was read belonged to the pinned process
    /// if that one still lives afterwards.
    fn pin(&self, pid: u32) -> Option<PidFd> {
        if pid == std::process::id() {
            return None;
        }
        let pinned = PidFd::open(pid).ok()?;
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let marked = environment.split(|byte| *byte == 0).any(|entry| entry == self.0);
        if !marked || pinned.has_ended().unwrap_or(true) {
            return None;
        }
        let _ended = pinned.signal(Signal::STOP);
        for child in children(pid) {
            kill_child_of(pid, child);
        }
        Some(pinned)
    }
}

/// Kills a child of a stopped process, whatever its environment says.
fn kill_child_of(parent: u32, pid: u32) {
    let Ok(pinned) = PidFd::open(pid) else { return };
    if fusion_sys::process::stat(pid).is_ok_and(|stat| stat.parent == parent) {
        // ESRCH: it has ended meanwhile.
        let _ended = pinned.signal(Signal::KILL);
    }
}
