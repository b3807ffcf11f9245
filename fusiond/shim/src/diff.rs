//! `fusion-shim diff SECONDS patch|stat|name-status|name-only [UID GID]`: what has changed in the working directory, a
//! workspace, since it was filled, as its user. Standard input is the list of what it was filled with (see `manifest`;
//! empty: with nothing). A workspace from a repository is compared with the commit it began with, any other with the list.
//!
//! The settings of a repository may name programs (filters, hooks, fsmonitor), and an agent can write them: none is used
//! here. Not here: whose workspace it is, who hears it (the daemon).

mod git;
mod listed;

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fusion_shim::manifest::{Entry, Seeded};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::identity::become_named;
use crate::{failed, say};

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// What changed in the files, where that is known.
    Patch,
    /// How much changed in each.
    Stat,
    /// How each changed.
    NameStatus,
    /// Names alone.
    NameOnly,
}

impl Detail {
    fn parse(word: &OsString) -> Option<Self> {
        [
            ("patch", Self::Patch),
            ("stat", Self::Stat),
            ("name-status", Self::NameStatus),
            ("name-only", Self::NameOnly),
        ]
        .into_iter()
        .find_map(|(name, detail)| (word == name).then_some(detail))
    }
}

/// The daemon's own folder in a workspace is nobody's change.
const OWN: &str = fusion_shim::names::FILES;
/// A longer list is not given: it is of more than half a million files.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// Git maps packs into its address space; what needs more than this would be a burden for the machine.
const MEMORY_BYTES_MAX: u64 = 8 << 30;

/// Exit status 0 if it could be told.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [seconds, detail, identity @ ..] = arguments else { return usage() };
    let seconds = seconds.to_str().and_then(|text| text.parse().ok());
    let (Some(seconds), Some(detail)) = (seconds, Detail::parse(detail)) else { return usage() };
    let until = Instant::now() + Duration::from_secs(seconds);
    let memory = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
    let ready = become_named(identity)
        .and_then(|()| Ok(rustix::thread::set_no_new_privs(true)?))
        .and_then(|()| Ok(setrlimit(Resource::As, memory)?));
    if let Err(error) = ready {
        return failed("cannot become the owner of the workspace", &error);
    }
    let told = match read_list() {
        Ok(Seeded::Commit(commit)) => git::tell(&commit, detail, until),
        Ok(Seeded::Files(before)) => listed::tell(before, detail, until),
        Err(error) => Err(format!("cannot read the list of what it was filled with: {error}")),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&reason);
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    say("diff: expected SECONDS patch|stat|name-status|name-only [UID GID]");
    ExitCode::from(2)
}

fn read_list() -> io::Result<Seeded> {
    let mut bytes = Vec::new();
    io::stdin().take(LIST_BYTES_MAX).read_to_end(&mut bytes)?;
    Entry::parse_all(&bytes).ok_or_else(|| io::Error::other("it is not in order"))
}
