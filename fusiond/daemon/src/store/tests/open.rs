//! Opening: fresh, again, twice, with another schema.

use std::fs;

use super::*;
use crate::store::{Migration, OpenError, ReadError};

#[test]
fn what_was_committed_is_there_after_a_clean_stop_and_after_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, opened) = open(dir.path());
    assert!(opened.fresh && opened.seq == 0 && opened.rebuilt.is_none());
    assert_eq!(put(&mut store, "task/1", "one"), 1);
    assert_eq!(put(&mut store, "task/2", "two"), 2);
    store.close().expect("it closes");

    let (mut store, opened) = open(dir.path());
    assert!(
        !opened.fresh && opened.seq == 2 && opened.replayed == 0 && opened.rebuilt.is_none(),
        "{opened:?}"
    );
    put(&mut store, "task/3", "three");
    drop(store);

    let (store, opened) = open(dir.path());
    assert!(opened.seq == 3 && opened.rebuilt.is_none() && opened.torn_bytes == 0, "{opened:?}");
    let expected = [("task/1", "one"), ("task/2", "two"), ("task/3", "three")];
    let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).into();
    assert_eq!(contents(&store), expected);
}

#[test]
fn the_last_of_two_changes_wins_and_a_delete_deletes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    let mut batch = Batch::new();
    batch.put(b"a", b"1");
    batch.put(b"a", b"2");
    batch.put(b"b", b"1");
    batch.delete(b"b");
    store.commit(&mut batch).expect("it commits");
    assert!(batch.is_empty());
    let reader = store.reader();
    assert_eq!(reader.get(b"a").expect("it reads"), Some(b"2".to_vec()));
    assert_eq!(reader.get(b"b").expect("it reads"), None);
    store.close().expect("it closes");
    assert!(matches!(reader.get(b"a"), Err(ReadError::Closed)));
}

#[test]
fn a_second_opener_is_told_who_holds_the_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_store, _) = open(dir.path());
    let refused = Store::open(config(dir.path())).err().expect("it is locked");
    let OpenError::Locked { pid, .. } = refused else { panic!("{refused}") };
    assert_eq!(pid, Some(std::process::id()));
}

#[test]
fn a_crash_during_the_first_start_is_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path());
    drop(store);
    fs::remove_dir_all(dir.path().join("db")).expect("it is removed");
    let (mut store, opened) = open(dir.path());
    assert!(opened.rebuilt.is_some_and(|r| r.from == 0 && r.set_aside.is_none() && !r.is_restored));
    put(&mut store, "task/1", "one");
}

fn double(key: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    Ok(key.starts_with(b"n/").then(|| [body, body].concat()))
}

fn refuse(_: &[u8], _: &[u8]) -> Result<Option<Vec<u8>>, String> {
    Err("a task of unknown kind".to_owned())
}

/// Doubles what stands below `n/`, but fails at the value that the tests call the last.
fn double_but_the_last(key: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if key == b"n/9999" { refuse(key, body) } else { double(key, body) }
}

fn schema(dir: &Path, migrations: &'static [Migration]) -> Config {
    Config { schema: migrations.len() as u32 + 1, migrations, ..config(dir) }
}

#[test]
fn older_data_is_migrated_step_by_step_and_newer_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    put(&mut store, "n/1", "x");
    store.close().expect("it closes");

    let refused = Store::open(schema(dir.path(), &[double, refuse])).err().expect("the second step refuses");
    assert!(matches!(refused, OpenError::Migration { from: 2, .. }), "{refused}");
    let (store, opened) = Store::open(schema(dir.path(), &[double, double])).expect("it opens");
    assert_eq!(opened.schema_found, 1, "nothing was changed");
    assert_eq!(contents(&store), [("n/1".to_owned(), b"xxxx".to_vec())]);
    drop(store);

    let refused = Store::open(config(dir.path())).err().expect("schema 1 knows too little");
    assert!(matches!(refused, OpenError::NewerSchema { found: 2 | 3, known: 1 }), "{refused}");
    let (store, _) = Store::open(schema(dir.path(), &[double, double])).expect("the refusal did no harm");
    assert_eq!(contents(&store), [("n/1".to_owned(), b"xxxx".to_vec())]);
}

