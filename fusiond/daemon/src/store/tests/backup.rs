//! Backups: equal to what was committed at one moment, restorable, refused when damaged; and the golden file
//! of schema 1.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::{BackupError, OpenError, checkpoint, restore};

#[test]
fn a_backup_under_load_is_one_moment_and_restores_to_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    let reader = store.reader();
    let stop = AtomicBool::new(false);
    let target = dir.path().join("kept.fusion-backup");
    let backup = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0u64;
            // Each record moves the pair together: any backup holds two equal numbers.
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let mut batch = Batch::new();
                batch.put(b"pair/a", &n.to_le_bytes());
                batch.put(format!("task/{n:08}").as_bytes(), b"body");
                batch.put(b"pair/b", &n.to_le_bytes());
                store.commit(&mut batch).expect("it commits");
            }
            store
        });
        while reader.get(b"task/00000050").expect("it reads").is_none() {
            std::thread::yield_now();
        }
        let backup = reader.backup(&target).expect("it is written");
        stop.store(true, Ordering::Relaxed);
        drop(writer.join().expect("the writer ends"));
        backup
    });
    assert!(backup.seq >= 50);
    assert_eq!(fs::metadata(&target).expect("it is there").len(), backup.bytes);

    let fresh = dir.path().join("restored");
    assert_eq!(restore(&target, &fresh, 1).expect("it restores"), backup);
    let (store, opened) = open(&fresh);
    assert!(opened.seq == backup.seq && opened.rebuilt.is_some_and(|rebuilt| rebuilt.is_restored));
    let all = contents(&store);
    assert_eq!(all.len() as u64, backup.seq + 2);
    let n = backup.seq.to_le_bytes().to_vec();
    assert_eq!((&all[0].1, &all[1].1), (&n, &n));
    assert_eq!(all.last().map(|(key, _)| key.clone()), Some(format!("task/{:08}", backup.seq)));
    assert!(matches!(restore(&target, &fresh, 1), Err(OpenError::Locked { .. })), "a daemon serves it");
    assert!(opened.of_backup);
    drop(store);
    assert!(matches!(restore(&target, &fresh, 1), Err(OpenError::NotEmpty { .. })));
    let (store, opened) = open(&fresh);
    assert!(opened.of_backup && opened.rebuilt.is_none(), "until somebody says otherwise");
    store.outgrow_backup().expect("the mark is removed");
    drop(store);
    let (store, opened) = open(&fresh);
    assert!(!opened.of_backup);
    drop(store);
    for lost in ["db", "journal"] {
        fs::remove_dir_all(fresh.join(lost)).expect("it is there");
    }
    let (_store, opened) = open(&fresh);
    assert!(opened.rebuilt.is_some_and(|rebuilt| !rebuilt.is_restored), "what is lost later is a loss");
    let other = dir.path().join("other");
    assert!(matches!(restore(&target, &other, 0), Err(OpenError::NewerSchema { found: 1, known: 0 })));
    assert!(!other.exists(), "nothing was made");
}

#[test]
fn a_restore_that_was_cut_off_is_no_empty_state() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path());
    let target = dir.path().join("backup");
    store.reader().backup(&target).expect("it is written");
    let fresh = dir.path().join("restored");
    restore(&target, &fresh, 1).expect("it restores");
    fs::remove_dir_all(fresh.join("checkpoint")).expect("it is there");
    let Err(refused) = Store::open(Config::new(&fresh)) else { panic!("it is not whole") };
    assert!(matches!(refused, OpenError::NoCheckpoint { .. }), "{refused}");
}

#[test]
fn a_backup_does_not_overwrite() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path());
    let target = dir.path().join("there");
    fs::write(&target, "mine").expect("it writes");
    assert!(matches!(store.reader().backup(&target), Err(BackupError::Exists { .. })));
    let nowhere = store.reader().backup(&dir.path().join("no/such/folder"));
    assert!(matches!(nowhere, Err(BackupError::Io { .. })));
}

#[test]
fn a_damaged_backup_is_refused_at_every_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = open(dir.path());
    put(&mut store, "task/1", "body");
    let target = dir.path().join("b");
    store.reader().backup(&target).expect("it is written");
    let whole = fs::read(&target).expect("it reads");
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x40;
        fs::write(&target, &bad).expect("it writes");
        assert!(checkpoint::read(&target, |_, _| Ok(())).is_err(), "byte {at}");
        fs::write(&target, &whole[..at]).expect("it writes");
        assert!(checkpoint::read(&target, |_, _| Ok(())).is_err(), "cut at {at}");
    }
    fs::write(&target, [&whole[..], b"x"].concat()).expect("it writes");
    assert!(checkpoint::read(&target, |_, _| Ok(())).is_err(), "longer");
    assert!(matches!(restore(&target, &dir.path().join("r"), 1), Err(OpenError::BadCheckpoint { .. })));
    assert!(!dir.path().join("r").exists(), "nothing was made");
}

/// `golden/schema-1.fusion-backup` was written by the first version of the format; every later one reads it.
#[test]
fn the_golden_backup_of_schema_1_is_still_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/golden/schema-1.fusion-backup");
    let dir = tempfile::tempdir().expect("a folder");
    restore(&golden, dir.path(), 1).expect("it restores");
    let (store, opened) = open(dir.path());
    assert_eq!((opened.schema_found, opened.seq), (1, 3));
    let expected = [("event/00000000000000000001", "spawned"), ("task/tsk_1", "queued"), ("task/tsk_2", "")];
    assert_eq!(contents(&store), expected.map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())));
    let versions = store.reader().range(b"", None, 9, crate::store::Direction::Ascending).expect("it reads");
    assert!(versions.iter().all(|e| e.version == 1));
}

/// Writes a new golden file after a deliberate change: `FUSION_GOLDEN=1 cargo test golden_is_written`.
#[test]
fn golden_is_written_on_request() {
    if std::env::var_os("FUSION_GOLDEN").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, opened) = open(dir.path());
    put(&mut store, "task/tsk_1", "queued");
    put(&mut store, "task/tsk_2", "");
    put(&mut store, "event/00000000000000000001", "spawned");
    let name = format!("src/store/golden/schema-{}.fusion-backup", opened.schema_found);
    store.reader().backup(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("it is written");
}
