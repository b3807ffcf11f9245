//! The child between `clone` and `execve`. It lives in the parent's memory: it allocates nothing, takes no lock,
//! cannot panic, and calls the kernel by number (the C library's setresuid would signal the parent's threads).
//! Not here: preparing the plan (`spawn`).

use std::ffi::{c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::{Launch, STACK_BYTES, Stack};

/// A step of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// clone(2) itself.
    Clone = 1,
    /// A session of its own.
    Session,
    /// Default signals, nothing blocked.
    Signals,
    /// Entering the cgroups.
    Cgroup,
    /// A session keyring of its own.
    Keyring,
    /// Resource limits.
    Rlimits,
    /// Descriptors 0 to 2.
    Stdio,
    /// Closing all others at the exec.
    CloseRange,
    /// Clearing the ambient capabilities.
    Ambient,
    /// Supplementary groups.
    Groups,
    /// Group id.
    Gid,
    /// User id.
    Uid,
    /// The proof that nothing of the old identity is left.
    Proof,
    /// Dying with the parent.
    DeathSignal,
    /// The parent has died meanwhile.
    Orphaned,
    /// `no_new_privs`.
    NoNewPrivs,
    /// The working directory.
    Chdir,
    /// execve(2).
    Exec,
}

impl Stage {
    const ALL: [Self; 18] = [
        Self::Clone,
        Self::Session,
        Self::Signals,
        Self::Cgroup,
        Self::Keyring,
        Self::Rlimits,
        Self::Stdio,
        Self::CloseRange,
        Self::Ambient,
        Self::Groups,
        Self::Gid,
        Self::Uid,
        Self::Proof,
        Self::DeathSignal,
        Self::Orphaned,
        Self::NoNewPrivs,
        Self::Chdir,
        Self::Exec,
    ];

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u32 == number)
    }

    /// The name, as it stands in exit records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Session => "setsid",
            Self::Signals => "signals",
            Self::Cgroup => "cgroup",
            Self::Keyring => "keyring",
            Self::Rlimits => "setrlimit",
            Self::Stdio => "stdio",
            Self::CloseRange => "close_range",
            Self::Ambient => "ambient",
            Self::Groups => "setgroups",
            Self::Gid => "setresgid",
            Self::Uid => "setresuid",
            Self::Proof => "proof",
            Self::DeathSignal => "pdeathsig",
            Self::Orphaned => "orphaned",
            Self::NoNewPrivs => "no_new_privs",
            Self::Chdir => "chdir",
            Self::Exec => "execve",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Everything the child reads, and the two words it writes.
pub(super) struct Plan<'a> {
    pub(super) launch: &'a Launch<'a>,
    pub(super) paths: &'a [*const c_char],
    pub(super) argv: &'a [*const c_char],
    pub(super) envp: &'a [*const c_char],
    pub(super) groups: Vec<u32>,
    pub(super) groups_seen: Vec<u32>,
    pub(super) oom_score_adj: Option<Vec<u8>>,
    pub(super) cgroup_procs: Option<c_int>,
    pub(super) parent: i32,
    pub(super) failed_stage: AtomicU32,
    pub(super) failed_errno: AtomicI32,
}

/// The child's first and last function.
pub(super) extern "C" fn main(plan: *mut c_void) -> c_int {
    // SAFETY: the parent passes a live `Plan` and stands still, so this is the only reference in use.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    if let Err((stage, errno)) = plan.run() {
        plan.failed_errno.store(errno, Ordering::Release);
        plan.failed_stage.store(stage as u32, Ordering::Release);
    }
    loop {
        // SAFETY: ends this process; the parent's memory stays as it is. The C library's exit would run handlers.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    }
}

type Step = Result<(), (Stage, c_int)>;

