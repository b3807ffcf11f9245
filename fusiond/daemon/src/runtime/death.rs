//! The end of an incarnation whose shim is dead: what is left of it is ended, its folder put aside, its records read.
//!
//! ```text
//!   lock free ──► kill all ──► spec retired, run/i/X renamed to run/gone/X ──► records read ──► lock let go
//!   lock held ──► it lives: nothing is touched
//! ```
//!
//! The lock is held throughout, so no late shim can begin here. The records stay until the agent's next launch or
//! removal: the daemon may crash before the engine has them. Everything here blocks. Not here: how a living shim is
//! spoken to (`look`), what the end means (the core).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use fusion_core::Nonce;
use fusion_core::input::Witness;
use fusion_shim::cgroup::{self, Ground};
use fusion_shim::frame::decode_record;
use fusion_shim::names;
use fusion_shim::tree::{Marker, kill_all};
use fusion_shim::wire::{Backend, ExitRecord, StartMark};
use fusion_sys::file::Lock;
use fusion_sys::pidfd::PidFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::time::Timespec;

use super::places::{self, Life};
use super::{Shared, words};

/// What became of a burial.
pub(super) enum Burial {
    /// The shim is dead, and nothing of the incarnation is left but this.
    Done(Witness),
    /// The lock is held.
    Alive,
}

/// How long processes may take to die after SIGKILL; only a hanging disk or network file system takes longer.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a cgroup may stay busy after its last process.
const CGROUP_PATIENCE: Duration = Duration::from_secs(2);

/// Ends what is left of an incarnation, if its shim is dead. Records of another `nonce` do not count; without one, the
/// spec in the folder tells it. To be repeated as often as wanted.
///
/// # Errors
/// If processes survive or the folders refuse: nothing is lost, and it is to be tried again.
pub(super) fn bury(shared: &Shared, life: Life, nonce: Option<Nonce>) -> io::Result<Burial> {
    let (run, gone) = (shared.places.run(life), shared.places.gone(life));
    let lock = match take_lock(&run)? {
        Hold::Held => return Ok(Burial::Alive),
        Hold::Taken(lock) => Some(lock),
        Hold::NoFolder => None,
    };
    let folder = if lock.is_some() { &run } else { &gone };
    let spec = places::read_spec(folder);
    let nonce = nonce.or(spec.as_ref().map(|spec| spec.nonce));
    let backends = spec.map_or_else(|| candidates(&shared.ground, life), |spec| vec![spec.backend]);
    let is_same_boot = places::is_of_boot(folder, &shared.boot_id);
    end(shared, life, &backends)?;
    if lock.is_some() {
        places::retire_spec(&run)?;
        places::remove(&gone)?;
        std::fs::rename(&run, &gone)?;
    }
    for backend in &backends {
        if let Err(error) = cgroup::remove(backend, CGROUP_PATIENCE) {
            tracing::warn!(agent = %life.agent, "a cgroup of a dead incarnation stays: {error}");
        }
    }
    Ok(Burial::Done(testimony(shared, life, nonce, is_same_boot)?))
}

/// Ends an incarnation whose shim may live but does not serve: kills all of it, then buries it.
///
/// # Errors
/// As [`bury`]; if the shim cannot be found to be killed.
pub(super) fn strike_and_bury(
    shared: &Shared,
    life: Life,
    nonce: Option<Nonce>,
    shim: Option<&PidFd>,
) -> io::Result<Witness> {
    for _ in 0..BURIALS_MAX {
        match bury(shared, life, nonce)? {
            Burial::Done(witness) => return Ok(witness),
            Burial::Alive => strike(shared, life, shim)?,
        }
        let pause = Timespec { tv_sec: 0, tv_nsec: BURIAL_PAUSE_NS };
        // Cut short by a signal, it is only another look.
        let _cut_short = rustix::thread::nanosleep(&pause);
    }
    Err(io::Error::other(format!("the shim of {life} holds its lock and cannot be ended")))
}

/// How often a burial is tried after a kill: the lock is free as soon as the kernel has taken the shim apart.
const BURIALS_MAX: u32 = 500;
const BURIAL_PAUSE_NS: i64 = 4_000_000;

