//! The output of one attempt: read in order, from any place, followed while it grows; and its result.
//!
//! A place is one number: the bytes of both streams that were passed, dropped ones among them. Not here: the format of
//! the files (`fusion_shim::log`), which attempt is meant, whether it has ended.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use fusion_core::task::Lease;
use fusion_core::{AgentId, Time};
pub use fusion_shim::log::{Cursor, Reader, Stream};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::watches::{Watch, Watches};

/// Some output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: Stream,
    /// The bytes, at most [`CHUNK_BYTES_MAX`]; empty if only a gap was passed.
    pub bytes: Vec<u8>,
    /// The place behind this chunk.
    pub next_offset: u64,
    /// Bytes that were dropped just before these.
    pub dropped_before: u64,
    /// The offset of the first byte in its stream.
    pub offset: u64,
    /// When they were read from the program.
    pub at: Time,
}

/// The longest chunk: a piece of a message on the wire with room to spare.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// The standard output of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The bytes, from the first that is left.
    pub bytes: Vec<u8>,
    /// Bytes that are missing within: the quota dropped them.
    pub dropped_bytes: u64,
    /// Whether there is more than was asked for.
    pub truncated: bool,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The folder was removed with its agent, or never made.
    #[error("there is no log folder {path}", path = path.display())]
    Gone {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The disk does not answer.
    #[error("cannot read the log in {path}", path = path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The log of one attempt and a place in it.
pub struct Log {
    path: PathBuf,
    folder: OwnedFd,
    serial: u32,
    state: State,
    watches: Watches,
    follow: Option<Follow>,
}

/// A read under way is kept, so that nobody who stops waiting loses its bytes.
enum State {
    Idle(Reader),
    Reading(JoinHandle<(Reader, io::Result<Option<Chunk>>)>),
    /// A read has panicked.
    Broken,
}

struct Follow {
    watch: Watch,
    /// `None` once it has come.
    ended: Option<Ended>,
}

impl Log {
    /// The log of attempt `serial`, from its start. An attempt without output has an empty one.
    ///
    /// # Errors
    /// [`LogError::Gone`] if the folder of the incarnation is not there.
    pub(super) fn open(
        watches: &Watches,
        state_dir: &Path,
        agent: AgentId,
        incarnation: u32,
        serial: u32,
    ) -> Result<Self, LogError> {
        let path = state_dir.join("i").join(format!("{agent}.{incarnation}"));
        let open =
            || rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let (read, folder) = match open().and_then(|read| Ok((read, open()?))) {
            Ok(folders) => folders,
            Err(Errno::NOENT) => return Err(LogError::Gone { path }),
            Err(error) => return Err(LogError::Read { path, source: error.into() }),
        };
        let state = State::Idle(Reader::new(read, serial));
        Ok(Self { path, folder, serial, state, watches: watches.clone(), follow: None })
    }

    /// Passes over everything before `offset`, a place that [`Chunk::next_offset`] told before.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub async fn seek(&mut self, offset: u64) -> Result<(), LogError> {
        // The order of the streams is in the index, so the way there is read once more; nothing is kept of it.
        self.read(move |reader| {
            while place(reader) < offset {
                let rest = usize::try_from(offset - place(reader)).unwrap_or(usize::MAX);
                if reader.next(rest.min(CHUNK_BYTES_MAX))?.is_none() {
                    break;
                }
            }
            Ok(None)
        })
        .await
        .map(drop)
    }

    /// Goes where `act` leads the reader, before the first [`Log::next`].
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub async fn steer<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Reader) -> io::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let State::Idle(mut reader) = std::mem::replace(&mut self.state, State::Broken) else {
            return Err(self.failure(io::Error::other("a read is under way")));
        };
        let steered = tokio::task::spawn_blocking(move || {
            let outcome = act(&mut reader);
            (reader, outcome)
        });
        match steered.await {
            Ok((reader, outcome)) => {
                self.state = State::Idle(reader);
                outcome.map_err(|source| self.failure(source))
            }
            Err(panic) => Err(self.failure(io::Error::other(panic))),
        }
    }

    /// From now on [`Log::next`] waits for more, until `ended` has come and all is read. `ended` is the caller's
    /// knowledge that the attempt is over.
    ///
    /// # Errors
    /// [`LogError::Read`] if the kernel gives no watch (inotify(7)).
    pub fn follow(mut self, ended: impl Future<Output = ()> + Send + 'static) -> Result<Self, LogError> {
        let watch = self.watches.watch(&self.path).map_err(|source| self.failure(source))?;
        self.follow = Some(Follow { watch, ended: Some(Box::pin(ended)) });
        Ok(self)
    }

    /// The next output; `None` at the end. May be dropped and called again at any time.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub async fn next(&mut self) -> Result<Option<Chunk>, LogError> {
        loop {
            // What grows after the look is announced by the watch; the end, once known, comes before the look.
            let is_live = self.follow.as_ref().is_some_and(|follow| follow.ended.is_some());
            let chunk = self.read(next_chunk).await?;
            if chunk.is_some() || !is_live {
                return Ok(chunk);
            }
            if let Some(follow) = &mut self.follow {
                follow.wait().await;
            }
        }
    }

    /// The standard output alone, up to `bytes_max`, whatever the present place is.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub async fn output(self, bytes_max: usize) -> Result<Output, LogError> {
        let folder = self.folder.try_clone().map_err(|source| self.failure(source))?;
        let serial = self.serial;
        let read = tokio::task::spawn_blocking(move || read_output(folder, serial, bytes_max)).await;
        read.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|source| self.failure(source))
    }

    /// Hands on the standard output alone, piece by piece, each with how many bytes are missing before it, until it is
    /// over or was enough. Blocks.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub(super) fn pass_output(
        self,
        act: impl FnMut(Vec<u8>, u64) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let Self { path, folder, serial, .. } = self;
        pass_output(folder, serial, act).map_err(|source| LogError::Read { path, source })
    }

    /// Finishes the read under way, or begins and finishes this one.
    async fn read(
        &mut self,
        act: impl FnOnce(&mut Reader) -> io::Result<Option<Chunk>> + Send + 'static,
    ) -> Result<Option<Chunk>, LogError> {
        self.state = match std::mem::replace(&mut self.state, State::Broken) {
            State::Idle(mut reader) => State::Reading(tokio::task::spawn_blocking(move || {
                let outcome = act(&mut reader);
                (reader, outcome)
            })),
            other @ (State::Reading(_) | State::Broken) => other,
        };
        let State::Reading(reading) = &mut self.state else {
            return Err(self.failure(io::Error::other("an earlier read has failed")));
        };
        match reading.await {
            Ok((reader, outcome)) => {
                self.state = State::Idle(reader);
                outcome.map_err(|source| self.failure(source))
            }
            Err(panic) => Err(self.failure(io::Error::other(panic))),
        }
    }

    fn failure(&self, source: io::Error) -> LogError {
        LogError::Read { path: self.path.clone(), source }
    }
}

