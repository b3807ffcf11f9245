//! The hands that hold agents: shims, attempts, their folders, their output. They do and report, and never decide.
//!
//! ```text
//!   engine ── order(batch) ──► Runtime ──► lane of the agent ── frames ──► fusion-shim ── fork ──► attempt
//!     ▲                                       │  look/launch/death: the folders, the lock, the tree
//!     └────────────── Outcome ◄───────────────┘
//! ```
//!
//! One lane per agent carries out its orders one after the other and owns the connection to the shim of its present
//! incarnation. Nothing is killed by a remembered number, and no incarnation gets a second shim: whoever holds the
//! lock in the run folder is the shim, and a free lock is the proof of its death.
//!
//! Not here: what should run (`fusion-core`), when an order may go out (the engine), what a task means.

mod attempt;
mod backend;
mod bounds;
mod boxes;
mod connection;
mod cost;
mod death;
mod detect;
mod disk;
mod erase;
mod errand;
mod identity;
mod inspect;
mod lane;
mod launch;
mod listener;
pub mod logs;
mod look;
mod order;
mod places;
mod pools;
mod readiness;
mod scope;
mod stored;
mod sweep;
mod watches;
mod words;
mod worktree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_core::agent::AgentLimits;
use fusion_core::task::Lease;
use fusion_core::{AgentId, Outcome, Reject, Uid};
use fusion_shim::cgroup::{Ground, Kind};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

pub use self::backend::{BackendChoice, Capabilities, choose_backend, from_word, word};
pub use self::boxes::Ticks;
pub use self::detect::{Asker, Presence, Question};
pub use self::inspect::{Comparison, Detail, InspectError, Next, Place as Inspected};
pub use self::order::{
    INPUT_PIECE_BYTES_MAX, INPUT_VERSION, InputError, InputNews, InputPiece, Order, Setup, TaskInput, WORKDIR,
};
use self::places::Places;
pub use self::scope::{Scopes, find_scopes};
pub use self::stored::{InputId, ReadStored, StoredPrompt};
use crate::config::{Bounds, NologinUsers};
use crate::turns::Turns;
use crate::workspace::{RootError, Workspaces};

/// What the hands work with; fixed for one life of the daemon.
#[derive(Clone, Debug)]
pub struct Config {
    /// The daemon's run folder, in memory; `i/` below it holds the incarnations.
    pub run_dir: PathBuf,
    /// The daemon's state folder; `i/` below it holds logs and synced exit records.
    pub state_dir: PathBuf,
    /// The root of all workspaces, owned by the daemon's user, writable for nobody else.
    pub workspaces_root: PathBuf,
    /// The program `fusion-shim`.
    pub shim_path: PathBuf,
    /// Which backends may be used.
    pub backend: BackendChoice,
    /// Who makes scopes for agents, where systemd does.
    pub scopes: Option<Scopes>,
    /// The name of this daemon's base folder in the cgroup hierarchies, unique for its state.
    pub cgroup_name: String,
    /// The number of this start of the daemon, higher than every one before.
    pub epoch: u64,
    /// The file mode creation mask of attempts.
    pub umask: u16,
    /// How much output is kept of one attempt.
    pub log_quota: LogQuota,
    /// What all agents of a user may use together, at first.
    pub bounds: Bounds,
    /// Whether accounts that nobody can log in to may own agents; `None`: agents are the daemon's own user's alone.
    pub nologin_users: Option<NologinUsers>,
}

/// Bytes of output kept of an attempt, as of now. Every copy tells the same.
#[derive(Clone, Debug)]
pub struct LogQuota(Arc<AtomicU64>);

impl LogQuota {
    /// So many at first.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection to the listener of an agent: whoever opened it is the agent.
#[derive(Debug)]
pub struct AgentConnection {
    /// The agent.
    pub agent: AgentId,
    /// Its owner.
    pub owner: Uid,
    /// The connection.
    pub stream: UnixStream,
}

/// The hands cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder of the daemon cannot be made or is not safe.
    #[error("cannot use the folder {path}", path = path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The root of the workspaces is not safe.
    #[error(transparent)]
    Workspaces(#[from] RootError),
    /// The settings force a backend that this machine lacks.
    #[error(
        "the cgroup backend \"{0}\" is not available on this machine, expected one of those that `fusionctl system doctor` lists"
    )]
    Backend(&'static str),
    /// The kernel does not tell its boot id.
    #[error("cannot read the boot id of this machine")]
    BootId(#[source] std::io::Error),
}

impl StartError {
    /// Whether it stays so until a person mends it. A service manager may only be late.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Backend(kind) => *kind != word(Kind::Systemd),
            Self::Folder { .. } | Self::Workspaces(_) | Self::BootId(_) => false,
        }
    }
}

