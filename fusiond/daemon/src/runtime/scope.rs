//! Where systemd runs: a transient scope for each incarnation, made by the service manager, which then knows the agent
//! by name, holds its user's limits, and ends it with the machine.
//!
//! ```text
//! fusion.slice ─┬─ fusiond.service                              the daemon
//!               └─ fusion-u<uid>.slice                          all agents of one user; the user's limits
//!                  └─ fusion-agent-<id>-<n>.scope               one incarnation, Delegate=yes
//!                     ├─ shim/                                  the shim
//!                     └─ agent/                                 the attempts; limits, kill and freeze are here
//! ```
//!
//! The interface is org.freedesktop.systemd1(5) on the system bus for root, on the session bus for everybody else. Each
//! launch has a connection of its own: an idle daemon hears nothing. A bus or manager that is just restarting is asked
//! again. Not here: what happens inside the scope (`fusion_shim::cgroup`).

use std::path::PathBuf;
use std::time::Duration;

use fusion_core::Uid;
use fusion_core::agent::AgentLimits;
use fusion_shim::cgroup;
use fusion_shim::wire::SIGNAL_OF_SCOPE;
use tokio_stream::StreamExt as _;
use zbus::wire::OwnedObjectPath;
use zbus::{Connection, Proxy, Variant};

use super::backend::BackendChoice;
use super::places::Life;

/// How long the service manager may take for one scope. It needs milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the bus may take to tell at the start whether there is a service manager.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// How long a start as a unit asks on: while a machine boots, the bus has much to do. What is found holds for the
/// daemon's life.
const BOOT_LIMIT: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// What a stop of the scope leaves to its shim, which itself gives the agent 8 s and then kills.
const STOP_US: u64 = 15_000_000;

/// The service manager does not make a scope.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScopeError {
    #[error("systemd does not answer on its bus")]
    Bus(#[from] zbus::Error),
    #[error("systemd did not answer within {} s", LIMIT.as_secs())]
    Late,
    #[error("systemd ended the job for {scope} with \"{result}\"")]
    Job { scope: String, result: String },
    #[error("the scope {0} is in no cgroup version 2 hierarchy")]
    Place(String),
}

impl ScopeError {
    /// Whether the bus or the manager is restarting, and answers soon.
    fn is_passing(&self) -> bool {
        use zbus::fdo::Error as Fdo;
        match self {
            Self::Bus(zbus::Error::Connection(error, _)) => error.kind() != std::io::ErrorKind::NotFound,
            Self::Bus(zbus::Error::InputOutput(_) | zbus::Error::Handshake(_)) => true,
            Self::Bus(zbus::Error::FDO(error)) => matches!(
                **error,
                Fdo::NoReply(_)
                    | Fdo::Disconnected(_)
                    | Fdo::NoServer(_)
                    | Fdo::ServiceUnknown(_)
                    | Fdo::NameHasNoOwner(_)
                    | Fdo::Timeout(_)
                    | Fdo::TimedOut(_)
            ),
            Self::Bus(_) | Self::Late | Self::Job { .. } | Self::Place(_) => false,
        }
    }

    /// Whether asking again while the machine starts leads to nothing else: it has no hierarchy of version 2, or no bus. The
    /// socket of a bus is the service manager's: it is there before services are, and while the bus restarts.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Place(_) => true,
            Self::Bus(zbus::Error::Connection(error, _)) => error.kind() == std::io::ErrorKind::NotFound,
            Self::Bus(_) | Self::Late | Self::Job { .. } => false,
        }
    }

    /// One line with the cause.
    pub(super) fn sentence(&self) -> String {
        let cause = std::error::Error::source(self);
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

/// A service manager that makes scopes.
#[derive(Clone, Debug)]
pub struct Scopes {
    /// The version 2 hierarchy.
    mount: PathBuf,
    /// Of `memory`, `pids`, `cpu`, `io` those that it can lend.
    pub(super) controllers: Vec<String>,
    /// Where it keeps what was set until the machine is started anew (systemd.unit(5)).
    pub(super) control: PathBuf,
}

/// What a scope is made for.
pub(super) struct Tenant<'a> {
    pub(super) life: Life,
    pub(super) owner: Uid,
    /// For people: `systemctl status` shows it.
    pub(super) description: &'a str,
    /// The first process, a child of the daemon that is not waited for yet.
    pub(super) pid: u32,
}

