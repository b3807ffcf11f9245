//! Prompts and results that are too long to stand where they belong: kept in pieces, shared by all that name them, gone
//! when nobody does any more.
//!
//! ```text
//! stored/<id>             whose it is, how long, when it was last stored
//! storedpart/<id><n>      its bytes, piece by piece
//! storedby/<id><who>      a task that needs it as its prompt, or a place of a run whose result it is
//! ```
//!
//! A prompt that no task names is kept for an hour after it was stored: so long its submit may take. A result comes whole,
//! with the end of its node. Only the engine's
//! thread writes, so a task that is accepted and a prompt that is swept never meet. Not for: who may store.

use std::io;

use crate::runtime::{InputId, StoredPrompt};
use crate::store::{Batch, Direction, ReadError, Reader};
use fusion_core::{Millis, Time, Uid};
use serde::{Deserialize, Serialize};

/// What is known of a stored prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Whose it is.
    pub owner: Uid,
    /// Its length.
    pub bytes: u32,
    /// Its first line that says something, cut.
    pub title: String,
    /// When it was last stored.
    at: Time,
    /// Whether every piece is there.
    whole: bool,
}

/// One step of storing a prompt; the steps of one come in this order.
#[derive(Clone, Debug)]
pub enum Keep {
    /// What it is.
    Begin {
        /// Whose.
        owner: Uid,
        /// Its length.
        bytes: u32,
        /// Its title.
        title: String,
    },
    /// Piece `number`, from 0; all but the last have [`PIECE_BYTES`].
    Piece {
        /// Which.
        number: u32,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// That was all.
    End,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// More is needed.
    Partly,
    /// Every piece is there.
    Whole,
}

/// The length of a piece: long enough for few records, short enough to hold nobody up.
pub const PIECE_BYTES: usize = 256 << 10;

/// How long a prompt that no task names is kept.
pub(crate) const UNNAMED_FOR: Millis = Millis::from_secs(3600);

const STORED: &[u8] = b"stored/";
const PIECE: &[u8] = b"storedpart/";
const NEEDED: &[u8] = b"storedby/";

/// Pieces that a sweep removes in one turn: bounds its record.
const SWEPT_PIECES_MAX: u32 = 500;

/// Descriptions read at once by a sweep.
const PAGE: usize = 512;

fn key(prefix: &[u8], id: InputId, rest: &[u8]) -> Vec<u8> {
    [prefix, &id.0, rest].concat()
}

fn pieces(bytes: u32) -> u32 {
    bytes.div_ceil(u32::try_from(PIECE_BYTES).expect("a piece is small"))
}

/// The description of a prompt whose pieces are all there.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn find(reader: &Reader, id: InputId) -> Result<Option<Stored>, ReadError> {
    Ok(read(reader, id)?.filter(|stored| stored.whole))
}

fn read(reader: &Reader, id: InputId) -> Result<Option<Stored>, ReadError> {
    let body = reader.get(&key(STORED, id, &[]))?;
    Ok(body.and_then(|body| postcard::from_bytes(&body).ok()))
}

fn put(batch: &mut Batch, id: InputId, stored: &Stored) {
    let body = postcard::to_stdvec(stored).expect("plain data always has a postcard form");
    batch.put(&key(STORED, id, &[]), &body);
}

/// Puts one step into the batch.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn keep(
    reader: &Reader,
    batch: &mut Batch,
    now: Time,
    id: InputId,
    step: Keep,
) -> Result<Kept, ReadError> {
    match step {
        Keep::Begin { owner, bytes, title } => {
            let whole = find(reader, id)?.is_some();
            put(batch, id, &Stored { owner, bytes, title, at: now, whole });
            Ok(if whole { Kept::Whole } else { Kept::Partly })
        }
        Keep::Piece { number, bytes } => {
            batch.put(&key(PIECE, id, &number.to_be_bytes()), &bytes);
            Ok(Kept::Partly)
        }
        Keep::End => match read(reader, id)? {
            Some(stored) => {
                put(batch, id, &Stored { at: now, whole: true, ..stored });
                Ok(Kept::Whole)
            }
            None => Ok(Kept::Partly),
        },
    }
}

