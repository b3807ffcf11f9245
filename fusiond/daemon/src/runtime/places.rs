//! Where things are: the run and state folders of incarnations, their names, making and listing them.
//!
//! ```text
//! run/i/<agent>.<n>/     0711  lock  spec  boot  shim.sock  agent.sock  started.<k>  exit.<k>  stopped
//! run/gone/<agent>.<n>/  0711  the same, of a dead incarnation, until its agent's next order
//! state/i/<agent>.<n>/   0700  logs, and exit records that the shim has synced
//! state/aside/…          0700  the same, of lives that a restored state does not know, until their agent is removed
//! ```
//!
//! All of it belongs to the daemon's user: nothing here is reached through a folder that a user can change. Not here:
//! workspaces (`crate::workspace`), what is in the files (`fusion_shim`).

use std::io;
use std::path::{Path, PathBuf};

use fusion_core::AgentId;
use fusion_shim::names;
use rustix::fs::Mode;

use super::{Config, StartError};

/// The agent's own listener, in the run folder.
pub(super) const AGENT_SOCKET: &str = "agent.sock";
/// The boot id of the launch, in the run folder: run folders on a disk survive a reboot.
const BOOT: &str = "boot";
/// The name of the spec of a dead incarnation: a shim that comes late finds none.
const SPEC_GONE: &str = "spec.gone";

/// The folders of all incarnations.
#[derive(Clone, Debug)]
pub(super) struct Places {
    run: PathBuf,
    gone: PathBuf,
    state: PathBuf,
    aside: PathBuf,
}

/// One incarnation, as its folders are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Life {
    pub(super) agent: AgentId,
    pub(super) incarnation: u32,
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.agent, self.incarnation)
    }
}

impl Life {
    fn parse(name: &str) -> Option<Self> {
        let (agent, incarnation) = name.rsplit_once('.')?;
        Some(Self { agent: AgentId::parse(agent)?, incarnation: incarnation.parse().ok()? })
    }
}

impl Places {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let made = |parent: &Path, below: &str, mode: u32| {
            let wrong = |source| StartError::Folder { path: parent.join(below), source };
            let parent = std::path::absolute(parent).map_err(wrong)?;
            make_all(&parent, mode).map_err(wrong)?;
            let path = parent.join(below);
            make(&path, mode).map_err(wrong)?;
            Ok::<_, StartError>(path)
        };
        Ok(Self {
            run: made(&config.run_dir, "i", 0o711)?,
            gone: made(&config.run_dir, "gone", 0o700)?,
            state: made(&config.state_dir, "i", 0o700)?,
            aside: made(&config.state_dir, "aside", 0o700)?,
        })
    }

    pub(super) fn run(&self, life: Life) -> PathBuf {
        self.run.join(life.to_string())
    }

    pub(super) fn gone(&self, life: Life) -> PathBuf {
        self.gone.join(life.to_string())
    }

    pub(super) fn state(&self, life: Life) -> PathBuf {
        self.state.join(life.to_string())
    }

    /// Where `FUSION_SOCKET` of the agent points.
    pub(super) fn agent_socket(&self, life: Life) -> PathBuf {
        self.run(life).join(AGENT_SOCKET)
    }

    /// Makes both folders of an incarnation that begins. What lies there already is of another life of the same number:
    /// one that was begun after the backup from which this state was restored.
    pub(super) fn make(&self, life: Life, boot_id: &[u8; 16]) -> io::Result<()> {
        let state = self.state(life);
        make(&state, 0o700)?;
        if std::fs::read_dir(&state)?.next().is_some() {
            self.put_aside(life)?;
            make(&state, 0o700)?;
        }
        let run = self.run(life);
        make(&run, 0o711)?;
        std::fs::write(run.join(BOOT), boot_id)
    }

    fn put_aside(&self, life: Life) -> io::Result<()> {
        let mut names = (1_u32..).map(|number| self.aside.join(format!("{life}.{number}")));
        let free = names.find(|path| !path.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
        tracing::warn!(agent = %life.agent, path = %free.display(), "the output of a life that is not known here is put aside");
        std::fs::rename(self.state(life), free)
    }

    /// The incarnations that have a run folder.
    pub(super) fn lives(&self) -> io::Result<Vec<Life>> {
        list(&self.run)
    }

    /// The incarnations whose run folder was put aside.
    pub(super) fn dead(&self) -> io::Result<Vec<Life>> {
        list(&self.gone)
    }

    /// Removes what was put aside of an agent's incarnations up to this one.
    pub(super) fn forget_dead(&self, agent: AgentId, up_to: u32) -> io::Result<()> {
        let mine = |life: &Life| life.agent == agent && life.incarnation <= up_to;
        list(&self.gone)?.into_iter().filter(mine).try_for_each(|life| remove(&self.gone(life)))
    }

    /// Removes every folder of an agent.
    pub(super) fn forget_agent(&self, agent: AgentId) -> io::Result<()> {
        for folder in [&self.run, &self.gone, &self.state] {
            for life in list(folder)?.into_iter().filter(|life| life.agent == agent) {
                remove(&folder.join(life.to_string()))?;
            }
        }
        let mine = format!("{agent}.");
        for entry in std::fs::read_dir(&self.aside)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&mine)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the folders of an incarnation that never came up; logs stay, should there be any.
    pub(super) fn forget_failed(&self, life: Life) {
        // What stays is met by the next launch, which uses or removes it.
        let _stays = remove(&self.gone(life));
        let _has_logs = std::fs::remove_dir(self.state(life));
    }
}

/// Whether the run folder was made since the machine was booted.
pub(super) fn is_of_boot(folder: &Path, boot_id: &[u8; 16]) -> bool {
    std::fs::read(folder.join(BOOT)).is_ok_and(|found| found == boot_id)
}

/// The bytes of the spec in a run folder, alive or put aside.
pub(super) fn read_spec(folder: &Path) -> Option<fusion_shim::wire::IncarnationSpec> {
    let bytes =
        [names::SPEC, SPEC_GONE].into_iter().find_map(|name| std::fs::read(folder.join(name)).ok())?;
    fusion_shim::frame::decode_record(&bytes).ok()
}

/// Hides the spec from shims that come late.
pub(super) fn retire_spec(folder: &Path) -> io::Result<()> {
    match std::fs::rename(folder.join(names::SPEC), folder.join(SPEC_GONE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A folder is absent afterwards.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    match rustix::fs::mkdir(path, mode) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    // The umask has no say.
    Ok(rustix::fs::chmod(path, mode)?)
}

fn make_all(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_all(parent, mode)?;
    }
    make(path, mode)
}

fn list(folder: &Path) -> io::Result<Vec<Life>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        found.extend(entry?.file_name().to_str().and_then(Life::parse));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_reads_back_from_the_name_of_its_folder() {
        let life = Life { agent: AgentId(77), incarnation: 12 };
        assert_eq!(Life::parse(&life.to_string()), Some(life));
        assert_eq!(Life::parse("agt_1.1"), None);
        assert_eq!(Life::parse("lost+found"), None);
    }
}
