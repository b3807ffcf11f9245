//! Connections: bytes in, frames out. Not here: what the frames mean (`engine`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fusion_shim::frame::{decode_frame, encode_frame};
use fusion_shim::wire::{Reply, Request};
use rustix::io::Errno;

/// A daemon, or somebody who has not yet proved to be one.
pub(crate) struct Link {
    socket: OwnedFd,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// The peer is gone, or speaks nonsense, or does not listen.
#[derive(Debug)]
pub(crate) struct HungUp;

/// Replies that nobody has fetched; a daemon that lets more pile up is treated as gone.
const OUTBOX_BYTES_MAX: usize = 16 << 20;

/// What an idle connection may keep of its buffers.
const KEPT_BYTES: usize = 16 << 10;

impl Link {
    /// Takes the next connection of the listener, if it comes from the shim's own user.
    pub(crate) fn accept(listener: &OwnedFd) -> Option<Self> {
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let socket = rustix::net::accept_with(listener, flags).ok()?;
        let peer = fusion_sys::peer::credentials(&socket).ok()?;
        let own = peer.uid == rustix::process::geteuid().as_raw();
        own.then_some(Self { socket, inbox: Vec::new(), outbox: Vec::new() })
    }

    /// Reads what has come; `buffer` is empty before and after.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<(), HungUp> {
        match rustix::io::read(&self.socket, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => return Err(HungUp),
            Ok(_) => self.inbox.extend_from_slice(buffer),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(HungUp),
        }
        buffer.clear();
        Ok(())
    }

    /// The next complete request.
    pub(crate) fn next(&mut self) -> Result<Option<Request>, HungUp> {
        let Some((request, taken)) = decode_frame(&self.inbox).map_err(|_| HungUp)? else { return Ok(None) };
        self.inbox.drain(..taken);
        if self.inbox.is_empty() && self.inbox.capacity() > KEPT_BYTES {
            self.inbox = Vec::new();
        }
        Ok(Some(request))
    }

    /// Puts a reply in line; [`Link::flush`] sends it.
    pub(crate) fn send(&mut self, reply: &Reply) {
        // A record is far below the limit of a frame; the welcome of a shim with tens of thousands of unacknowledged
        // records is not, and its daemon finds the records in the run folder.
        let _too_long = encode_frame(reply, &mut self.outbox);
    }

    pub(crate) fn flush(&mut self) -> Result<(), HungUp> {
        while !self.outbox.is_empty() {
            match rustix::io::write(&self.socket, &self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.outbox.len() <= OUTBOX_BYTES_MAX => return Ok(()),
                Err(_) => return Err(HungUp),
            }
        }
        if self.outbox.capacity() > KEPT_BYTES {
            self.outbox = Vec::new();
        }
        Ok(())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