/// The hands. Cheap to clone; when the last clone is dropped the lanes end, and shims and agents go on.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
    lanes: Arc<Lanes>,
}

/// What all lanes use.
struct Shared {
    config: Config,
    places: Places,
    workspaces: Workspaces,
    ground: Ground,
    boot_id: [u8; 16],
    outcomes: mpsc::UnboundedSender<Outcome>,
    agent_connections: mpsc::Sender<AgentConnection>,
    /// Prompts that are too long for a frame.
    read_stored: ReadStored,
    /// For lanes that the engine's own thread begins.
    handle: Handle,
    /// How many blocking works (launches, deaths) may run at once. None of them waits for a process of a user's.
    blocking: Semaphore,
    /// What all agents of a user may use together, as of now.
    bounds: watch::Sender<Bounds>,
    /// What is done by children with a user's rights, or takes as long as a user's output is: these wait for each other
    /// alone.
    turns: UserTurns,
    /// Folders of logs that are followed.
    watches: watches::Watches,
    /// Boxes to tick.
    ticks: mpsc::UnboundedSender<Ticks>,
}

/// Works of each user at once; others of theirs wait.
struct UserTurns {
    /// Workspaces that are counted: each is a walk through a file system.
    counts: Turns,
    /// Those that are compared; by somebody who may read slowly, while agents wait to be counted.
    comparisons: Turns,
    /// Those that are removed.
    removals: Turns,
    /// Programs that are looked for.
    questions: Turns,
    /// Outputs that are read for what they cost.
    prices: Turns,
}

impl UserTurns {
    const fn new() -> Self {
        Self {
            counts: Turns::new(2),
            comparisons: Turns::new(2),
            removals: Turns::new(2),
            questions: Turns::new(4),
            prices: Turns::new(2),
        }
    }
}

/// Where the orders of each agent go. The lock is held for a map access alone, never across an await.
#[derive(Default)]
struct Lanes(Mutex<HashMap<AgentId, mpsc::UnboundedSender<Vec<Order>>>>);

/// More launches at once than this only wait for each other on the processors of a usual machine.
const BLOCKING_MAX: usize = 16;

impl Runtime {
    /// So much output is kept of attempts that start from now on.
    pub fn set_log_quota(&self, bytes: u64) {
        self.shared.config.log_quota.0.store(bytes, Ordering::Relaxed);
    }

    /// Opens the folders and looks at what the machine offers. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`StartError`]: the daemon cannot run agents then.
    pub fn start(
        config: Config,
        outcomes: mpsc::UnboundedSender<Outcome>,
        agent_connections: mpsc::Sender<AgentConnection>,
        read_stored: ReadStored,
    ) -> Result<Self, StartError> {
        let boot_id = fusion_sys::process::boot_id().map_err(StartError::BootId)?;
        let places = Places::open(&config)?;
        let workspaces = Workspaces::open(&config.workspaces_root)?;
        let systemd = config.scopes.as_ref().map(|scopes| scopes.controllers.clone());
        let mut ground = fusion_shim::cgroup::probe(&config.cgroup_name, systemd);
        if let Some(kind) = config.backend.forced().filter(|kind| !backend::has(&ground, *kind)) {
            return Err(StartError::Backend(word(kind)));
        }
        ground.disk = disk::below(&config.workspaces_root);
        let blocking = Semaphore::new(BLOCKING_MAX);
        let handle = Handle::current();
        let bounds = watch::Sender::new(config.bounds.clone());
        let shim = config.shim_path.clone();
        let shared = Shared {
            config,
            places,
            workspaces,
            ground,
            boot_id,
            outcomes,
            agent_connections,
            read_stored,
            handle: handle.clone(),
            blocking,
            bounds,
            turns: UserTurns::new(),
            watches: watches::Watches::default(),
            ticks: boxes::start(shim, &handle),
        };
        Ok(Self { shared: Arc::new(shared), lanes: Arc::default() })
    }

    /// Takes the orders of one committed batch. Never blocks; orders of one agent are carried out in their order.
    /// May be called from any thread.
    pub fn order(&self, orders: Vec<Order>) {
        let mut by_agent: BTreeMap<AgentId, Vec<Order>> = BTreeMap::new();
        for order in orders {
            by_agent.entry(order.agent()).or_default().push(order);
        }
        for (agent, orders) in by_agent {
            lane::deliver(&self.shared, &self.lanes, agent, orders);
        }
    }

