//! Configuration: defaults < files < environment < flags, all of it checked before anything starts.
//!
//! ```text
//!  table   every key: its kind, default, range, variable, words for people
//!    │
//!  files ──► read ──┐
//!  environment ─────┼──► Values (key -> value, where from) ──► Config ──► fusion_core::Config
//!  flags ───────────┘          └──► --check-config, docs/reference/config.md
//! ```
//!
//! All problems are gathered and told at once. Not here: what a setting does; profiles (`profile`); places (`paths`).

mod args;
mod environment;
mod kind;
mod load;
pub mod near;
pub mod problem;
mod read;
mod reference;
mod reload;
mod show;
mod table;
#[cfg(test)]
mod tests;
pub mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fusion_core::agent::AgentLimits;
use fusion_core::state::{RootAgents, UserLimits};
use fusion_core::{Millis, Uid};

pub use self::args::{Args, Command, Place};
pub use self::environment::process_environment;
pub use self::load::{Loaded, Trust, load};
pub use self::problem::{Origin, Problem};
pub use self::reference::{environment_example, reference};
pub use self::reload::{Changes, changes};

pub(crate) use self::load::{parts, read_file};
pub(crate) use self::read::{column_of, dotted, line_of};

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How much at once.
    pub limits: Limits,
    /// Whether root may own agents. Always allowed under `--root`.
    pub root_agents: RootAgents,
    /// Whether accounts without a login may own agents.
    pub nologin_users: NologinUsers,
    /// How agents are held.
    pub runtime: Runtime,
    /// How tasks are retried and kept.
    pub tasks: Tasks,
    /// Folders of agents.
    pub workspaces: Workspaces,
    /// The state on disk.
    pub store: Store,
    /// What the daemon says about itself.
    pub log: Log,
    /// The main socket.
    pub socket: Socket,
}

/// Whether accounts whose shell is `nologin` or `false` may own agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NologinUsers {
    /// Refused: such an account is meant for nobody's work.
    Refused,
    /// Allowed.
    Allowed,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Agents that are not terminated, overall.
    pub agents_max: u32,
    /// Attempts at once, overall; 0: as many as there are agents.
    pub running_max: u32,
    /// Limits of a user without limits of its own, and what that user's agents may use together.
    pub per_user: (UserLimits, AgentLimits),
    /// The same of single users, by name or number.
    pub users: BTreeMap<String, (UserLimits, AgentLimits)>,
}

/// What all agents of one user may use together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of users that are not named.
    pub everybody: AgentLimits,
    /// Of single users.
    pub users: BTreeMap<Uid, AgentLimits>,
}

impl Bounds {
    /// Those of this user.
    #[must_use]
    pub fn of(&self, user: Uid) -> AgentLimits {
        self.users.get(&user).copied().unwrap_or(self.everybody)
    }
}

/// `[runtime]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// How process trees are held together.
    pub backend: Backend,
    /// Bytes of output kept of one attempt.
    pub log_quota_bytes: u64,
    /// Between SIGTERM and the kill, where nobody says otherwise.
    pub grace: Millis,
    /// First wait before a crashed shim is started again, then doubled.
    pub restart_backoff: Millis,
    /// The longest such wait.
    pub restart_backoff_max: Millis,
    /// Crashes within the window that quarantine an agent.
    pub quarantine_crashes: u32,
    /// The window.
    pub quarantine_window: Millis,
}

/// How process trees are held together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The best that this machine offers.
    #[default]
    Auto,
    /// Transient scopes of systemd, or a refusal to start.
    Systemd,
    /// A cgroup v2 subtree, or a refusal to start.
    CgroupV2,
    /// Cgroup v1 hierarchies, or a refusal to start.
    CgroupV1,
    /// Process groups and the walk of descendants.
    None,
}

impl Backend {
    /// The setting's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Systemd => "systemd",
            Self::CgroupV2 => "cgroup-v2",
            Self::CgroupV1 => "cgroup-v1",
            Self::None => "none",
        }
    }
}

/// `[tasks]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// Upper bound of the first wait before a retry, then doubled.
    pub retry_backoff: Millis,
    /// The longest such wait.
    pub retry_backoff_max: Millis,
    /// Ended tasks kept in memory.
    pub ended_in_memory: u32,
    /// How long ended tasks, their logs and events are kept on disk.
    pub history: Millis,
}

/// `[workspaces]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspaces {
    /// Where they lie, if not in the usual place. [`Loaded::paths`] has it applied.
    pub root: Option<PathBuf>,
    /// Their permission bits: 0700 or tighter.
    pub permissions: u32,
    /// How long those of terminated agents stay.
    pub retention: Millis,
    /// How long the seeding of one may take.
    pub seed_timeout: Millis,
    /// How much one may take on the disk before the next task, where nobody says otherwise.
    pub disk_bytes: Option<u64>,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The store's folder, if not in the usual place. [`Loaded::paths`] has it applied.
    pub path: Option<PathBuf>,
    /// New work is refused below this many free bytes.
    pub free_floor_bytes: u64,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// What is worth a line.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// What is worth a line; each one includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// For finding faults.
    Debug,
    /// Everything.
    Trace,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Self::Journald`] where standard error is the journal's, [`Self::Text`] elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Entries of the journal with fields (`FUSION_AGENT=`, `FUSION_TASK=`, `FUSION_USER=`); where the journal's own
    /// socket is closed, text behind the priority prefix of sd-daemon(3).
    Journald,
}

/// `[socket]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Permission bits; `None`: those of the mode, see [`crate::paths::Paths::socket_mode`].
    pub mode: Option<u32>,
    /// The group that owns it, where root runs the daemon; `None`: none is asked for.
    pub group: Option<String>,
}

impl Config {
    /// What the core needs. `uid_of` finds the uid of a user's name (it may ask the name service, so call this on a
    /// thread that may block); users that it does not find are left out and returned as notes.
    pub fn core(
        &self,
        mut uid_of: impl FnMut(&str) -> Option<u32>,
    ) -> (fusion_core::Config, Bounds, Vec<String>) {
        let mut notes = Vec::new();
        let mut users = BTreeMap::new();
        let mut bounds = Bounds { everybody: self.limits.per_user.1, users: BTreeMap::new() };
        for (name, (limits, together)) in &self.limits.users {
            match name.parse().ok().or_else(|| uid_of(name)) {
                Some(uid) => {
                    users.insert(Uid(uid), *limits);
                    bounds.users.insert(Uid(uid), *together);
                }
                None => notes.push(format!("users.{name}: there is no such user, its limits are ignored")),
            }
        }
        let core = fusion_core::Config {
            agents_max: self.limits.agents_max,
            running_max: self.limits.running_max,
            per_user: self.limits.per_user.0,
            users,
            root_agents: self.root_agents,
            restart_base: self.runtime.restart_backoff,
            restart_max: self.runtime.restart_backoff_max,
            quarantine_crashes: self.runtime.quarantine_crashes,
            quarantine_window: self.runtime.quarantine_window,
            retry_base: self.tasks.retry_backoff,
            retry_max: self.tasks.retry_backoff_max,
            retention: self.workspaces.retention,
            ended_in_memory: self.tasks.ended_in_memory,
            grace: self.runtime.grace,
            seed_timeout: self.workspaces.seed_timeout,
            disk_bytes: self.workspaces.disk_bytes,
            // Those of the profiles come when the hands are there.
            pools: fusion_core::pool::AllPools::default(),
        };
        (core, bounds, notes)
    }
}
