//! `fusion-shim seed SOURCE REFERENCE BRANCH HOW`: fills the working directory, an agent's workspace, from a folder or a
//! repository of git. It runs as the agent's user, started like an attempt: everything it can read that user can read, and
//! whatever a repository's settings make git run has no more rights.
//!
//! It empties the workspace first, so that a half-made seed is never built upon. A folder that is copied is listed on
//! standard output (see `manifest`), of a repository the commit, which is also kept as `refs/worktree/fusion-base`. The last lines on
//! standard error are the reason of a failure.
//!
//! Not here: when it runs, how long it may take, whose words are believed (the daemon).

mod copy;
mod git;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use crate::say;

/// How a repository gets into the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As a clone of its own.
    Clone,
    /// As a worktree of the repository that it is.
    Worktree,
}

/// Exit status 0 if the workspace is filled.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [source, reference, branch, how] = arguments else {
        say("seed: expected SOURCE REFERENCE BRANCH HOW");
        return ExitCode::from(2);
    };
    let how = if how == "worktree" { How::Worktree } else { How::Clone };
    let filled = empty().and_then(|()| fill(source, reference, branch, how));
    let Err(reason) = filled else { return ExitCode::SUCCESS };
    say(&reason);
    if let Err(reason) = empty() {
        say(&reason);
    }
    ExitCode::FAILURE
}

/// Makes the workspace as it was at first.
fn empty() -> Result<(), String> {
    let here = std::fs::File::open(".").map_err(|error| format!("cannot open the workspace: {error}"))?;
    let left = fusion_sys::folder::remove_below(&here);
    match left.map(|left| left.first) {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(format!("cannot empty the workspace: {error}")),
    }
}

fn fill(source: &OsString, reference: &OsString, branch: &OsString, how: How) -> Result<(), String> {
    let path = Path::new(source);
    if !path.is_absolute() {
        return match how {
            How::Clone => git::clone(source, reference, branch),
            How::Worktree => {
                Err(format!("a worktree needs a repository on this machine, and {} is a URL", path.display()))
            }
        };
    }
    let wrong = |error: &io::Error| format!("cannot read {}: {error}", path.display());
    let found = std::fs::metadata(path).map_err(|error| wrong(&error))?;
    if !found.is_dir() {
        return Err(format!("{} is not a folder", path.display()));
    }
    match (is_repository(path), how) {
        (true, How::Clone) => git::clone(source, reference, branch),
        (true, How::Worktree) => git::add_worktree(source, reference, branch),
        (false, How::Clone) if reference.is_empty() => copy::tree(path),
        (false, _) => Err(format!("{} is not a git repository", path.display())),
    }
}

/// As git sees it: with a `.git` of its own, or bare.
fn is_repository(path: &Path) -> bool {
    let is_there = |name: &str| path.join(name).symlink_metadata().is_ok();
    is_there(".git") || ["HEAD", "objects", "refs"].into_iter().all(is_there)
}

/// Whether a text may stand where git also takes options.
fn is_option(text: &OsString) -> bool {
    text.as_bytes().first() == Some(&b'-')
}
