//! Where connections come in: the main socket, and the sockets of agents that the hands keep.
//!
//! Not for: requests (`api`).

use crate::api::{Connection, Origin};
use crate::caller::Door;
use crate::config::Socket;
use crate::paths::{Mode, Paths, PathsError};
use crate::runtime::AgentConnection;
use rustix::fs::{AtFlags, CWD, Gid, Mode as FileMode, OFlags, chownat, open, openat, unlinkat};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How long a daemon is waited for that goes while the next one comes.
const STOPPING_MAX_S: i64 = 5;

/// The group that may connect in system mode.
const GROUP: &str = "fusion";

/// A daemon with another store may use the same run folder: its agents must not be taken for what a crash left. Asked
/// before anything is touched.
///
/// # Errors
/// [`PathsError::SocketInUse`].
pub fn refuse_in_use(paths: &Paths) -> Result<(), PathsError> {
    // The service manager listens for this daemon, and hands the socket over (sd_listen_fds(3)).
    if std::env::var_os("LISTEN_FDS").is_some() {
        return Ok(());
    }
    let Ok(stream) = connect(paths) else { return Ok(()) };
    // Who has closed it again has gone.
    let Ok(peer) = fusion_sys::peer::credentials(&stream) else { return Ok(()) };
    if ends_soon(&stream) {
        return Ok(());
    }
    Err(PathsError::SocketInUse { path: paths.socket.clone(), pid: peer.pid })
}

/// Whether the process that listens ends by itself, as one does that was just told to stop.
fn ends_soon(stream: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Ok(process) = fusion_sys::peer::pidfd(stream) else { return false };
    let most = Timespec { tv_sec: STOPPING_MAX_S, tv_nsec: 0 };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&most)).is_ok_and(|ended| ended > 0)
}

fn connect(paths: &Paths) -> io::Result<UnixStream> {
    let folder = open(&paths.run, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, FileMode::empty())?;
    UnixStream::connect(short_path(&folder, &socket_name(paths)))
}

fn socket_name(paths: &Paths) -> String {
    paths.socket.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A socket's path may have 108 bytes (unix(7)); the way through the descriptor is always short.
fn short_path(folder: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())
}

/// Opens the main socket. The store's lock is held, and nobody listens: whatever lies there is of a daemon that is gone.
///
/// # Errors
/// Those of bind(2), chmod(2) and chown(2).
pub fn listen(paths: &Paths, settings: &Socket) -> io::Result<UnixListener> {
    let folder = open(&paths.run, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, FileMode::empty())?;
    let name = socket_name(paths);
    match unlinkat(&folder, name.as_str(), AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let short = short_path(&folder, &name);
    let listener = UnixListener::bind(&short)?;
    let mode = settings.mode.unwrap_or_else(|| paths.socket_mode());
    let group = settings.group.clone().or_else(|| (paths.mode == Mode::System).then(|| GROUP.to_owned()));
    if let Some(group) = group {
        match fusion_sys::account::group_id(&group)? {
            Some(gid) => chownat(CWD, &short, None, Some(Gid::from_raw(gid)), AtFlags::empty())?,
            None => tracing::warn!("there is no group {group}: only root can connect to the socket"),
        }
    }
    rustix::fs::chmodat(&folder, name.as_str(), FileMode::from_raw_mode(mode), AtFlags::empty())?;
    drop(openat(&folder, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, FileMode::empty())?);
    Ok(listener)
}

/// Takes connections from the main socket until nobody wants them any more.
pub async fn accept(listener: UnixListener, door: Door, connections: mpsc::Sender<Connection>) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors: those that are served now give some back.
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = connections.closed() => return,
        };
        let origin = match door.identify(&stream) {
            Ok(identity) => Origin::Known(identity.caller),
            Err(error) => Origin::Unknown(error.to_string()),
        };
        let Some(connection) = Connection::new(stream, origin).admit() else { continue };
        if connections.send(connection).await.is_err() {
            return;
        }
    }
}

/// Takes connections from the agents' own sockets.
pub async fn accept_agents(
    mut agents: mpsc::Receiver<AgentConnection>,
    connections: mpsc::Sender<Connection>,
) {
    while let Some(AgentConnection { agent, owner, stream }) = agents.recv().await {
        let Some(connection) = Connection::of_agent(stream, agent, owner).admit() else { continue };
        if connections.send(connection).await.is_err() {
            return;
        }
    }
}
