//! Compaction at start: the files get smaller, the contents stay; and a crash between any two steps.

use std::collections::BTreeMap;

use super::*;
use crate::store::home::Home;
use crate::store::tree::{self, Tree};

type Model = BTreeMap<String, Vec<u8>>;

/// 200 entries of 1000 bytes, again and again.
fn update(store: &mut Store, model: &mut Model, rounds: u64) {
    for round in 0..rounds {
        let mut batch = Batch::new();
        for n in 0..200 {
            let (key, body) = (format!("task/{n:03}"), vec![(round + n) as u8; 1000]);
            batch.put(key.as_bytes(), &body);
            model.insert(key, body);
        }
        store.commit(&mut batch).expect("it commits");
        store.checkpoint().expect("it is written");
    }
}

/// A store that has grown by updates and by what is gone since, cleanly closed; and what it holds.
fn grown(dir: &Path) -> Model {
    let (mut store, _) = open(dir);
    let mut model = Model::new();
    update(&mut store, &mut model, 10);
    let passing: Vec<String> = (0..4000).map(|n| format!("event/{n:04}")).collect();
    for keys in passing.chunks(200) {
        let mut batch = Batch::new();
        keys.iter().for_each(|key| batch.put(key.as_bytes(), &[7; 1000]));
        store.commit(&mut batch).expect("it commits");
    }
    store.checkpoint().expect("it is written");
    let mut batch = Batch::new();
    passing.iter().for_each(|key| batch.delete(key.as_bytes()));
    store.commit(&mut batch).expect("it commits");
    update(&mut store, &mut model, 10);
    store.close().expect("it closes");
    model
}

/// Compacts what is above 2 MiB.
fn eager(dir: &Path) -> Config {
    Config { compact_floor_bytes: SMALL, ..config(dir) }
}

const SMALL: u64 = 2 << 20;

fn database_bytes(dir: &Path) -> u64 {
    tree::size(&dir.join("db")).expect("it is there")
}

/// The names in the folder that begin with `db`.
fn databases(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("it lists").map(|e| e.expect("it lists").file_name());
    let mut names: Vec<String> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.retain(|n| n.starts_with("db"));
    names.sort();
    names
}

#[test]
fn a_grown_database_gets_smaller_at_the_next_open_and_holds_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut model = grown(dir.path());
    let (store, opened) = open(dir.path());
    assert_eq!(opened.compacted, None, "below the usual floor");
    drop(store);
    fs::create_dir(dir.path().join("db.corrupt-1")).expect("it is made");

    let before = database_bytes(dir.path());
    let (mut store, opened) = Store::open(eager(dir.path())).expect("it opens");
    let compacted = opened.compacted.expect("it had grown");
    assert_eq!(compacted.from_bytes, before);
    assert!(compacted.to_bytes * 2 < before && opened.rebuilt.is_none(), "{opened:?}");
    assert!(database_bytes(dir.path()) * 2 < before);
    assert_eq!(databases(dir.path()), ["db", "db.corrupt-1"], "what was damaged is kept");
    assert_eq!(contents(&store), model.clone().into_iter().collect::<Vec<_>>());
    update(&mut store, &mut model, 1);
    store.close().expect("it closes");

    let (store, opened) = Store::open(eager(dir.path())).expect("it opens");
    assert_eq!((opened.compacted, opened.seq, opened.replayed), (None, store.seq(), 0), "once is enough");
    assert_eq!(contents(&store), model.into_iter().collect::<Vec<_>>());
}

#[test]
fn records_that_only_the_journal_has_are_in_the_compacted_database() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut model = grown(dir.path());
    let slow = Config { flush_interval: Duration::from_secs(3600), ..config(dir.path()) };
    let (mut store, _) = Store::open(slow).expect("it opens");
    put(&mut store, "task/late", "late");
    model.insert("task/late".to_owned(), b"late".to_vec());
    drop(store);
    let (store, opened) = Store::open(eager(dir.path())).expect("it opens");
    assert!(opened.compacted.is_some() && opened.replayed == 1, "{opened:?}");
    assert_eq!(contents(&store), model.into_iter().collect::<Vec<_>>());
    drop(store);
    // The checkpoint that it was built from holds everything too.
    fs::remove_dir_all(dir.path().join("db")).expect("it is removed");
    let (store, opened) = open(dir.path());
    assert!(opened.rebuilt.is_some_and(|r| r.from == opened.seq), "not from an older one");
    assert!(contents(&store).contains(&("task/late".to_owned(), b"late".to_vec())));
}

