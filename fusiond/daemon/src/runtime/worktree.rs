//! A workspace that was a worktree of somebody's repository is gone: the repository is told, as its user. The branch stays.
//!
//! Not here: making the worktree (`fusion-shim seed`), removing the folder (`crate::workspace`).

use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fusion_core::workspace::{Seed, SeedHow};

use super::Shared;
use super::errand::{Ended, attend};
use super::identity::Owner;
use super::order::Setup;

/// Git removes one small folder.
const PATIENCE: Duration = Duration::from_secs(10);
/// The user's own PATH could name another git.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Takes the worktree out of the repository's list. That it cannot be done hinders nothing: `git worktree prune` does it,
/// too, and the repository may be gone itself. Blocks.
pub(super) fn forget(shared: &Shared, setup: &Setup) {
    let Some(seed) = setup.seed.as_ref().filter(|seed| seed.how == SeedHow::Worktree) else { return };
    let done = Owner::look_up(setup.owner).map_err(io::Error::other).and_then(|owner| {
        let child = start(shared, &owner, seed, &setup.recipe.workspace)?;
        attend(child, Instant::now() + PATIENCE, &mut |_| ControlFlow::Continue(()))
    });
    let reason = match done {
        Ok(Ended::Exited(status, _)) if status.success() => return,
        Ok(Ended::Exited(status, words)) => format!("git ended with {status}: {words}"),
        Ok(Ended::TooLong | Ended::Unheard) => "git took too long".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::info!(agent = %setup.agent, source = seed.source, "a repository still lists its worktree: {reason}");
}

fn start(shared: &Shared, owner: &Owner, seed: &Seed, workspace: &str) -> io::Result<Child> {
    let mut command = Command::new(&shared.config.shim_path);
    command.arg("run-as");
    if let Some(identity) = &owner.identity {
        let ids = [identity.uid, identity.gid].into_iter().chain(identity.groups.iter().copied());
        command.args(ids.map(|id| id.to_string()));
    }
    // Nothing of a repository that an agent could write names a program here.
    let git =
        ["--", "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C", &seed.source];
    command
        .args(git)
        .args(["worktree", "remove", "--force", "--force", workspace])
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", &owner.home)
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}
