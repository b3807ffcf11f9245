//! The real `specify` of spec-kit, from PyPI: installed once into a folder outside the checkout, keyed by its version.
//!
//! Not here: what is done with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// The version that stories are told with.
const VERSION: &str = "1.2.3";

/// The program.
///
/// # Panics
///
/// When it cannot be installed; the message says what to do.
#[must_use]
pub fn specify() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .expect("HOME is set")
        .join("fusiond");
    std::fs::create_dir_all(&cache).expect("the cache folder can be made");
    let folder = cache.join(format!("specify-cli-{VERSION}"));
    let lock = File::create(cache.join("specify-cli.lock")).expect("the cache folder can be written");
    flock(&lock, FlockOperation::LockExclusive).expect("a file of our own can be locked");
    let whole = folder.join("whole");
    if !whole.exists() {
        drop(std::fs::remove_dir_all(&folder));
        run("python3", &["-m", "venv", text(&folder)]);
        let pip = folder.join("bin/pip");
        run(
            text(&pip),
            &["install", "--quiet", "--disable-pip-version-check", &format!("specify-cli=={VERSION}")],
        );
        File::create(&whole).expect("the cache folder can be written");
    }
    folder.join("bin/specify")
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}: apt-get install -y python3 python3-venv"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`{program} {}` failed: apt-get install -y python3-venv, and PyPI must be reachable: {said}",
        args.join(" ")
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the cache folder has a plain name")
}