/// What a crash leaves after each step, of the folder as it was before and as it is after a compaction.
fn crash_after(step: &str, before: &Path, after: &Path, to: &Path) {
    copy_folder(before, to);
    let home = Home::at(to);
    if step == "part of the checkpoint" {
        fs::write(home.checkpoints.join(".00000000000000000601.ckpt.part"), "FUSCKPT1").expect("it writes");
        return;
    }
    copy_folder(&after.join("checkpoint"), &home.checkpoints);
    let build = || copy_folder(&after.join("db"), &home.building);
    let move_away = || fs::rename(&home.db, &home.replaced).expect("it is renamed");
    let move_in = || fs::rename(&home.building, &home.db).expect("it is renamed");
    match step {
        "the checkpoint" => {}
        "part of the new database" => {
            drop(Tree::open(&home.building, 1 << 20).expect("it is made"));
            assert!(tree::wait_released(&home.building));
        }
        "the new database" => build(),
        "the old one moved away" => {
            build();
            move_away();
        }
        "the new one moved in" | "part of the old one removed" => {
            build();
            move_away();
            move_in();
            if step == "part of the old one removed" {
                fs::remove_file(home.replaced.join("db")).expect("it is removed");
            }
        }
        other => panic!("{other} is no step"),
    }
}

const STEPS: [&str; 7] = [
    "part of the checkpoint",
    "the checkpoint",
    "part of the new database",
    "the new database",
    "the old one moved away",
    "the new one moved in",
    "part of the old one removed",
];

#[test]
fn a_crash_between_any_two_steps_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let model = grown(&before);
    copy_folder(&before, &after);
    let (store, opened) = Store::open(eager(&after)).expect("it opens");
    assert!(opened.compacted.is_some());
    drop(store);
    assert!(tree::wait_released(&after.join("db")));
    for (n, step) in STEPS.into_iter().enumerate() {
        for config in [config, eager] {
            let case = dir.path().join(format!("case-{n}"));
            crash_after(step, &before, &after, &case);
            let (mut store, opened) = Store::open(config(&case)).unwrap_or_else(|e| panic!("{step}: {e}"));
            assert!(opened.rebuilt.is_none() && opened.journal_set_aside.is_none(), "{step}: {opened:?}");
            assert!(contents(&store) == model.clone().into_iter().collect::<Vec<_>>(), "{step}: {opened:?}");
            assert_eq!(databases(&case), ["db"], "{step}");
            let seq = put(&mut store, "task/next", "next");
            drop(store);
            let (store, opened) = Store::open(eager(&case)).expect("it opens");
            assert!(opened.seq == seq && opened.rebuilt.is_none(), "{step}: {opened:?}");
            assert!(database_bytes(&case) < SMALL, "{step}: it is small in the end");
            assert_eq!(contents(&store).len(), model.len() + 1);
            drop(store);
            fs::remove_dir_all(&case).expect("it is removed");
        }
    }
}

#[test]
fn compactor_child() {
    if let Some(dir) = child_argument() {
        drop(Store::open(eager(&dir)).expect("it opens"));
    }
}

#[test]
fn a_kill_while_compacting_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = dir.path().join("before");
    let model = grown(&before);
    let mut killed = 0;
    for sign in ["db.rebuilding", "db.rebuilding/db", "db.replaced", "db.replaced"] {
        let case = dir.path().join("case");
        copy_folder(&before, &case);
        let mut child = std::process::Command::new("/proc/self/exe");
        child.args(child_args("compact::compactor_child")).arg(&case).stdout(std::process::Stdio::null());
        let mut child = child.spawn().expect("it starts");
        while child.try_wait().expect("it is ours").is_none() && !case.join(sign).exists() {
            std::thread::yield_now();
        }
        child.kill().expect("it is ours");
        killed += usize::from(!child.wait().expect("it ends").success());
        let (store, opened) = open(&case);
        assert!(opened.rebuilt.is_none(), "{sign}: {opened:?}");
        assert!(contents(&store) == model.clone().into_iter().collect::<Vec<_>>(), "{sign}: {opened:?}");
        assert_eq!(databases(&case), ["db"], "{sign}");
        drop(store);
        fs::remove_dir_all(&case).expect("it is removed");
    }
    assert!(killed > 0, "all of them ended before the kill");
}

/// The new database turns out bad after a crash: everything comes from checkpoint and journal.
#[test]
fn a_damaged_new_database_is_set_aside_like_any_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let model = grown(&before);
    copy_folder(&before, &after);
    drop(Store::open(eager(&after)).expect("it opens"));
    assert!(tree::wait_released(&after.join("db")));
    let case = dir.path().join("case");
    crash_after("the new one moved in", &before, &after, &case);
    fs::remove_file(case.join("db/db")).expect("it is removed");
    let (store, opened) = open(&case);
    let set_aside = opened.rebuilt.and_then(|r| r.set_aside).expect("it is kept");
    assert!(set_aside.is_dir() && databases(&case).len() == 2, "{:?}", databases(&case));
    assert_eq!(contents(&store), model.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_full_disk_leaves_the_database_as_it_is() {
    let disk = Mounted::new(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
    let state = disk.path().join("state");
    let model = grown(&state);
    let filler = fs::File::create(disk.path().join("filler")).expect("it is made");
    let free = crate::store::space::free_bytes(disk.path()).expect("it says");
    let left = crate::store::space::DATABASE_MARGIN + (256 << 10);
    rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, free - left).expect("it fills");
    let (store, opened) = Store::open(eager(&state)).expect("it opens");
    assert_eq!((opened.compacted, databases(&state)), (None, vec!["db".to_owned()]));
    assert_eq!(contents(&store), model.into_iter().collect::<Vec<_>>());
}
