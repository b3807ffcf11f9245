//! A connection to a shim: frames in both directions, without blocking and without losing any when a wait is dropped.
//! Not here: what the frames mean (`lane`).

use std::io;
use std::path::Path;

use fusion_shim::frame::{decode_frame, encode_frame};
use fusion_shim::names;
use fusion_shim::wire::{PROTOCOL, Reply, Request};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A connection to a shim.
pub(super) struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    /// Bytes of `inbox` that were decoded.
    taken: usize,
    outbox: Vec<u8>,
}

/// Room for what one wake-up usually brings.
const READ_BYTES: usize = 8 << 10;

impl Connection {
    /// Connects to the shim in a run folder and says hello; the answer is the first reply.
    ///
    /// The socket is reached through a descriptor of its folder: a path may be longer than an address can hold.
    pub(super) async fn open(run: &Path, epoch: u64, nonce: [u8; 16]) -> io::Result<Self> {
        let folder = open_folder(run)?;
        let stream = UnixStream::connect(through(&folder, names::SOCKET)).await?;
        let peer = fusion_sys::peer::credentials(&stream)?;
        if peer.uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the shim's socket belongs to user {}", peer.uid),
            ));
        }
        let mut connection = Self { stream, inbox: Vec::new(), taken: 0, outbox: Vec::new() };
        connection.send(&Request::Hello { protocol: PROTOCOL, epoch, nonce });
        Ok(connection)
    }

    /// Puts a request in line; [`Connection::flush`] or [`Connection::next`] sends it.
    pub(super) fn send(&mut self, request: &Request) {
        if let Err(error) = encode_frame(request, &mut self.outbox) {
            // The doors limit what a request is made of to a quarter of a frame.
            tracing::error!("a request to a shim does not fit in a frame: {error}");
        }
    }

    /// Sends what the socket takes now; the rest goes out with the next wait.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.try_write(&self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next reply. May be dropped and called again at any time. An error, the end among them, is final.
    pub(super) async fn next(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.decode()? {
                return Ok(reply);
            }
            let interest = match self.outbox.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() {
                // A shim that has hung up may have left words.
                let _told_by_the_read = self.flush();
            }
            if ready.is_readable() {
                self.fill()?;
            }
        }
    }

    fn decode(&mut self) -> io::Result<Option<Reply>> {
        let found = decode_frame(&self.inbox[self.taken..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some((reply, count)) = found {
            self.taken += count;
            return Ok(Some(reply));
        }
        self.inbox.drain(..self.taken);
        self.taken = 0;
        Ok(None)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Opens a folder of the daemon's own.
pub(super) fn open_folder(path: &Path) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A short path to `name` in an open folder.
pub(super) fn through(folder: &std::os::fd::OwnedFd, name: &str) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).into()
}