/// The attempts of an agent that left output, as incarnation and serial.
pub(super) fn logged(state_dir: &Path, agent: AgentId) -> io::Result<BTreeSet<(u32, u32)>> {
    let prefix = format!("{agent}.");
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(state_dir.join("i"))? {
        let folder = folder?;
        let name = folder.file_name();
        let incarnation = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        let Some(incarnation) = incarnation else { continue };
        for file in std::fs::read_dir(folder.path())? {
            let serial = file?.file_name().to_str().and_then(serial_of_output);
            found.extend(serial.map(|serial| (incarnation, serial)));
        }
    }
    Ok(found)
}

/// The serial in the name of a file that holds output.
fn serial_of_output(name: &str) -> Option<u32> {
    let (serial, rest) = name.split_once('.')?;
    let stream = rest.split('.').next()?;
    if ["out", "err"].contains(&stream) { serial.parse().ok() } else { None }
}

/// The result that an attempt gave in a file, see [`fusion_shim::names::result`].
pub(super) fn result(state_dir: &Path, lease: Lease) -> Result<Vec<u8>, LogError> {
    let folder = state_dir.join("i").join(format!("{}.{}", lease.agent, lease.incarnation));
    let path = folder.join(fusion_shim::names::result(lease.serial));
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LogError::Gone { path: folder }),
        Err(source) => Err(LogError::Read { path, source }),
    }
}

impl Follow {
    /// Until the folder changes, or the attempt is known to be over.
    async fn wait(&mut self) {
        let Some(ended) = &mut self.ended else { return };
        let is_over = tokio::select! {
            () = self.watch.changed() => false,
            () = ended => true,
        };
        if is_over {
            self.ended = None;
        }
    }
}

fn place(reader: &Reader) -> u64 {
    let cursor = reader.cursor();
    cursor.out + cursor.err
}

fn next_chunk(reader: &mut Reader) -> io::Result<Option<Chunk>> {
    let piece = reader.next(CHUNK_BYTES_MAX)?;
    Ok(piece.map(|piece| Chunk {
        stream: piece.stream,
        bytes: piece.bytes,
        next_offset: place(reader),
        dropped_before: piece.missing_bytes,
        offset: piece.offset,
        at: Time(piece.unix_ms),
    }))
}

fn read_output(folder: OwnedFd, serial: u32, bytes_max: usize) -> io::Result<Output> {
    let mut output = Output::default();
    pass_output(folder, serial, |bytes, missing_bytes| {
        output.dropped_bytes += missing_bytes;
        let room = bytes_max - output.bytes.len();
        output.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        output.truncated = bytes.len() > room;
        if output.truncated { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(output)
}

/// Standard error counts as read, so that only standard output comes.
fn pass_output(
    folder: OwnedFd,
    serial: u32,
    mut act: impl FnMut(Vec<u8>, u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut reader = Reader::at(folder, serial, Cursor { out: 0, err: u64::MAX });
    while let Some(piece) = reader.next(CHUNK_BYTES_MAX)? {
        if act(piece.bytes, piece.missing_bytes).is_break() {
            break;
        }
    }
    Ok(())
}
