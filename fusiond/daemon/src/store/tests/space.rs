//! A full disk: new work is refused, nothing is lost, and it goes on once there is space.

use super::*;
use crate::store::{CommitError, OpenError};

fn small(dir: &Path) -> Config {
    Config { segment_bytes: 1 << 20, reserve_bytes: 2 << 20, ..config(dir) }
}

/// Commits until it is refused; the number of the last record.
fn fill(store: &mut Store, from: u64) -> u64 {
    let mut n = from;
    loop {
        let mut batch = Batch::new();
        batch.put(format!("task/{:06}", n + 1).as_bytes(), &[n as u8; 3000]);
        match store.commit(&mut batch) {
            Ok(seq) => {
                n += 1;
                assert_eq!(seq, n);
            }
            Err(CommitError::NoSpace) => {
                assert_eq!(batch.len(), 1, "the batch is as before");
                return n;
            }
            Err(e @ (CommitError::TooLarge { .. } | CommitError::Poisoned { .. })) => panic!("{n}: {e:?}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_new_work_and_loses_nothing() {
    let disk = Mounted::new(&["-t", "tmpfs", "-o", "size=64m", "none"]);
    let state = disk.path().join("state");
    let (mut store, _) = Store::open(small(&state)).expect("it opens");
    let acked = fill(&mut store, 0);
    assert!(acked > 1000, "{acked}");
    assert_eq!(fill(&mut store, acked), acked, "still full");
    assert_eq!(store.seq(), acked);
    assert_eq!(contents(&store).len() as u64, acked, "all of it can be read");
    drop(store);

    match Store::open(small(&state)) {
        Ok((store, opened)) => assert_eq!((opened.seq, contents(&store).len() as u64), (acked, acked)),
        Err(OpenError::NoSpace { .. } | OpenError::Io { .. }) => {}
        Err(e) => panic!("{e}"),
    }
    run("mount", &["-o".as_ref(), "remount,size=160m".as_ref(), disk.path().as_os_str()]);
    let (mut store, opened) = Store::open(small(&state)).expect("there is space again");
    assert_eq!((opened.seq, contents(&store).len() as u64), (acked, acked), "{opened:?}");
    assert!(store.space().ok);
    let more = fill(&mut store, acked);
    assert!(more > acked);
    drop(store);
}

#[test]
fn below_the_floor_the_space_is_not_ok() {
    let disk = Mounted::new(&["-t", "tmpfs", "-o", "size=64m", "none"]);
    let (store, _) = Store::open(Config { free_floor_bytes: 128 << 20, ..small(&disk.path().join("s")) })
        .expect("it opens");
    let space = store.space();
    assert!(!space.ok && space.free_bytes < space.floor_bytes, "{space:?}");
    drop(store);
}
