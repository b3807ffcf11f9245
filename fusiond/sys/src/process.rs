//! Processes: who they are, waiting for them, signals to ourselves, leaving the parent, becoming a user.
//! Not here: starting programs (`spawn`) and killing (`pidfd`, cgroups).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A user to become: ids only, looked up before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The random id of this boot, `/proc/sys/kernel/random/boot_id`.
///
/// # Errors
/// Without `/proc`; `InvalidData` if the file is no UUID.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: Vec<u8> = text.trim_end().bytes().filter(|byte| *byte != b'-').collect();
    let mut id = [0u8; 16];
    if digits.len() != 2 * id.len() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| io::ErrorKind::InvalidData)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    }
    Ok(id)
}

/// What `/proc/PID/stat` tells, see proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The state letter: `R`, `S`, `D`, `T`, `Z` …
    pub state: u8,
    /// The parent.
    pub parent: u32,
    /// Whether it is a thread of the kernel (`PF_KTHREAD`).
    pub is_kernel_thread: bool,
    /// User and system time of the process and of the children it has waited for, in clock ticks.
    pub cpu_ticks: u64,
    /// Ticks between boot and start: with the pid and the boot id the identity of a process.
    pub start_time_ticks: u64,
    /// Resident memory in pages.
    pub resident_pages: u64,
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// `NotFound` or `ESRCH` if there is no such process; `InvalidData` if the line is not as proc(5) says.
pub fn stat(pid: u32) -> io::Result<Stat> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot.
///
/// # Errors
/// As [`stat`].
pub fn start_time(pid: u32) -> io::Result<u64> {
    Ok(stat(pid)?.start_time_ticks)
}

/// From include/linux/sched.h.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The second field is the program's name, chosen by the process: only what follows its last `)` counts.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&line[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        parent: u32::try_from(number(4)?).ok()?,
        is_kernel_thread: number(9)? & PF_KTHREAD != 0,
        cpu_ticks: (14..=17).map(|field| number(field).unwrap_or(0)).sum(),
        start_time_ticks: number(22)?,
        resident_pages: number(24)?,
    })
}

/// The children of a process whose threads have all made them, `/proc/PID/task/*/children`; empty if it is gone.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// A child that has ended and was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its id, free for others from now on.
    pub pid: u32,
    /// How it ended.
    pub end: End,
    /// User and system time of it and of the children it had waited for, in microseconds.
    pub cpu_us: u64,
    /// The largest resident memory of it or one of the children it had waited for, in bytes.
    pub peak_memory_bytes: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code (0 to 255).
    Exited(i32),
    /// By this signal, leaving a core or not.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

/// What a look for ended children has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// This one has ended.
    Reaped(Reaped),
    /// There are children, and all live.
    AllAlive,
    /// There is no child at all.
    Childless,
}

/// Waits for any ended child without blocking, see wait4(2). Only for a process that owns all its children.
///
/// # Errors
/// None are expected; those of wait4(2).
pub fn reap_any() -> io::Result<Look> {
    let mut status: c_int = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are live for the call; a zeroed `rusage` is valid.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if pid == 0 {
        return Ok(Look::AllAlive);
    }
    let Ok(pid) = u32::try_from(pid) else {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ECHILD) => Ok(Look::Childless),
            _ => Err(error),
        };
    };
    // SAFETY: zeroed before, and filled by the successful call.
    let usage = unsafe { usage.assume_init() };
    let end = if libc::WIFSIGNALED(status) {
        End::Signaled { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    let kilobytes = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    Ok(Look::Reaped(Reaped {
        pid,
        end,
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        peak_memory_bytes: kilobytes * 1024,
    }))
}

fn micros(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
}

/// Leaves the parent: forks, ends the calling process with status 0, and goes on in the child, in a session of its
/// own. Locks, sockets and all other descriptors stay.
///
/// # Errors
/// `Unsupported` if the process has more than one thread (the others would not live on); those of fork(2).
pub fn detach() -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: with one thread no lock can be held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::setsid()?;
            Ok(())
        }
        // SAFETY: ends the process at once; buffers and destructors belong to the child now.
        _parent => unsafe { libc::_exit(0) },
    }
}

