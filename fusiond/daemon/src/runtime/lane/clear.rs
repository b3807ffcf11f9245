//! Removing what an agent left, once it is dead; ending what lives of it unknown.
//!
//! Not here: when that is (the lane), how files are removed (`places`, the workspaces).

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_core::workspace::Removal;
use fusion_core::{AgentId, Uid};

use super::{After, Lane, Shim};
use crate::runtime::Shared;
use crate::runtime::death::strike_and_bury;
use crate::runtime::errand::{Ended, attend};
use crate::runtime::order::Setup;
use crate::runtime::places::Life;
use crate::runtime::sweep;

/// A large tree takes minutes; its user could stop the process that removes it.
const REMOVAL_LIMIT: Duration = Duration::from_secs(600);

/// Removes what an agent left. The reason of a failure is one sentence for people.
///
/// Each part can be done again: what a crash or an error leaves is the next order's.
pub(super) async fn clear(shared: &Arc<Shared>, setup: &Arc<Setup>, what: Removal) -> Result<(), String> {
    let agent = setup.agent;
    shared.blocking(move |shared| bury_all(shared, agent)).await.map_err(|error| said(agent, &error))?;
    match what {
        Removal::All | Removal::WorkspaceAlone => {
            let (owner, setup) = (setup.owner, Arc::clone(setup));
            let act = move |shared: &Shared| clear_workspace(shared, &setup);
            shared.in_turn(&shared.turns.removals, owner, act).await?;
        }
        Removal::AllButWorkspace => {}
    }
    match what {
        Removal::All | Removal::AllButWorkspace => {
            let forgotten = shared.blocking(move |shared| shared.places.forget_agent(agent)).await;
            forgotten.map_err(|error| said(agent, &error))
        }
        Removal::WorkspaceAlone => Ok(()),
    }
}

fn said(agent: AgentId, error: &io::Error) -> String {
    format!("cannot remove the folders of {agent}: {error}")
}

fn bury_all(shared: &Shared, agent: AgentId) -> io::Result<()> {
    for life in shared.places.lives()?.into_iter().filter(|life| life.agent == agent) {
        strike_and_bury(shared, life, None, None)?;
    }
    Ok(())
}

fn clear_workspace(shared: &Shared, setup: &Setup) -> Result<(), String> {
    let workspace = Path::new(&setup.recipe.workspace);
    let user = match shared.workspaces.user_of(workspace) {
        Some(user) => user,
        None => crate::runtime::identity::Owner::look_up(setup.owner)?.name,
    };
    let mut empty = |folder, gid| empty(shared, folder, setup.owner, gid);
    let removed = shared.workspaces.remove(&user, setup.agent, setup.owner, &mut empty);
    removed.map_err(|error| error.sentence())?;
    crate::runtime::worktree::forget(shared, setup);
    Ok(())
}

impl Lane {
    /// Here, so that nobody launches the same life meanwhile. Its logs stay: they go with their agent.
    pub(super) async fn end_stray(&mut self, incarnation: u32) -> After {
        let life = Life { agent: self.agent, incarnation };
        tracing::warn!(agent = %life.agent, incarnation, "ending an incarnation that is not known here");
        self.end(life, None, None).await;
        self.shared.blocking(move |shared| sweep::forget(shared, life)).await;
        match self.shim {
            Shim::Down => After::Leave,
            Shim::Up(_) | Shim::Seeking(_) => After::Stay,
        }
    }
}

/// Removes everything below `folder` in a process of its user.
fn empty(shared: &Shared, folder: OwnedFd, owner: Uid, gid: u32) -> io::Result<()> {
    let mut command = Command::new(&shared.config.shim_path);
    command.arg("rm-tree");
    if rustix::process::geteuid().as_raw() != owner.0 {
        command.arg(owner.0.to_string()).arg(gid.to_string());
    }
    let child = command
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    match attend(child, Instant::now() + REMOVAL_LIMIT, &mut |_| ControlFlow::Continue(()))? {
        Ended::Exited(status, _) if status.success() => Ok(()),
        Ended::Exited(status, words) if words.is_empty() => {
            Err(io::Error::other(format!("rm-tree: {status}")))
        }
        Ended::Exited(_, words) => Err(io::Error::other(words)),
        Ended::TooLong | Ended::Unheard => {
            let minutes = REMOVAL_LIMIT.as_secs() / 60;
            Err(io::Error::other(format!("it was not done within {minutes} minutes, the next try goes on")))
        }
    }
}
