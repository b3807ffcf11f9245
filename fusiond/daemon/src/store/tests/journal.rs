//! Damage to the journal: what a crash can leave is mended exactly, anything else is refused with words.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::store::error::OpenError;
use crate::store::journal::record;
use crate::store::journal::segment::{self, Segment};

const BODY: &str = "a body of some length";

/// `records` commits that stay in the journal: the database is never written.
fn written(dir: &Path, records: u64) {
    let lazy = Config { flush_interval: Duration::from_secs(3600), segment_bytes: 16 << 10, ..config(dir) };
    let (mut store, _) = Store::open(lazy).expect("it opens");
    for n in 1..=records {
        put(&mut store, &format!("task/{n:04}"), BODY);
    }
}

fn segments(dir: &Path) -> Vec<Segment> {
    segment::list(&dir.join("journal")).expect("it lists")
}

/// Reads a journal alone: the numbers of its records, or the refusal.
fn read(dir: &Path) -> Result<Vec<u64>, OpenError> {
    let mut seen = Vec::new();
    crate::store::journal::replay::replay(&segments(dir), 0, |seq, _, mut changes| {
        assert!(changes.all(|c| c.is_ok()), "a record with a valid sum reads");
        seen.push(seq);
        Ok(())
    })?;
    Ok(seen)
}

/// Offsets at which the records of the segment begin, and the end of the last.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut at = record::SEGMENT_HEADER;
    let mut offsets = vec![at];
    while at + record::HEADER < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        if length == 0 {
            break;
        }
        at += length;
        offsets.push(at);
    }
    offsets
}

#[test]
fn a_journal_cut_at_any_byte_of_its_last_records_is_a_prefix() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 8);
    let path = last_segment(dir.path());
    let whole = fs::read(&path).expect("it reads");
    let offsets = offsets(&whole);
    for cut in offsets[5]..=offsets[8] {
        let complete = (1..=8).take_while(|n| offsets[*n as usize] <= cut).collect::<Vec<u64>>();
        // The file ends there.
        fs::write(&path, &whole[..cut]).expect("it writes");
        assert_eq!(read(dir.path()).expect("a prefix"), complete, "ends at byte {cut}");
        // The file is whole, its tail was not written.
        let mut zeroed = whole.clone();
        zeroed[cut..].fill(0);
        fs::write(&path, &zeroed).expect("it writes");
        // A record that happens to end in zeros is complete without them.
        let found = read(dir.path()).expect("a prefix");
        assert!(found == complete, "zeros from byte {cut}: {found:?}");
    }
}

#[test]
fn garbage_behind_the_last_record_is_wiped() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 3);
    let path = last_segment(dir.path());
    let end = *offsets(&fs::read(&path).expect("it reads")).last().expect("an end");
    for (at, garbage) in [(0, vec![0xA5; 1000]), (17, vec![1]), (5000, vec![0xFF; 64])] {
        let file = fs::OpenOptions::new().write(true).open(&path).expect("it opens");
        file.write_all_at(&garbage, (end + at) as u64).expect("it writes");
        let (store, opened) = open(dir.path());
        assert_eq!((opened.seq, opened.torn_bytes), (3, (at + garbage.len()) as u64));
        assert_eq!(contents(&store).len(), 3);
        drop(store);
        let after = fs::read(&path).expect("it reads");
        assert!(after[end..].iter().all(|b| *b == 0), "wiped");
    }
}

#[test]
fn a_broken_record_before_a_whole_one_is_refused_at_every_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 6);
    let path = last_segment(dir.path());
    let whole = fs::read(&path).expect("it reads");
    let offsets = offsets(&whole);
    for at in offsets[0]..offsets[5] {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).expect("it writes");
        let refused = read(dir.path()).expect_err("acknowledged records would be lost");
        assert!(matches!(refused, OpenError::JournalDamaged { .. }), "byte {at}: {refused}");
    }
}

/// As a journal of the first format has it: what anybody can compute.
fn sealed(seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; record::HEADER];
    bytes.extend_from_slice(payload);
    record::seal(&mut bytes, seq, 7, record::Salt::default());
    bytes
}

#[test]
fn a_torn_record_that_holds_sealed_records_of_a_user_is_wiped() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 3);
    let path = last_segment(dir.path());
    let end = *offsets(&fs::read(&path).expect("it reads")).last().expect("an end");
    let words = [sealed(4, b"words"), sealed(5, b"words"), sealed(6, b"words")].concat();
    let (mut store, _) = open(dir.path());
    let mut batch = Batch::new();
    batch.put(b"input/1", &words);
    store.commit(&mut batch).expect("it commits");
    drop(store);
    // Its first sectors did not reach the disk, or its last ones.
    let whole = fs::read(&path).expect("it reads");
    for lost in [end..end + record::HEADER + 2, end + words.len()..end + words.len() + 60] {
        let mut torn = whole.clone();
        torn[lost].fill(0);
        fs::write(&path, &torn).expect("it writes");
        assert_eq!(read(dir.path()).expect("it is torn, and no more"), [1, 2, 3]);
    }
}

