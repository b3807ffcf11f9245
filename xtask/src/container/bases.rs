//! Images to start from where none can be pulled: a small Debian, and the same with a compiler, the toolchain of this
//! checkout and the sources of libraries that were fetched already. Not here: the image itself (`packaging/docker`).

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::engine::Engine;
use crate::dist::answer;
use crate::{debian, shell};

/// Builds in minutes: what is tried is the image and not how fast its programs are.
const CHANGES: [&str; 3] = [
    "ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true",
    "ENV CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
];

/// Makes both; returns the arguments of the build that name them.
///
/// # Errors
///
/// When a tool is missing or a file cannot be read.
pub(super) fn make(engine: &Engine) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (run, build) = (engine.own_name("run"), engine.own_name("build"));
    import(engine, &debian::archive("ca-certificates,git")?, &run, &[])?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let archive = scratch.path().join("build.tar");
    std::fs::copy(debian::archive("ca-certificates,gcc,libc6-dev")?, &archive)?;
    append(&archive, &toolchain()?, &["bin", "lib"], "usr/local/rust")?;
    append(&archive, &cargo_home()?, &["registry/cache", "registry/index"], "usr/local/cargo")?;
    import(engine, &archive, &build, &CHANGES)?;
    Ok(vec![("RUN_IMAGE", run), ("BUILD_IMAGE", build)])
}

fn import(engine: &Engine, archive: &Path, name: &str, changes: &[&str]) -> anyhow::Result<()> {
    let archive = archive.to_string_lossy();
    let changes = changes.iter().flat_map(|change| ["--change", change]);
    let words: Vec<&str> = ["import"].into_iter().chain(changes).chain([&*archive, name]).collect();
    engine.run(&words)
}

/// Adds folders of `from` below `to`.
fn append(archive: &Path, from: &Path, folders: &[&str], to: &str) -> anyhow::Result<()> {
    let (archive, from) = (archive.to_string_lossy(), from.to_string_lossy());
    // Names of files, and not what links lead to.
    let rename = format!("--transform=flags=r;s,^,{to}/,");
    let words = [&["--append", "--owner=0", "--group=0", "--file", &archive, &rename, "-C", &from], folders];
    shell::run("tar", &words.concat())
}

/// The folder of the compiler that builds this checkout.
fn toolchain() -> anyhow::Result<PathBuf> {
    let said = answer(shell::command("rustc").args(["--print", "sysroot"]).current_dir(shell::root()))?;
    Ok(PathBuf::from(said.trim()))
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    let said = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    said.or_else(home).context("neither CARGO_HOME nor HOME is set")
}
