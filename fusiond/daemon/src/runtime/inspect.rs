//! Looking into a workspace for somebody who asks: how much there is, and what has changed. A child does it with the rights
//! of the workspace's user, bounded in time.
//!
//! Not here: who may ask (the doors), what is counted and compared (`fusion-shim du`, `fusion-shim diff`).

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_core::workspace::quota::Found;
use fusion_core::{AgentId, Outcome, Uid};
use fusion_shim::usage::{Count, Usage};
use rustix::fs::{MemfdFlags, SeekFrom, fstat};
use tokio::sync::mpsc;

use super::errand::{Ended, attend};
use super::order::Setup;
use super::{Runtime, Shared};

/// A workspace that is looked into.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its agent.
    pub agent: AgentId,
    /// Whose it is.
    pub owner: Uid,
    /// Where it is, as the recipe of the agent says.
    pub path: PathBuf,
}

/// The attempt that an agent gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// In which life.
    pub incarnation: u32,
    /// Its number there.
    pub serial: u32,
}

/// What is asked about the changes in a workspace.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How much is told.
    pub detail: Detail,
    /// What the workspace was filled with, see `fusion_shim::manifest`.
    pub list: Vec<u8>,
}

/// How much is told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
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
    const fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Stat => "stat",
            Self::NameStatus => "name-status",
            Self::NameOnly => "name-only",
        }
    }
}

/// Nothing can be said about a workspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// There is none.
    #[error("the workspace is gone")]
    Gone,
    /// It cannot be looked into, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// How long the child may count before it says what it has.
const COUNT_LIMIT: Duration = Duration::from_secs(30);
/// A child that does not speak then hangs, as on a file system over a network.
const COUNT_MARGIN: Duration = Duration::from_secs(5);
/// How long comparing may take, somebody who reads page by page included.
const COMPARE_LIMIT: Duration = Duration::from_secs(600);
/// What is read of its answer, which is one line.
const ANSWER_BYTES_MAX: usize = 256;

impl Runtime {
    /// Counts what is in a workspace. It answers within 35 s of its turn, with what it has by then. The engine hears of it,
    /// too, if `before` says what the next attempt is: nothing of the agent ran when the count began.
    ///
    /// # Errors
    /// [`InspectError`].
    pub async fn measure(&self, place: Place, before: Option<Next>) -> Result<Usage, InspectError> {
        let agent = place.agent;
        let counted = self.shared.count(place).await;
        if let (Some(next), Ok(_)) = (before, &counted) {
            self.shared.tell_measured(agent, next, &counted);
        }
        counted
    }

    /// Tells `pieces` what has changed in a workspace, within 10 minutes of its turn, until it is closed.
    ///
    /// # Errors
    /// [`InspectError`]; what was told until then is not all.
    pub async fn compare(
        &self,
        place: Place,
        asked: Comparison,
        pieces: mpsc::Sender<Vec<u8>>,
    ) -> Result<(), InspectError> {
        let owner = place.owner;
        let act = move |shared: &Shared| compare(shared, &place, asked, &pieces);
        self.shared.in_turn(&self.shared.turns.comparisons, owner, act).await
    }
}

/// Counts what is in the workspace of an agent that waits for its next attempt, in the background.
pub(super) fn measure_later(shared: &Arc<Shared>, setup: &Setup, serial: u32) {
    let next = Next { incarnation: setup.incarnation, serial };
    let place =
        Place { agent: setup.agent, owner: setup.owner, path: PathBuf::from(&setup.recipe.workspace) };
    let shared = Arc::clone(shared);
    let handle = shared.handle.clone();
    handle.spawn(async move {
        let agent = place.agent;
        let counted = shared.count(place).await;
        shared.tell_measured(agent, next, &counted);
    });
}

impl Shared {
    fn tell_measured(&self, agent: AgentId, next: Next, counted: &Result<Usage, InspectError>) {
        let Next { incarnation, serial } = next;
        self.tell(Outcome::WorkspaceMeasured { agent, incarnation, serial, found: found(counted) });
    }

    async fn count(self: &Arc<Self>, place: Place) -> Result<Usage, InspectError> {
        self.in_turn(&self.turns.counts, place.owner, move |shared| measure(shared, &place)).await
    }
}