    /// Writes to the standard input of a running attempt, behind the orders that were given before. `taken` is told what
    /// became of it, and dropped when the shim does not serve or the attempt ends.
    pub fn send_input(&self, lease: Lease, piece: InputPiece, taken: mpsc::Sender<InputNews>) {
        lane::deliver(&self.shared, &self.lanes, lease.agent, vec![Order::Input { lease, piece, taken }]);
    }

    /// Ends, in the background, every incarnation in the run folder that is not among `known` (those that should
    /// have a shim), and removes what dead ones of no interest left there. For the start of the daemon, before orders.
    pub fn sweep(&self, known: &[(AgentId, u32)]) {
        sweep::begin(&self.shared, &self.lanes, known);
    }

    /// The backend for an agent with these limits, for `Recipe::backend` (see [`word`]).
    ///
    /// # Errors
    /// As [`choose_backend`].
    pub fn choose_backend(&self, limits: &AgentLimits) -> Result<Kind, Reject> {
        choose_backend(&self.shared.ground, self.shared.config.backend, limits)
    }

    /// Whether an agent of this backend is held by what its owner's agents may use together.
    ///
    /// # Errors
    /// [`Reject::LimitUnenforceable`]: only slices of systemd hold all agents of a user.
    pub fn check_bounds(&self, owner: Uid, kind: Kind) -> Result<(), Reject> {
        self.shared.check_bounds(owner, kind)
    }

    /// Whether a living tree of this backend can be put from one set of limits under another.
    ///
    /// # Errors
    /// The name of the first limit that it cannot be put under.
    pub fn check_limits(
        &self,
        backend: &str,
        present: &AgentLimits,
        wanted: &AgentLimits,
    ) -> Result<(), &'static str> {
        backend::check_change(&self.shared.ground, backend, present, wanted)
    }

    /// What this machine can hold.
    #[must_use]
    pub fn probe(&self) -> Capabilities {
        let many_users = rustix::process::geteuid().is_root();
        backend::capabilities(&self.shared.ground, self.shared.config.backend, many_users)
    }

    /// The output of one attempt, from its start. An attempt without output has an empty one.
    ///
    /// # Errors
    /// [`logs::LogError::Gone`] if the folder of the incarnation is not there.
    pub fn log(&self, agent: AgentId, incarnation: u32, serial: u32) -> Result<logs::Log, logs::LogError> {
        logs::Log::open(&self.shared.watches, &self.shared.config.state_dir, agent, incarnation, serial)
    }

    /// The attempts of an agent that left output, as incarnation and serial. Blocks.
    ///
    /// # Errors
    /// When the folder of logs cannot be read.
    pub fn logged(&self, agent: AgentId) -> std::io::Result<BTreeSet<(u32, u32)>> {
        logs::logged(&self.shared.config.state_dir, agent)
    }

    /// What an attempt left in its output file; empty if that was empty or absent. Blocks.
    ///
    /// # Errors
    /// As [`Self::log`].
    pub fn result(&self, lease: Lease) -> Result<Vec<u8>, logs::LogError> {
        logs::result(&self.shared.config.state_dir, lease)
    }

    /// Removes the logs of ended attempts in the background, on the threads of `handle`.
    pub fn remove_logs(&self, leases: Vec<Lease>, handle: &Handle) {
        if leases.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        handle.spawn_blocking(move || erase::erase(&shared.config.state_dir, &leases));
    }

    /// Removes the daemon's cgroup folders, as far as no agent lives in them. For the very end.
    pub fn remove_empty_cgroups(&self) {
        self.shared.ground.remove_bases();
    }
}

impl Lanes {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<AgentId, mpsc::UnboundedSender<Vec<Order>>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn tell(&self, outcome: Outcome) {
        // The engine is gone: so is the daemon, and the next one will look itself.
        let _nobody_listens = self.outcomes.send(outcome);
    }

    /// Does something that blocks, on a thread for that, some at a time. Nothing that a user could hold up.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let _permit = self.blocking.acquire().await.expect("the semaphore is never closed");
        self.on_thread(act).await
    }

    /// As [`Self::blocking`], for at most so long from when it begins; what takes longer keeps its thread.
    async fn blocking_within<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        act: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let _permit = self.blocking.acquire().await.expect("the semaphore is never closed");
        tokio::time::timeout(limit, self.on_thread(act)).await.ok()
    }

    /// Does something that `user` can hold up, when it is that user's turn.
    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        turns: &Turns,
        user: Uid,
        act: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let turn = turns.take(user).await;
        self.on_thread(move |shared| {
            // Held until it is done, also when nobody waits for it any more.
            let _turn = turn;
            act(shared)
        })
        .await
    }

    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let shared = Arc::clone(self);
        match tokio::task::spawn_blocking(move || act(&shared)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and this task with it.
            Err(_cancelled) => std::future::pending().await,
        }
    }
}
