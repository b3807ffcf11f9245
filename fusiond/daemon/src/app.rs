//! Puts the house together: opens the store, loads the state, starts hands, engine and doors, waits
//! for the end, closes everything in the opposite order.
//!
//! Not for: anything that happens in between.

use crate::caller::{Door, Names};
use crate::config::{Args, Backend, Bounds, Loaded};
use crate::engine::{self, Engine};
use crate::health::{Probe, Trees};
use crate::paths::{Mode, Paths};
use crate::runtime::{self, BackendChoice, Runtime};
use crate::store::{self, Opened, Store};
use crate::vault::{KEY_CREDENTIAL, KEY_FILE, Vault};
use crate::workspace::hide_from_git;
use crate::{api, inlet, reload, shutdown, systemd};
use anyhow::Context;
use fusion_core::{AgentId, State, Time};
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};

/// How long open streams may take to end after the last request.
const STREAMS_GRACE: Duration = Duration::from_millis(500);

/// A task's value changes three times within its short life: what waits this long for the database goes
/// there once. The journal keeps it meanwhile, and a start replays at most this much.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
const FLUSH_BYTES: u64 = 16 << 20;

/// Connections that wait to be served.
const CONNECTIONS_MAX: usize = 256;

/// Runs the daemon to its end.
///
/// # Errors
/// What kept it from starting, or from closing cleanly.
pub fn run(args: Args, loaded: Loaded) -> anyhow::Result<()> {
    let paths = loaded.paths.clone();
    inlet::refuse_in_use(&paths)?;
    remove_drafts(&paths.state);
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let vault = Vault::open(&paths.state, credentials.as_deref())?;
    let (mut store, opened) = open_store(&loaded, &paths)?;
    let names = Names::default();
    let (core, bounds, notes) = loaded.config.core(|name| names.uid(name).ok().flatten());
    for note in loaded.notes.iter().chain(&notes) {
        tracing::warn!("{note}");
    }
    let state = engine::load(&store, core)
        .context("loading the state; `fusionctl system restore` brings back a backup")?
        .of_backup(opened.of_backup);
    keep_keys(&mut store);
    if vault.has_previous() {
        change_key(&state, &mut store, &vault)?;
    } else {
        miss_key(&state, &store, &vault);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the asynchronous runtime")?;
    let store =
        runtime.block_on(serve(Setup { args, loaded, bounds }, paths, names, vault, store, opened, state))?;
    // Tasks that still hold a door would keep it open.
    runtime.shutdown_timeout(STREAMS_GRACE);
    store.close().context("closing the store; nothing is lost, the next start repeats the journal")
}

/// Keys of tasks in memory are known without it: a store that does not answer or has no room keeps nobody from starting.
fn keep_keys(store: &mut Store) {
    match engine::keep_keys(store) {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(count, "idempotency keys of older tasks are known for as long as those are stored")
        }
        Err(error) => {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            tracing::error!(
                "idempotency keys of older tasks are known only for as long as those are in memory: {error}{cause}"
            );
        }
    }
}

/// From the key before the present one to the present one.
fn change_key(state: &State, store: &mut Store, vault: &Vault) -> anyhow::Result<()> {
    let engine::Resealed { values, lost } =
        engine::reseal(state, store, vault).context("sealing the secrets with the new host key")?;
    tracing::info!(
        "{values} secrets are sealed with the host key, {lost} open with no key; the previous one can be removed"
    );
    Ok(())
}

/// Secrets that no key opens look well until somebody is to be given one: a restored backup, or a credential that went missing.
fn miss_key(state: &State, store: &Store, vault: &Vault) {
    match engine::sealed_elsewhere(state, store, vault) {
        Ok(0) => {}
        Ok(count) => tracing::error!(
            count,
            "some secrets are sealed with another host key than this one: bring it back as {KEY_CREDENTIAL} or \
             {KEY_FILE}, or set them anew"
        ),
        Err(error) => tracing::error!("sealed values cannot be looked at: {error}"),
    }
}

