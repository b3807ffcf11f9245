//! A workspace that was a worktree of somebody's repository is gone: the repository is told, as its user. The branch stays.
//!
//! Not here: making the worktree (`fusion-shim seed`), removing the folder (`crate::workspace`).

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fusion_core::workspace::{Seed, SeedHow};

use super::Shared;
use super::errand::{Ended, attend, start_as};
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
    // Nothing of a repository that an agent could write names a program here.
    let git = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C", &seed.source];
    let argv = [&git[..], &["worktree", "remove", "--force", "--force", workspace]].concat();
    let env = [
        ("PATH", OsStr::new(PATH)),
        ("HOME", owner.home.as_os_str()),
        ("LC_ALL", OsStr::new("C.UTF-8")),
        ("GIT_TERMINAL_PROMPT", OsStr::new("0")),
    ];
    let outputs = [Stdio::null(), Stdio::piped()];
    start_as(&shared.config.shim_path, owner, &argv, &env, outputs)
}
