//! Where the binaries under test are. Not here: building them, which `cargo xtask test` does.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Makes [`binary`] look in `folder` instead of beside the running program; the first call decides.
pub fn use_binaries_in(folder: PathBuf) {
    FOLDER.get_or_init(|| folder);
}

/// The program `name` built beside the running one, or in the folder that was chosen.
///
/// # Panics
///
/// When it is not there, with the command that would build it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folder = FOLDER.get_or_init(beside_us);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{name} is not in {}: run `cargo build --workspace` first, or `cargo xtask test`, which does",
        folder.display()
    );
    path
}

/// Whether the tests run as root, and so may serve several users.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `target/debug` for both `target/debug/xtask` and `target/debug/deps/stories-…`.
fn beside_us() -> PathBuf {
    let exe = std::env::current_exe().expect("a running program has a path");
    let folder = exe.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        folder.parent().map_or_else(|| folder.to_path_buf(), Path::to_path_buf)
    } else {
        folder.to_path_buf()
    }
}
