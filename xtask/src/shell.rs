//! How errands talk to the terminal and find the checkout. Not here: what any errand does.

use std::io::Write as _;
use std::path::PathBuf;

/// The root of the checkout: the folder above this package.
pub(crate) fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies one level below the root").to_path_buf()
}

/// Writes to standard output; a closed terminal is no reason to fail an errand.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes to standard error; a closed terminal is no reason to fail an errand.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
