//! Cgroups for incarnations: what this machine offers, making them with their limits, removing them. Used by the
//! daemon; the shim finds its cgroups made. Not here: killing and freezing (`tree`).
//!
//! ```text
//! v2   <parent>/<base>/<agent>.<n>/shim    the shim
//!                                  agent   the attempts; limits, kill and freeze concern this one
//! v1   <hierarchy>/<own path>/<base>/<agent>.<n>   the attempts, in the freezer and where a limit asks for it
//! ```
//!
//! On a machine with systemd an incarnation lives in a scope instead: the same layout below a folder that systemd
//! made, see [`furnish_v2`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::wire::{Backend, Disk, Io, Limits};

/// What can be used here, with a base folder made in each hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// The controllers (`memory`, `pids`, `cpu`, `io`) of scopes, where systemd makes them.
    pub systemd: Option<Vec<String>>,
    /// The version 2 hierarchy, if it is writable and can kill and freeze.
    pub v2: Option<V2>,
    /// The version 1 hierarchies, if the freezer is writable.
    pub v1: Option<V1>,
    /// The disk that limits of throughput are about.
    pub disk: Option<Disk>,
}

/// A version 2 base folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2 {
    /// The folder.
    pub base: PathBuf,
    /// Controllers that its children can use (`memory`, `pids`, `cpu`, `io`).
    pub controllers: Vec<String>,
}

/// Version 1 base folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1 {
    /// In the freezer hierarchy.
    pub freezer: PathBuf,
    /// In the memory hierarchy.
    pub memory: Option<PathBuf>,
    /// In the pids hierarchy.
    pub pids: Option<PathBuf>,
    /// In the cpu hierarchy.
    pub cpu: Option<PathBuf>,
}

/// A way to hold trees together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A scope of systemd, which is a version 2 subtree that systemd has made.
    Systemd,
    /// A version 2 subtree.
    V2,
    /// Version 1 hierarchies.
    V1,
    /// The walk of descendants.
    None,
}

/// The kind that the settings ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The best that is there.
    #[default]
    Auto,
    /// This one or an error.
    Forced(Kind),
}

/// A cgroup that cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The settings force a kind that this machine lacks.
    #[error("the cgroup backend {0:?} is not available on this machine")]
    Unavailable(Kind),
    /// A folder or file of a cgroup refuses.
    #[error("cannot {verb} cgroup {path}", path = path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Looks at the mounts and makes a folder `base` where it may; best effort, so it never fails. Where systemd lends
/// scopes with these controllers, its version 2 hierarchy is left to it.
#[must_use]
pub fn probe(base: &str, systemd: Option<Vec<String>>) -> Ground {
    let mounts = mounts();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let hierarchy = |controller: &str| probe_v1(&mounts, &own, controller, base);
    let v1 = hierarchy("freezer").map(|freezer| V1 {
        freezer,
        memory: hierarchy("memory"),
        pids: hierarchy("pids"),
        cpu: hierarchy("cpu"),
    });
    let v2 = if systemd.is_some() { None } else { probe_v2(&mounts, &own, base) };
    Ground { systemd, v2, v1, disk: None }
}

/// Where the version 2 hierarchy is mounted, if it is.
#[must_use]
pub fn mount_v2() -> Option<PathBuf> {
    mount_v2_in(&mounts())
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").unwrap_or_default()
}

fn mount_v2_in(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| match fields(line) {
        (path, "cgroup2", _) => Some(PathBuf::from(path)),
        _ => None,
    })
}

