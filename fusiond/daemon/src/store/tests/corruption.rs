//! Random damage to the files of the database: the store opens with everything, or says why it does not. It
//! never opens with something missing, and this process never panics.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;

/// Damages in the quick profile; `FUSION_CORRUPTIONS` asks for more.
const QUICK: usize = 60;

#[test]
fn a_damaged_database_is_never_believed() {
    let cases = std::env::var("FUSION_CORRUPTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(QUICK);
    let dir = tempfile::tempdir().expect("a folder");
    let origin = dir.path().join("origin");
    let (mut store, _) = open(&origin);
    let mut rng = Random(7);
    for round in 0..6 {
        fill(&mut store, &mut rng, round);
        store.checkpoint().expect("it is written");
    }
    let expected = contents(&store);
    store.close().expect("it closes");

    let (mut unharmed, mut rebuilt) = (0, 0);
    for case in 0..cases {
        let copy = dir.path().join(format!("case-{case}"));
        copy_folder(&origin, &copy);
        let what = damage(&copy.join("db"), &mut rng);
        let (store, opened) = Store::open(config(&copy)).unwrap_or_else(|e| panic!("{case}, {what}: {e:?}"));
        assert_eq!(contents(&store), expected, "{case}, {what}: {opened:?}");
        match opened.rebuilt {
            Some(r) => {
                assert!(r.set_aside.is_some_and(|p| p.is_dir()) || !what.is_empty());
                rebuilt += 1;
            }
            None => unharmed += 1,
        }
        drop(store);
        fs::remove_dir_all(&copy).expect("it is removed");
    }
    assert!(rebuilt > cases / 3, "the damage was felt: {rebuilt} rebuilt, {unharmed} unharmed of {cases}");
}

fn fill(store: &mut Store, rng: &mut Random, round: u32) {
    for _ in 0..300 {
        let mut batch = Batch::new();
        let body: Vec<u8> = (0..rng.below(200)).map(|_| rng.below(256) as u8).collect();
        batch.put(format!("task/{:04}", rng.below(1000)).as_bytes(), &body);
        batch.delete(format!("task/{:04}", rng.below(1000)).as_bytes());
        batch.put(format!("event/{round}/{:08}", rng.next()).as_bytes(), &body);
        store.commit(&mut batch).expect("it commits");
    }
}

fn damage(db: &Path, rng: &mut Random) -> String {
    let mut files: Vec<PathBuf> =
        fs::read_dir(db).expect("it lists").map(|e| e.expect("it lists").path()).collect();
    files.retain(|f| f.is_file());
    files.sort();
    let weighted =
        if rng.below(3) > 0 { db.join("db") } else { files[rng.below(files.len() as u64) as usize].clone() };
    let file = fs::OpenOptions::new().write(true).read(true).open(&weighted).expect("it opens");
    let size = file.metadata().expect("it has a size").len().max(1);
    let at = rng.below(size);
    let kind = rng.below(5);
    match kind {
        0 => file.set_len(at).expect("it is cut"),
        1 => {
            let mut byte = [0];
            file.read_at(&mut byte, at).expect("it reads");
            file.write_all_at(&[byte[0] ^ 1 << (rng.below(8))], at).expect("it writes");
        }
        2 => file.write_all_at(&[0; 4096], at / 4096 * 4096).expect("it writes"),
        3 => file.write_all_at(&[0x5A; 512], at / 512 * 512).expect("it writes"),
        _ => fs::remove_file(&weighted).expect("it is removed"),
    }
    format!("damage {kind} at {at} of {}", weighted.display())
}