/// The service manager, if one runs and the settings let it hold agents.
/// A daemon that one has started asks until it answers.
pub async fn find_scopes(choice: BackendChoice, is_unit: bool) -> Option<Scopes> {
    match choice {
        BackendChoice::Auto | BackendChoice::Systemd => {}
        BackendChoice::CgroupV2 | BackendChoice::CgroupV1 | BackendChoice::None => return None,
    }
    let patience = if is_unit { BOOT_LIMIT } else { Duration::ZERO };
    let until = tokio::time::Instant::now() + patience;
    loop {
        match Scopes::look().await {
            Ok(found) => return found,
            Err(early) if !early.is_lasting() && tokio::time::Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!("systemd makes no scopes for agents: {}", error.sentence());
                return None;
            }
        }
    }
}

impl Scopes {
    /// Looks for the service manager; `None` where systemd does not run.
    ///
    /// # Errors
    /// It runs and cannot be asked, or there is no version 2 hierarchy.
    pub(super) async fn look() -> Result<Option<Self>, ScopeError> {
        // As sd_booted(3) has it.
        if !std::path::Path::new("/run/systemd/system").is_dir() {
            return Ok(None);
        }
        let mount = cgroup::mount_v2().ok_or_else(|| ScopeError::Place("of an agent".to_owned()))?;
        let asked = async {
            let manager = manager().await?;
            manager.get_property::<String>("ControlGroup").await
        };
        let own = tokio::time::timeout(LOOK_LIMIT, asked).await.map_err(|_| ScopeError::Late)??;
        let folder = mount.join(own.trim_matches('/'));
        let all = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        let ours = |name: &&str| ["memory", "pids", "cpu", "io"].contains(name);
        let controllers = all.split_ascii_whitespace().filter(ours).map(str::to_owned).collect();
        Ok(Some(Self { mount, controllers, control: control() }))
    }

    /// Makes the scope of an incarnation around its first process; returns the scope's folder. A scope of that name
    /// that an earlier try has left is stopped first.
    ///
    /// # Errors
    /// [`ScopeError`]; there is no scope then, or it goes with its process.
    pub(super) async fn start(
        &self,
        tenant: &Tenant<'_>,
        bounds: AgentLimits,
    ) -> Result<PathBuf, ScopeError> {
        let scope = name(tenant.life);
        let started = async {
            loop {
                match self.try_start(&scope, tenant, bounds).await {
                    // Its answer may have been lost with the bus.
                    Err(error) if error.is_passing() => match self.folder_of(tenant.pid, &scope) {
                        Ok(folder) => return Ok(folder),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    },
                    other => return other.and_then(|()| self.folder_of(tenant.pid, &scope)),
                }
            }
        };
        let started = tokio::time::timeout(LIMIT, started).await;
        started.unwrap_or_else(|_| self.folder_of(tenant.pid, &scope).map_err(|_| ScopeError::Late))
    }

    async fn try_start(
        &self,
        scope: &str,
        tenant: &Tenant<'_>,
        bounds: AgentLimits,
    ) -> Result<(), ScopeError> {
        let manager = manager().await?;
        bind(&manager, tenant.owner, bounds, AgentLimits::default()).await?;
        match start_unit(&manager, scope, tenant).await {
            Err(ScopeError::Bus(zbus::Error::MethodError(error, ..)))
                if error.as_str() == "org.freedesktop.systemd1.UnitExists" =>
            {
                // Made by an earlier try whose answer was lost with the bus.
                if self.folder_of(tenant.pid, scope).is_ok() {
                    return Ok(());
                }
                run(&manager, scope, "StopUnit", &(scope, "replace")).await?;
                start_unit(&manager, scope, tenant).await
            }
            other => other,
        }
    }

    /// Puts the slice of a user under other bounds.
    ///
    /// # Errors
    /// [`ScopeError`]: the old ones hold then.
    pub(super) async fn bind(
        &self,
        owner: Uid,
        now: AgentLimits,
        before: AgentLimits,
    ) -> Result<(), ScopeError> {
        let bound = async { Ok(bind(&manager().await?, owner, now, before).await?) };
        tokio::time::timeout(LIMIT, bound).await.map_err(|_| ScopeError::Late)?
    }

    /// The scope's folder, as the kernel tells it of the process in it.
    fn folder_of(&self, pid: u32, scope: &str) -> Result<PathBuf, ScopeError> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.filter(|path| path.ends_with(scope));
        path.map(|path| self.mount.join(path)).ok_or_else(|| ScopeError::Place(scope.to_owned()))
    }
}