#[test]
fn a_migration_that_refuses_the_last_value_has_changed_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    let body = "x".repeat(super::super::migrate::BATCH_BYTES / 4);
    for n in 0..6 {
        put(&mut store, &format!("n/{n}"), &body);
    }
    put(&mut store, "n/9999", "x");
    store.close().expect("it closes");
    let refused = Store::open(schema(dir.path(), &[double_but_the_last])).err().expect("the last is refused");
    assert!(matches!(refused, OpenError::Migration { from: 1, .. }), "{refused}");
    let (store, _) = open(dir.path());
    let lengths: Vec<usize> = contents(&store).iter().map(|(_, body)| body.len()).collect();
    assert_eq!(lengths, [body.len(), body.len(), body.len(), body.len(), body.len(), body.len(), 1]);
}

#[test]
fn what_a_cut_off_migration_has_left_is_not_read_by_an_older_program() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = Store::open(schema(dir.path(), &[double])).expect("it opens");
    put(&mut store, "n/1", "xx");
    // As it stands in between: values of the next schema, and the mark of the one before.
    let mut batch = Batch::new();
    batch.push_put(super::super::SCHEMA_KEY, &1_u32.to_le_bytes());
    store.commit_as(&mut batch, 2).expect("it commits");
    store.close().expect("it closes");
    let (store, _) = open(dir.path());
    let refused = store.load_all(|_, _, _| {}).expect_err("it is of schema 2");
    assert!(matches!(refused, ReadError::Newer { found: 2, known: 1, .. }), "{refused}");
    assert!(matches!(store.reader().get(b"n/1"), Err(ReadError::Newer { .. })));
    drop(store);
    let (store, _) = Store::open(schema(dir.path(), &[double])).expect("the newer program goes on");
    assert_eq!(contents(&store), [("n/1".to_owned(), b"xx".to_vec())]);
}

/// The process dies when most of it is written.
fn double_and_die_at_the_last(key: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    static SEEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    if key == b"n/9999" && SEEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
        return Err("the power is gone".to_owned());
    }
    double(key, body)
}

#[test]
fn a_migration_that_stopped_half_way_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    // More than one batch of a migration, so that a part of it is committed before the refusal.
    let body = vec![b'x'; super::super::migrate::BATCH_BYTES / 4];
    for n in 0..6 {
        let mut batch = Batch::new();
        batch.put(format!("n/{n}").as_bytes(), &body);
        store.commit(&mut batch).expect("it commits");
    }
    put(&mut store, "n/9999", "x");
    put(&mut store, "other", "x");
    store.close().expect("it closes");
    let cut = Store::open(schema(dir.path(), &[double_and_die_at_the_last])).err().expect("it dies");
    assert!(matches!(cut, OpenError::Migration { from: 1, .. }), "{cut}");
    let (store, opened) = Store::open(schema(dir.path(), &[double])).expect("it opens");
    assert_eq!(opened.schema_found, 1);
    let lengths: Vec<usize> = contents(&store).iter().map(|(_, body)| body.len()).collect();
    let doubled = body.len() * 2;
    assert_eq!(lengths, [doubled, doubled, doubled, doubled, doubled, doubled, 2, 1]);
}

#[test]
fn a_migration_that_only_the_journal_has_is_recognised_as_newer() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    put(&mut store, "n/1", "x");
    store.close().expect("it closes");
    let slow = Config { flush_interval: Duration::from_secs(3600), ..schema(dir.path(), &[double]) };
    let (store, _) = Store::open(slow).expect("it migrates");
    drop(store);
    let refused = Store::open(config(dir.path())).err().expect("schema 1 knows too little");
    assert!(matches!(refused, OpenError::NewerSchema { found: 2, known: 1 }), "{refused}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let usual = || config(dir.path());
    for bad in [
        Config { schema: 0, ..usual() },
        Config { schema: 3, ..usual() },
        Config { compact_factor: 0, ..usual() },
    ] {
        assert!(matches!(Store::open(bad), Err(OpenError::Config(_))));
    }
}