/// Copies of the state that a crash left half made.
fn remove_drafts(state: &Path) {
    let Ok(entries) = std::fs::read_dir(state) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(api::BACKUP_PREFIX) {
            // It costs room, nothing else.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn open_store(loaded: &Loaded, paths: &Paths) -> anyhow::Result<(Store, Opened)> {
    let mut config = store::Config::new(&paths.store);
    config.schema = engine::SCHEMA;
    config.migrations = engine::MIGRATIONS;
    config.free_floor_bytes = loaded.config.store.free_floor_bytes;
    config.flush_interval = FLUSH_INTERVAL;
    config.flush_bytes = FLUSH_BYTES;
    let (store, opened) = Store::open(config)?;
    match &opened.rebuilt {
        Some(rebuilt) if rebuilt.is_restored => tracing::info!("the state is that of a backup"),
        Some(rebuilt) => {
            let reason = &rebuilt.reason;
            tracing::error!(
                "the database was damaged and has been rebuilt from checkpoint and journal: {reason}"
            );
        }
        None => {}
    }
    if let Some(compacted) = &opened.compacted {
        let (from_bytes, to_bytes) = (compacted.from_bytes, compacted.to_bytes);
        tracing::info!(from_bytes, to_bytes, "the database had grown and has been compacted");
    }
    let (found, known) = (opened.schema_found, engine::SCHEMA);
    if found < known {
        tracing::info!(
            "the state has been brought from schema {found} to {known}: versions that know {found} no longer read it"
        );
    }
    tracing::info!(
        seq = opened.seq,
        replayed = opened.replayed,
        ms = opened.duration.as_millis(),
        "store open"
    );
    Ok((store, opened))
}

/// The command line, and what came of it and of the files.
struct Setup {
    args: Args,
    loaded: Loaded,
    bounds: Bounds,
}

async fn serve(
    Setup { args, loaded, bounds }: Setup,
    paths: Paths,
    names: Names,
    vault: Vault,
    store: Store,
    opened: Opened,
    mut state: State,
) -> anyhow::Result<Store> {
    let epoch = state.meta.epoch + 1;
    let cgroup = cgroup_name(&paths)?;
    let shim = find_shim()?;
    #[expect(clippy::disallowed_methods, reason = "bounded by the agents: each has a few outcomes under way")]
    let (outcome_sender, outcomes) = mpsc::unbounded_channel();
    let (agent_sender, agents) = mpsc::channel(CONNECTIONS_MAX);
    let hands = hands_config(&loaded, bounds.clone(), &paths, &cgroup, &shim, epoch).await;
    let reader = store.reader();
    let read_stored: runtime::ReadStored =
        Arc::new(move |prompt, to| engine::read_stored(&reader, prompt, to));
    let hands = Runtime::start(hands, outcome_sender, agent_sender, read_stored)?;
    take_over(&hands, bounds, &state).await;
    hide_workspaces(&paths)?;
    let (listener, entrance) = Entrance::open(&paths, &loaded)?;
    let door = Door::open(paths.uid, &cgroup).context("asking the name service")?;
    let handle = tokio::runtime::Handle::current();
    let history = loaded.config.tasks.history;
    let library = reload::library(&paths, &state);
    prepare_pools(&mut state, &names, hands.pools(&library, &paths));
    let runtime = hands.clone();
    let parts = engine::Parts { state, store, outcomes, runtime, history, vault: vault.clone(), handle };
    let engine = engine::start(parts, epoch).context("starting the engine")?;

    let (connection_sender, connections) = mpsc::channel(CONNECTIONS_MAX);
    tokio::spawn(inlet::accept(listener, door, connection_sender.clone()));
    tokio::spawn(inlet::accept_agents(agents, connection_sender));
    let (ask_sender, asks) = mpsc::channel(1);
    let (leave, leaving) = watch::channel(false);
    let parts =
        reload::Parts { args, started: loaded.clone(), engine: engine.clone(), runtime: hands.clone() };
    let keeper = reload::start(parts, library).context("receiving signals")?;
    let shared = api::Shared {
        engine: engine.clone(),
        runtime: hands.clone(),
        names,
        vault,
        keeper,
        probe: probe(&loaded, &paths, &hands, shim),
        paths: paths.clone(),
        started_at: now(),
        recovered: recovered(&opened),
        stopping: leaving,
        shutdown: ask_sender,
    };
    let (stop_sender, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(api::serve(shared, connections, async {
        // Sent, or dropped with the sender: both mean the end.
        drop(stopped.await);
    }));
    let mut signals = shutdown::Signals::listen().context("receiving signals")?;
    tell_ready(&engine, &paths, epoch);

    let ask = signals.wait(&paths, loaded.config.runtime.grace, asks).await;
    systemd::stopping(ask.limit());
    tracing::info!(?ask, "stopping");
    leave.send_replace(true);
    shutdown::end_agents(&engine, paths.uid, ask).await;
    let store = finish(engine, stop_sender, server, hands).await?;
    entrance.close(&paths);
    Ok(store)
}

/// Whoever started the daemon may go on.
fn tell_ready(engine: &Engine, paths: &Paths, epoch: u64) {
    systemd::start_watchdog(engine.clone());
    systemd::ready();
    let (version, socket) = (env!("CARGO_PKG_VERSION"), paths.socket.display());
    tracing::info!(epoch, "ready: version {version} on {socket}");
}

/// The main socket.
struct Entrance {
    /// Whether it goes with the daemon; the service manager keeps its own.
    is_ours: bool,
}

impl Entrance {
    fn open(paths: &Paths, loaded: &Loaded) -> anyhow::Result<(tokio::net::UnixListener, Self)> {
        let handed =
            systemd::inherited_listener().context("taking over the socket of the service manager")?;
        let is_ours = handed.is_none();
        let listener = handed.map_or_else(|| inlet::listen(paths, &loaded.config.socket), Ok);
        let listener = listener.with_context(|| format!("opening the socket {}", paths.socket.display()))?;
        Ok((listener, Self { is_ours }))
    }

    fn close(self, paths: &Paths) {
        if self.is_ours {
            // Gone already if somebody removed the folder.
            drop(std::fs::remove_file(&paths.socket));
        }
    }
}

/// A root that somebody tries may lie in a git checkout.
fn hide_workspaces(paths: &Paths) -> anyhow::Result<()> {
    let Mode::Root(_) = paths.mode else { return Ok(()) };
    let hidden = hide_from_git(&paths.workspaces);
    hidden.with_context(|| format!("writing .gitignore in {}", paths.workspaces.display()))
}

/// Brings what an earlier daemon left in line with the state, and with settings that may have changed while none ran.
async fn take_over(hands: &Runtime, bounds: Bounds, state: &State) {
    let owners = state.agents().map(|agent| agent.owner).collect();
    for note in hands.bind(bounds, &owners).await {
        tracing::warn!("{note}");
    }
    hands.sweep(&known(state));
}

/// What pools need from the start: who users are, and what the profiles ask for.
fn prepare_pools(state: &mut State, names: &Names, pools: fusion_core::pool::AllPools) {
    let with_profiles = state.profiles().map(|kept| kept.owner);
    for uid in state.owners().chain(with_profiles).collect::<Vec<_>>() {
        state.learn_name(uid, &names.name(uid.0));
    }
    state.set_pools(pools);
}

/// Ends the doors, then the engine; hands the store back.
async fn finish(
    engine: Engine,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    hands: Runtime,
) -> anyhow::Result<Store> {
    let _server_may_have_ended = stop.send(());
    let abort = server.abort_handle();
    if tokio::time::timeout(STREAMS_GRACE, server).await.is_err() {
        abort.abort();
    }
    let store = engine.stop().await?;
    hands.remove_empty_cgroups();
    Ok(store)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn known(state: &State) -> Vec<(AgentId, u32)> {
    let wanted = state.agents().filter(|agent| agent.life.wants_shim());
    wanted.map(|agent| (agent.id, agent.incarnation)).collect()
}

async fn hands_config(
    loaded: &Loaded,
    bounds: Bounds,
    paths: &Paths,
    cgroup: &str,
    shim: &Path,
    epoch: u64,
) -> runtime::Config {
    let backend = backend_choice(loaded.config.runtime.backend);
    runtime::Config {
        run_dir: paths.run.clone(),
        state_dir: paths.state.clone(),
        workspaces_root: paths.workspaces.clone(),
        shim_path: shim.to_owned(),
        backend,
        scopes: runtime::find_scopes(backend, systemd::is_main_process()).await,
        bounds,
        cgroup_name: cgroup.to_owned(),
        epoch,
        umask: 0o077,
        log_quota: runtime::LogQuota::new(loaded.config.runtime.log_quota_bytes),
        nologin_users: paths.serves_all().then_some(loaded.config.nologin_users),
    }
}

const fn backend_choice(backend: Backend) -> BackendChoice {
    match backend {
        Backend::Auto => BackendChoice::Auto,
        Backend::Systemd => BackendChoice::Systemd,
        Backend::CgroupV2 => BackendChoice::CgroupV2,
        Backend::CgroupV1 => BackendChoice::CgroupV1,
        Backend::None => BackendChoice::None,
    }
}

fn probe(loaded: &Loaded, paths: &Paths, hands: &Runtime, shim: PathBuf) -> Probe {
    let found = hands.probe();
    let named = [("memory", found.memory), ("pids", found.pids), ("cpu", found.cpu), ("io", found.io)];
    let controllers = named.into_iter().filter(|(_, how)| how.is_some()).map(|(name, _)| name.to_owned());
    let controllers = controllers.collect();
    let trees = match runtime::from_word(found.backend) {
        Some(fusion_shim::cgroup::Kind::Systemd) => Trees::Systemd { controllers },
        Some(fusion_shim::cgroup::Kind::V2) => Trees::CgroupV2 { controllers },
        Some(fusion_shim::cgroup::Kind::V1) => Trees::CgroupV1 { controllers },
        Some(fusion_shim::cgroup::Kind::None) | None => Trees::None,
    };
    Probe { paths: paths.clone(), config: loaded.config.clone(), trees, shim: Some(shim) }
}

fn recovered(opened: &Opened) -> String {
    let rebuilt = opened.rebuilt.as_ref().filter(|rebuilt| !rebuilt.is_restored);
    rebuilt.map_or_else(String::new, |rebuilt| {
        let aside = rebuilt
            .set_aside
            .as_ref()
            .map_or_else(String::new, |path| format!("; the old one is {}", path.display()));
        format!("the database was rebuilt from checkpoint and journal ({}){aside}", rebuilt.reason)
    })
}

/// The cgroup below which agents live is named after the state, so that two daemons never share one.
fn cgroup_name(paths: &Paths) -> anyhow::Result<String> {
    let file = paths.state.join("id");
    if let Ok(text) = std::fs::read_to_string(&file)
        && text.len() == 16
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(format!("fusion-{text}"));
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("drawing the state's id")?;
    let id = format!("{:016x}", u64::from_le_bytes(bytes));
    let draft = paths.state.join("id.tmp");
    std::fs::write(&draft, &id).with_context(|| format!("writing {}", draft.display()))?;
    std::fs::File::open(&draft)?.sync_all()?;
    std::fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))?;
    std::fs::File::open(&paths.state)?.sync_all()?;
    Ok(format!("fusion-{id}"))
}

/// The shim lies beside this program, or where the package puts it.
fn find_shim() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("finding the own program")?;
    let beside = own.with_file_name("fusion-shim");
    let packaged = PathBuf::from("/usr/lib/fusiond/fusion-shim");
    [beside, packaged]
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("no fusion-shim beside {} nor in /usr/lib/fusiond", own.display()))
}
