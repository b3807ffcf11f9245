//! The way to the daemon: finding its socket, speaking gRPC on it, and outliving a lost connection.
//!
//! For: one [`Link`] per run. Not for: meaning; each verb knows which of its calls may be repeated.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusion_proto::v1::agent_service_client::AgentServiceClient;
use fusion_proto::v1::event_service_client::EventServiceClient;
use fusion_proto::v1::profile_service_client::ProfileServiceClient;
use fusion_proto::v1::system_service_client::SystemServiceClient;
use fusion_proto::v1::task_service_client::TaskServiceClient;
use hyper_util::rt::TokioIo;
use rustix::fs::{Mode, OFlags};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};
use tower::service_fn;

use crate::error::{Complaint, Exit, Stop, is_lost};

/// The longest path that fits into `sockaddr_un` with its final zero (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How long a wait or a follow outlives a daemon that is away.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// How long a single call waits for the daemon to come back before its one repetition.
const REPEAT_WITHIN: Duration = Duration::from_secs(5);

/// The largest answer that is taken. A result has at most 1 MiB; pages of lists are larger.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// An open way to one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    channel: Channel,
    socket: Arc<Path>,
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
    /// Events.
    events: EventServiceClient,
    /// Profiles.
    profiles: ProfileServiceClient,
    /// The daemon itself.
    system: SystemServiceClient,
}

impl Link {
    /// Connects to the named socket, else to the first of the usual ones that answers.
    pub(crate) async fn open(named: Option<&Path>) -> Result<Self, Stop> {
        let candidates = candidates(named, |name| std::env::var_os(name).map(PathBuf::from));
        let mut tried = Vec::new();
        for socket in candidates {
            match connect(&socket).await {
                Ok(stream) => return Ok(Self::over(&socket, stream)),
                Err(error) => tried.push((socket, error)),
            }
        }
        Err(unreachable(&tried).into())
    }

    fn over(socket: &Path, stream: UnixStream) -> Self {
        let socket: Arc<Path> = socket.into();
        let first = Arc::new(Mutex::new(Some(stream)));
        let path = Arc::clone(&socket);
        let connector = service_fn(move |_: Uri| {
            let ready = first.lock().expect("no holder of this lock panics").take();
            let path = Arc::clone(&path);
            async move {
                match ready {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => connect(&path).await.map(TokioIo::new),
                }
            }
        });
        let channel = Endpoint::from_static("http://fusiond")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .connect_with_connector_lazy(connector);
        Self { channel, socket }
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

    /// Whether something accepts connections on the socket.
    pub(crate) async fn answers(&self) -> bool {
        connect(&self.socket).await.is_ok()
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

/// The sockets to try, in order: what was named is the only one.
fn candidates(named: Option<&Path>, env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let set = |name| env(name).filter(|value| !value.as_os_str().is_empty());
    if let Some(path) = named.map(Path::to_owned).or_else(|| set("FUSION_SOCKET")) {
        return vec![path];
    }
    let rootless = set("XDG_RUNTIME_DIR").map(|dir| dir.join("fusiond/fusiond.sock"));
    rootless.into_iter().chain([PathBuf::from("/run/fusiond/fusiond.sock")]).collect()
}

/// Connects to a socket at a path of any length: a long one is reached through its opened folder.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return UnixStream::connect(path).await;
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let opened = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(through(opened.as_raw_fd(), name)).await
}

/// The short path of `name` in the folder opened as `fd` (proc_pid_fd(5)).
fn through(fd: i32, name: &OsStr) -> PathBuf {
    let mut bytes = format!("/proc/self/fd/{fd}/").into_bytes();
    bytes.extend_from_slice(name.as_bytes());
    PathBuf::from(OsStr::from_bytes(&bytes))
}

fn unreachable(tried: &[(PathBuf, io::Error)]) -> Complaint {
    let list: Vec<String> =
        tried.iter().map(|(path, error)| format!("{} ({})", path.display(), reason(error))).collect();
    let detail = format!("tried {}", list.join(", "));
    if let Some((path, _)) = tried.iter().find(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied) {
        let message = format!("this user may not use the socket {}", path.display());
        return Complaint::new(Exit::NotPermitted, "socket_denied", message)
            .detail(detail)
            .hint("ask an administrator to add you to the group of the socket, or run your own daemon: `fusiond --user`");
    }
    Complaint::new(Exit::Unreachable, "daemon_unreachable", "no daemon answers").detail(detail).hint(
        "start one with `fusiond --user`, as root with `fusiond`, or to try it with `fusiond --root DIR`; \
         name its socket with --socket PATH or FUSION_SOCKET",
    )
}

fn reason(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "does not exist"),
        (io::ErrorKind::ConnectionRefused, "nobody listens"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
    ];
    let word = known.iter().find(|(kind, _)| *kind == error.kind());
    word.map_or_else(|| error.to_string(), |(_, word)| (*word).to_owned())
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

    #[test]
    fn a_named_socket_is_the_only_one_tried() {
        let both = env(&[("FUSION_SOCKET", "/a"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
        assert_eq!(candidates(Some(Path::new("/b")), &both), [PathBuf::from("/b")]);
        assert_eq!(candidates(None, &both), [PathBuf::from("/a")]);
    }

    #[test]
    fn the_rootless_socket_comes_before_that_of_the_system() {
        let rootless = env(&[("FUSION_SOCKET", ""), ("XDG_RUNTIME_DIR", "/run/user/7")]);
        let system = PathBuf::from("/run/fusiond/fusiond.sock");
        assert_eq!(candidates(None, &rootless), ["/run/user/7/fusiond/fusiond.sock".into(), system.clone()]);
        assert_eq!(candidates(None, env(&[])), [system]);
    }

    #[test]
    fn an_unreachable_daemon_names_every_socket_tried() {
        let tried = [
            ("/a".into(), io::ErrorKind::NotFound.into()),
            ("/b".into(), io::ErrorKind::ConnectionRefused.into()),
        ];
        let complaint = unreachable(&tried);
        assert_eq!(complaint.exit, Exit::Unreachable);
        assert_eq!(complaint.detail.as_deref(), Some("tried /a (does not exist), /b (nobody listens)"));
        assert!(complaint.hint.unwrap().contains("fusiond --user"));
    }

    #[test]
    fn a_socket_that_is_there_but_forbidden_is_a_matter_of_permission() {
        let tried = [("/a".into(), io::ErrorKind::PermissionDenied.into())];
        assert_eq!(unreachable(&tried).exit, Exit::NotPermitted);
    }

    #[tokio::test]
    async fn a_socket_behind_a_long_path_is_reached() {
        let top = std::env::temp_dir().join(format!("fusionctl-{}", std::process::id()));
        let folder = top.join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&folder).unwrap();
        let opened = std::fs::File::open(&folder).unwrap();
        let listener =
            tokio::net::UnixListener::bind(through(opened.as_raw_fd(), OsStr::new("s.sock"))).unwrap();
        let reached = connect(&folder.join("s.sock")).await;
        drop(listener);
        std::fs::remove_dir_all(&top).unwrap();
        assert!(reached.is_ok());
    }

    #[test]
    fn request_ids_are_uuids_and_differ() {
        let id = request_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert_ne!(id, request_id());
    }
}
