//! A tree held by descent alone: the calling process is its reaper, so whatever loses its parent becomes the caller's
//! child and stays in sight. Not here: cgroups.

use std::collections::BTreeSet;

use fusion_sys::pidfd::PidFd;
use fusion_sys::process::{children, stat};
use rustix::process::Signal;

/// Passes that look for processes made while others were being stopped. A tree that outruns them is met by the next
/// round.
const STOP_PASSES: u32 = 16;

/// All living descendants of `root`, parents first.
pub(super) fn list(root: u32) -> Vec<u32> {
    let mut found: Vec<u32> = children(root);
    let mut seen: BTreeSet<u32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        found.extend(children(pid).into_iter().filter(|child| seen.insert(*child)));
    }
    found.retain(|pid| stat(*pid).is_ok_and(|stat| !is_dead(stat.state)));
    found
}

/// Stops the whole tree, so that nothing forks away, then kills it.
pub(super) fn kill_round(root: u32) {
    stop_all(root);
    signal_all(root, Signal::KILL);
}

/// Stops everything, and what was made meanwhile, until a pass finds nothing new.
pub(super) fn stop_all(root: u32) {
    let mut stopped = BTreeSet::new();
    for _ in 0..STOP_PASSES {
        let pids = list(root);
        let fresh: Vec<u32> = pids.into_iter().filter(|pid| !stopped.contains(pid)).collect();
        if fresh.is_empty() {
            return;
        }
        for pid in fresh {
            signal_descendant(root, pid, Signal::STOP);
            stopped.insert(pid);
        }
    }
}

/// Whether every descendant is stopped.
pub(super) fn all_stopped(root: u32) -> bool {
    list(root)
        .into_iter()
        .all(|pid| stat(pid).map_or(true, |stat| matches!(stat.state, b'T' | b't') || is_dead(stat.state)))
}

/// Sends one signal to every descendant.
pub(super) fn signal_all(root: u32, signal: Signal) {
    for pid in list(root) {
        signal_descendant(root, pid, signal);
    }
}

/// Pins the process, then makes sure that it descends from `root`, then signals it.
fn signal_descendant(root: u32, pid: u32, signal: Signal) {
    let Ok(pinned) = PidFd::open(pid) else { return };
    if descends(root, pid) {
        // ESRCH: it has ended meanwhile.
        let _ended = pinned.signal(signal);
    }
}

fn descends(root: u32, pid: u32) -> bool {
    let mut here = pid;
    while here > 1 && here != root {
        match stat(here) {
            Ok(stat) => here = stat.parent,
            Err(_) => return false,
        }
    }
    here == root
}

fn is_dead(state: u8) -> bool {
    matches!(state, b'Z' | b'X' | b'x')
}