/// Kills an incarnation with its shim.
fn strike(shared: &Shared, life: Life, shim: Option<&PidFd>) -> io::Result<()> {
    if let Some(shim) = shim {
        // ESRCH: it is dead, which was the aim.
        let _dead = shim.signal(rustix::process::Signal::KILL);
    }
    let spec = places::read_spec(&shared.places.run(life));
    let backends = spec.map_or_else(|| candidates(&shared.ground, life), |spec| vec![spec.backend]);
    end(shared, life, &backends)
}

enum Hold {
    Taken(Lock),
    Held,
    NoFolder,
}

fn take_lock(run: &Path) -> io::Result<Hold> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = match openat(CWD, run.join(names::LOCK), flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(Hold::NoFolder),
        Err(error) => return Err(error.into()),
    };
    Ok(Lock::try_exclusive(file)?.map_or(Hold::Held, Hold::Taken))
}

/// Every process of the incarnation: those in its cgroups, and those that carry its socket in their environment. The
/// shim itself is started with that mark.
fn end(shared: &Shared, life: Life, backends: &[Backend]) -> io::Result<()> {
    let marker = Marker::new("FUSION_SOCKET", shared.places.agent_socket(life).as_os_str().as_bytes());
    for backend in backends {
        let left = kill_all(backend, &marker, KILL_PATIENCE)?;
        if left > 0 {
            return Err(io::Error::other(format!("{left} processes of {life} have survived SIGKILL")));
        }
    }
    Ok(())
}

/// Without a spec: every place where this daemon would have put the incarnation.
fn candidates(ground: &Ground, life: Life) -> Vec<Backend> {
    let name = life.to_string();
    let text = |base: &Path| base.join(&name).to_string_lossy().into_owned();
    let v2 = ground.v2.as_ref().map(|v2| Backend::CgroupV2 { path: text(&v2.base) });
    let v1 = ground.v1.as_ref().map(|v1| Backend::CgroupV1 {
        freezer: text(&v1.freezer),
        memory: v1.memory.as_deref().map(text),
        pids: v1.pids.as_deref().map(text),
        cpu: v1.cpu.as_deref().map(text),
    });
    v2.into_iter().chain(v1).chain([Backend::None]).collect()
}

/// Reads what the dead shim has left in memory and on disk.
fn testimony(shared: &Shared, life: Life, nonce: Option<Nonce>, is_same_boot: bool) -> io::Result<Witness> {
    let is_ours = |found: Nonce| nonce.is_none_or(|nonce| nonce == found);
    let mut exits: BTreeMap<u32, ExitRecord> = BTreeMap::new();
    let mut started = BTreeSet::new();
    let gone = shared.places.gone(life);
    for folder in [&shared.places.state(life), &gone] {
        for (serial, bytes) in read_all(folder, names::serial_of_exit)? {
            // A record that cannot be read was never finished.
            if let Ok(record) = decode_record::<ExitRecord>(&bytes)
                && is_ours(record.nonce)
                && record.serial == serial
            {
                exits.insert(serial, record);
            }
        }
    }
    for (serial, bytes) in read_all(&gone, names::serial_of_started)? {
        // A mark that was cut off may have been followed by a start, as far as anybody can know.
        let mark = decode_record::<StartMark>(&bytes);
        if mark.map_or(true, |mark| is_ours(mark.nonce) && mark.boot_id == shared.boot_id) {
            started.insert(serial);
        }
    }
    Ok(Witness {
        exits: exits.into_values().map(words::exit).collect(),
        started: started.into_iter().collect(),
        rebooted: !is_same_boot,
        stopped: std::fs::read(gone.join(names::STOPPED)).is_ok_and(|by| by.try_into().is_ok_and(is_ours)),
    })
}

/// The files of a folder that `serial_of` knows; none if there is no folder.
fn read_all(folder: &Path, serial_of: fn(&str) -> Option<u32>) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(serial) = entry.file_name().to_str().and_then(serial_of) {
            found.push((serial, std::fs::read(entry.path())?));
        }
    }
    Ok(found)
}
