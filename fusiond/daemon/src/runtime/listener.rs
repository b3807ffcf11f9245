//! The listener of an agent: whoever can open it is the agent. Made for each incarnation, again after each start of
//! the daemon. Not here: what is spoken on its connections (the doors).

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::time::Duration;

use fusion_core::{AgentId, Uid};
use rustix::fs::{AtFlags, Mode};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::AgentConnection;
use super::connection::{open_folder, through};
use super::places::AGENT_SOCKET;

/// Ends the accepting when dropped.
pub(super) struct Accepting(AbortHandle);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Until descriptors are free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes the socket in a run folder, for its owner alone.
pub(super) fn bind(run: &Path, owner: Uid) -> io::Result<StdListener> {
    let folder = open_folder(run)?;
    match rustix::fs::unlinkat(&folder, AGENT_SOCKET, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let listener = StdListener::bind(through(&folder, AGENT_SOCKET))?;
    listener.set_nonblocking(true)?;
    // The folder is the daemon's: nobody puts a link here in between.
    rustix::fs::chmodat(&folder, AGENT_SOCKET, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    if rustix::process::geteuid().as_raw() != owner.0 {
        let uid = rustix::fs::Uid::from_raw(owner.0);
        rustix::fs::chownat(&folder, AGENT_SOCKET, Some(uid), None, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(listener)
}

/// Hands on every connection, in a task of its own.
pub(super) fn accept(
    listener: StdListener,
    agent: AgentId,
    owner: Uid,
    connections: mpsc::Sender<AgentConnection>,
) -> io::Result<Accepting> {
    let listener = UnixListener::from_std(listener)?;
    let accepting = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _unnamed)) => {
                    let connection = AgentConnection { agent, owner, stream };
                    if connections.send(connection).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%agent, "cannot accept a connection of an agent: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    Ok(Accepting(accepting.abort_handle()))
}
