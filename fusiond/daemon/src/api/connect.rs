//! Connections of all sockets in one stream, each with the identity of its peer.
//!
//! Not for: finding that identity out (`crate::caller`); who connects to an agent's own socket is that
//! agent.

use crate::turns::{self, Seats};
use fusion_core::{AgentId, Caller, Reject, Rights, Uid};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// Who opened a connection.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A proven caller.
    Known(Caller),
    /// Somebody who cannot be identified: every request is refused with this reason.
    Unknown(String),
    /// Somebody who has as many connections as they may: every request is refused.
    Full {
        /// So many.
        limit: usize,
    },
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
            Self::Full { limit } => Err(Reject::ConnectionLimit { limit: *limit }),
        }
    }
}

/// Connections that a user has at most, and those of an agent. Each takes a descriptor and some memory.
const OF_USER_MAX: usize = 256;
const OF_AGENT_MAX: usize = 64;

/// Who has how many.
static HELD: Seats<Holder> = Seats::new();

/// A user, or an agent of that user's.
pub(super) type Holder = (Uid, Option<AgentId>);

/// Beyond that a connection is served for so long, and each request in it refused with the reason; so many of all at
/// once. Others are closed without a word.
const FAREWELL: Duration = Duration::from_secs(1);
static TURNED_AWAY: Semaphore = Semaphore::const_new(32);

/// A connection with its origin.
pub struct Connection {
    stream: UnixStream,
    origin: Origin,
    place: Place,
}

/// What a connection counts as; free again when it is closed.
enum Place {
    /// Nothing yet, or an admin's.
    Uncounted,
    /// One of those that somebody may have.
    Counted(#[expect(dead_code, reason = "it counts while it is there")] turns::Seat<Holder>),
    /// One more than that.
    Leaving { until: Pin<Box<Sleep>>, _permit: SemaphorePermit<'static> },
}

impl Connection {
    /// From the main socket.
    #[must_use]
    pub fn new(stream: UnixStream, origin: Origin) -> Self {
        Self { stream, origin, place: Place::Uncounted }
    }

    /// From the socket of an agent.
    #[must_use]
    pub fn of_agent(stream: UnixStream, agent: AgentId, owner: Uid) -> Self {
        Self::new(stream, Origin::Known(Caller { uid: owner, rights: Rights::Agent(agent) }))
    }

    /// Counts it for whoever opened it; admins have as many as they want. `None`: it is closed. Needs a tokio runtime around
    /// it.
    #[must_use]
    pub fn admit(self) -> Option<Self> {
        let (holder, limit) = match &self.origin {
            Origin::Known(Caller { rights: Rights::Admin, .. }) | Origin::Full { .. } => return Some(self),
            Origin::Known(Caller { uid, rights: Rights::User }) => ((*uid, None), OF_USER_MAX),
            Origin::Known(Caller { uid, rights: Rights::Agent(id) }) => ((*uid, Some(*id)), OF_AGENT_MAX),
            // Whom the kernel does not name either is one more user.
            Origin::Unknown(_) => {
                let peer = fusion_sys::peer::credentials(&self.stream);
                ((Uid(peer.map_or(u32::MAX, |peer| peer.uid)), None), OF_USER_MAX)
            }
        };
        if let Some(seat) = HELD.take(holder, limit) {
            return Some(Self { place: Place::Counted(seat), ..self });
        }
        let permit = TURNED_AWAY.try_acquire().ok()?;
        let until = Box::pin(tokio::time::sleep(FAREWELL));
        Some(Self {
            origin: Origin::Full { limit },
            place: Place::Leaving { until, _permit: permit },
            ..self
        })
    }

    /// Whether it is served no longer.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.place {
            Place::Uncounted | Place::Counted(_) => false,
            Place::Leaving { until, .. } => until.as_mut().poll(cx).is_ready(),
        }
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
        if self.is_over(cx) {
            // As if the peer had closed it.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
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
        if self.is_over(cx) {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