impl Plan<'_> {
    fn run(&mut self) -> Step {
        call(Stage::Session, libc::SYS_setsid, [0; 5])?;
        reset_signals()?;
        self.enter_cgroups()?;
        fresh_keyring()?;
        self.limit()?;
        self.arrange_descriptors()?;
        self.become_user()?;
        self.bind_to_parent()?;
        if self.launch.no_new_privs {
            call(Stage::NoNewPrivs, libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0])?;
        }
        call(Stage::Chdir, libc::SYS_chdir, [self.launch.cwd.as_ptr() as usize, 0, 0, 0, 0])?;
        self.exec()
    }

    fn enter_cgroups(&self) -> Step {
        // "0" means the writer; a single thread moves without the lock that a whole process needs.
        for file in &self.launch.tasks_files {
            write(Stage::Cgroup, file.as_raw_fd(), b"0")?;
        }
        match self.cgroup_procs {
            Some(file) => write(Stage::Cgroup, file, b"0"),
            None => Ok(()),
        }
    }

    fn limit(&self) -> Step {
        for (resource, soft, hard) in &self.launch.rlimits {
            let limit = [*soft, *hard];
            let pointer = (&raw const limit) as usize;
            call(Stage::Rlimits, libc::SYS_prlimit64, [0, *resource as usize, pointer, 0, 0])?;
        }
        if let Some(score) = &self.oom_score_adj {
            let path = c"/proc/self/oom_score_adj".as_ptr() as usize;
            let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
            // A score that may not be set leaves the inherited one: no reason not to start.
            if let Ok(file) = call(Stage::Rlimits, libc::SYS_openat, [AT_FDCWD, path, flags, 0, 0]) {
                let _refused = write(Stage::Rlimits, file as c_int, score);
                call(Stage::Rlimits, libc::SYS_close, [file, 0, 0, 0, 0])?;
            }
        }
        call(Stage::Rlimits, libc::SYS_umask, [self.launch.umask as usize, 0, 0, 0, 0])?;
        Ok(())
    }

    fn arrange_descriptors(&self) -> Step {
        for (number, file) in self.launch.stdio.iter().enumerate() {
            call(Stage::Stdio, libc::SYS_dup3, [file.as_raw_fd() as usize, number, 0, 0, 0])?;
        }
        const CLOSE_RANGE_CLOEXEC: usize = 4;
        let arguments = [3, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0];
        call(Stage::CloseRange, libc::SYS_close_range, arguments)?;
        Ok(())
    }

    fn become_user(&mut self) -> Step {
        let ambient = [libc::PR_CAP_AMBIENT as usize, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0, 0, 0];
        call(Stage::Ambient, libc::SYS_prctl, ambient)?;
        let Some(user) = &self.launch.identity else { return Ok(()) };
        let (uid, gid) = (user.uid as usize, user.gid as usize);
        let groups = self.groups.as_ptr() as usize;
        call(Stage::Groups, libc::SYS_setgroups, [self.groups.len(), groups, 0, 0, 0])?;
        call(Stage::Gid, libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
        call(Stage::Uid, libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
        self.prove(user.uid, user.gid)
    }

    /// Asks the kernel for every id, and tries to come back.
    fn prove(&mut self, uid: u32, gid: u32) -> Step {
        let refused = (Stage::Proof, libc::EPERM);
        for (number, wanted) in [(libc::SYS_getresuid, uid), (libc::SYS_getresgid, gid)] {
            let ids = [u32::MAX; 3];
            let pointer = |index: usize| (&raw const ids) as usize + index * size_of::<u32>();
            call(Stage::Proof, number, [pointer(0), pointer(1), pointer(2), 0, 0])?;
            // SAFETY: `ids` is alive; the kernel has written it behind the compiler's back.
            if unsafe { (&raw const ids).read_volatile() } != [wanted; 3] {
                return Err(refused);
            }
        }
        let (room, seen) = (self.groups_seen.len(), self.groups_seen.as_mut_ptr() as usize);
        let count = call(Stage::Proof, libc::SYS_getgroups, [room, seen, 0, 0, 0])?;
        if self.groups_seen.get(..count) != Some(self.groups.as_slice()) {
            return Err(refused);
        }
        if call(Stage::Proof, libc::SYS_setresuid, [0; 5]).is_ok() {
            return Err(refused);
        }
        Ok(())
    }

    /// After the change of user, which clears the death signal; the parent may have died before it was set.
    fn bind_to_parent(&self) -> Step {
        let arguments = [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0];
        call(Stage::DeathSignal, libc::SYS_prctl, arguments)?;
        let parent = call(Stage::DeathSignal, libc::SYS_getppid, [0; 5])?;
        if parent == self.parent as usize { Ok(()) } else { Err((Stage::Orphaned, libc::ESRCH)) }
    }

    /// Tries each path, as execvp(3): what is absent is passed over, what is forbidden is remembered.
    fn exec(&self) -> Step {
        let mut errno = libc::ENOENT;
        for path in self.paths.iter().take_while(|path| !path.is_null()) {
            let arguments = [*path as usize, self.argv.as_ptr() as usize, self.envp.as_ptr() as usize, 0, 0];
            let Err((_, error)) = call(Stage::Exec, libc::SYS_execve, arguments) else { return Ok(()) };
            match error {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => errno = error,
                other => return Err((Stage::Exec, other)),
            }
        }
        Err((Stage::Exec, errno))
    }
}

const AT_FDCWD: usize = libc::AT_FDCWD as isize as usize;

/// Sets the classic signals to their defaults and unblocks all.
fn reset_signals() -> Step {
    const SET_BYTES: usize = 8;
    // The kernel's `struct sigaction` has 32 bytes at most; zero means SIG_DFL, no flags, an empty mask.
    let (zeros, set) = ([0u64; 4], 0u64);
    let action = (&raw const zeros) as usize;
    for signal in (1..32).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP)) {
        call(Stage::Signals, libc::SYS_rt_sigaction, [signal as usize, action, 0, SET_BYTES, 0])?;
    }
    let arguments = [libc::SIG_SETMASK as usize, (&raw const set) as usize, 0, SET_BYTES, 0];
    call(Stage::Signals, libc::SYS_rt_sigprocmask, arguments)?;
    Ok(())
}

