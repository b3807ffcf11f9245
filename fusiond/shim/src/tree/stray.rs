//! Processes of an incarnation that nothing holds any more, found by an entry in their environment: the last resort
//! where there are no cgroups and the shim is dead. A process that has overwritten its environment is not found;
//! `doctor` says so of this backend. Not here: trees with a living reaper.

use fusion_sys::pidfd::PidFd;
use fusion_sys::process::{children, stat};
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

    /// Kills every process with the entry, and their children. Call it until several rounds have found nothing: a
    /// process may fork, or be unreadable in the middle of its `execve`, just when a round passes it.
    pub(super) fn kill_round(&self) -> Round {
        let mut round = Round::default();
        let Ok(folder) = std::fs::read_dir("/proc") else { return round };
        let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.filter(|pid| *pid != std::process::id()) {
            match self.look_at(pid) {
                Look::Stranger => {}
                Look::Unreadable => round.unreadable += 1,
                Look::Marked(process) => {
                    round.killed += 1;
                    kill_with_children(pid, &process);
                }
            }
        }
        round
    }

    /// What was read belonged to the pinned process if that one still lives afterwards.
    fn look_at(&self, pid: u32) -> Look {
        let Ok(pinned) = PidFd::open(pid) else { return Look::Stranger };
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return Look::Stranger };
        if pinned.has_ended().unwrap_or(true) {
            return Look::Stranger;
        }
        if environment.is_empty() {
            // Kernel threads have no memory; a process in its `execve` has none for a moment.
            return if stat(pid).is_ok_and(|stat| stat.is_kernel_thread) {
                Look::Stranger
            } else {
                Look::Unreadable
            };
        }
        let marked = environment.split(|byte| *byte == 0).any(|entry| entry == self.0);
        if marked { Look::Marked(pinned) } else { Look::Stranger }
    }
}

/// What a round has met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Processes with the entry.
    pub(super) killed: u32,
    /// Processes without any environment.
    pub(super) unreadable: u32,
}

enum Look {
    Stranger,
    Unreadable,
    Marked(PidFd),
}

/// Stops a process, so that it makes no more children, kills those that it has, whatever their environment says, and
/// then itself.
fn kill_with_children(pid: u32, process: &PidFd) {
    // ESRCH, here and below: it has ended meanwhile.
    let _ended = process.signal(Signal::STOP);
    for child in children(pid) {
        let Ok(pinned) = PidFd::open(child) else { continue };
        let is_child = stat(child).is_ok_and(|stat| stat.parent == pid);
        // While the parent lives its number means no other process.
        if is_child && !process.has_ended().unwrap_or(true) {
            let _ended = pinned.signal(Signal::KILL);
        }
    }
    let _ended = process.signal(Signal::KILL);
}