fn measure(shared: &Shared, place: &Place) -> Result<Usage, InspectError> {
    let folder = open(shared, place)?;
    let words = ["du".to_owned(), COUNT_LIMIT.as_secs().to_string()];
    let child = start(shared, place, &folder, &words, Stdio::null()).map_err(failed)?;
    let mut answer = Vec::new();
    let mut keep = |piece: &[u8]| {
        answer.extend_from_slice(piece);
        if answer.len() > ANSWER_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match attend(child, Instant::now() + COUNT_LIMIT + COUNT_MARGIN, &mut keep).map_err(failed)? {
        Ended::Exited(status, words) if !status.success() => Err(InspectError::Failed(if words.is_empty() {
            format!("counting ended with {status}")
        } else {
            words
        })),
        Ended::Exited(..) => std::str::from_utf8(&answer)
            .ok()
            .and_then(Usage::parse)
            .ok_or_else(|| InspectError::Failed("counting gave no figures".to_owned())),
        Ended::TooLong => Err(InspectError::Failed("its file system does not answer".to_owned())),
        Ended::Unheard => Err(InspectError::Failed("counting said too much".to_owned())),
    }
}

fn compare(
    shared: &Shared,
    place: &Place,
    asked: Comparison,
    pieces: &mpsc::Sender<Vec<u8>>,
) -> Result<(), InspectError> {
    let folder = open(shared, place)?;
    let list = hand_over(&asked.list).map_err(failed)?;
    drop(asked.list);
    let seconds = COMPARE_LIMIT.as_secs().to_string();
    let words = ["diff".to_owned(), seconds, asked.detail.word().to_owned()];
    let until = Instant::now() + COMPARE_LIMIT + COUNT_MARGIN;
    let child = start(shared, place, &folder, &words, list.into()).map_err(failed)?;
    let mut tell = |piece: &[u8]| {
        let sent = tokio::time::timeout_at(until.into(), pieces.send(piece.to_vec()));
        match shared.handle.block_on(sent) {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    };
    match attend(child, until, &mut tell).map_err(failed)? {
        Ended::Exited(status, _) if status.success() => Ok(()),
        Ended::Exited(status, words) if words.is_empty() => {
            Err(InspectError::Failed(format!("comparing ended with {status}")))
        }
        Ended::Exited(_, words) => Err(InspectError::Failed(words)),
        Ended::TooLong => Err(InspectError::Failed("comparing took longer than 10 minutes".to_owned())),
        Ended::Unheard => Ok(()),
    }
}

/// Bytes as an open file, in memory.
pub(super) fn hand_over(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(c"list", MemfdFlags::CLOEXEC)?;
    fusion_sys::file::write_all(&file, bytes)?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

fn found(counted: &Result<Usage, InspectError>) -> Found {
    match counted {
        Ok(Usage { disk_bytes, count: Count::Cut, .. }) => {
            let missing = format!("that takes longer than {} s", COUNT_LIMIT.as_secs());
            Found { bytes: *disk_bytes, missing: Some(missing) }
        }
        Ok(Usage { disk_bytes, unread: 0, .. }) => Found { bytes: *disk_bytes, missing: None },
        Ok(Usage { disk_bytes, unread, .. }) => {
            Found { bytes: *disk_bytes, missing: Some(format!("{unread} of its folders cannot be read")) }
        }
        Err(error) => Found { bytes: 0, missing: Some(error.to_string()) },
    }
}

/// The folder itself, without following a link.
fn open(shared: &Shared, place: &Place) -> Result<OwnedFd, InspectError> {
    let user = shared.workspaces.user_of(&place.path);
    let user = user.ok_or_else(|| {
        InspectError::Failed("it lies in a root of workspaces that is no longer configured".to_owned())
    })?;
    let found = shared.workspaces.open_one(&user, place.agent, place.owner).map_err(failed)?;
    found.ok_or(InspectError::Gone)
}

/// Starts `fusion-shim` in the folder, as its user.
fn start(
    shared: &Shared,
    place: &Place,
    folder: &OwnedFd,
    words: &[String],
    stdin: Stdio,
) -> io::Result<Child> {
    let mut command = Command::new(&shared.config.shim_path);
    command.args(words);
    if rustix::process::geteuid().as_raw() != place.owner.0 {
        command.arg(place.owner.0.to_string()).arg(fstat(folder)?.st_gid.to_string());
    }
    command
        .env_clear()
        .current_dir(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()))
        .process_group(0)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(error: io::Error) -> InspectError {
    InspectError::Failed(error.to_string())
}
