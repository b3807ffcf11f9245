//! Seeding from a repository: a clone, or a worktree, on a branch of its own. Not here: plain folders (`copy`).
//!
//! Git's own words reach standard error, which is where the reason of a failure is looked for.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use fusion_shim::manifest::write_commit;

use super::is_option;

/// Keeps the commit that the workspace began with from being collected; a reference of this worktree alone. Which it was
/// stands in the list on standard output, where no agent can change it.
const BASE: &str = "refs/worktree/fusion-base";

/// Clones the repository into the working directory and begins the branch at the reference.
pub(super) fn clone(source: &OsString, reference: &OsString, branch: &OsString) -> Result<(), String> {
    refuse_options([source, reference, branch])?;
    git(["clone", "--quiet", "--no-checkout", "--"]
        .map(OsStr::new)
        .into_iter()
        .chain([source, OsStr::new(".")]))?;
    let Some(commit) = commit_of(None, reference, &["refs/remotes/origin/", "refs/tags/", ""])? else {
        // A repository without commits: the branch begins with the first one.
        let head = join("refs/heads/", branch);
        return git([OsStr::new("symbolic-ref"), OsStr::new("HEAD"), &head]);
    };
    git([OsStr::new("checkout"), OsStr::new("--quiet"), OsStr::new("-B"), branch, OsStr::new(&commit)])?;
    keep_base(&commit)
}

/// Adds the working directory to the repository as a worktree with the branch. Its branch is named after this agent
/// alone: what is there of it was left by an earlier try.
pub(super) fn add_worktree(source: &OsString, reference: &OsString, branch: &OsString) -> Result<(), String> {
    refuse_options([source, reference, branch])?;
    let Some(commit) = commit_of(Some(source), reference, &["refs/heads/", "refs/tags/", ""])? else {
        return Err("a worktree needs a commit to begin with, and the repository has none".to_owned());
    };
    let here = std::env::current_dir().map_err(|error| format!("cannot find the workspace: {error}"))?;
    let words: [&OsStr; 9] = [
        OsStr::new("-C"),
        source,
        OsStr::new("worktree"),
        OsStr::new("add"),
        OsStr::new("--force"),
        OsStr::new("-B"),
        branch,
        here.as_os_str(),
        OsStr::new(&commit),
    ];
    git(words)?;
    keep_base(&commit)
}

fn keep_base(commit: &str) -> Result<(), String> {
    git(["update-ref", BASE, commit].map(OsStr::new))?;
    let mut out = io::stdout();
    write_commit(commit, &mut out)
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot tell the commit: {error}"))
}

fn refuse_options<const N: usize>(texts: [&OsString; N]) -> Result<(), String> {
    match texts.into_iter().find(|text| is_option(text)) {
        Some(text) => Err(format!("{} begins with a dash", text.display())),
        None => Ok(()),
    }
}

/// The commit that a reference names, looked for below each of the prefixes; of no reference the one that is checked out.
/// `None` for a repository without commits.
fn commit_of(
    repository: Option<&OsString>,
    reference: &OsString,
    prefixes: &[&str],
) -> Result<Option<String>, String> {
    if reference.is_empty() {
        return Ok(resolve(repository, OsStr::new("HEAD")));
    }
    let found = prefixes.iter().find_map(|prefix| resolve(repository, &join(prefix, reference)));
    match found {
        Some(commit) => Ok(Some(commit)),
        None => Err(format!("the repository has no branch, tag or commit {}", reference.display())),
    }
}

fn resolve(repository: Option<&OsString>, name: &OsStr) -> Option<String> {
    let mut command = command();
    if let Some(repository) = repository {
        command.arg("-C").arg(repository);
    }
    let mut peeled = name.to_owned();
    peeled.push("^{commit}");
    command.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(peeled).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    let is_commit = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then_some(commit)
}

fn join(prefix: &str, name: &OsStr) -> OsString {
    let mut whole = OsString::from(prefix);
    whole.push(name);
    whole
}

fn command() -> Command {
    let mut command = Command::new("git");
    command.stdin(Stdio::null());
    command
}

fn git<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let words: Vec<&OsStr> = words.into_iter().collect();
    let mut command = command();
    command.args(&words).stdout(Stdio::null());
    let status = command.status().map_err(|error| format!("cannot run git: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let verb = words.iter().find(|word| {
        !word.as_encoded_bytes().starts_with(b"-") && !word.as_encoded_bytes().starts_with(b"/")
    });
    Err(format!("git {} failed ({status})", verb.map_or_else(String::new, |verb| verb.display().to_string())))
}