impl Ground {
    /// The kind to use. `Auto` prefers version 2 if it can hold memory or nothing else can freeze.
    ///
    /// # Errors
    /// [`CgroupError::Unavailable`] for a forced kind that is not there.
    pub fn choose(&self, wanted: Wanted) -> Result<Kind, CgroupError> {
        let full = self.v2.as_ref().is_some_and(|v2| v2.controllers.iter().any(|name| name == "memory"));
        match wanted {
            Wanted::Forced(kind) if self.has(kind) => Ok(kind),
            Wanted::Forced(kind) => Err(CgroupError::Unavailable(kind)),
            Wanted::Auto if full => Ok(Kind::V2),
            Wanted::Auto if self.v1.is_some() => Ok(Kind::V1),
            Wanted::Auto if self.v2.is_some() => Ok(Kind::V2),
            Wanted::Auto => Ok(Kind::None),
        }
    }

    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Systemd => self.systemd.is_some(),
            Kind::V2 => self.v2.is_some(),
            Kind::V1 => self.v1.is_some(),
            Kind::None => true,
        }
    }

    /// Makes the cgroups of one incarnation and sets the limits that the hierarchies can hold. Found folders are
    /// used as they are.
    ///
    /// # Errors
    /// [`CgroupError`]; what was made before stays and is found by the next try.
    pub fn create(
        &self,
        kind: Kind,
        agent: &str,
        incarnation: u32,
        limits: &Limits,
    ) -> Result<Backend, CgroupError> {
        let name = format!("{agent}.{incarnation}");
        match kind {
            Kind::None => Ok(Backend::None),
            // A scope needs a process first: see `furnish_scope`.
            Kind::Systemd => Err(CgroupError::Unavailable(kind)),
            Kind::V2 => {
                let v2 = self.v2.as_ref().ok_or(CgroupError::Unavailable(kind))?;
                let path = v2.base.join(name);
                make(&path)?;
                furnish_v2(&path, limits)
            }
            Kind::V1 => create_v1(self.v1.as_ref().ok_or(CgroupError::Unavailable(kind))?, &name, limits),
        }
    }

    /// Removes the base folders, as far as nothing is left in them.
    pub fn remove_bases(&self) {
        let v1 = self
            .v1
            .iter()
            .flat_map(|v1| [Some(&v1.freezer), v1.memory.as_ref(), v1.pids.as_ref(), v1.cpu.as_ref()]);
        for base in v1.flatten().chain(self.v2.iter().map(|v2| &v2.base)) {
            // A base in use stays: another daemon's agents may live there.
            let _in_use = rustix::fs::rmdir(base);
        }
    }
}

/// Makes `shim/` and `agent/` in a version 2 folder (also a systemd scope with `Delegate=yes`) and sets the limits on
/// `agent/`. In a scope the first process must have been moved to `shim/` before limits can hold.
///
/// # Errors
/// [`CgroupError`] if the folders cannot be made, or a limit whose controller is there is refused.
pub fn furnish_v2(path: &Path, limits: &Limits) -> Result<Backend, CgroupError> {
    let agent = path.join("agent");
    make(&path.join("shim"))?;
    make(&agent)?;
    enable_controllers(path, &CONTROLLERS[..3]);
    if let Some(bytes) = limits.memory_bytes {
        set(&agent, "memory.max", &bytes.to_string())?;
        set(&agent, "memory.swap.max", "0")?;
    }
    if let Some(millis) = limits.cpu_millis {
        set(&agent, "cpu.max", &format!("{} {PERIOD_US}", quota_us(millis)))?;
    }
    if let Some(pids) = limits.pids {
        set(&agent, "pids.max", &pids.to_string())?;
    }
    if let Some(io) = limits.io.filter(Io::is_bounded) {
        limit_io(path, io)?;
    }
    Ok(Backend::CgroupV2 { path: text(path) })
}

/// The controller is lent on demand: it costs something at every read and write.
fn limit_io(path: &Path, io: Io) -> Result<(), CgroupError> {
    if io.is_bounded() {
        let _absent = std::fs::write(path.join("cgroup.subtree_control"), "+io");
    }
    set(&path.join("agent"), "io.max", &io.to_string())
}

/// Furnishes a scope that systemd has made around one process: that process goes to `shim/` first, for a cgroup with
/// processes of its own can lend no controllers (the kernel's "no internal process" rule, cgroups(7)).
///
/// # Errors
/// As [`furnish_v2`].
pub fn furnish_scope(path: &Path, pid: u32, limits: &Limits) -> Result<Backend, CgroupError> {
    let shim = path.join("shim");
    make(&shim)?;
    let procs = shim.join("cgroup.procs");
    let moved = std::fs::write(&procs, pid.to_string());
    moved.map_err(|source| CgroupError::File { verb: "enter", path: procs, source })?;
    furnish_v2(path, limits)
}

