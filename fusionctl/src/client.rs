//! The way to the daemon: finding it here or elsewhere, speaking gRPC with it, and outliving a lost
//! connection.
//!
//! For: one [`Link`] per run. Not for: meaning; each verb knows which of its calls may be repeated.

mod socket;
pub(crate) mod ssh;
mod unreachable;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusion_proto::v1::agent_service_client::AgentServiceClient;
use fusion_proto::v1::event_service_client::EventServiceClient;
use fusion_proto::v1::profile_service_client::ProfileServiceClient;
use fusion_proto::v1::secret_service_client::SecretServiceClient;
use fusion_proto::v1::system_service_client::SystemServiceClient;
use fusion_proto::v1::task_service_client::TaskServiceClient;
use fusion_proto::v1::workflow_service_client::WorkflowServiceClient;
use fusion_proto::v1::workspace_service_client::WorkspaceServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};
use tower::service_fn;

use self::ssh::Host;
pub(crate) use self::unreachable::quoted;
use self::unreachable::{Around, NamedBy};
use crate::error::{Complaint, Exit, Stop, is_lost};

/// How long a wait or a follow outlives a daemon that is away.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// How long a single call waits for the daemon to come back before its one repetition.
const REPEAT_WITHIN: Duration = Duration::from_secs(5);

/// The largest answer that is taken. A result has at most 1 MiB; pages of lists are larger.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the command line says that the daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// `--socket`.
    pub(crate) socket: Option<PathBuf>,
    /// `--host`.
    pub(crate) host: Option<Host>,
}

/// A daemon that was named by its socket.
#[derive(Debug)]
pub(crate) struct Named {
    /// The socket.
    pub(crate) socket: PathBuf,
    /// The state that goes with it, as far as the path tells.
    pub(crate) state: StateOf,
}

/// The flags by which a daemon and its state are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StateOf {
    /// `--user`.
    User,
    /// `--root DIR`.
    Root(PathBuf),
    /// The path of the socket does not tell.
    Unknown,
}

/// One daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Socket(PathBuf),
    Host(Host),
}

impl Place {
    /// The ways to try, in order: what was named is the only one; flags before the environment, and there
    /// the socket first, which is how an agent is known.
    fn ways(&self, env: impl Fn(&str) -> Option<PathBuf>) -> Result<Vec<Way>, Complaint> {
        let set = |name| env(name).filter(|value| !value.as_os_str().is_empty());
        if let Some(host) = &self.host {
            return Ok(vec![Way::Host(host.clone())]);
        }
        if let Some(path) = self.socket(&env) {
            return Ok(vec![Way::Socket(path)]);
        }
        if let Some(text) = set("FUSION_HOST") {
            let text = text.to_string_lossy();
            let host = Host::parse(&text).map_err(|expected| {
                Complaint::new(Exit::Usage, "host_invalid", format!("FUSION_HOST={text:?} names no daemon"))
                    .detail(expected)
                    .hint("set it to an address such as ssh://ada@machine, or unset it")
            })?;
            return Ok(vec![Way::Host(host)]);
        }
        Ok(socket::usual(env).into_iter().map(Way::Socket).collect())
    }

    /// The socket that was named, if one was: the flag before the environment.
    fn socket(&self, env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let set = || env("FUSION_SOCKET").filter(|value| !value.as_os_str().is_empty());
        self.socket.clone().or_else(set)
    }

    /// The daemon that was named by its socket, unless it is the one for every user of the machine.
    pub(crate) fn named(&self) -> Option<Named> {
        let socket = self.socket(environment).filter(|socket| socket != Path::new(socket::SYSTEM))?;
        let state = if socket::rootless(environment).is_some_and(|own| own == socket) {
            StateOf::User
        } else if socket.ends_with("run/fusiond.sock") {
            socket.parent().and_then(Path::parent).map_or(StateOf::Unknown, |root| StateOf::Root(root.into()))
        } else {
            StateOf::Unknown
        };
        Some(Named { socket, state })
    }

    /// The other machine that the daemon is on, if it is.
    pub(crate) fn elsewhere(&self) -> Option<Host> {
        self.ways(environment).ok()?.into_iter().find_map(|way| match way {
            Way::Host(host) => Some(host),
            Way::Socket(_) => None,
        })
    }

    /// The same place, reached without a question or a word to whoever sits there.
    pub(crate) fn silent(self) -> Self {
        match self.elsewhere() {
            Some(host) => Self { socket: None, host: Some(host.silent()) },
            None => self,
        }
    }

    /// Connects to the named daemon, else to the first of the usual ones that answers.
    async fn connect(&self) -> Result<(Way, UnixStream), Stop> {
        let mut tried = Vec::new();
        for way in self.ways(environment)? {
            match &way {
                Way::Host(host) => {
                    let stream = host.connect().await?;
                    return Ok((way, stream));
                }
                Way::Socket(path) => match socket::connect(path).await {
                    Ok(stream) => return Ok((way, stream)),
                    Err(error) => tried.push((path.clone(), error)),
                },
            }
        }
        Err(self.unreachable(&tried).into())
    }

    fn unreachable(&self, tried: &[(PathBuf, io::Error)]) -> Complaint {
        let named = match (&self.socket, is_set("FUSION_SOCKET")) {
            (Some(_), _) => NamedBy::Flag,
            (None, true) => NamedBy::Variable,
            (None, false) => NamedBy::Nobody,
        };
        let groups = rustix::process::getgroups().unwrap_or_default();
        let groups = groups.into_iter().chain([rustix::process::getegid()]).map(|gid| gid.as_raw()).collect();
        let uid = rustix::process::geteuid().as_raw();
        let around = Around { top: Path::new("/"), env: &environment, uid, groups };
        unreachable::complaint(tried, named, &around)
    }

