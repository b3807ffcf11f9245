//! From nothing to a shim that serves: owner, workspace, folders, cgroup, spec, listener, process.
//!
//! A live shim of the same incarnation (the daemon crashed before it could say so) is found and used. Whatever fails
//! is one sentence for people, and nothing stays behind. Not here: what happens on a connection (`lane`).

use std::io::{self, Read};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fusion_core::Uid;
use fusion_shim::cgroup::{self, CgroupError, Kind};
use fusion_shim::names;
use fusion_shim::wire::{Backend, IncarnationSpec, PROTOCOL, SEGMENT_BYTES_DEFAULT};
use fusion_sys::pidfd::PidFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Shared;
use super::attempt::Template;
use super::backend::{BackendChoice, choose_backend, from_word, has};
use super::death::strike_and_bury;
use super::identity::Owner;
use super::listener;
use super::look::{Found, Look, look};
use super::order::Setup;
use super::places::Life;
use super::scope::{ScopeError, Tenant};
use super::words;

/// What serving one incarnation takes besides its shim.
pub(super) struct Prepared {
    pub(super) template: Template,
    pub(super) listener: UnixListener,
}

/// How long a shim may take to serve. It needs a few milliseconds.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long the name service may take.
const NAME_LIMIT: Duration = Duration::from_secs(10);
/// What is kept of a failed shim's last words.
const WORDS_BYTES_MAX: u64 = 1024;

impl Setup {
    /// The life that this is about.
    pub(super) fn life(&self) -> Life {
        Life { agent: self.agent, incarnation: self.incarnation }
    }
}

/// Starts the shim, or finds it.
pub(super) async fn launch(shared: &Arc<Shared>, setup: &Arc<Setup>) -> Result<(Found, Prepared), String> {
    let life = setup.life();
    if let Some(found) = find_living(shared, setup).await? {
        let prepared = prepare_again(shared, setup).await?;
        return Ok((found, prepared));
    }
    let outcome = launch_fresh(shared, setup).await;
    if outcome.is_err() {
        let cleaned = shared.blocking(move |shared| clean(shared, life)).await;
        if let Err(error) = cleaned {
            tracing::error!(agent = %life.agent, "something of a failed launch stays until the next: {error}");
        }
    }
    outcome
}

/// What an adopted incarnation needs: nothing is made but the listener.
pub(super) async fn prepare_again(shared: &Arc<Shared>, setup: &Arc<Setup>) -> Result<Prepared, String> {
    let owner = owner_of(shared, setup.owner).await?;
    let setup = Arc::clone(setup);
    shared.blocking(move |shared| prepare(shared, &setup, &owner)).await
}

/// A name service that hangs keeps its thread, not the agent's lane.
async fn owner_of(shared: &Arc<Shared>, uid: Uid) -> Result<Owner, String> {
    let found = shared.blocking_within(NAME_LIMIT, move |_| Owner::look_up(uid)).await;
    found.unwrap_or_else(|| Err(format!("the name service does not answer for user {}", uid.0)))
}

/// A shim that is there already. An incarnation that is being launched has no attempts: one that does not answer as
/// it should is ended.
async fn find_living(shared: &Arc<Shared>, setup: &Setup) -> Result<Option<Found>, String> {
    let (life, nonce) = (setup.life(), setup.nonce);
    if !shared.places.run(life).exists() {
        return Ok(None);
    }
    match look(shared, life, nonce).await {
        Look::Up(found) => return Ok(Some(found)),
        Look::Silent(_) | Look::Foreign(_) | Look::Stranger(_) | Look::Unreachable => {}
    }
    let cleaned = shared.blocking(move |shared| clean(shared, life)).await;
    cleaned.map(|()| None).map_err(|error| format!("an earlier launch cannot be cleaned up: {error}"))
}

/// Ends and removes whatever there is of an incarnation without attempts.
fn clean(shared: &Shared, life: Life) -> io::Result<()> {
    strike_and_bury(shared, life, None, None)?;
    shared.places.forget_failed(life);
    Ok(())
}

