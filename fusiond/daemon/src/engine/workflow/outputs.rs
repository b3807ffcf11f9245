//! Results of nodes: short ones stand with their run, longer ones apart from it, by the digest of what they say.
//!
//! ```text
//! output/<run><node>[<item>]     {"a": 1}            up to 64 KiB
//!                                0 <id> <length>     the rest is in `stored`
//! ```
//!
//! A result is written in the record in which its node ends, whole or not at all. Not for: what results must be
//! (`collect`).

use super::kept::{self, OUTPUT, Seen, place_key};
use crate::engine::stored;
use crate::runtime::StoredPrompt;
use crate::store::{Batch, Direction, ReadError, Reader};
use fusion_core::workflow::{How, NodeState, Output, Place};
use fusion_core::{RunId, Time, Uid};

/// The longest result that stands with its run.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// The results of all items of a node together, where somebody uses or reads them.
pub(crate) const ITEMS_BYTES_MAX: usize = 64 << 20;

/// No JSON begins so.
const APART: u8 = 0;

/// The most of a result that stands for the rest of it.
const PREVIEW_BYTES_MAX: usize = 200;

/// Puts a result in the place of what stood there.
///
/// # Errors
/// When the store does not answer about what stood there; the result was put all the same.
pub(crate) fn put(
    reader: &Reader,
    batch: &mut Batch,
    now: Time,
    owner: Uid,
    run: RunId,
    place: Place,
    bytes: &[u8],
) -> Result<(), ReadError> {
    let key = place_key(OUTPUT, run, place);
    let old = release_one(reader, batch, &key);
    if bytes.len() <= INLINE_BYTES_MAX {
        batch.put(&key, bytes);
    } else {
        let apart = stored::put_whole(batch, now, owner, bytes, who(&key));
        batch.put(&key, &[&[APART], &*crate::engine::record::encode(&apart)].concat());
    }
    old
}

/// Who needs what stands apart.
fn who(key: &[u8]) -> &[u8] {
    &key[OUTPUT.len()..]
}

fn apart(body: &[u8]) -> Option<StoredPrompt> {
    body.strip_prefix(&[APART]).and_then(crate::engine::record::decode)
}

fn release_one(reader: &Reader, batch: &mut Batch, key: &[u8]) -> Result<(), ReadError> {
    if let Some(old) = reader.get(key)?.as_deref().and_then(apart) {
        stored::release(batch, old.id, who(key));
    }
    Ok(())
}

/// Nobody needs the results under this prefix any more.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn release(reader: &Reader, batch: &mut Batch, prefix: &[u8]) -> Result<(), ReadError> {
    for entry in reader.range(prefix, None, usize::MAX, Direction::Ascending)? {
        if let Some(old) = apart(&entry.body) {
            stored::release(batch, old.id, who(&entry.key));
        }
    }
    Ok(())
}

/// A result, as JSON.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn get(reader: &Reader, run: RunId, place: Place) -> Result<Option<Vec<u8>>, ReadError> {
    let Some(body) = reader.get(&place_key(OUTPUT, run, place))? else { return Ok(None) };
    let Some(apart) = apart(&body) else { return Ok(Some(body)) };
    let mut bytes = Vec::with_capacity(apart.bytes as usize);
    match stored::read_stored(reader, apart, &mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) => {
            tracing::error!(%run, "a result cannot be read: {error}");
            Ok(None)
        }
    }
}

/// How long the result of a place is as JSON: of a node with items, all of them together; of a run within it, the results
/// of all its nodes.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn length(reader: &Reader, run: &impl Seen, place: Place) -> Result<u64, ReadError> {
    let begun = if place.item.is_none() { run.begun(place.node) } else { 0 };
    let mut bytes = own_length(reader, run, place)?;
    for item in 0..begun {
        bytes += own_length(reader, run, Place { node: place.node, item: Some(item) })? + 1;
    }
    Ok(bytes)
}

fn own_length(reader: &Reader, run: &impl Seen, place: Place) -> Result<u64, ReadError> {
    match run.found(place).and_then(NodeState::end).map(|end| &end.how) {
        Some(How::Succeeded(Output::Kept { bytes })) => Ok(u64::from(*bytes)),
        Some(How::Succeeded(Output::Run(inner))) => {
            let Some(inner) = kept::stored_run(reader, *inner)? else { return Ok(0) };
            (0..inner.plan.graph.len())
                .try_fold(0, |sum, node| Ok(sum + length(reader, &inner, Place::whole(node))?))
        }
        Some(How::Succeeded(_) | How::Failed(_) | How::Skipped(_) | How::Cancelled) | None => Ok(0),
    }
}

/// How a result that is kept begins.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn preview(reader: &Reader, run: RunId, place: Place) -> Result<String, ReadError> {
    Ok(beginning(&get(reader, run, place)?.unwrap_or_default()))
}

/// The beginning of a text, cut where no character is broken.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(PREVIEW_BYTES_MAX)]);
    text.trim_end_matches('\u{fffd}').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stored::UNNAMED_FOR;
    use crate::store::{Config, Store};

    const RUN: RunId = RunId(7);

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
            self.store.commit(&mut batch).unwrap();
        }

        fn put(&mut self, place: Place, bytes: &[u8]) {
            self.change(|reader, batch, now| put(reader, batch, now, Uid(1), RUN, place, bytes).unwrap());
        }

        fn entries(&self, prefix: &[u8]) -> usize {
            self.store.reader().range(prefix, None, 1000, Direction::Ascending).unwrap().len()
        }
    }

    #[test]
    fn long_results_stand_apart_once_and_go_with_the_last_that_needs_them() {
        let mut rig = Rig::new();
        let long: Vec<u8> = format!("\"{}\"", "é".repeat(300_000)).into_bytes();
        let (one, two) = (Place::whole(0), Place { node: 1, item: Some(3) });
        rig.put(one, &long);
        rig.put(two, &long);
        rig.put(Place::whole(2), b"{}");
        assert_eq!(rig.entries(b"stored/"), 1, "the same is kept once");
        assert_eq!(rig.entries(b"storedpart/"), 3);
        let read = |rig: &Rig, place| get(&rig.store.reader(), RUN, place).unwrap();
        assert!(read(&rig, one).as_deref() == Some(&*long) && read(&rig, two) == read(&rig, one));
        assert_eq!(read(&rig, Place::whole(2)).as_deref(), Some(&b"{}"[..]));
        let begins = preview(&rig.store.reader(), RUN, one).unwrap();
        assert!(
            begins.starts_with("\"éé") && !begins.contains('\u{fffd}') && begins.len() <= PREVIEW_BYTES_MAX
        );
        rig.now = rig.now.plus(UNNAMED_FOR);
        rig.put(one, b"1");
        assert!(read(&rig, two).as_deref() == Some(&*long), "somebody else needs it");
        rig.change(|reader, batch, _| {
            kept::delete_run(reader, batch, RUN).unwrap();
        });
        rig.change(|reader, batch, now| {
            let _next = stored::sweep(reader, batch, now).unwrap();
        });
        let left: usize = [&b"stored/"[..], b"storedpart/", b"storedby/", b"output/"]
            .map(|kind| rig.entries(kind))
            .iter()
            .sum();
        assert_eq!(left, 0);
    }
}