/// Keys of the daemon's session are not the agent's. Kernels without keyrings, and containers that forbid them,
/// have none to hide.
fn fresh_keyring() -> Step {
    match call(Stage::Keyring, libc::SYS_keyctl, [libc::KEYCTL_JOIN_SESSION_KEYRING as usize, 0, 0, 0, 0]) {
        Ok(_) | Err((_, libc::ENOSYS | libc::EPERM | libc::EDQUOT)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn write(stage: Stage, file: c_int, bytes: &[u8]) -> Step {
    call(stage, libc::SYS_write, [file as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0])?;
    Ok(())
}

fn call(stage: Stage, number: c_long, arguments: [usize; 5]) -> Result<usize, (Stage, c_int)> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: every caller in this file passes what that system call takes; pointers are to live memory.
    let outcome = unsafe { libc::syscall(number, a, b, c, d, e) };
    if outcome == -1 {
        // SAFETY: the errno of the parent's thread, which stands still; libc::syscall has just written it.
        return Err((stage, unsafe { *libc::__errno_location() }));
    }
    Ok(outcome as usize)
}

/// clone3(2) straight into a version 2 cgroup: the C library has no function for it.
pub(super) fn clone_into_cgroup(plan: &mut Plan<'_>, stack: &mut Stack, folder: c_int) -> io::Result<u32> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let arguments = CloneArguments {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.lowest() as u64,
        stack_size: STACK_BYTES as u64,
        cgroup: folder as u64,
        ..CloneArguments::default()
    };
    let outcome = clone3(&arguments, std::ptr::from_mut(plan).cast());
    match u32::try_from(outcome) {
        Ok(pid) => Ok(pid),
        Err(_) => Err(io::Error::from_raw_os_error(c_int::try_from(-outcome).unwrap_or(libc::EIO))),
    }
}

/// `struct clone_args` of Linux 5.7.
#[derive(Default)]
#[repr(C, align(8))]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[cfg(target_arch = "x86_64")]
fn clone3(arguments: &CloneArguments, plan: *mut c_void) -> i64 {
    let outcome: i64;
    // SAFETY: the parent falls through to label 2 with its registers and stack untouched (a system call changes rax,
    // rcx and r11 alone). The child wakes on a stack of its own, 16-byte aligned, and calls `main`, which never
    // returns. CLONE_VFORK keeps this thread, `plan` and the stack in place until the child has left this memory.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => outcome,
            in("rdi") std::ptr::from_ref(arguments),
            in("rsi") size_of::<CloneArguments>(),
            in("r12") plan,
            in("r13") main as extern "C" fn(*mut c_void) -> c_int,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    outcome
}

#[cfg(target_arch = "aarch64")]
fn clone3(arguments: &CloneArguments, plan: *mut c_void) -> i64 {
    let outcome: i64;
    // SAFETY: as on x86_64; a system call changes x0 alone, and the child's stack pointer is 16-byte aligned.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            inlateout("x0") std::ptr::from_ref(arguments) as i64 => outcome,
            in("x1") size_of::<CloneArguments>(),
            in("x8") libc::SYS_clone3,
            in("x20") plan,
            in("x21") main as extern "C" fn(*mut c_void) -> c_int,
        );
    }
    outcome
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn clone3(_arguments: &CloneArguments, _plan: *mut c_void) -> i64 {
    -i64::from(libc::ENOSYS)
}
