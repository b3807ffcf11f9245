//! Standard input that stays open: bytes of several writers, each taken once and in its order, into a pipe that a
//! program reads when it likes. Not here: who may write (the daemon), the frames (`engine`).
//!
//! Each writer numbers its bytes. What was taken before is passed over, so that a daemon that lost an answer in a
//! crash may say the same again. A piece is answered when the pipe has taken all of it: a program that does not read
//! holds up its writers, and never more than one piece of each waits here.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use fusion_shim::wire::{InputRefusedWhy, PROMPT_WRITER};
use rustix::io::Errno;

/// The writing end, and what waits for it.
pub(crate) struct Input {
    pipe: OwnedFd,
    pending: VecDeque<Piece>,
    pending_bytes: usize,
    writers: VecDeque<Writer>,
    /// The end was asked for: nothing comes behind it.
    ending: bool,
    /// What comes before all pieces, as long as there is more of it.
    prompt: Option<Prompt>,
}

/// A prompt that is too long to wait in memory.
struct Prompt {
    file: OwnedFd,
    /// Whether what was read so far ends a line: the rest is read line by line.
    ends_line: bool,
}

struct Piece {
    writer: u64,
    /// The place of the writer behind it.
    end: u64,
    bytes: Vec<u8>,
    written: usize,
}

struct Writer {
    id: u64,
    accepted: u64,
}

/// What has become of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The pipe has everything of this writer before this place.
    Taken(u64),
    /// It waits; the answer comes when it is taken.
    Later,
    Refused(InputRefusedWhy),
}

/// What waits of all writers together. The first content of a task has room of its own.
const PENDING_BYTES_MAX: usize = 256 << 10;

/// What waits of a prompt in a file.
const PROMPT_PIECE_BYTES: usize = 64 << 10;

/// Writers that are remembered; the one that wrote longest ago is forgotten.
const WRITERS_MAX: usize = 64;

impl Input {
    /// A pipe whose writing end does not block, with the bytes that come first.
    pub(crate) fn new(pipe: OwnedFd, first: Vec<u8>) -> Self {
        let mut input = Self {
            pipe,
            pending: VecDeque::new(),
            pending_bytes: 0,
            writers: VecDeque::new(),
            ending: false,
            prompt: None,
        };
        if !first.is_empty() {
            input.pending.push_back(Piece { writer: PROMPT_WRITER, end: 0, bytes: first, written: 0 });
        }
        input
    }

    /// The same with the content of a file that comes first, and ends with a line.
    pub(crate) fn behind(pipe: OwnedFd, file: OwnedFd) -> Self {
        Self { prompt: Some(Prompt { file, ends_line: true }), ..Self::new(pipe, Vec::new()) }
    }

    /// The pipe, if something waits for it.
    pub(crate) fn waiting(&self) -> Option<&OwnedFd> {
        (!self.pending.is_empty() || self.prompt.is_some()).then_some(&self.pipe)
    }

    /// Whether the end has been reached: the pipe is to be closed.
    pub(crate) fn is_over(&self) -> bool {
        self.ending && self.waiting().is_none()
    }

    /// Takes a piece in line. Pieces of one writer come in order, or again.
    pub(crate) fn offer(&mut self, id: u64, offset: u64, mut bytes: Vec<u8>, is_last: bool) -> Answer {
        let accepted = self.accepted_of(id, offset);
        if offset > accepted {
            return Answer::Refused(InputRefusedWhy::Gap { expected: accepted });
        }
        let known = usize::try_from(accepted - offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes.drain(..known);
        let end = accepted + bytes.len() as u64;
        if !bytes.is_empty() {
            if self.ending {
                return Answer::Refused(InputRefusedWhy::Closed);
            }
            if self.pending_bytes + bytes.len() > PENDING_BYTES_MAX {
                return Answer::Refused(InputRefusedWhy::Full);
            }
            self.pending_bytes += bytes.len();
            self.pending.push_back(Piece { writer: id, end, bytes, written: 0 });
            self.remember(id, end);
        }
        self.ending |= is_last;
        if self.pending.iter().any(|piece| piece.writer == id) { Answer::Later } else { Answer::Taken(end) }
    }

    fn accepted_of(&self, id: u64, offset: u64) -> u64 {
        self.writers.iter().find(|writer| writer.id == id).map_or(offset, |writer| writer.accepted)
    }

    /// Who wrote last stands last.
    fn remember(&mut self, id: u64, accepted: u64) {
        self.writers.retain(|writer| writer.id != id);
        if self.writers.len() == WRITERS_MAX {
            self.writers.pop_front();
        }
        self.writers.push_back(Writer { id, accepted });
    }

    /// Gives the pipe what it takes; the writers whose pieces it has now, with their places. An error: nobody
    /// reads any more.
    pub(crate) fn write(&mut self) -> Result<Vec<(u64, u64)>, Errno> {
        let mut taken = Vec::new();
        loop {
            self.read_on()?;
            let Some(piece) = self.pending.front_mut() else { break };
            match rustix::io::write(&self.pipe, &piece.bytes[piece.written..]) {
                Ok(count) => piece.written += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            if piece.written < piece.bytes.len() {
                continue;
            }
            if let Some(done) = self.pending.pop_front().filter(|done| done.writer != PROMPT_WRITER) {
                self.pending_bytes -= done.bytes.len();
                taken.push((done.writer, done.end));
            }
        }
        Ok(taken)
    }

    /// The next piece of the prompt, once the pipe has the one before.
    fn read_on(&mut self) -> Result<(), Errno> {
        let Some(prompt) = &mut self.prompt else { return Ok(()) };
        if self.pending.front().is_some_and(|piece| piece.writer == PROMPT_WRITER) {
            return Ok(());
        }
        let mut bytes = vec![0; PROMPT_PIECE_BYTES];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&prompt.file, &mut bytes))?;
        bytes.truncate(count);
        if let Some(last) = bytes.last() {
            prompt.ends_line = *last == b'\n';
        } else {
            if !prompt.ends_line {
                bytes.push(b'\n');
            }
            self.prompt = None;
        }
        if !bytes.is_empty() {
            self.pending.push_front(Piece { writer: PROMPT_WRITER, end: 0, bytes, written: 0 });
        }
        Ok(())
    }

