//! Idempotency keys of tasks that an earlier build stored: it wrote no entry that says whose a key is, so that the key would
//! be free again once its task has left the memory.
//!
//! Not for: tasks that are submitted now; their entries are written with them (`turn`).

use crate::engine::record;
use crate::store::{Batch, CommitError, ReadError, Reader, Store};
use fusion_core::{TaskId, Time, Uid};
use std::collections::BTreeMap;

/// There once all that was stored before has its entries, so that no later start looks through it.
const DONE: &[u8] = b"meta/keys";

/// Entries that are written as one record.
const BATCH_BYTES: usize = 1 << 20;

/// The entries could not be made; the next start tries again.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store does not answer.
    #[error("reading tasks and their keys")]
    Read(#[from] ReadError),
    /// It does not take them.
    #[error("writing whose each key is")]
    Commit(#[from] CommitError),
}

/// Writes the entries that are missing, once in the life of a store; says how many.
///
/// # Errors
/// [`KeysError`]; nothing is lost.
pub fn keep_keys(store: &mut Store) -> Result<usize, KeysError> {
    let reader = store.reader();
    if reader.get(DONE)?.is_some() {
        return Ok(0);
    }
    let (mut batch, mut count) = (Batch::new(), 0);
    for ((owner, text), Holder { task, .. }) in holders(&reader)? {
        let key = record::key_key(owner, &text);
        if reader.get(&key)?.is_none() {
            batch.put(&key, &record::encode(&task));
            count += 1;
        }
        if batch.bytes() > BATCH_BYTES {
            store.commit(&mut batch)?;
        }
    }
    batch.put(DONE, &[1]);
    store.commit(&mut batch)?;
    Ok(count)
}

/// Whose a key is. Of several the greatest: one that has not ended, else that which ended last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    is_open: bool,
    ended_at: Option<Time>,
    task: TaskId,
}

fn holders(reader: &Reader) -> Result<BTreeMap<(Uid, Box<str>), Holder>, ReadError> {
    let mut holders: BTreeMap<(Uid, Box<str>), Holder> = BTreeMap::new();
    reader.scan(record::TASK, |_, _, body| {
        // The state was loaded from the same bytes.
        let Some(task) = record::decode_task(body) else { return };
        let Some(key) = task.spec.key else { return };
        let ended_at = task.state.ended_at();
        let holder = Holder { is_open: ended_at.is_none(), ended_at, task: task.id };
        let key = (task.owner, key);
        if holders.get(&key).is_none_or(|other| *other < holder) {
            holders.insert(key, holder);
        }
    })?;
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{MIGRATIONS, SCHEMA};
    use crate::store::{self, Config, Probe};
    use fusion_core::Task;
    use std::path::Path;

    /// What a daemon of the first schema stored.
    fn older() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("store");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/house/v1.ckpt");
        store::restore(&file, &dir, SCHEMA).unwrap();
        let mut config = Config::new(&dir);
        (config.probe, config.schema, config.migrations) = (Probe::Skip, SCHEMA, MIGRATIONS);
        let (store, _) = Store::open(config).unwrap();
        (folder, store)
    }

    fn tasks(store: &Store) -> Vec<Task> {
        let mut tasks = Vec::new();
        store.reader().scan(record::TASK, |_, _, body| tasks.extend(record::decode_task(body))).unwrap();
        tasks
    }

    fn give_key(store: &mut Store, mut task: Task, key: &str) {
        task.spec.key = Some(key.into());
        let mut batch = Batch::new();
        batch.put(&record::task_key(task.id), &record::encode(&task));
        store.commit(&mut batch).unwrap();
    }

    #[test]
    fn a_key_that_was_stored_without_an_entry_gets_one_and_others_keep_theirs() {
        let (_folder, mut store) = older();
        let all = tasks(&store);
        let (ended, open): (Vec<Task>, Vec<Task>) =
            all.into_iter().partition(|task| task.state.ended_at().is_some());
        let owner = open[0].owner;
        give_key(&mut store, ended[0].clone(), "both");
        give_key(&mut store, open[0].clone(), "both");
        give_key(&mut store, ended[1].clone(), "ended");
        give_key(&mut store, ended[2].clone(), "known");
        let mut batch = Batch::new();
        batch.put(&record::key_key(owner, "known"), &record::encode(&open[1].id));
        store.commit(&mut batch).unwrap();

        assert_eq!(keep_keys(&mut store).unwrap(), 2);
        let named = |store: &Store, key| {
            record::task_of_key(&store.reader(), owner, key).unwrap().map(|task| task.id)
        };
        assert_eq!(named(&store, "both"), Some(open[0].id));
        assert_eq!(named(&store, "ended"), Some(ended[1].id));
        assert_eq!(named(&store, "known"), Some(open[1].id));

        give_key(&mut store, ended[0].clone(), "late");
        assert_eq!(keep_keys(&mut store).unwrap(), 0, "a store is looked through once");
        assert_eq!(named(&store, "late"), None);
    }
}
