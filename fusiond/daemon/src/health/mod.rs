//! Which guarantees hold on this machine, and the exact command that would mend the rest: `system doctor`.
//!
//! Every check is one small function from facts to a [`Check`]. Looking may block for some milliseconds (one
//! measured sync): call it on a thread that may. Not here: mending anything.

mod account;
mod around;
mod disk;
mod kernel;
mod place;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::config::Config;
use crate::paths::Paths;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The places of this daemon.
    pub paths: Paths,
    /// Its settings.
    pub config: Config,
    /// How process trees are held together, as found at the start.
    pub trees: Trees,
    /// The shim that is started for agents; `None` if none was found.
    pub shim: Option<PathBuf>,
}

/// How process trees are held together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trees {
    /// Scopes that systemd makes.
    Systemd {
        /// Of `memory`, `pids`, `cpu` those that can be used.
        controllers: Vec<String>,
    },
    /// A cgroup v2 subtree with these controllers.
    CgroupV2 {
        /// Of `memory`, `pids`, `cpu` those that can be used.
        controllers: Vec<String>,
    },
    /// Cgroup v1 hierarchies: the freezer and these.
    CgroupV1 {
        /// Of `memory`, `pids`, `cpu` those that can be used.
        controllers: Vec<String>,
    },
    /// The walk of descendants.
    None,
}

/// One answer of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// The command or sentence that would mend it; empty if nothing is to be mended.
    pub remedy: String,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The guarantee holds.
    Ok,
    /// It holds in part.
    Weak,
    /// It does not hold.
    Failed,
}

impl Status {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Weak => "weak",
            Self::Failed => "failed",
        }
    }
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), remedy: String::new() }
    }

    fn weak(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, status: Status::Weak, detail: detail.into(), remedy: remedy.into() }
    }

    fn failed(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, status: Status::Failed, detail: detail.into(), remedy: remedy.into() }
    }
}

/// All checks, in the order in which they are worth reading.
#[must_use]
pub fn checks(probe: &Probe) -> Vec<Check> {
    let groups = [
        kernel::checks(probe),
        place::checks(probe),
        disk::checks(probe),
        account::checks(probe),
        around::checks(probe),
    ];
    groups.into_iter().flatten().collect()
}
