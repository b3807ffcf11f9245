//! Removing what an agent left, once it is dead; ending what lives of it unknown.
//!
//! Not here: when that is (the lane), how files are removed (`places`, the workspaces).

use std::io;
use std::path::Path;

use fusion_core::workspace::Removal;

use super::{After, Lane, Shim};
use crate::runtime::Shared;
use crate::runtime::death::strike_and_bury;
use crate::runtime::order::Setup;
use crate::runtime::places::Life;
use crate::runtime::sweep;

/// Removes what an agent left. The reason of a failure is one sentence for people.
pub(super) fn clear(shared: &Shared, setup: &Setup, what: Removal) -> Result<(), String> {
    let said = |error: io::Error| format!("cannot remove the folders of {}: {error}", setup.agent);
    let lives = shared.places.lives().map_err(said)?;
    for life in lives.into_iter().filter(|life| life.agent == setup.agent) {
        strike_and_bury(shared, life, None, None).map_err(said)?;
    }
    match what {
        Removal::All => {
            clear_workspace(shared, setup)?;
            shared.places.forget_agent(setup.agent).map_err(said)
        }
        Removal::AllButWorkspace => shared.places.forget_agent(setup.agent).map_err(said),
        Removal::WorkspaceAlone => clear_workspace(shared, setup),
    }
}

fn clear_workspace(shared: &Shared, setup: &Setup) -> Result<(), String> {
    let workspace = Path::new(&setup.recipe.workspace);
    let user = match shared.workspaces.user_of(workspace) {
        Some(user) => user,
        None => crate::runtime::identity::Owner::look_up(setup.owner)?.name,
    };
    let removed = shared.workspaces.remove(&user, setup.agent, setup.owner, &shared.config.shim_path);
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