fn create_v1(v1: &V1, name: &str, limits: &Limits) -> Result<Backend, CgroupError> {
    let freezer = v1.freezer.join(name);
    make(&freezer)?;
    let hierarchy = |base: &Option<PathBuf>, wanted: bool| match base {
        Some(base) if wanted => make(&base.join(name)).map(|()| Some(base.join(name))),
        Some(_) | None => Ok(None),
    };
    let memory = hierarchy(&v1.memory, limits.memory_bytes.is_some())?;
    let cpu = hierarchy(&v1.cpu, limits.cpu_millis.is_some())?;
    let pids = hierarchy(&v1.pids, limits.pids.is_some())?;
    if let (Some(path), Some(bytes)) = (&memory, limits.memory_bytes) {
        set(path, "memory.limit_in_bytes", &bytes.to_string())?;
        set(path, "memory.memsw.limit_in_bytes", &bytes.to_string())?;
    }
    if let (Some(path), Some(millis)) = (&cpu, limits.cpu_millis) {
        set(path, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
        set(path, "cpu.cfs_quota_us", &quota_us(millis).to_string())?;
    }
    if let (Some(path), Some(limit)) = (&pids, limits.pids) {
        set(path, "pids.max", &limit.to_string())?;
    }
    let name = |path: Option<PathBuf>| path.as_deref().map(text);
    Ok(Backend::CgroupV1 { freezer: text(&freezer), memory: name(memory), pids: name(pids), cpu: name(cpu) })
}

/// Puts a living tree under these limits; what is absent is lifted. All are tried.
///
/// # Errors
/// [`CgroupError::File`] with the first that is refused (memory in use is more than the limit, in version 1).
pub fn limit(backend: &Backend, limits: &Limits) -> Result<(), CgroupError> {
    let number =
        |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |value| value.to_string());
    let pids = number(limits.pids.map(u64::from), "max");
    let quota = |none: &str| number(limits.cpu_millis.map(quota_us), none);
    let tried = match backend {
        Backend::None => Vec::new(),
        Backend::CgroupV2 { path } => {
            let agent = Path::new(path).join("agent");
            let swap = limits.memory_bytes.map_or("max", |_| "0");
            vec![
                set(&agent, "memory.max", &number(limits.memory_bytes, "max")),
                set(&agent, "memory.swap.max", swap),
                set(&agent, "cpu.max", &format!("{} {PERIOD_US}", quota("max"))),
                set(&agent, "pids.max", &pids),
                limits.io.map_or(Ok(()), |io| limit_io(path.as_ref(), io)),
            ]
        }
        Backend::CgroupV1 { memory, pids: pids_folder, cpu, .. } => {
            let mut tried = memory.iter().map(|path| limit_v1(path.as_ref(), limits)).collect::<Vec<_>>();
            tried.extend(cpu.iter().map(|path| set(path.as_ref(), "cpu.cfs_quota_us", &quota("-1"))));
            tried.extend(pids_folder.iter().map(|path| set(path.as_ref(), "pids.max", &pids)));
            tried
        }
    };
    tried.into_iter().collect()
}

/// Memory alone may not be more than memory and swap together: which file comes first depends on the direction.
fn limit_v1(folder: &Path, limits: &Limits) -> Result<(), CgroupError> {
    let value = limits.memory_bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    let _too_low_yet = set(folder, "memory.memsw.limit_in_bytes", &value);
    set(folder, "memory.limit_in_bytes", &value)?;
    set(folder, "memory.memsw.limit_in_bytes", &value)
}

/// The kernel's usual period of cpu limits.
const PERIOD_US: u64 = 100_000;

/// The kernel refuses quotas below one millisecond.
fn quota_us(millis: u32) -> u64 {
    (u64::from(millis) * PERIOD_US / 1000).max(1000)
}

/// Removes the cgroups of an incarnation in which nothing lives any more, waiting up to `patience` for processes
/// that are just ending.
///
/// # Errors
/// [`CgroupError::File`] if one is still busy.
pub fn remove(backend: &Backend, patience: Duration) -> Result<(), CgroupError> {
    let until = Instant::now() + patience;
    folders(backend).iter().try_for_each(|path| remove_folder(path, until))
}