    /// Writers whose pieces wait.
    pub(crate) fn into_waiting(self) -> Vec<u64> {
        let writers = self.pending.into_iter().map(|piece| piece.writer);
        writers.filter(|writer| *writer != PROMPT_WRITER).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn open(first: &[u8]) -> (OwnedFd, Input) {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (read_end, Input::new(write_end, first.to_vec()))
    }

    fn read(end: &OwnedFd) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let count = rustix::io::read(end, &mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn what_is_said_again_is_taken_once() {
        let (end, mut input) = open(b"first\n");
        assert_eq!(input.offer(7, 0, b"abc".to_vec(), false), Answer::Later);
        assert_eq!(input.offer(7, 0, b"abc".to_vec(), false), Answer::Later);
        assert_eq!(input.write(), Ok(vec![(7, 3)]));
        assert_eq!(read(&end), b"first\nabc");
        assert_eq!(input.offer(7, 0, b"abc".to_vec(), false), Answer::Taken(3));
        assert_eq!(input.offer(7, 2, b"cde".to_vec(), false), Answer::Later);
        assert_eq!(
            input.offer(7, 9, b"x".to_vec(), false),
            Answer::Refused(InputRefusedWhy::Gap { expected: 5 })
        );
        assert_eq!(input.offer(8, 40, b"!".to_vec(), false), Answer::Later);
        assert_eq!(input.write(), Ok(vec![(7, 5), (8, 41)]));
        assert_eq!(read(&end), b"de!");
        assert!(input.waiting().is_none());
    }

    #[test]
    fn a_program_that_does_not_read_holds_up_its_writers_and_nothing_grows() {
        let (end, mut input) = open(b"");
        let piece = vec![b'x'; 100 << 10];
        assert_eq!(input.offer(1, 0, piece.clone(), false), Answer::Later);
        assert_eq!(input.write(), Ok(Vec::new()));
        assert_eq!(input.offer(2, 0, piece.clone(), false), Answer::Later);
        assert_eq!(input.offer(3, 0, piece.clone(), false), Answer::Refused(InputRefusedWhy::Full));
        while !read(&end).is_empty() {
            input.write().unwrap();
        }
        assert!(input.waiting().is_none());
        assert_eq!(input.offer(3, 0, piece, false), Answer::Later);
    }

    #[test]
    fn a_prompt_in_a_file_comes_first_and_in_pieces() {
        let mut prompt = vec![b'p'; PROMPT_PIECE_BYTES * 3 + 1];
        let file = fusion_sys::file::sealed_memory("prompt", &prompt).unwrap();
        let (end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut input = Input::behind(write_end, file);
        assert!(input.waiting().is_some());
        assert_eq!(input.offer(7, 0, b"typed".to_vec(), true), Answer::Later);
        let mut seen = Vec::new();
        while !input.is_over() {
            input.write().unwrap();
            assert!(input.pending_bytes + input.pending.len() * PROMPT_PIECE_BYTES < PENDING_BYTES_MAX);
            seen.extend(read(&end));
        }
        prompt.extend_from_slice(b"\ntyped");
        assert!(seen == prompt, "{} bytes came", seen.len());
    }

    #[test]
    fn the_end_comes_behind_all_that_was_said_before_and_nothing_behind_it() {
        let (end, mut input) = open(b"");
        assert_eq!(input.offer(1, 0, b"last".to_vec(), true), Answer::Later);
        assert!(!input.is_over());
        assert_eq!(input.offer(2, 0, b"more".to_vec(), false), Answer::Refused(InputRefusedWhy::Closed));
        assert_eq!(input.write(), Ok(vec![(1, 4)]));
        assert!(input.is_over());
        drop(end);
        let (end, mut input) = open(b"");
        drop(end);
        assert_eq!(input.offer(1, 0, b"x".to_vec(), false), Answer::Later);
        assert_eq!(input.write(), Err(Errno::PIPE));
        assert_eq!(input.into_waiting(), [1]);
    }
}
