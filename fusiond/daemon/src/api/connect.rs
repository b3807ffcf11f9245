//! Connections of all sockets in one stream, each with the identity of its peer.
//!
//! Not for: finding that identity out (`crate::caller`); who connects to an agent's own socket is that
//! agent.

use fusion_core::{AgentId, Caller, Reject, Rights, Uid};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::server::Connected;

/// Who opened a connection.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A proven caller.
    Known(Caller),
    /// Somebody who cannot be identified: every request is refused with this reason.
    Unknown(String),
}

impl Origin {
    /// Nobody.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self::Unknown(reason.to_owned())
    }

    pub(crate) fn caller(&self) -> Result<Caller, Reject> {
        match self {
            Self::Known(caller) => Ok(*caller),
            Self::Unknown(reason) => Err(Reject::CallerUnknown { reason: reason.clone() }),
        }
    }
}

/// A connection with its origin.
pub struct Connection {
    stream: UnixStream,
    origin: Origin,
}

impl Connection {
    /// From the main socket.
    #[must_use]
    pub fn new(stream: UnixStream, origin: Origin) -> Self {
        Self { stream, origin }
    }

    /// From the socket of an agent.
    #[must_use]
    pub fn of_agent(stream: UnixStream, agent: AgentId, owner: Uid) -> Self {
        Self { stream, origin: Origin::Known(Caller { uid: owner, rights: Rights::Agent(agent) }) }
    }
}

impl Connected for Connection {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        self.origin.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
