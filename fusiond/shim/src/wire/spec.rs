//! What the daemon writes down for a shim: a program run, an incarnation, a mark. Not here: requests and replies.

use serde::{Deserialize, Serialize};

/// One program run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// The program and its arguments; a program without `/` is looked up in the `PATH` of `env`, with the user's
    /// rights.
    pub argv: Vec<Vec<u8>>,
    /// The complete environment: name and value.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// The working directory, absolute, entered with the user's rights.
    pub cwd: Vec<u8>,
    /// Standard input: what it begins with.
    pub stdin: Content,
    /// What comes behind that.
    pub stdin_end: StdinEnd,
    /// Files for prompt and result, if the program takes them so.
    pub files: Option<Files>,
    /// Resource limits, set before the drop.
    pub rlimits: Vec<Rlimit>,
    /// The file mode creation mask.
    pub umask: u16,
    /// Whether set-user-id programs lose their power below here.
    pub no_new_privs: bool,
    /// Bytes of output kept, both streams together; the oldest whole segments are dropped beyond.
    pub log_quota_bytes: u64,
}

/// The usual log quota of an attempt.
pub const LOG_QUOTA_BYTES_DEFAULT: u64 = 256 << 20;

/// The usual umask of an attempt.
pub const UMASK_DEFAULT: u16 = 0o077;

/// Bytes for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// None: as standard input `/dev/null`, as a file an empty one.
    Empty,
    /// These bytes; as standard input a sealed file in memory, then the end.
    Inline(Vec<u8>),
    /// Those of the file `<serial>.prompt` in the state folder, which the daemon has laid there and the shim removes.
    Laid,
}

/// Files of one attempt: `.fusiond/<name>/input` and `output` below the working directory. They are made, read and
/// removed with the user's rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The folder's name: the incarnation and the serial.
    pub name: String,
    /// What the file `input` holds; `None`: there is none.
    pub input: Option<Content>,
    /// What becomes of the file `output`, which is empty at first.
    pub output: Output,
}

/// What becomes of the file `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Nothing: the result is elsewhere.
    Left,
    /// It is the result: kept as `<serial>.result` in the state folder, synced, before the end is told.
    Result,
}

/// The longest file that is taken as a result.
pub const RESULT_BYTES_MAX: usize = 1 << 20;

/// What comes behind the first content of standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinEnd {
    /// The end.
    #[default]
    Closed,
    /// Whatever [`Request::Input`] brings: it is a pipe.
    Open,
}

/// One resource limit, see setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which one.
    pub resource: Resource,
    /// The soft limit; `u64::MAX` for none.
    pub soft: u64,
    /// The hard limit; `u64::MAX` for none.
    pub hard: u64,
}

/// The resources of setrlimit(2) that an agent may be limited in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// `RLIMIT_CORE`, bytes.
    Core,
    /// `RLIMIT_CPU`, seconds.
    CpuSeconds,
    /// `RLIMIT_FSIZE`, bytes.
    FileBytes,
    /// `RLIMIT_NOFILE`.
    OpenFiles,
    /// `RLIMIT_NPROC`, of the whole user.
    Processes,
    /// `RLIMIT_AS`, bytes.
    AddressSpace,
    /// `RLIMIT_STACK`, bytes.
    Stack,
    /// `RLIMIT_MEMLOCK`, bytes.
    LockedMemory,
}

/// One incarnation of an agent: the file `spec` in the run folder, written by the daemon. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncarnationSpec {
    /// [`PROTOCOL`] of the daemon that wrote it.
    pub protocol: u16,
    /// The agent's id.
    pub agent: String,
    /// The number of its life, from 1.
    pub incarnation: u32,
    /// Drawn by the daemon for this incarnation; proves to both sides that they mean the same one.
    pub nonce: [u8; 16],
    /// Who the agent is; `None` keeps the identity of the shim (rootless).
    pub identity: Option<Identity>,
    /// Limits of the whole tree.
    pub limits: Limits,
    /// How the tree is held together. The cgroups exist (see `cgroup::create`).
    pub backend: Backend,
    /// Length of a log segment.
    pub segment_bytes: u64,
}

/// The usual length of a log segment.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;

/// Who an agent is, looked up by the daemon: no name service is asked after a fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id; 0 is refused.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Limits of a whole tree, as far as the backend can hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory and swap together.
    pub memory_bytes: Option<u64>,
    /// Thousandths of one core.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Throughput of one disk; `None` where there is no disk that can be limited.
    pub io: Option<Io>,
}

/// What may pass between the tree and one disk, in bytes a second; absent: whatever there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// The whole disk, not a part of it.
    pub disk: Disk,
    /// From the disk.
    pub read_bytes: Option<u64>,
    /// To the disk.
    pub write_bytes: Option<u64>,
}

/// The numbers of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its driver's.
    pub major: u32,
    /// Its own.
    pub minor: u32,
}

impl Io {
    /// Whether it limits anything.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.read_bytes.is_some() || self.write_bytes.is_some()
    }
}

/// The form of `io.max` (the kernel's cgroup-v2 documentation).
impl std::fmt::Display for Io {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |value: Option<u64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
        let (Disk { major, minor }, read, write) =
            (self.disk, number(self.read_bytes), number(self.write_bytes));
        write!(formatter, "{major}:{minor} rbps={read} wbps={write}")
    }
}

/// How a process tree is held together. Paths are absolute folders of one incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// A folder in a version 2 hierarchy, with the sub-cgroups `shim` and `agent`. A systemd scope with
    /// `Delegate=yes` is such a folder too.
    CgroupV2 {
        /// The folder.
        path: String,
    },
    /// A folder in each version 1 hierarchy that counts; the freezer finds and stops processes.
    CgroupV1 {
        /// In the freezer hierarchy.
        freezer: String,
        /// In the memory hierarchy.
        memory: Option<String>,
        /// In the pids hierarchy.
        pids: Option<String>,
        /// In the cpu hierarchy.
        cpu: Option<String>,
    },
    /// The tree of descendants: the shim is their reaper.
    None,
}

/// The mark `started.<serial>`, written before the clone: an attempt with a mark may have run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartMark {
    /// The number of the attempt.
    pub serial: u32,
    /// The nonce of the incarnation.
    pub nonce: [u8; 16],
    /// The kernel's `boot_id`.
    pub boot_id: [u8; 16],
    /// Wall clock just before the clone.
    pub at_unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_written_as_the_kernel_reads_it() {
        let io = Io { disk: Disk { major: 8, minor: 16 }, read_bytes: Some(1 << 20), write_bytes: None };
        assert_eq!(io.to_string(), "8:16 rbps=1048576 wbps=max");
    }
}
