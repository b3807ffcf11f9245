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
        Some(stored) => Ok(is_fresh(&stored, now) || is_needed(reader, id, None)?),
        None => Ok(false),
    }
}

fn is_fresh(stored: &Stored, now: Time) -> bool {
    stored.at.plus(UNNAMED_FOR) > now
}

/// Whether somebody other than `but` needs it.
fn is_needed(reader: &Reader, id: InputId, but: Option<&[u8]>) -> Result<bool, ReadError> {
    let found = reader.range(&key(NEEDED, id, &[]), None, 2, Direction::Ascending)?;
    let own = but.map(|who| key(NEEDED, id, who));
    Ok(found.iter().any(|entry| Some(&entry.key) != own.as_ref()))
}

/// Somebody needs it from now on.
pub(crate) fn need(batch: &mut Batch, id: InputId, who: &[u8]) {
    batch.put(&key(NEEDED, id, who), &[1]);
}

/// Somebody who needed it is gone.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn release(
    reader: &Reader,
    batch: &mut Batch,
    now: Time,
    id: InputId,
    who: &[u8],
) -> Result<(), ReadError> {
    batch.delete(&key(NEEDED, id, who));
    match read(reader, id)? {
        Some(stored) if !is_fresh(&stored, now) && !is_needed(reader, id, Some(who))? => {
            delete(batch, id, &stored);
        }
        Some(_) | None => {}
    }
    Ok(())
}

fn delete(batch: &mut Batch, id: InputId, stored: &Stored) {
    for number in 0..pieces(stored.bytes) {
        batch.delete(&key(PIECE, id, &number.to_be_bytes()));
    }
    batch.delete(&key(STORED, id, &[]));
}

/// Puts the end of what nobody has named for too long into the batch.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn sweep(reader: &Reader, batch: &mut Batch, now: Time) -> Result<(), ReadError> {
    let mut last = None;
    loop {
        let page = reader.range(STORED, last.as_deref(), PAGE, Direction::Ascending)?;
        for entry in &page {
            let id = entry.key[STORED.len()..].try_into().ok().map(InputId);
            let stored = postcard::from_bytes::<Stored>(&entry.body).ok();
            if let (Some(id), Some(stored)) = (id, stored)
                && !is_fresh(&stored, now)
                && !is_needed(reader, id, None)?
            {
                delete(batch, id, &stored);
            }
        }
        match page.last() {
            Some(entry) if page.len() == PAGE => last = Some(entry.key.clone()),
            Some(_) | None => return Ok(()),
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
            self.change(|reader, batch, now| sweep(reader, batch, now).unwrap());
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
        rig.change(|reader, batch, now| release(reader, batch, now, first.id, tasks[0]).unwrap());
        assert!(is_kept(&rig.store.reader(), rig.now, first.id).unwrap());
        rig.change(|reader, batch, now| release(reader, batch, now, first.id, tasks[1]).unwrap());
        assert_eq!(rig.entries(), 0);
    }
}
