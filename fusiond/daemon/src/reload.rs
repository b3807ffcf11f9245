//! What is in force, and taking it anew while the daemon runs: on SIGHUP, on `system reload`, and when a user
//! applies a profile.
//!
//! ```text
//!   SIGHUP, system reload ──► files ──► changes ──► engine, log level ┐
//!   profile apply ──► engine (on disk) ──► texts of that user ────────┼──► in force, for all doors
//! ```
//!
//! One task does it, one thing after the other, so what doors see never goes back. Agents that run keep what
//! they were made of. Not here: reading files (`config`, `profile`), what a setting means.

use std::collections::BTreeSet;
use std::sync::Arc;

use fusion_core::{Input, Reject, State, Uid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::caller::Names;
use crate::config::{self, Args, Bounds, Changes, Config, Loaded, Problem};
use crate::engine::Engine;
use crate::paths::Paths;
use crate::profile::{Library, Profiles, Trust};
use crate::runtime::Runtime;
use crate::{systemd, telemetry};

/// Asks that may wait; whoever asks waits for the answer, so more would be a flood.
const ASKS_MAX: usize = 64;

/// What every door needs of settings and profiles, as of now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Settings.
    pub config: Arc<Config>,
    /// Profiles of all users.
    pub library: Library,
}

/// What is asked of the one task.
#[derive(Debug)]
pub enum Ask {
    /// Read everything anew.
    Reload(oneshot::Sender<Result<Report, Reject>>),
    /// The profiles of this user have changed on disk.
    Applied(Uid, oneshot::Sender<()>),
}

/// What came of reading everything anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Settings that were taken over, and those that wait for a restart.
    pub changes: Changes,
    /// Problems that stop nothing: profiles that are left out, users that do not exist.
    pub notes: Vec<String>,
    /// Profiles for everybody that there are now.
    pub profiles: usize,
}

impl Report {
    fn sentence(&self) -> String {
        let named = |what: &str, keys: &[String]| match keys {
            [] => String::new(),
            keys => format!(", {what}: {}", keys.join(", ")),
        };
        let (taken, waiting) = (&self.changes.taken, &self.changes.waiting);
        let (now, later) = (named("changed", taken), named("only with a restart", waiting));
        format!("{} profiles{now}{later}", self.profiles)
    }
}

/// A door to the one task, and what it says is in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keeper {
    asks: mpsc::Sender<Ask>,
    in_force: watch::Receiver<InForce>,
}

/// What the task is made of.
pub struct Parts {
    /// The command line of the daemon.
    pub args: Args,
    /// The configuration that it started with.
    pub started: Loaded,
    /// The one writer.
    pub engine: Engine,
    /// The hands, which know what agents of a pool are made of here.
    pub runtime: Runtime,
}

/// Reads the profiles, and keeps all of it from then on.
///
/// # Errors
/// When signals cannot be received.
pub fn start(parts: Parts, library: Library) -> std::io::Result<Keeper> {
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let config = Arc::new(parts.started.config.clone());
    let (sender, in_force) = watch::channel(InForce { config, library });
    let hangups = signal(SignalKind::hangup())?;
    let last = parts.started.clone();
    tokio::spawn(Task { parts, last, in_force: sender }.run(inbox, hangups));
    Ok(Keeper { asks, in_force })
}

/// The profiles of folders and users at the start.
#[must_use]
pub fn library(paths: &Paths, state: &State) -> Library {
    let (shared, problems) = load_shared(paths);
    tell(&problems);
    state.profiles().fold(Library::of(shared), |library, kept| {
        let (library, problems) = library.with_own(kept.owner.0, Some(kept));
        tell(&problems);
        library
    })
}

fn load_shared(paths: &Paths) -> (Profiles, Vec<Problem>) {
    let trust = if paths.serves_all() { Trust::RootOnly } else { Trust::Readable };
    Profiles::load(&paths.profiles, trust)
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        tracing::warn!("a profile is left out: {problem}");
    }
}

impl Keeper {
    /// Settings and profiles as of now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.borrow().clone()
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// [`Reject::ConfigInvalid`]: nothing has changed then.
    pub async fn reload(&self) -> Result<Report, Reject> {
        let (sender, answered) = oneshot::channel();
        self.asks.send(Ask::Reload(sender)).await.map_err(|_| Reject::Stopping)?;
        answered.await.map_err(|_| Reject::Stopping)?
    }