async fn launch_fresh(shared: &Arc<Shared>, setup: &Arc<Setup>) -> Result<(Found, Prepared), String> {
    let (life, nonce) = (setup.life(), setup.nonce);
    let owner = owner_of(shared, setup.owner).await?;
    let setup = Arc::clone(setup);
    let prepared = shared.blocking(move |shared| make_and_start(shared, &setup, &owner)).await?;
    match look(shared, life, nonce).await {
        Look::Up(found) => Ok((found, prepared)),
        Look::Silent(_) => Err("the new shim does not answer".to_owned()),
        Look::Foreign(reason) => Err(format!("the new shim does not serve: {reason}")),
        Look::Stranger(protocol) => Err(words::stranger(protocol)),
        Look::Unreachable => Err("the new shim has ended at once".to_owned()),
    }
}

/// Everything that blocks, in order.
fn make_and_start(shared: &Shared, setup: &Setup, owner: &Owner) -> Result<Prepared, String> {
    let life = setup.life();
    let said = |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
    super::identity::check(setup.owner, shared.config.nologin_users)?;
    let user = workspace_user(shared, setup, owner);
    shared.workspaces.make(&user, setup.agent, setup.owner, owner.gid).map_err(|error| error.sentence())?;
    shared
        .places
        .forget_dead(setup.agent, setup.incarnation)
        .map_err(said("remove an older life's folder"))?;
    shared.places.make(life, &shared.boot_id).map_err(said("make the folders of the incarnation"))?;
    let mut shim = start_shim(shared, life)?;
    let housed = house(shared, setup, owner, shim.id())
        .and_then(|backend| write_spec(shared, setup, owner, backend))
        .and_then(|()| prepare(shared, setup, owner));
    if housed.is_err() {
        // Its own child, not yet waited for: the number cannot mean another process.
        let _ended_meanwhile = shim.kill();
    }
    let served = see_off(shim);
    let prepared = housed?;
    served.map(|()| prepared)
}

/// The user part of the workspace's path: as it was at the spawn, for a login name may change.
fn workspace_user(shared: &Shared, setup: &Setup, owner: &Owner) -> String {
    shared.workspaces.user_of(Path::new(&setup.recipe.workspace)).unwrap_or_else(|| owner.name.clone())
}

fn prepare(shared: &Shared, setup: &Setup, owner: &Owner) -> Result<Prepared, String> {
    let life = setup.life();
    let workspace: PathBuf = shared.workspaces.path(&workspace_user(shared, setup, owner), setup.agent);
    let socket = shared.places.agent_socket(life);
    let listener = listener::bind(&shared.places.run(life), setup.owner)
        .map_err(|error| format!("cannot listen on {}: {error}", socket.display()))?;
    let template = Template::new(setup, owner, &workspace, &socket, &shared.config);
    Ok(Prepared { template, listener })
}

/// The backend that was chosen at the spawn, unless the settings or the machine have changed since.
fn kind_of(shared: &Shared, setup: &Setup) -> Result<Kind, String> {
    let (ground, choice) = (&shared.ground, shared.config.backend);
    let chosen = from_word(&setup.recipe.backend).filter(|kind| has(ground, *kind));
    match (choice, chosen) {
        (BackendChoice::Auto, Some(kind)) => Ok(kind),
        (BackendChoice::Auto, None)
        | (
            BackendChoice::Systemd | BackendChoice::CgroupV2 | BackendChoice::CgroupV1 | BackendChoice::None,
            _,
        ) => choose_backend(ground, choice, &setup.limits).map_err(|reject| reject.to_string()),
    }
}