/// Closes every descriptor from 3 up. Call it first in `main`, before anything is opened: what is closed here was
/// inherited and belongs to nobody.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
pub fn close_inherited() -> io::Result<()> {
    // SAFETY: by the contract above no descriptor from 3 up has an owner in this process.
    let outcome = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Points descriptors 0, 1 and 2 at `/dev/null`.
///
/// # Errors
/// If `/dev/null` cannot be opened.
pub fn stdio_to_null() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for number in 0..3 {
        // SAFETY: 0 to 2 are never owned by an `OwnedFd` here; dup2 replaces what they mean.
        if unsafe { libc::dup2(null.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Sets every signal to its default, but ignores `ignored`; nothing is blocked afterwards. Also the two signals that the
/// C library hides (its own, for threads) are reset: some parents leave them ignored. For a process with one thread.
pub fn reset_signals(ignored: &[c_int]) {
    const SET_BYTES: usize = 8;
    for signal in 1..=64 {
        // The kernel's `struct sigaction` begins with the disposition and has 32 bytes at most; the rest, no flags and
        // an empty mask, is zero.
        let action = if ignored.contains(&signal) { [libc::SIG_IGN as u64, 0, 0, 0] } else { [0u64; 4] };
        // SAFETY: no handler is installed, only SIG_DFL and SIG_IGN; the structure is alive. SIGKILL and SIGSTOP answer
        // with an error that changes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, 0usize, SET_BYTES) };
    }
    let nothing = 0u64;
    let set = &raw const nothing;
    // SAFETY: the kernel's signal set has eight bytes; `nothing` is alive.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, set, 0usize, SET_BYTES) };
}

/// Signals as a readable descriptor, see signalfd(2). They are blocked for the calling thread.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` and opens the descriptor, which does not block.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub fn open(signals: &[c_int]) -> io::Result<Self> {
        // SAFETY: `set` is initialised by sigemptyset; the descriptor is new and owned by nobody else.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, *signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// The number of the next pending signal, if any. Equal signals merge.
    ///
    /// # Errors
    /// None are expected; those of read(2).
    pub fn next(&self) -> io::Result<Option<c_int>> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut info) {
            Ok(count) if count == info.len() => {
                let (number, _) = info.split_first_chunk::<4>().expect("the structure has 128 bytes");
                Ok(c_int::try_from(u32::from_ne_bytes(*number)).ok())
            }
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Becomes a user for ever: groups, gid, uid by the raw calls (the calling thread alone, so call it with one
/// thread), then makes sure that there is no way back.
///
/// # Errors
/// `EPERM` without `CAP_SETUID` and `CAP_SETGID`; `Other` if the kernel kept anything of the old identity.
pub fn become_user(user: &Credentials) -> io::Result<()> {
    use rustix::process::{Gid, Uid, getgroups};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let mut groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    groups.sort_unstable_by_key(|group| group.as_raw());
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let mut now = getgroups()?;
    now.sort_unstable_by_key(|group| group.as_raw());
    let root = Uid::from_raw(0);
    let back = user.uid != 0 && set_thread_res_uid(root, root, root).is_ok();
    if back || now != groups || rustix::process::getuid() != uid || rustix::process::getegid() != gid {
        return Err(io::Error::other("the identity could not be given up"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_forge_its_stat() {
        let line = b"42 (a) S 1 1 (b)) R 7 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 999 1000 55 0";
        let stat = parse_stat(line).expect("a stat line");
        assert_eq!((stat.state, stat.parent), (b'R', 7));
        assert_eq!((stat.cpu_ticks, stat.start_time_ticks, stat.resident_pages), (10, 999, 55));
        assert_eq!(parse_stat(b"nonsense"), None);
    }

    #[test]
    fn the_own_process_has_a_start_and_a_parent() {
        let stat = stat(std::process::id()).expect("own stat");
        assert!(stat.start_time_ticks > 0);
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert_ne!(boot_id().expect("a boot id"), [0; 16]);
    }
}