/// A manager that does not know all properties of newer ones makes the scope without them: such a one ends no scope for
/// want of memory either.
async fn start_unit(manager: &Proxy<'_>, scope: &str, tenant: &Tenant<'_>) -> Result<(), ScopeError> {
    let words = start_words(scope, tenant);
    match run(manager, scope, "StartTransientUnit", &words).await {
        Err(ScopeError::Bus(zbus::Error::FDO(error)))
            if matches!(*error, zbus::fdo::Error::PropertyReadOnly(_)) =>
        {
            let (_, mode, mut properties, others) = words;
            properties.retain(|(name, _)| *name != "OOMPolicy");
            run(manager, scope, "StartTransientUnit", &(scope, mode, properties, others)).await
        }
        other => other,
    }
}

/// The unit of one incarnation. Dashes nest slices, not scopes.
fn name(life: Life) -> String {
    format!("fusion-agent-{}-{}.scope", life.agent, life.incarnation)
}

/// The unit that holds all agents of a user.
fn slice(owner: Uid) -> String {
    format!("fusion-u{}.slice", owner.0)
}

type Properties<'a> = Vec<(&'static str, Variant<'a>)>;
/// Name, mode, properties, and units beside it, of which there are none.
type StartWords<'a> = (&'a str, &'static str, Properties<'a>, Vec<(&'a str, Properties<'a>)>);

/// `Before=` and `After=` turn round at a stop: the daemon leaves first, and so takes no dying agent for a crashed one;
/// network and homes leave last. How many processes there may be is limited in `agent/`, not by what the manager thinks fit
/// for any unit.
fn start_words<'a>(scope: &'a str, tenant: &Tenant<'a>) -> StartWords<'a> {
    let properties = vec![
        ("Description", tenant.description.into()),
        ("Slice", slice(tenant.owner).into()),
        ("PIDs", vec![tenant.pid].into()),
        ("Delegate", true.into()),
        ("OOMPolicy", "continue".into()),
        ("TimeoutStopUSec", STOP_US.into()),
        ("KillSignal", SIGNAL_OF_SCOPE.into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("TasksMax", u64::MAX.into()),
        ("Before", vec!["fusiond.service"].into()),
        ("After", order_after().into()),
    ];
    (scope, "fail", properties, Vec::new())
}

/// Targets of the machine: a user's manager has none of them, and ends before them.
fn order_after() -> Vec<&'static str> {
    if rustix::process::geteuid().is_root() { vec!["network.target", "remote-fs.target"] } else { Vec::new() }
}

/// Sets what is bounded now and lifts what was bounded before; until the machine is started anew, when the daemon sets
/// it again.
async fn bind(manager: &Proxy<'_>, owner: Uid, now: AgentLimits, before: AgentLimits) -> zbus::Result<()> {
    let properties = bounding(now, before);
    if properties.is_empty() {
        return Ok(());
    }
    let is_runtime = true;
    manager.call("SetUnitProperties", &(slice(owner), is_runtime, properties)).await
}

/// The properties of a slice that differ from those of one that nobody has bounded; the largest number is infinity.
fn bounding(now: AgentLimits, before: AgentLimits) -> Properties<'static> {
    let cpu = |limits: AgentLimits| limits.cpu_millis.map(|millis| u64::from(millis) * 1000);
    let pids = |limits: AgentLimits| limits.pids.map(u64::from);
    let named = [
        ("MemoryMax", now.memory_bytes, before.memory_bytes),
        ("CPUQuotaPerSecUSec", cpu(now), cpu(before)),
        ("TasksMax", pids(now), pids(before)),
    ];
    let value = |(name, now, before): (_, Option<u64>, Option<u64>)| {
        Some((name, now.or(before.map(|_| u64::MAX))?.into()))
    };
    named.into_iter().filter_map(value).collect()
}

fn control() -> PathBuf {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return PathBuf::from("/run/systemd/system.control");
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", uid.as_raw()))).join("systemd/user.control")
}

/// The object that makes units; for everybody but root that of the user's own manager.
async fn manager() -> zbus::Result<Proxy<'static>> {
    let connection = match rustix::process::geteuid().is_root() {
        true => Connection::system().await?,
        false => Connection::session().await?,
    };
    let (service, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    let builder = zbus::proxy::Builder::<Proxy<'_>>::new(&connection).destination(service).path(path);
    let builder = builder.interface("org.freedesktop.systemd1.Manager");
    builder.cache_properties(zbus::proxy::CacheProperties::No).build().await
}