/// Makes the place in which the incarnation lives. A scope is made around the shim; elsewhere the shim goes there.
fn house(shared: &Shared, setup: &Setup, owner: &Owner, shim: u32) -> Result<Backend, String> {
    let limits = words::wire_limits(&setup.limits, shared.ground.disk);
    let said = |error: CgroupError| {
        let source =
            std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
        format!("{error}{source}")
    };
    let kind = kind_of(shared, setup)?;
    shared.check_bounds(setup.owner, kind).map_err(|reject| reject.to_string())?;
    match (kind, &shared.config.scopes) {
        (Kind::Systemd, Some(scopes)) => {
            let description = format!("fusiond agent {} ({}) of {}", setup.name, setup.profile, owner.name);
            let tenant =
                Tenant { life: setup.life(), owner: setup.owner, description: &description, pid: shim };
            let bounds = shared.bounds.borrow().of(setup.owner);
            let started = async {
                let folder = scopes.start(&tenant, bounds).await?;
                // They may have been changed meanwhile.
                let now = shared.bounds.borrow().of(setup.owner);
                if now != bounds {
                    scopes.bind(setup.owner, now, bounds).await?;
                }
                Ok(folder)
            };
            let folder = shared.handle.block_on(started).map_err(|error: ScopeError| error.sentence())?;
            cgroup::furnish_scope(&folder, shim, &limits).map_err(said)
        }
        (kind, _) => {
            shared.ground.create(kind, &setup.agent.to_string(), setup.incarnation, &limits).map_err(said)
        }
    }
}

fn write_spec(shared: &Shared, setup: &Setup, owner: &Owner, backend: Backend) -> Result<(), String> {
    let spec = IncarnationSpec {
        protocol: PROTOCOL,
        agent: setup.agent.to_string(),
        incarnation: setup.incarnation,
        nonce: setup.nonce,
        identity: owner.identity.clone(),
        limits: words::wire_limits(&setup.limits, shared.ground.disk),
        backend,
        segment_bytes: SEGMENT_BYTES_DEFAULT,
    };
    let bytes = fusion_shim::frame::encode_record(&spec).map_err(|error| error.to_string())?;
    let path = shared.places.run(setup.life()).join(names::SPEC);
    std::fs::write(&path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Starts the shim, which waits until its standard input ends: should the daemon die now, it finds no spec and leaves.
fn start_shim(shared: &Shared, life: Life) -> Result<Child, String> {
    let program = &shared.config.shim_path;
    Command::new(program)
        .arg(shared.places.state(life))
        .current_dir(shared.places.run(life))
        .env_clear()
        .env("FUSION_SOCKET", shared.places.agent_socket(life))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))
}

/// Lets the shim go on; returns when it listens: its first process ends then.
fn see_off(mut child: Child) -> Result<(), String> {
    let said = |what: &str, error: io::Error| format!("cannot {what} the shim: {error}");
    drop(child.stdin.take());
    let is_over = has_ended_within(child.id(), START_LIMIT).map_err(|error| said("wait for", error))?;
    if !is_over {
        // Its own child, not yet waited for: the number cannot mean another process.
        let _ended_meanwhile = child.kill();
    }
    let status = child.wait().map_err(|error| said("wait for", error))?;
    if status.success() {
        return Ok(());
    }
    let mut last_words = String::new();
    if let Some(stderr) = child.stderr.take() {
        // Words that are no text are no help.
        let _unheard = stderr.take(WORDS_BYTES_MAX).read_to_string(&mut last_words);
    }
    Err(failure(status, is_over, last_words.trim()))
}

fn failure(status: ExitStatus, is_over: bool, last_words: &str) -> String {
    let not_mine = i32::from(names::EXIT_NOT_MINE);
    match (is_over, status.code()) {
        (false, _) => format!("the shim did not serve within {} s", START_LIMIT.as_secs()),
        (true, Some(code)) if code == not_mine => "another shim holds the run folder".to_owned(),
        (true, _) if last_words.is_empty() => format!("the shim has ended with {status}"),
        (true, _) => last_words.to_owned(),
    }
}

/// Waits for a child that nobody else waits for.
fn has_ended_within(child: u32, limit: Duration) -> io::Result<bool> {
    let process = PidFd::open(child)?;
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
