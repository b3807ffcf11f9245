//! A small Debian as an archive: made once by mmdebstrap, kept outside the checkout under a name that follows from all that
//! is in it. Packages are tried in it, and containers start from it. Not here: a machine that boots (`vm`).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::shell;

const SUITE: &str = "bookworm";

/// An archive with these packages, separated by commas, and all that they need; root alone can unpack it.
///
/// # Errors
///
/// When mmdebstrap or the network is missing.
pub(crate) fn archive(packages: &str) -> anyhow::Result<PathBuf> {
    let mut inputs = DefaultHasher::new();
    (SUITE, packages).hash(&mut inputs);
    let cache = cache()?;
    let archive = cache.join(format!("debian-{:016x}.tar", inputs.finish()));
    if archive.is_file() {
        return Ok(archive);
    }
    shell::need("mmdebstrap", "mmdebstrap")?;
    // It has its name only when it is whole.
    let draft = tempfile::Builder::new().prefix("debian-draft-").tempdir_in(&cache)?;
    let made = draft.path().join("root.tar");
    let include = format!("--include={packages}");
    let args = ["--quiet", "--mode=root", "--variant=minbase", &include, SUITE, &made.to_string_lossy()];
    shell::run_with("mmdebstrap", &args, &[("TMPDIR", &draft.path().to_string_lossy())])?;
    std::fs::rename(&made, &archive).with_context(|| format!("keeping {}", archive.display()))?;
    Ok(archive)
}

/// Unpacks an archive into a folder that is there.
///
/// # Errors
///
/// When it cannot be unpacked.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<()> {
    let (archive, folder) = (archive.to_string_lossy(), folder.to_string_lossy());
    shell::run("tar", &["--numeric-owner", "-xpf", &archive, "-C", &folder])
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = base.or_else(home).context("HOME is not set")?.join("fusiond");
    std::fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    Ok(cache)
}
