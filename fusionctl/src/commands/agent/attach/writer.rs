//! Words to a running program: one piece at a time, said again until the pipe has it, taken once.
//!
//! Not for: where they come from, besides standard input.

use std::io::{Read, Write as _};

use fusion_proto::v1::{SendInputRequest, SendInputResponse};
use rustix::termios::tcgetattr;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::keys::Keys;
use crate::client::{Link, Patience};
use crate::error::{Exit, Stop, is_lost};
use crate::view::word::short_id;

/// The longest piece: what the daemon takes.
pub(crate) const PIECE_BYTES_MAX: usize = 16 << 10;

/// Somebody who writes to one attempt.
pub(crate) struct Writer<'a> {
    link: &'a Link,
    agent: String,
    task: String,
    attempt: u32,
    id: u64,
}

/// What follows the end of what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// Nothing: the program's input stays open. On a terminal the typing goes on, and whoever types is told.
    Leave,
    /// The program's input is closed.
    Close,
}

/// One open stream to the daemon.
struct Stream {
    pieces: mpsc::Sender<SendInputRequest>,
    answers: Streaming<SendInputResponse>,
}

impl<'a> Writer<'a> {
    /// A writer with a number of its own.
    pub(crate) fn new(link: &'a Link, agent: &str, task: &str, attempt: u32) -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it is up (getrandom(2))");
        let id = u64::from_le_bytes(bytes).max(1);
        Self { link, agent: agent.to_owned(), task: task.to_owned(), attempt, id }
    }

    /// Whether the attempt takes input.
    pub(crate) async fn check(&self) -> Result<(), Stop> {
        self.send(&mut None, 0, Vec::new(), false).await
    }

    /// Sends everything that is typed. Returns when the keys to detach came; after the end of the input it never does.
    pub(crate) async fn pump(&self, typed: Typed) -> Result<(), Stop> {
        match self.pump_all(typed).await {
            // The program does not want to hear more: it may still have something to say.
            Err(Stop::Complaint(complaint)) if complaint.exit == Exit::Refused => {
                std::future::pending().await
            }
            done => done,
        }
    }

    async fn pump_all(&self, mut typed: Typed) -> Result<(), Stop> {
        let mut stream = None;
        let mut offset = 0;
        while let Some(piece) = typed.next().await {
            match piece {
                Piece::Words(bytes) if bytes.is_empty() => {}
                Piece::Words(bytes) => {
                    let count = bytes.len() as u64;
                    self.send(&mut stream, offset, bytes, false).await?;
                    offset += count;
                }
                Piece::End => self.say_open(),
            }
            if typed.is_detached {
                return Ok(());
            }
        }
        if typed.at_end == AtEnd::Close {
            self.send(&mut stream, offset, Vec::new(), true).await?;
        }
        std::future::pending().await
    }

    /// Who types Ctrl-D expects an end.
    fn say_open(&self) {
        let agent = short_id(&self.agent);
        let note = format!(
            "note: the program's input stays open: `fusionctl agent send {agent} --close` closes it, Ctrl-C detaches\n"
        );
        // With stderr gone there is nobody left to tell.
        drop(std::io::stderr().write_all(note.as_bytes()));
    }

    /// Sends all of a text; returns when the program's pipe has it.
    pub(crate) async fn send_all(&self, text: &[u8], close: bool) -> Result<(), Stop> {
        let mut stream = None;
        let mut offset = 0;
        for piece in text.chunks(PIECE_BYTES_MAX) {
            self.send(&mut stream, offset, piece.to_vec(), false).await?;
            offset += piece.len() as u64;
        }
        if close { self.send(&mut stream, offset, Vec::new(), true).await } else { Ok(()) }
    }

    /// One piece, until it is taken; a daemon that is away for a while is waited for.
    async fn send(
        &self,
        stream: &mut Option<Stream>,
        offset: u64,
        data: Vec<u8>,
        close: bool,
    ) -> Result<(), Stop> {
        let piece = SendInputRequest {
            agent: self.agent.clone(),
            task: self.task.clone(),
            attempt: self.attempt,
            writer: self.id,
            offset,
            data,
            close,
        };
        let mut patience = Patience::new();
        loop {
            let status = match self.try_send(stream, piece.clone()).await {
                Ok(()) => return Ok(()),
                Err(status) => status,
            };
            *stream = None;
            if !is_lost(&status) {
                return Err(status.into());
            }
            patience.outlive(self.link, status).await?;
        }
    }

    async fn try_send(&self, stream: &mut Option<Stream>, piece: SendInputRequest) -> Result<(), Status> {
        let lost = || Status::unavailable("the daemon ended the stream");
        let open = match stream {
            Some(open) => {
                open.pieces.send(piece).await.map_err(|_| lost())?;
                open
            }
            None => {
                let (pieces, queue) = mpsc::channel(1);
                pieces.send(piece).await.map_err(|_| lost())?;
                let answers = self.link.agents().send_input(ReceiverStream::new(queue)).await?.into_inner();
                stream.insert(Stream { pieces, answers })
            }
        };
        open.answers.message().await?.map(drop).ok_or_else(lost)
    }
}

/// Standard input, read on a thread of its own.
pub(crate) struct Typed {
    pieces: mpsc::Receiver<Vec<u8>>,
    keys: Option<Keys>,
    held: Vec<u8>,
    at_end: AtEnd,
    /// Whether the keys to detach came.
    pub(crate) is_detached: bool,
}

/// What comes of standard input.
enum Piece {
    Words(Vec<u8>),
    /// Ctrl-D on a terminal, behind which more may come.
    End,
}

impl Typed {
    /// What comes on standard input; on a terminal the keys are looked for.
    pub(crate) fn stdin(keys: Keys, is_terminal: bool, at_end: AtEnd) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        // It may wait for a line for ever: the end of the process does not wait for it.
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let mut buffer = vec![0; PIECE_BYTES_MAX];
            let goes_on = is_terminal && at_end == AtEnd::Leave;
            while let Ok(count) = stdin.read(&mut buffer) {
                // A terminal that was hung up ends for ever, and has no settings any more.
                if count == 0 && !(goes_on && tcgetattr(std::io::stdin()).is_ok()) {
                    return;
                }
                if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pieces, keys: is_terminal.then_some(keys), held: Vec::new(), at_end, is_detached: false }
    }

    async fn next(&mut self) -> Option<Piece> {
        let Some(bytes) = self.pieces.recv().await else {
            let rest = std::mem::take(&mut self.held);
            return (!rest.is_empty()).then_some(Piece::Words(rest));
        };
        if bytes.is_empty() {
            return Some(Piece::End);
        }
        let Some(keys) = &self.keys else { return Some(Piece::Words(bytes)) };
        let (bytes, is_detached) = keys.scan(&mut self.held, &bytes);
        self.is_detached = is_detached;
        Some(Piece::Words(bytes))
    }
}