/// The folders of an incarnation, the innermost first.
fn folders(backend: &Backend) -> Vec<PathBuf> {
    match backend {
        Backend::None => Vec::new(),
        Backend::CgroupV2 { path } => {
            let path = Path::new(path);
            // A scope's own folder is systemd's, which removes it when the last process is gone.
            let own = path.extension().is_none_or(|kind| kind != "scope").then(|| path.to_owned());
            [path.join("agent"), path.join("shim")].into_iter().chain(own).collect()
        }
        Backend::CgroupV1 { freezer, memory, pids, cpu } => {
            let optional = [memory, pids, cpu].into_iter().flatten();
            std::iter::once(freezer).chain(optional).map(PathBuf::from).collect()
        }
    }
}

fn remove_folder(path: &Path, until: Instant) -> Result<(), CgroupError> {
    loop {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::BUSY) if Instant::now() < until => pause(Duration::from_millis(2)),
            Err(error) => {
                return Err(CgroupError::File {
                    verb: "remove",
                    path: path.to_owned(),
                    source: error.into(),
                });
            }
        }
    }
}

/// Waits without a timer of any runtime; the callers are on threads that may block.
pub(crate) fn pause(duration: Duration) {
    let nanos = i64::from(duration.subsec_nanos());
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    // A wait that a signal cuts short is followed by another look.
    let _cut_short = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: seconds, tv_nsec: nanos });
}

fn probe_v2(mounts: &str, own: &str, base: &str) -> Option<V2> {
    let mount = mount_v2_in(mounts)?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = mount.join(own.trim_end_matches('/'));
    // Beside the own cgroup, not in it: one with processes can lend no controllers.
    let parents = [own.parent().filter(|_| own != mount).map(Path::to_owned), Some(own.clone())];
    let parent = parents.into_iter().flatten().find(|parent| make(&parent.join(base)).is_ok())?;
    let base = parent.join(base);
    let can = |file: &str| rustix::fs::access(base.join(file), rustix::fs::Access::WRITE_OK).is_ok();
    if !can("cgroup.kill") || !can("cgroup.freeze") {
        return None;
    }
    enable_controllers(&parent, &CONTROLLERS);
    enable_controllers(&base, &CONTROLLERS);
    let controllers = std::fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
    Some(V2 { base, controllers: controllers.split_ascii_whitespace().map(str::to_owned).collect() })
}

fn probe_v1(mounts: &str, own: &str, controller: &str, base: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| match fields(line) {
        (path, "cgroup", options) if options.split(',').any(|option| option == controller) => {
            Some(PathBuf::from(path))
        }
        _ => None,
    })?;
    let own = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    // In the own cgroup first, so that limits from above hold; a container may not show it.
    let parents = [mount.join(own.trim_matches('/')), mount];
    parents.into_iter().map(|parent| parent.join(base)).find(|base| make(base).is_ok())
}

/// Mount point, type and options of a line of `/proc/self/mounts`.
fn fields(line: &str) -> (&str, &str, &str) {
    let mut fields = line.split(' ').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    (next(), next(), next())
}

/// The last of them is lent to an incarnation on demand: see [`limit_io`].
const CONTROLLERS: [&str; 4] = ["+memory", "+pids", "+cpu", "+io"];

/// One by one: a controller that is absent or taken by version 1 must not stop the others.
fn enable_controllers(folder: &Path, controllers: &[&str]) {
    for controller in controllers {
        let _absent = std::fs::write(folder.join("cgroup.subtree_control"), controller);
    }
}

fn make(path: &Path) -> Result<(), CgroupError> {
    match rustix::fs::mkdir(path, rustix::fs::Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(CgroupError::File { verb: "make", path: path.to_owned(), source: error.into() }),
    }
}

/// Writes a limit; a file that is not there belongs to a controller that is not there.
fn set(folder: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = folder.join(file);
    let opened = std::fs::OpenOptions::new().write(true).open(&path);
    match opened.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CgroupError::File { verb: "limit", path, source }),
    }
}

/// Cgroup names are made of ids; mount points that are no text are not used.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