/// Calls a method that begins a job, and waits for the job's end. The ear is opened before: a job may be quick. It hears
/// of that unit alone.
async fn run<B>(manager: &Proxy<'_>, scope: &str, method: &str, words: &B) -> Result<(), ScopeError>
where
    B: serde::Serialize + zbus::wire::DynamicType,
{
    let mut removed = manager.receive_signal_with_args("JobRemoved", &[(2, scope)]).await?;
    let job: OwnedObjectPath = manager.call(method, words).await?;
    while let Some(message) = removed.next().await {
        let (_number, path, _unit, result): (u32, OwnedObjectPath, String, String) =
            message.body().deserialize()?;
        match (path == job, result.as_str()) {
            (false, _) => {}
            (true, "done") => return Ok(()),
            (true, _) => return Err(ScopeError::Job { scope: scope.to_owned(), result }),
        }
    }
    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    Err(ScopeError::Bus(gone.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_core::AgentId;

    #[test]
    fn units_are_named_by_ids_alone() {
        let life = Life { agent: AgentId(7), incarnation: 3 };
        assert_eq!(name(life), format!("fusion-agent-{}-3.scope", AgentId(7)));
        assert_eq!(slice(Uid(1000)), "fusion-u1000.slice");
    }

    #[test]
    fn a_bus_that_restarts_is_asked_again() {
        let of_bus = |error: zbus::fdo::Error| ScopeError::Bus(zbus::Error::FDO(Box::new(error)));
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
        assert!(ScopeError::Bus(gone.into()).is_passing());
        assert!(of_bus(zbus::fdo::Error::NoReply(String::new())).is_passing());
        assert!(!of_bus(zbus::fdo::Error::AccessDenied(String::new())).is_passing());
        assert!(!ScopeError::Late.is_passing());
    }

    #[test]
    fn a_start_waits_for_no_bus_that_is_not_installed() {
        let address: zbus::Address = "unix:path=/run/no-bus".try_into().expect("an address");
        let of_kind = |kind| {
            let error = std::io::Error::from(kind).into();
            ScopeError::Bus(zbus::Error::Connection(error, Box::new(address.clone())))
        };
        let (absent, refusing) =
            (of_kind(std::io::ErrorKind::NotFound), of_kind(std::io::ErrorKind::ConnectionRefused));
        assert!(absent.is_lasting() && !absent.is_passing());
        assert!(refusing.is_passing() && !refusing.is_lasting());
        assert!(!ScopeError::Late.is_lasting());
    }

    #[test]
    fn a_bound_that_is_gone_is_lifted() {
        let none = AgentLimits::default();
        let before = AgentLimits { memory_bytes: Some(1 << 30), cpu_millis: Some(1500), ..none };
        let now = AgentLimits { memory_bytes: Some(2 << 30), pids: Some(9), ..none };
        let set: Vec<_> = bounding(now, before)
            .into_iter()
            .map(|(name, value)| (name, u64::try_from(&value).ok()))
            .collect();
        let (memory, infinity) = (Some(2 << 30), Some(u64::MAX));
        let all = [("MemoryMax", memory), ("CPUQuotaPerSecUSec", infinity), ("TasksMax", Some(9))];
        assert_eq!(set, all);
        assert!(bounding(none, none).is_empty(), "what an administrator set stays");
    }

    #[test]
    fn the_words_have_the_shape_that_the_manager_takes() {
        let life = Life { agent: AgentId(7), incarnation: 3 };
        let tenant = Tenant { life, owner: Uid(7), description: "fusiond agent a", pid: 9 };
        let words = start_words("x.scope", &tenant);
        assert_eq!(zbus::wire::DynamicType::signature(&words).to_string(), "(ssa(sv)a(sa(sv)))");
        let tasks =
            words.2.iter().find(|(name, _)| *name == "TasksMax").map(|(_, value)| u64::try_from(value).ok());
        assert_eq!(tasks, Some(Some(u64::MAX)), "the manager limits nothing that was not asked for");
        let pids = words.2.iter().find(|(name, _)| *name == "PIDs").map(|(_, value)| value.value_signature());
        assert_eq!(pids.map(ToString::to_string).as_deref(), Some("au"));
    }
}
