//! The store against a `BTreeMap`: any sequence of commits, reads, reopenings, lost databases and
//! checkpoints shows exactly what the map holds.

use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::{Direction, Reader};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Act {
    Commit(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Range { prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize, direction: Direction },
    Settle,
    Close,
    Crash,
    LoseDatabase,
    Compact,
}

/// Few and similar keys, so that they meet; bytes at the edges of the order.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(vec![1u8, b'/', b'a', 0, 0xFE, 0xFF]), 1..4).prop_map(|mut key| {
        key[0] = key[0].max(1);
        key
    })
}

fn act() -> impl Strategy<Value = Act> {
    let body = prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 3000..5000)];
    let change = (key(), prop::option::weighted(0.7, body));
    let direction = prop::sample::select(vec![Direction::Ascending, Direction::Descending]);
    let prefix = prop_oneof![Just(Vec::new()), key()];
    let range = (prefix, prop::option::of(key()), 0usize..12, direction);
    prop_oneof![
        12 => vec(change, 1..12).prop_map(Act::Commit),
        8 => range.prop_map(|(prefix, after, limit, direction)| Act::Range { prefix, after, limit, direction }),
        2 => Just(Act::Settle),
        1 => Just(Act::Close),
        1 => Just(Act::Crash),
        1 => Just(Act::LoseDatabase),
        1 => Just(Act::Compact),
    ]
}

fn expected_range(
    model: &Model,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = model.iter().filter(|(key, _)| key.starts_with(prefix));
    let pair = |(key, body): (&Vec<u8>, &Vec<u8>)| (key.clone(), body.clone());
    match direction {
        Direction::Ascending => {
            within.filter(|(key, _)| after.is_none_or(|a| key.as_slice() > a)).take(limit).map(pair).collect()
        }
        Direction::Descending => within
            .rev()
            .filter(|(key, _)| after.is_none_or(|a| key.as_slice() < a))
            .take(limit)
            .map(pair)
            .collect(),
    }
}

fn check_all(reader: &Reader, model: &Model) {
    let mut found = Model::new();
    reader.scan(b"", |key, _, body| drop(found.insert(key.to_vec(), body.to_vec()))).expect("it reads");
    found.remove(crate::store::SCHEMA_KEY);
    assert_eq!(&found, model);
    for (key, body) in model {
        assert_eq!(reader.get(key).expect("it reads").as_ref(), Some(body));
    }
}

fn reopen(dir: &Path) -> Store {
    // The probe in a child has tests of its own; here it would only take time.
    let quick = Config { probe: Probe::Skip, checkpoint_bytes: 32 << 10, ..config(dir) };
    Store::open(quick).expect("it opens").0
}

fn reopen_small(dir: &Path) -> Store {
    let eager = Config { compact_factor: 1, compact_floor_bytes: 0, probe: Probe::Skip, ..config(dir) };
    Store::open(eager).expect("it opens").0
}

fn commit(store: &mut Store, model: &mut Model, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    let mut batch = Batch::new();
    for (key, new) in changes {
        match new {
            Some(body) => {
                batch.put(key, body);
                model.insert(key.clone(), body.clone());
            }
            None => {
                batch.delete(key);
                model.remove(key);
            }
        }
    }
    store.commit(&mut batch).expect("it commits");
}

fn run(acts: &[Act]) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut model = Model::new();
    let mut store = reopen(dir.path());
    for act in acts {
        match act {
            Act::Commit(changes) => commit(&mut store, &mut model, changes),
            Act::Range { prefix, after, limit, direction } => {
                let found = store.reader().range(prefix, after.as_deref(), limit + 1, *direction);
                let found = found.expect("it reads").into_iter().map(|e| (e.key, e.body));
                let found: Vec<_> =
                    found.filter(|(k, _)| k != crate::store::SCHEMA_KEY).take(*limit).collect();
                assert_eq!(found, expected_range(&model, prefix, after.as_deref(), *limit, *direction));
            }
            Act::Settle => drop(store.checkpoint().expect("it is written")),
            Act::Close => {
                store.close().expect("it closes");
                store = reopen(dir.path());
                check_all(&store.reader(), &model);
            }
            Act::Crash => {
                drop(store);
                store = reopen(dir.path());
                check_all(&store.reader(), &model);
            }
            Act::LoseDatabase => {
                drop(store);
                fs::remove_dir_all(dir.path().join("db")).expect("it is removed");
                store = reopen(dir.path());
                check_all(&store.reader(), &model);
            }
            Act::Compact => {
                drop(store);
                store = reopen_small(dir.path());
                check_all(&store.reader(), &model);
            }
        }
    }
    check_all(&store.reader(), &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_shows_what_a_map_would(acts in vec(act(), 1..40)) {
        run(&acts);
    }
}