    /// A bare connection to the daemon, for joining it with something else.
    pub(crate) async fn dial(&self) -> Result<UnixStream, Stop> {
        self.connect().await.map(|(_, stream)| stream)
    }
}

fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

fn is_set(name: &str) -> bool {
    environment(name).is_some_and(|value| !value.as_os_str().is_empty())
}

impl Way {
    async fn connect(&self) -> io::Result<UnixStream> {
        match self {
            Self::Socket(path) => socket::connect(path).await,
            Self::Host(host) => host.connect().await.map_err(|complaint| io::Error::other(complaint.message)),
        }
    }
}

/// An open way to one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    channel: Channel,
    way: Arc<Way>,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ident,)*) => {
        impl Link {
            $($(#[$doc])*
            pub(crate) fn $name(&self) -> $client<Channel> {
                $client::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
            })*
        }
    };
}

services! {
    /// Agents.
    agents: AgentServiceClient,
    /// Tasks.
    tasks: TaskServiceClient,
    /// Workspaces.
    workspaces: WorkspaceServiceClient,
    /// Events.
    events: EventServiceClient,
    /// Profiles.
    profiles: ProfileServiceClient,
    /// Secrets.
    secrets: SecretServiceClient,
    /// Workflows and their runs.
    workflows: WorkflowServiceClient,
    /// The daemon itself.
    system: SystemServiceClient,
}

impl Link {
    /// Connects to the daemon at `place`.
    pub(crate) async fn open(place: &Place) -> Result<Self, Stop> {
        let (way, stream) = place.connect().await?;
        Ok(Self::over(way, stream))
    }

    fn over(way: Way, stream: UnixStream) -> Self {
        let way = Arc::new(way);
        let first = Arc::new(Mutex::new(Some(stream)));
        let again = Arc::clone(&way);
        let connector = service_fn(move |_: Uri| {
            let ready = first.lock().expect("no holder of this lock panics").take();
            let again = Arc::clone(&again);
            async move {
                match ready {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => again.connect().await.map(TokioIo::new),
                }
            }
        });
        let channel = Endpoint::from_static("http://fusiond")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .connect_with_connector_lazy(connector);
        Self { channel, way }
    }

    /// Makes a call that may be made twice (a read, or one with a request id), and makes it once more
    /// when the connection was lost before the answer.
    pub(crate) async fn repeat<T>(
        &self,
        call: impl AsyncFn() -> Result<Response<T>, Status>,
    ) -> Result<T, Stop> {
        match call().await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => {
                Patience::of(REPEAT_WITHIN).outlive(self, status).await?;
                Ok(call().await?.into_inner())
            }
        }
    }

    /// Whether the daemon accepts connections.
    pub(crate) async fn answers(&self) -> bool {
        self.way.connect().await.is_ok()
    }
}

/// How much longer a stream waits for a daemon that is away.
#[derive(Debug)]
pub(crate) struct Patience {
    total: Duration,
    until: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// That of a wait or a follow: 30 s from the moment the daemon went away.
    pub(crate) const fn new() -> Self {
        Self::of(AWAY_MAX)
    }

    const fn of(total: Duration) -> Self {
        Self { total, until: None, pause: Duration::from_millis(20) }
    }

    /// Something came: the next loss is a new one.
    pub(crate) const fn renew(&mut self) {
        *self = Self::of(self.total);
    }

    /// Returns when the daemon accepts connections again after `status`; gives `status` back when it is
    /// no lost connection, or when patience is over.
    pub(crate) async fn outlive(&mut self, link: &Link, status: Status) -> Result<(), Stop> {
        if !is_lost(&status) {
            return Err(status.into());
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.total);
        loop {
            if Instant::now() >= until {
                return Err(status.into());
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(Duration::from_secs(1));
            if link.answers().await {
                return Ok(());
            }
        }
    }
}

/// A fresh request id (AIP-155): 128 random bits as a version 4 UUID.
pub(crate) fn request_id() -> String {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it is up (getrandom(2))");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let value = u128::from_be_bytes(bytes);
    let hex = format!("{value:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    fn socket(path: &str) -> Vec<Way> {
        vec![Way::Socket(Path::new(path).to_owned())]
    }

    #[test]
    fn what_is_named_is_the_only_way_tried() {
        let all = [("FUSION_SOCKET", "/a"), ("FUSION_HOST", "ssh://box"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let all = env(Box::leak(Box::new(all)));
        let named = Place { socket: Some("/b".into()), host: None };
        assert_eq!(named.ways(&all).unwrap(), socket("/b"));
        assert_eq!(Place::default().ways(&all).unwrap(), socket("/a"));
        let host = Host::parse("ssh://box").unwrap();
        let elsewhere = Place { socket: None, host: Some(host.clone()) };
        assert_eq!(elsewhere.ways(&all).unwrap(), [Way::Host(host.clone())]);
        let alone = env(&[("FUSION_SOCKET", ""), ("FUSION_HOST", "ssh://box")]);
        assert_eq!(Place::default().ways(alone).unwrap(), [Way::Host(host)]);
    }

    #[test]
    fn an_address_in_the_environment_that_makes_no_sense_is_said() {
        let complaint = Place::default().ways(env(&[("FUSION_HOST", "box")])).unwrap_err();
        assert_eq!((complaint.exit, complaint.code.as_str()), (Exit::Usage, "host_invalid"));
    }

    #[test]
    fn request_ids_are_uuids_and_differ() {
        let id = request_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert_ne!(id, request_id());
    }
}
