//! `cargo xtask vm`: the packages on a machine with a real systemd: installed, used, broken, upgraded, removed.
//!
//! ```text
//! image (cached) ─► packages of this checkout, and of a later version ─► boot ─► tests/vm/stories, one by one ─► report
//! ```
//!
//! The full machine runs in qemu, with its own kernel and cgroup v2. The quick one is a container with systemd as its init
//! (systemd-nspawn): it boots in a second, and leaves out what needs the other. Not here: what the stories look at.

mod image;
mod later;
mod machine;
mod report;

use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};

use crate::dist::{self, Profile, Recipe, repo};
use crate::shell;

/// Where the stories run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In qemu, emulated.
    Full,
    /// In qemu, on the host's own processor. Only on request: a host that is itself a machine of somebody may offer a
    /// `/dev/kvm` that does not hold.
    Accelerated,
    /// In systemd-nspawn.
    Quick,
}

/// Runs the stories, or those that are named.
///
/// # Errors
///
/// When the machine cannot be made or a story fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let (mut kind, mut profile, mut named) = (Kind::Full, Profile::Dev, Vec::new());
    let mut with_rpm = true;
    for flag in flags {
        match *flag {
            "--quick" => kind = Kind::Quick,
            "--kvm" => kind = Kind::Accelerated,
            "--without-rpm" => with_rpm = false,
            "--release" => profile = Profile::Release,
            name if !name.starts_with('-') => named.push(name),
            other => bail!(
                "{other:?} is no flag of `vm`: --quick, --kvm, --without-rpm, --release, names of stories"
            ),
        }
    }
    are_stories(&named)?;
    if !fusion_tests::is_root() {
        bail!("a machine is made by root: run `sudo cargo xtask vm`");
    }
    let cargo = tempfile::Builder::new().prefix("fusiond-vm-").tempdir().context("a temporary folder")?;
    load(cargo.path(), profile, &named, with_rpm)?;
    let image = image::cached(kind)?;
    shell::say(match kind {
        Kind::Full | Kind::Accelerated => "booting in qemu\n",
        Kind::Quick => "booting in systemd-nspawn\n",
    });
    let told = machine::run(kind, &image, cargo.path())?;
    told.judge()
}

/// Before minutes are spent on a machine that would run less than was meant.
fn are_stories(named: &[&str]) -> anyhow::Result<()> {
    let folder = shell::root().join("tests/vm/stories");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        files.push(entry?.file_name().to_string_lossy().into_owned());
    }
    files.sort();
    // `35_limits.sh` is called `limits`.
    let known: Vec<&str> =
        files.iter().filter_map(|file| Some(file.strip_suffix(".sh")?.split_once('_')?.1)).collect();
    match named.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => bail!("{name:?} is no story of {}; there are: {}", folder.display(), known.join(", ")),
    }
}

/// Installs what the quick machine needs, and begins to make its disk where there is none yet: that takes network and time.
///
/// # Errors
///
/// When something cannot be installed.
pub(crate) fn prepare_quick() -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    for (program, package) in NEEDED_QUICK {
        shell::need(program, package)?;
    }
    Ok(std::thread::spawn(|| image::cached(Kind::Quick).map(drop)))
}

/// Programs that make packages and the quick machine, and the Debian packages that bring them.
const NEEDED_QUICK: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("rpm", "rpm"),
    ("apt-ftparchive", "apt-utils"),
    ("gpg", "gpg"),
];

/// What the machine is given: packages, stories, and which of them to run.
fn load(folder: &Path, profile: Profile, named: &[&str], with_rpm: bool) -> anyhow::Result<()> {
    let out = folder.join("now");
    let recipe = Recipe { profile, target: dist::target(), revision: 1, out, pages: None };
    dist::pack(&recipe, with_rpm)?;
    later::pack(&folder.join("later"), &recipe, with_rpm)?;
    // The later version's lie in their place.
    dist::programs(&recipe)?;
    let key = signing_key(folder)?;
    repo::write(&folder.join("repo"), &recipe.out, &repo::Signing::Key(key))?;
    let from = shell::root().join("tests/vm");
    shell::run("cp", &["-r", &format!("{}/.", from.display()), &folder.to_string_lossy()])?;
    std::fs::write(folder.join("named"), named.join("\n")).context("naming the stories")
}

/// A key for this run alone; returns the path of its file.
fn signing_key(folder: &Path) -> anyhow::Result<String> {
    shell::need("gpg", "gpg")?;
    let home = tempfile::tempdir().context("a temporary folder")?;
    let (home, file) = (home.path().to_string_lossy().into_owned(), folder.join("key.asc"));
    let file = file.to_string_lossy().into_owned();
    let gpg = ["--batch", "--quiet", "--homedir", &home, "--pinentry-mode", "loopback", "--passphrase", ""];
    let make =
        ["--quick-generate-key", "Stories of fusiond <stories@packages.invalid>", "ed25519", "sign", "1d"];
    shell::run("gpg", &[&gpg[..], &make].concat())?;
    shell::run("gpg", &[&gpg[..], &["--armor", "--output", &file, "--export-secret-keys"]].concat())?;
    shell::run("gpgconf", &["--homedir", &home, "--kill", "all"])?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_story_has_is_refused_with_those_that_there_are() {
        assert!(are_stories(&[]).is_ok());
        assert!(are_stories(&["install", "by_hand"]).is_ok());
        let said = are_stories(&["install", "scops"]).expect_err("no story is called so").to_string();
        assert!(said.starts_with("\"scops\" is no story") && said.contains(" scopes,"), "{said}");
    }
}