/// Puts all of it at once, for somebody who needs it.
pub(crate) fn put_whole(batch: &mut Batch, now: Time, owner: Uid, bytes: &[u8], who: &[u8]) -> StoredPrompt {
    let id = InputId::of(owner, bytes);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for (piece, number) in bytes.chunks(PIECE_BYTES).zip(0_u32..) {
        batch.put(&key(PIECE, id, &number.to_be_bytes()), piece);
    }
    put(batch, id, &Stored { owner, bytes: length, title: String::new(), at: now, whole: true });
    need(batch, id, who);
    StoredPrompt { id, bytes: length }
}

/// Whether a task may name this prompt now: it is there, and no sweep of this turn takes it.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn is_kept(reader: &Reader, now: Time, id: InputId) -> Result<bool, ReadError> {
    match find(reader, id)? {
        Some(stored) => Ok(is_fresh(&stored, now) || is_needed(reader, id)?),
        None => Ok(false),
    }
}

fn is_fresh(stored: &Stored, now: Time) -> bool {
    stored.at.plus(UNNAMED_FOR) > now
}

fn is_needed(reader: &Reader, id: InputId) -> Result<bool, ReadError> {
    Ok(!reader.range(&key(NEEDED, id, &[]), None, 1, Direction::Ascending)?.is_empty())
}

/// Somebody needs it from now on.
pub(crate) fn need(batch: &mut Batch, id: InputId, who: &[u8]) {
    batch.put(&key(NEEDED, id, who), &[1]);
}

/// Somebody who needed it is gone. Whether somebody else needs it, perhaps from this very turn on, a sweep finds out.
pub(crate) fn release(batch: &mut Batch, id: InputId, who: &[u8]) {
    batch.delete(&key(NEEDED, id, who));
}

fn delete(batch: &mut Batch, id: InputId, stored: &Stored) {
    for number in 0..pieces(stored.bytes) {
        batch.delete(&key(PIECE, id, &number.to_be_bytes()));
    }
    batch.delete(&key(STORED, id, &[]));
}

/// Puts the end of what nobody needs or has named for too long into the batch, some of it at a time. Not in a turn that
/// stores something: it reads what stood before that. Returns when to look again, if there is anything to look for.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn sweep(reader: &Reader, batch: &mut Batch, now: Time) -> Result<Option<Time>, ReadError> {
    let (mut room, mut next, mut last) = (SWEPT_PIECES_MAX, None, None);
    loop {
        let page = reader.range(STORED, last.as_deref(), PAGE, Direction::Ascending)?;
        for entry in &page {
            let id = entry.key[STORED.len()..].try_into().ok().map(InputId);
            let stored = postcard::from_bytes::<Stored>(&entry.body).ok();
            let (Some(id), Some(stored)) = (id, stored) else { continue };
            if is_fresh(&stored, now) {
                next = Some(now.plus(UNNAMED_FOR));
            } else if !is_needed(reader, id)? {
                delete(batch, id, &stored);
                room = room.saturating_sub(1 + pieces(stored.bytes));
                if room == 0 {
                    return Ok(Some(now));
                }
            }
        }
        match page.last() {
            Some(entry) if page.len() == PAGE => last = Some(entry.key.clone()),
            Some(_) | None => return Ok(next),
        }
    }
}

