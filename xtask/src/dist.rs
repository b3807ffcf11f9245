//! `cargo xtask dist`: what is released: packages for Debian and Red Hat, a bill of materials, checksums, and on request an
//! apt repository. Two builds of one commit give the same bytes.
//!
//! ```text
//! build ─► stage (man pages, completions, changelogs, notices) ─► .deb, .rpm ─► lintian, rpmlint, size ─► SBOM, SHA256SUMS
//! ```
//!
//! Not here: what is in a package (the manifests of `fusiond` and `fusionctl`, and `packaging/`), and whether it works
//! (`vm`).

mod build;
mod install;
mod judge;
pub(crate) mod notices;
pub(crate) mod repo;
mod sbom;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub(crate) use self::build::{Profile, Recipe, answer, epoch, programs, release_flags, target};
use self::build::{debs, rpms, stage};
use crate::shell;

/// Makes everything in `target/dist`.
///
/// # Errors
///
/// When a tool is missing and cannot be installed, something does not build, is too large, or breaks a policy.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let wanted = Wanted::read(flags)?;
    let out = make(wanted.profile)?;
    if wanted.check {
        install(wanted.profile, &out)?;
        build_again(&out)?;
    }
    if let Some((folder, signing)) = wanted.repo {
        repo::write(&folder, &out, &signing)?;
    }
    Ok(())
}

fn make(profile: Profile) -> anyhow::Result<PathBuf> {
    let target = target();
    let out = target.join("dist");
    // What an earlier version left would be released again.
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("emptying {}", out.display()))?;
    }
    let recipe = Recipe { profile, target, revision: 1, out: out.clone(), pages: None };
    let made = pack(&recipe, true)?;
    if profile == Profile::Release {
        judge::sizes(&recipe)?;
    }
    judge::packages(&made, profile)?;
    sbom::write(&out)?;
    checksums(&out)?;
    for entry in sorted(&out)? {
        let bytes = entry.metadata()?.len();
        shell::say(&format!("{bytes:>10}  {}\n", entry.display()));
    }
    Ok(out)
}

/// Builds the programs and packs them.
///
/// # Errors
///
/// When a tool is missing and cannot be installed, or something does not build.
pub(crate) fn pack(recipe: &Recipe, with_rpm: bool) -> anyhow::Result<Vec<PathBuf>> {
    programs(recipe)?;
    stage(recipe)?;
    let mut made = debs(recipe)?;
    if with_rpm {
        made.extend(rpms(recipe)?);
    }
    Ok(made)
}

/// `cargo xtask packages DIR`: the packages alone, neither judged nor told of.
///
/// # Errors
///
/// When a tool is missing and cannot be installed, or something does not build.
pub(crate) fn packages(out: &Path, flags: &[&str]) -> anyhow::Result<()> {
    let (mut profile, mut with_rpm, mut pages) = (Profile::Dev, true, None);
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match *flag {
            "--release" => profile = Profile::Release,
            "--without-rpm" => with_rpm = false,
            "--pages" => pages = Some(PathBuf::from(flags.next().context("--pages takes a folder")?)),
            other => bail!("{other:?} is no flag of `packages`: --release, --without-rpm, --pages DIR"),
        }
    }
    let out = std::path::absolute(out).context("naming the folder of the packages")?;
    pack(&Recipe { profile, target: target(), revision: 1, out, pages }, with_rpm)?;
    Ok(())
}

fn checksums(out: &Path) -> anyhow::Result<()> {
    let names: Vec<String> = sorted(out)?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| name != SUMS)
        .collect();
    let output = shell::command("sha256sum").args(&names).current_dir(out).output();
    let output = output.context("cannot start sha256sum")?;
    if !output.status.success() {
        bail!("sha256sum failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(out.join(SUMS), output.stdout).context("writing the checksums")
}

const SUMS: &str = "SHA256SUMS";

fn sorted(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Installs what was made, and upgrades it to a second revision of the same programs.
fn install(profile: Profile, first: &Path) -> anyhow::Result<()> {
    let scratch =
        tempfile::Builder::new().prefix("fusiond-second-").tempdir().context("a temporary folder")?;
    let out = scratch.path().to_owned();
    let recipe = Recipe { profile, target: target(), revision: 2, out, pages: None };
    let new = [debs(&recipe)?, rpms(&recipe)?].concat();
    let old = sorted(first)?;
    let of = |ending: &str| install::Pair { old: ending_with(&old, ending), new: ending_with(&new, ending) };
    install::debs(&of("deb"))?;
    install::rpms(&of("rpm"))
}

fn ending_with(paths: &[PathBuf], ending: &str) -> Vec<PathBuf> {
    paths.iter().filter(|path| path.extension().is_some_and(|found| found == ending)).cloned().collect()
}

/// Builds the same commit in another folder and compares all checksums.
fn build_again(out: &Path) -> anyhow::Result<()> {
    if !build::git(&["status", "--porcelain"])?.is_empty() {
        bail!("the checkout has changes: commit them first, for the second build is made from the commit");
    }
    let elsewhere =
        tempfile::Builder::new().prefix("fusiond-again-").tempdir().context("a temporary folder")?;
    let copy = elsewhere.path().to_string_lossy().into_owned();
    let unpack = format!("git archive HEAD | tar -x -C '{copy}'");
    shell::run("sh", &["-c", &unpack])?;
    let (epoch, target) = (epoch()?, format!("{copy}/target"));
    shell::say(&format!("building again in {copy}\n"));
    let status = shell::command(shell::cargo())
        .args(["run", "--quiet", "--package", "xtask", "--", "dist"])
        .envs([("SOURCE_DATE_EPOCH", epoch.as_str()), ("CARGO_TARGET_DIR", target.as_str())])
        .current_dir(elsewhere.path())
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the second build failed: {status}");
    }
    let read = |folder: &Path| std::fs::read_to_string(folder.join(SUMS)).context("reading checksums");
    let (first, second) = (read(out)?, read(&elsewhere.path().join("target/dist"))?);
    if first != second {
        bail!("two builds differ:\n{first}\n{second}");
    }
    shell::say("two builds gave the same bytes\n");
    Ok(())
}

/// What the flags ask for.
struct Wanted {
    profile: Profile,
    check: bool,
    repo: Option<(PathBuf, repo::Signing)>,
}

impl Wanted {
    fn read(flags: &[&str]) -> anyhow::Result<Self> {
        let mut wanted = Self { profile: Profile::Release, check: false, repo: None };
        let (mut folder, mut unsigned) = (None, false);
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            match *flag {
                "--check" => wanted.check = true,
                "--dev" => wanted.profile = Profile::Dev,
                "--repo" => {
                    let given = flags.next().context("--repo takes a folder")?;
                    folder = Some(std::path::absolute(given).context("naming the repository's folder")?);
                }
                "--unsigned" => unsigned = true,
                other => bail!("{other:?} is no flag of `dist`: --check, --dev, --repo DIR, --unsigned"),
            }
        }
        if let Some(folder) = folder {
            // Before the build, which takes minutes.
            let signing = if unsigned { repo::Signing::Unsigned } else { repo::key()? };
            wanted.repo = Some((folder, signing));
        }
        Ok(wanted)
    }
}
