//! Workspaces: making and removing the folders that agents work in.
use fusion_core::AgentId;
use std::io;
use std::path::{Path, PathBuf};
/// The root of all workspaces.
#[derive(Debug)]
pub struct Workspaces {
    path: PathBuf,
}
/// The root cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the root of the workspaces {path}", path = path.display())]
pub struct RootError {
    /// Where.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}
impl Workspaces {
    /// Opens the root.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn open(path: &Path) -> Result<Self, RootError> {
        Ok(Self { path: path.to_owned() })
    }
    /// Where the workspace of an agent is.
    #[must_use]
    pub fn path(&self, user: &str, agent: AgentId) -> PathBuf {
        self.path.join(user).join(agent.to_string())
    }
}
