//! An apt repository: `pool/` with the packages, `dists/stable` with indexes of them and a signature over the indexes. Not
//! here: where it is served.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::build::{answer, epoch};
use super::{SUMS, sorted};
use crate::shell::{self, SIGNING_KEY};

/// Whether the repository is signed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Signing {
    /// With this secret key of OpenPGP: its armoured text, or the path of a file with it.
    Key(String),
    /// Not at all, because somebody said so.
    Unsigned,
}

const SUITE: &str = "dists/stable";

/// The key of the environment.
///
/// # Errors
///
/// When there is none.
pub(super) fn key() -> anyhow::Result<Signing> {
    match std::env::var(SIGNING_KEY) {
        Ok(key) if !key.is_empty() => Ok(Signing::Key(key)),
        Ok(_) | Err(_) => {
            bail!(
                "{SIGNING_KEY} holds no key (armoured text, or the path of a file with it): set it, or say --unsigned"
            )
        }
    }
}

/// Writes the repository with the packages of `from`.
///
/// # Errors
///
/// When a file cannot be written or the key does not sign.
pub(crate) fn write(folder: &Path, from: &Path, signing: &Signing) -> anyhow::Result<()> {
    shell::need("apt-ftparchive", "apt-utils")?;
    let pool = folder.join("pool/main/f/fusiond");
    std::fs::create_dir_all(&pool)?;
    for path in sorted(from)?.iter().filter(|path| path.extension().is_some_and(|ending| ending == "deb")) {
        let name = path.file_name().context("a package has a name")?;
        std::fs::copy(path, pool.join(name)).with_context(|| format!("copying {}", path.display()))?;
    }
    index(folder)?;
    release(folder)?;
    if let Signing::Key(key) = signing {
        sign(folder, from, key)?;
    }
    shell::say(&format!("the repository is in {}\n", folder.display()));
    Ok(())
}

fn index(folder: &Path) -> anyhow::Result<()> {
    for architecture in ["amd64", "arm64"] {
        let place = folder.join(format!("{SUITE}/main/binary-{architecture}"));
        std::fs::create_dir_all(&place)?;
        let mut scan = shell::command("apt-ftparchive");
        scan.args(["--arch", architecture, "packages", "pool"]).current_dir(folder);
        std::fs::write(place.join("Packages"), answer(&mut scan)?)?;
        answer(shell::command("gzip").args(["-9nkf", "Packages"]).current_dir(&place))?;
        by_hash(&place)?;
    }
    Ok(())
}

/// Puts indexes also where their checksum names them, and leaves those of earlier releases there: whoever has just read the
/// Release of the last one finds what it lists (Debian's RepositoryFormat, "indices acquisition via hashsums").
fn by_hash(place: &Path) -> anyhow::Result<()> {
    let folder = place.join("by-hash/SHA256");
    std::fs::create_dir_all(&folder)?;
    let mut sums = shell::command("sha256sum");
    for line in answer(sums.args(["Packages", "Packages.gz"]).current_dir(place))?.lines() {
        let (sum, name) = line.split_once("  ").context("sha256sum names no file")?;
        std::fs::copy(place.join(name), folder.join(sum)).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}

fn release(folder: &Path) -> anyhow::Result<()> {
    let suite = folder.join(SUITE);
    for name in ["Release", "Release.gpg", "InRelease"] {
        // An index of the last time is not part of this one.
        drop(std::fs::remove_file(suite.join(name)));
    }
    let fields = [
        ("Origin", "fusiond"),
        ("Label", "fusiond"),
        ("Suite", "stable"),
        ("Codename", "stable"),
        ("Components", "main"),
        ("Architectures", "amd64 arm64"),
        ("Acquire-By-Hash", "yes"),
    ];
    let mut list = shell::command("apt-ftparchive");
    for (name, value) in fields {
        list.arg("-o").arg(format!("APT::FTPArchive::Release::{name}={value}"));
    }
    list.args(["release", "."]).env("SOURCE_DATE_EPOCH", epoch()?).current_dir(&suite);
    std::fs::write(suite.join("Release"), answer(&mut list)?).context("writing Release")
}

/// Signs in a keyring of its own, and writes the public half to where users find it. The checksums of what is released
/// besides are signed, too.
fn sign(folder: &Path, from: &Path, given: &str) -> anyhow::Result<()> {
    shell::need("gpg", "gpg")?;
    let home = tempfile::tempdir().context("a temporary folder")?;
    let file = if given.contains("BEGIN PGP") {
        let path = home.path().join("key.asc");
        std::fs::write(&path, given)?;
        path
    } else {
        PathBuf::from(given)
    };
    let gpg = || {
        let mut gpg = shell::command("gpg");
        gpg.args(["--batch", "--yes", "--quiet", "--homedir"])
            .arg(home.path())
            .current_dir(folder.join(SUITE));
        gpg
    };
    answer(gpg().arg("--import").arg(&file)).context("importing the signing key")?;
    let by = ["--pinentry-mode", "loopback", "--passphrase", "", "--digest-algo", "SHA512"];
    answer(gpg().args(by).args(["--clearsign", "--output", "InRelease", "Release"])).context("signing")?;
    answer(gpg().args(by).args(["--armor", "--detach-sign", "--output", "Release.gpg", "Release"]))
        .context("signing")?;
    let sums = from.join(SUMS);
    if sums.is_file() {
        let signature = from.join(format!("{SUMS}.asc"));
        let detach = ["--armor", "--detach-sign", "--output"];
        answer(gpg().args(by).args(detach).arg(signature).arg(&sums)).context("signing the checksums")?;
    }
    answer(gpg().args(["--export", "--output"]).arg(folder.join("fusiond.gpg")))
        .context("exporting the key")?;
    answer(shell::command("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"]))?;
    verify(folder)
}

/// As apt will, with the public half alone: a key that is expired or cannot sign would be seen by users first.
fn verify(folder: &Path) -> anyhow::Result<()> {
    shell::need("gpgv", "gpgv")?;
    let suite = folder.join(SUITE);
    for files in [&["InRelease"][..], &["Release.gpg", "Release"]] {
        let mut gpgv = shell::command("gpgv");
        gpgv.arg("--quiet").arg("--keyring").arg(folder.join("fusiond.gpg")).args(files).current_dir(&suite);
        answer(&mut gpgv).context("verifying the signature")?;
    }
    Ok(())
}