#[test]
fn segments_of_the_first_format_are_read_and_gone_on_with() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 3);
    let path = last_segment(dir.path());
    let bytes = fs::read(&path).expect("it reads");
    let offsets = offsets(&bytes);
    let mut old = b"FUSJRNL1".to_vec();
    old.extend_from_slice(&bytes[8..20]);
    old.extend_from_slice(&crc32fast::hash(&old).to_le_bytes());
    let mut prev = u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes"));
    for (pair, seq) in offsets.windows(2).zip(1..) {
        let mut record = bytes[pair[0]..pair[1]].to_vec();
        prev = record::seal(&mut record, seq, prev, record::Salt::default());
        old.extend(record);
    }
    old.resize(bytes.len(), 0);
    fs::write(&path, &old).expect("it writes");
    let (mut store, opened) = open(dir.path());
    assert_eq!((opened.seq, contents(&store).len()), (3, 3));
    put(&mut store, "task/9999", BODY);
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!((opened.seq, contents(&store).len()), (4, 4));
}

#[test]
fn the_last_record_is_written_again_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 3);
    let path = last_segment(dir.path());
    let before = fs::read(&path).expect("it reads");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(long_ago)).expect("a time");
    let (store, _) = open(dir.path());
    let changed = path.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    assert!(changed > long_ago, "it was not written");
    drop(store);
    assert!(fs::read(&path).expect("it reads") == before, "with the same bytes");
}

#[test]
fn segments_that_are_missing_doubled_or_swapped_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), 800);
    let all = segments(dir.path());
    assert!(all.len() >= 3, "{all:?}");
    assert_eq!(read(dir.path()).expect("it reads").len(), 800);
    let (a, b) = (fs::read(&all[0].path).expect("it reads"), fs::read(&all[1].path).expect("it reads"));

    fs::write(&all[1].path, &a).expect("it writes");
    assert!(matches!(read(dir.path()), Err(OpenError::JournalDamaged { offset: 0, .. })), "doubled");
    fs::write(&all[0].path, &b).expect("it writes");
    assert!(matches!(read(dir.path()), Err(OpenError::JournalDamaged { offset: 0, .. })), "swapped");
    fs::write(&all[0].path, &a).expect("it writes");
    fs::remove_file(&all[1].path).expect("it is removed");
    assert!(matches!(read(dir.path()), Err(OpenError::JournalDamaged { .. })), "a hole");
    fs::write(&all[1].path, &b).expect("it writes");
    fs::remove_file(&all[0].path).expect("it is removed");
    assert!(matches!(read(dir.path()), Err(OpenError::Gap { have: 0, .. })), "no beginning");
    let refused = Store::open(config(dir.path())).err().expect("the whole store refuses too");
    assert!(matches!(refused, OpenError::Gap { have: 0, .. }), "{refused}");
}

#[test]
fn a_journal_that_ends_before_the_database_is_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    for n in 0..20 {
        put(&mut store, &format!("task/{n:02}"), BODY);
    }
    store.close().expect("it closes");
    let path = last_segment(dir.path());
    let mut bytes = fs::read(&path).expect("it reads");
    let from = offsets(&bytes)[15];
    bytes[from..].fill(0);
    fs::write(&path, &bytes).expect("it writes");

    let (mut store, opened) = open(dir.path());
    assert!(opened.journal_set_aside.is_some_and(|p| p.is_dir()) && opened.seq == 20);
    assert_eq!(contents(&store).len(), 20);
    assert_eq!(put(&mut store, "task/99", BODY), 21);
    drop(store);
    fs::remove_dir_all(dir.path().join("db")).expect("it is removed");
    let (store, opened) = open(dir.path());
    assert_eq!((opened.seq, contents(&store).len()), (21, 21), "the new journal stands on a checkpoint");
}

#[test]
fn old_segments_go_once_the_checkpoints_cover_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let small = Config { segment_bytes: 16 << 10, ..config(dir.path()) };
    let (mut store, _) = Store::open(small).expect("it opens");
    for _ in 0..3 {
        for n in 0..400 {
            put(&mut store, &format!("task/{n:04}"), BODY);
        }
        store.checkpoint().expect("it is written");
    }
    let all = segments(dir.path());
    assert!(all[0].first > 1 && all[0].first <= 801, "{all:?}");
    assert_eq!(fs::read_dir(dir.path().join("checkpoint")).expect("it lists").count(), 2);
    let newest =
        fs::read_dir(dir.path().join("checkpoint")).expect("it lists").map(|e| e.expect("it lists").path());
    let newest = newest.max().expect("there are two");
    drop(store);
    // Both the database and the newest checkpoint are lost: the one before it still reaches the end.
    fs::remove_dir_all(dir.path().join("db")).expect("it is removed");
    let mut bytes = fs::read(&newest).expect("it reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, &bytes).expect("it writes");
    let (store, opened) = open(dir.path());
    assert!(opened.rebuilt.is_some_and(|r| r.from == 800));
    assert_eq!(contents(&store).len(), 400);
}