    /// Returns when all doors see what this user has applied.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn applied(&self, owner: Uid) -> Result<(), Reject> {
        let (sender, answered) = oneshot::channel();
        self.asks.send(Ask::Applied(owner, sender)).await.map_err(|_| Reject::Stopping)?;
        answered.await.map_err(|_| Reject::Stopping)
    }
}

struct Task {
    parts: Parts,
    /// What was read last without problems.
    last: Loaded,
    in_force: watch::Sender<InForce>,
}

impl Task {
    /// Runs until every door is gone.
    async fn run(mut self, mut inbox: mpsc::Receiver<Ask>, mut hangups: tokio::signal::unix::Signal) {
        loop {
            let ask = tokio::select! {
                ask = inbox.recv() => ask,
                Some(()) = hangups.recv() => {
                    self.hangup().await;
                    continue;
                }
            };
            match ask {
                Some(Ask::Reload(answer)) => {
                    // Whoever asked may be gone; what was taken over stands.
                    drop(answer.send(self.reload().await));
                }
                Some(Ask::Applied(owner, answer)) => {
                    self.applied(owner).await;
                    let _asker_may_be_gone = answer.send(());
                }
                None => return,
            }
        }
    }

    async fn hangup(&mut self) {
        systemd::reloading();
        match self.reload().await {
            Ok(report) => tracing::info!("reloaded: {}", report.sentence()),
            Err(reject) => tracing::error!("not reloaded: {reject}: {}", reject.detail()),
        }
        systemd::ready();
    }

    async fn reload(&mut self) -> Result<Report, Reject> {
        let (args, paths) = (self.parts.args.clone(), self.parts.started.paths.clone());
        let read = tokio::task::spawn_blocking(move || read(&args, &paths)).await;
        let read = read.map_err(|_| Reject::Stopping)??;
        let changes = config::changes(&self.parts.started, &self.last, &read.loaded);
        let mut core = read.core;
        let library = self.in_force.borrow().library.with_shared(read.shared);
        core.pools = self.parts.runtime.pools(&library, &self.parts.started.paths);
        self.parts.engine.tell(Input::Configure(Box::new(core))).await?;
        self.parts.engine.keep_history(read.loaded.config.tasks.history).await?;
        self.parts.runtime.set_log_quota(read.loaded.config.runtime.log_quota_bytes);
        telemetry::set_level(read.loaded.config.log.level);
        let mut notes = read.notes;
        notes.extend(self.bind(read.bounds).await?);
        let report = Report { changes, notes, profiles: library.shared_count() };
        let config = Arc::new(read.loaded.config.clone());
        self.in_force.send_replace(InForce { config, library });
        self.last = read.loaded;
        Ok(report)
    }

    /// Users whose agents live or who were bounded are bound at once, others with their next agent.
    async fn bind(&self, bounds: Bounds) -> Result<Vec<String>, Reject> {
        let owners = |state: &State, _| state.agents().map(|agent| agent.owner).collect::<BTreeSet<_>>();
        let owners = self.parts.engine.look(owners).await?;
        Ok(self.parts.runtime.bind(bounds, &owners).await)
    }

    async fn applied(&mut self, owner: Uid) {
        let kept = self.parts.engine.look(move |state, _| state.profiles_of(owner).cloned()).await;
        // Only an engine that has stopped does not answer.
        let Ok(kept) = kept else { return };
        let InForce { config, library } = self.in_force.borrow().clone();
        let (library, problems) = library.with_own(owner.0, kept.as_ref());
        tell(&problems);
        let pools = self.parts.runtime.pools(&library, &self.parts.started.paths);
        self.in_force.send_replace(InForce { config, library });
        // What it applied stands when the engine has stopped meanwhile.
        drop(self.parts.engine.tell(Input::SetPools(Box::new(pools))).await);
    }
}

struct Read {
    loaded: Loaded,
    core: fusion_core::Config,
    bounds: Bounds,
    shared: Profiles,
    notes: Vec<String>,
}

/// Reads files and asks the name service: for a thread that may block.
fn read(args: &Args, paths: &Paths) -> Result<Read, Reject> {
    let loaded = config::load(args, config::process_environment).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Reject::ConfigInvalid { problems: problems.join("; ") }
    })?;
    // Asked anew: users come and go between two reloads.
    let names = Names::default();
    let (core, bounds, mut notes) = loaded.config.core(|name| names.uid(name).ok().flatten());
    let (shared, problems) = load_shared(paths);
    tell(&problems);
    notes.extend(problems.iter().map(|problem| format!("{problem}: its profiles are left out")));
    Ok(Read { loaded, core, bounds, shared, notes })
}