/// Writes a stored prompt, piece by piece.
///
/// # Errors
/// `NotFound` if a piece is missing; those of the store and of `to`.
pub fn read_stored(reader: &Reader, prompt: StoredPrompt, to: &mut dyn io::Write) -> io::Result<()> {
    for number in 0..pieces(prompt.bytes) {
        let piece = reader.get(&key(PIECE, prompt.id, &number.to_be_bytes())).map_err(io::Error::other)?;
        to.write_all(&piece.ok_or(io::ErrorKind::NotFound)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Config, Store};

    struct Rig {
        _folder: tempfile::TempDir,
        store: Store,
        now: Time,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut config = Config::new(folder.path().join("store"));
            config.free_floor_bytes = 0;
            let (store, _) = Store::open(config).unwrap();
            Self { _folder: folder, store, now: Time(1_000_000_000) }
        }

        fn change(&mut self, change: impl FnOnce(&Reader, &mut Batch, Time)) {
            let mut batch = Batch::new();
            change(&self.store.reader(), &mut batch, self.now);
            if !batch.is_empty() {
                self.store.commit(&mut batch).unwrap();
            }
        }

        fn store(&mut self, prompt: &[u8]) -> StoredPrompt {
            let id = InputId::of(Uid(1), prompt);
            let bytes = u32::try_from(prompt.len()).unwrap();
            let begin = Keep::Begin { owner: Uid(1), bytes, title: "title".to_owned() };
            let mut steps = vec![begin];
            let cut = prompt.chunks(PIECE_BYTES).zip(0..);
            steps.extend(cut.map(|(bytes, number)| Keep::Piece { number, bytes: bytes.to_vec() }));
            steps.push(Keep::End);
            for step in steps {
                self.change(|reader, batch, now| {
                    let _kept = keep(reader, batch, now, id, step).unwrap();
                });
            }
            StoredPrompt { id, bytes }
        }

        fn sweep(&mut self) {
            self.change(|reader, batch, now| {
                let _next = sweep(reader, batch, now).unwrap();
            });
        }

        fn entries(&self) -> usize {
            let count =
                |prefix| self.store.reader().range(prefix, None, 1000, Direction::Ascending).unwrap().len();
            [STORED, PIECE, NEEDED].map(count).iter().sum()
        }
    }

    #[test]
    fn a_prompt_is_whole_at_its_end_alone_and_reads_back() {
        let mut rig = Rig::new();
        let prompt: Vec<u8> =
            (0..PIECE_BYTES * 2 + 5).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        let id = InputId::of(Uid(1), &prompt);
        let begin = Keep::Begin { owner: Uid(1), bytes: 5, title: String::new() };
        rig.change(|reader, batch, now| {
            let _kept = keep(reader, batch, now, id, begin).unwrap();
        });
        assert!(!is_kept(&rig.store.reader(), rig.now, id).unwrap());
        let stored = rig.store(&prompt);
        assert!(is_kept(&rig.store.reader(), rig.now, id).unwrap());
        let mut read = Vec::new();
        read_stored(&rig.store.reader(), stored, &mut read).unwrap();
        assert!(read == prompt);
    }

    #[test]
    fn what_no_task_names_goes_after_an_hour_and_what_one_names_with_its_history() {
        let mut rig = Rig::new();
        let (first, second) = (rig.store(&[b'a'; 10]), rig.store(&[b'b'; 10]));
        let tasks = [&[1_u8][..], &[2]];
        rig.change(|_, batch, _| tasks.iter().for_each(|task| need(batch, first.id, task)));
        rig.sweep();
        assert_eq!(rig.entries(), 6);
        rig.now = rig.now.plus(UNNAMED_FOR);
        assert!(!is_kept(&rig.store.reader(), rig.now, second.id).unwrap(), "a sweep may take it");
        rig.sweep();
        assert_eq!(rig.entries(), 4);
        rig.change(|_, batch, _| release(batch, first.id, tasks[0]));
        assert!(is_kept(&rig.store.reader(), rig.now, first.id).unwrap());
        rig.change(|_, batch, _| release(batch, first.id, tasks[1]));
        rig.sweep();
        assert_eq!(rig.entries(), 0);
    }

    #[test]
    fn what_somebody_needs_from_the_turn_on_in_which_the_last_other_is_gone_stays() {
        let mut rig = Rig::new();
        let prompt = rig.store(&[b'a'; 10]);
        rig.change(|_, batch, _| need(batch, prompt.id, &[1]));
        rig.now = rig.now.plus(UNNAMED_FOR);
        rig.change(|_, batch, _| {
            need(batch, prompt.id, &[2]);
            release(batch, prompt.id, &[1]);
        });
        rig.sweep();
        assert!(is_kept(&rig.store.reader(), rig.now, prompt.id).unwrap());
        let mut read = Vec::new();
        read_stored(&rig.store.reader(), prompt, &mut read).unwrap();
        assert_eq!(read, [b'a'; 10]);
    }

    #[test]
    fn a_sweep_removes_some_at_a_time_and_says_when_there_is_more_to_do() {
        let mut rig = Rig::new();
        let sweep_now = |rig: &mut Rig| {
            let mut next = None;
            rig.change(|reader, batch, now| next = sweep(reader, batch, now).unwrap());
            next
        };
        assert_eq!(sweep_now(&mut rig), None, "nothing is stored");
        for number in 0..300_u16 {
            let _stored = rig.store(&number.to_be_bytes());
        }
        assert_eq!(sweep_now(&mut rig), Some(rig.now.plus(UNNAMED_FOR)));
        rig.now = rig.now.plus(UNNAMED_FOR);
        assert_eq!(sweep_now(&mut rig), Some(rig.now));
        assert_eq!(rig.entries(), 100);
        assert_eq!(sweep_now(&mut rig), None);
        assert_eq!(rig.entries(), 0);
    }
}
