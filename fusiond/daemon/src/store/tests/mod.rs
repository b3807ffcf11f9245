//! Tests of the store, each against real files. This binary is also its own probe and its own victim: some
//! tests start it again with one of the `*_child` tests and an argument.

mod backup;
mod compact;
mod corruption;
mod cuts;
mod journal;
mod model;
mod open;
mod space;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Batch, Config, Opened, Probe, Store, probe_main};

/// Arguments that make this binary run one `*_child` test; what follows them is the child's own.
fn child_args(test: &str) -> Vec<OsString> {
    ["--exact", "--nocapture", &format!("store::tests::{test}")].iter().map(OsString::from).collect()
}

/// What a `*_child` test was given; `None` when it runs as one test among others.
fn child_argument() -> Option<PathBuf> {
    let last = PathBuf::from(std::env::args_os().next_back()?);
    last.is_absolute().then_some(last).filter(|_| std::env::args_os().len() > 3)
}

#[test]
fn probe_child() {
    if let Some(db) = child_argument() {
        std::process::exit(probe_main(&db));
    }
}

/// Small and eager: segments of 64 KiB, no reserve to speak of, the probe in a child.
fn config(dir: &Path) -> Config {
    Config {
        segment_bytes: 64 << 10,
        reserve_bytes: 64 << 10,
        free_floor_bytes: 0,
        cache_bytes: 1 << 20,
        flush_interval: Duration::from_millis(20),
        probe: Probe::Command {
            program: PathBuf::from("/proc/self/exe"),
            args: child_args("probe_child"),
            limit: Duration::from_secs(10),
        },
        ..Config::new(dir)
    }
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(config(dir)).expect("it opens")
}

fn put(store: &mut Store, key: &str, body: &str) -> u64 {
    let mut batch = Batch::new();
    batch.put(key.as_bytes(), body.as_bytes());
    store.commit(&mut batch).expect("it commits")
}

/// Everything but the store's own entry.
fn contents(store: &Store) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let each =
        |key: &[u8], _: u8, body: &[u8]| all.push((String::from_utf8_lossy(key).into_owned(), body.to_vec()));
    store.load_all(each).expect("it reads");
    all.retain(|(key, _)| key.as_bytes() != super::SCHEMA_KEY);
    all
}

/// The one segment of a small store.
fn last_segment(dir: &Path) -> PathBuf {
    let segments = super::journal::segment::list(&dir.join("journal")).expect("it lists");
    segments.last().expect("there is one").path.clone()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is made");
    for entry in fs::read_dir(from).expect("it lists") {
        let entry = entry.expect("it lists");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("it has a type").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("it copies")),
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Runs a system tool to its end; `sh` for what is missing.
fn run(program: &str, args: &[&std::ffi::OsStr]) -> String {
    let done = std::process::Command::new(program).args(args).output();
    let done =
        done.unwrap_or_else(|e| panic!("{program} is needed (apt-get install mount e2fsprogs perl): {e}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {said}; this test needs root");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A folder that is a file system of its own; gone at the end.
struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    fn new(args: &[&str]) -> Mounted {
        let dir = tempfile::tempdir().expect("a folder");
        let mounted = Mounted { dir };
        mounted.mount(args);
        mounted
    }

    fn mount(&self, args: &[&str]) {
        let mut all: Vec<&std::ffi::OsStr> = args.iter().map(AsRef::as_ref).collect();
        all.push(self.dir.path().as_os_str());
        run("mount", &all);
    }

    fn unmount(&self) {
        run("umount", &[self.dir.path().as_os_str()]);
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a failing test may still hold files open.
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.dir.path()).output();
        assert!(unmounted.is_ok(), "umount runs");
    }
}
