//! Starts a program as a user: one `clone` that shares memory and waits for the `execve`, as posix_spawn(3) does,
//! with everything prepared before.
//!
//! ```text
//! parent                       child (parent's memory, own stack, own everything else)
//!   prepare strings
//!   clone VM|VFORK ─────────►  session, signals, cgroup, keyring, rlimits, oom score, umask, 0-2, close_range
//!   (waits)                    ambient set, groups, gid, uid, proof, death signal, no_new_privs, chdir
//!   ◄───────────────────────  execve, or the failed step and its errno in shared memory, and the end
//! ```
//!
//! The order is the contract: everything that needs power comes before the drop, everything that a user's files
//! could influence comes after it. The bounding set is not emptied here but once by the caller
//! (`caps::drop_bounding_set`), and real-time signals are expected at their defaults (`process::reset_signals`).
//!
//! Not here: what to start, and waiting for its end.
//!
//! # Why sharing memory across a change of user is sound
//! From its setresuid on the child belongs to the user, who may signal it but not look into it: `commit_creds` of
//! the kernel makes the shared address space undumpable (`set_dumpable(mm, suid_dumpable)`), so neither ptrace(2)
//! nor `/proc/PID/mem` open it for that user. A kill ends the child alone. `execve` gives the child memory of its own
//! before a byte of the user's program runs. Go's `syscall.forkExec` does the same.

mod child;

use std::ffi::{CString, c_char, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::process::Credentials;
pub use child::Stage;

/// A program to start, and how.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Paths to try in turn, as execvp(3) would; relative ones are seen from `cwd`.
    pub paths: Vec<CString>,
    /// The arguments, the program's name first.
    pub argv: Vec<CString>,
    /// The complete environment, `NAME=value`.
    pub envp: Vec<CString>,
    /// The working directory, entered as the user.
    pub cwd: CString,
    /// Descriptors 0, 1 and 2; each must be above 2.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The folder of a version 2 cgroup to start in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Open `tasks` files of version 1 cgroups to enter.
    pub tasks_files: Vec<BorrowedFd<'a>>,
    /// The user to become; `None` keeps the identity.
    pub identity: Option<Credentials>,
    /// Resource number of setrlimit(2), soft and hard limit.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Whether set-user-id programs lose their power below here.
    pub no_new_privs: bool,
    /// The new `/proc/self/oom_score_adj`; a refusal is not an error.
    pub oom_score_adj: Option<i16>,
}

/// A step failed, and no program runs. The child has been waited for.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a program: {stage} failed")]
pub struct SpawnError {
    /// The step.
    pub stage: Stage,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Launch<'_> {
    /// Starts the program; returns when its `execve` has succeeded, with its process id. The caller must wait for
    /// the process: until then the id cannot mean another one.
    ///
    /// The caller must have one thread: the death signal of the program is bound to the calling thread. While the
    /// child enters `cwd` and opens the program, the caller stands still; a file system that hangs holds it up.
    ///
    /// # Errors
    /// [`SpawnError`] with the step that failed.
    pub fn start(&self) -> Result<u32, SpawnError> {
        let pointers = Pointers::of(self);
        let mut plan = self.plan(&pointers);
        let mut stack = Stack::new();
        let pid = self
            .clone_child(&mut plan, &mut stack)
            .map_err(|source| SpawnError { stage: Stage::Clone, source })?;
        let Some(stage) = Stage::from_number(plan.failed_stage.load(Ordering::Acquire)) else {
            return Ok(pid);
        };
        let source = io::Error::from_raw_os_error(plan.failed_errno.load(Ordering::Acquire));
        wait_for(pid);
        Err(SpawnError { stage, source })
    }

    fn plan<'p>(&'p self, pointers: &'p Pointers) -> child::Plan<'p> {
        let mut groups = self.identity.as_ref().map(|user| user.groups.clone()).unwrap_or_default();
        // The kernel keeps the list sorted; the proof compares it as a whole.
        groups.sort_unstable();
        child::Plan {
            launch: self,
            paths: &pointers.paths,
            argv: &pointers.argv,
            envp: &pointers.envp,
            groups_seen: vec![0; groups.len() + 1],
            groups,
            oom_score_adj: self.oom_score_adj.map(|score| score.to_string().into_bytes()),
            cgroup_procs: None,
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            failed_stage: AtomicU32::new(0),
            failed_errno: AtomicI32::new(0),
        }
    }

    /// Uses clone3(2) where a version 2 cgroup asks for it, the older call elsewhere; where clone3 is forbidden (by a
    /// container's filter) the child moves itself.
    fn clone_child(&self, plan: &mut child::Plan<'_>, stack: &mut Stack) -> io::Result<u32> {
        let Some(folder) = self.cgroup else { return clone_plain(plan, stack) };
        match child::clone_into_cgroup(plan, stack, folder.as_raw_fd()) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {}
            other => return other,
        }
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
        let procs = rustix::fs::openat(folder, c"cgroup.procs", flags, rustix::fs::Mode::empty())?;
        plan.cgroup_procs = Some(procs.as_raw_fd());
        clone_plain(plan, stack)
    }
}

fn clone_plain(plan: &mut child::Plan<'_>, stack: &mut Stack) -> io::Result<u32> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = std::ptr::from_mut(plan).cast::<c_void>();
    // SAFETY: the stack is live, aligned and used by the child alone; CLONE_VFORK keeps this thread, and with it
    // `plan` and `stack`, in place until the child has left this memory; `child::main` takes a `Plan`.
    let pid = unsafe { libc::clone(child::main, stack.top(), flags, argument) };
    u32::try_from(pid).map_err(|_| io::Error::last_os_error())
}

/// Waits for a child that has already ended.
fn wait_for(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
    {}
}

/// Null-terminated arrays of C strings, as execve(2) takes them.
struct Pointers {
    paths: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

impl Pointers {
    fn of(launch: &Launch<'_>) -> Self {
        let array = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        Self { paths: array(&launch.paths), argv: array(&launch.argv), envp: array(&launch.envp) }
    }
}

/// The child's stack. It makes a few dozen shallow calls; debug builds need the most.
struct Stack(Vec<u128>);

const STACK_BYTES: usize = 64 << 10;

impl Stack {
    fn new() -> Self {
        Self(Vec::with_capacity(STACK_BYTES / size_of::<u128>()))
    }

    fn lowest(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    /// The first address above, aligned to 16 bytes as both supported machines want it.
    fn top(&mut self) -> *mut c_void {
        self.0.spare_capacity_mut().as_mut_ptr_range().end.cast()
    }
}
