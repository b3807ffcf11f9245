//! What fake agents say they did: one line per start and end, appended in one write each, so that lines never mix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file that fake agents append to with the steps `ledger PATH`.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
}

/// What happened to one attempt, in the agent's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Pids of the processes that said that they started it; more than one is a double start.
    pub starts: Vec<u32>,
    /// Exit codes that they were about to exit with.
    pub ends: Vec<i32>,
}

impl Ledger {
    /// Makes an empty ledger at `path` that every user may append to.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        std::fs::write(path, b"").expect("the test's folder can be written");
        rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o666))
            .expect("our own file can be opened to all");
        Self { path: path.to_path_buf() }
    }

    /// Where it is, for the step `ledger`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the test's folder has a plain name")
    }

    /// All entries by task id and attempt number.
    ///
    /// # Panics
    ///
    /// When a line is not what a fake agent writes.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<(String, u32), Entry> {
        let text = std::fs::read_to_string(&self.path).expect("the ledger can be read");
        let mut entries: BTreeMap<(String, u32), Entry> = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [verb, task, attempt, value] = words.as_slice() else {
                panic!("torn line in the ledger: {line:?}")
            };
            let attempt: u32 = attempt.parse().expect("an attempt is a number");
            let entry = entries.entry(((*task).to_owned(), attempt)).or_default();
            match *verb {
                "START" => entry.starts.push(value.parse().expect("a pid is a number")),
                "END" => entry.ends.push(value.parse().expect("an exit code is a number")),
                _ => panic!("unknown line in the ledger: {line:?}"),
            }
        }
        entries
    }
}
