//! From sources to packages: tools, programs, what is written beside them, `.deb` and `.rpm`. Not here: whether they are
//! good (`judge`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use super::notices;
use crate::{docs, shell};

/// How programs are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As released: optimised, without paths of this machine.
    Release,
    /// As tests build them, so that packages for a test cost no second build.
    Dev,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// One build.
pub(crate) struct Recipe {
    /// How.
    pub(crate) profile: Profile,
    /// The target folder of cargo.
    pub(crate) target: PathBuf,
    /// What follows the version: `0.1.0-1`.
    pub(crate) revision: u32,
    /// Where the packages are put.
    pub(crate) out: PathBuf,
    /// Man pages that are written already; else they are written from the sources, which builds tests.
    pub(crate) pages: Option<PathBuf>,
}

impl Recipe {
    /// Where the programs lie.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join(self.profile.folder())
    }

    /// Its man pages, once it is staged.
    pub(crate) fn staged_pages(&self) -> PathBuf {
        self.programs().join("package/man")
    }

    fn version(&self) -> anyhow::Result<String> {
        // Of the checkout, which may be another one than this program was built in.
        let named = answer(
            shell::command(shell::cargo()).args(["pkgid", "--package", "fusiond"]).current_dir(shell::root()),
        )?;
        let version = named.trim().rsplit(['@', '#']).next().context("cargo tells no version of fusiond")?;
        Ok(format!("{version}-{}", self.revision))
    }
}

/// What packages take from the checkout as it is.
const PACKAGED: [&str; 6] = ["docs", "systemd", "packaging", "examples", "LICENSE", "CHANGELOG.md"];

/// The programs of a release.
pub(crate) const PROGRAMS: [&str; 4] = ["fusiond", "fusion-shim", "fusionctl", "fusion-run"];
/// Of each package: its name, the folder of its manifest, and the crates that its programs are of.
const PACKAGES: [(&str, &str, &[&str]); 2] =
    [("fusiond", "fusiond/daemon", &["fusiond", "fusion-shim"]), ("fusionctl", "fusionctl", &["fusionctl"])];

/// The target folder of this checkout.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from)
}

/// Builds the programs.
///
/// # Errors
///
/// When they do not compile.
pub(crate) fn programs(recipe: &Recipe) -> anyhow::Result<()> {
    let target = recipe.target.to_string_lossy();
    let (mut args, flags) = (vec!["build", "--bins", "--locked", "--quiet"], release_flags(&recipe.target)?);
    let mut env = vec![("CARGO_TARGET_DIR", target.as_ref())];
    match recipe.profile {
        Profile::Release => {
            args.push("--release");
            args.extend(
                PACKAGES.iter().flat_map(|(.., crates)| crates.iter().flat_map(|name| ["-p", *name])),
            );
            env.push(("CARGO_ENCODED_RUSTFLAGS", &flags));
        }
        // All packages and a test, as the tests build them: fewer would be built with other features, all libraries anew.
        Profile::Dev => args.extend(["--workspace", "--test", "man"]),
    }
    shell::run_with(&shell::cargo(), &args, &env)
}

/// Flags that leave no path of this machine and no symbols in a program, so that every machine makes the same bytes.
/// Cargo does not strip the programs of a package that has a profile of its own.
pub(crate) fn release_flags(target: &Path) -> anyhow::Result<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let root = shell::root();
    let places = [(root.as_path(), "/fusiond"), (target, "/fusiond/target"), (Path::new(&cargo), "/cargo")];
    let flags = places.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    Ok(format!("{}\u{1f}-Cstrip=symbols", flags.join("\u{1f}")))
}

/// Writes what packages hold besides programs and files of the checkout to `package/` beside the programs.
///
/// # Errors
///
/// When a page or a completion cannot be written.
pub(super) fn stage(recipe: &Recipe) -> anyhow::Result<()> {
    let folder = recipe.programs().join("package");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder.join("completion"))?;
    match &recipe.pages {
        Some(pages) => {
            answer(shell::command("cp").arg("-rT").arg(pages).arg(folder.join("man")))?;
        }
        None => docs::man(&folder.join("man").to_string_lossy())?,
    }
    for (name, ..) in PACKAGES {
        let program = recipe.programs().join(name);
        let files =
            [("bash", format!("{name}.bash")), ("zsh", format!("_{name}")), ("fish", format!("{name}.fish"))];
        for (shell, file) in files {
            let text = answer(shell::command(&program).args(["completion", shell]))?;
            std::fs::write(folder.join("completion").join(file), text)?;
        }
    }
    std::fs::copy(shell::root().join("CHANGELOG.md"), folder.join("changelog"))?;
    for (name, _, crates) in PACKAGES {
        std::fs::create_dir_all(folder.join(name))?;
        std::fs::write(folder.join(name).join("changelog.Debian"), changelog(name, recipe)?)?;
        std::fs::write(folder.join(name).join("THIRD-PARTY"), notices::of(crates)?)?;
    }
    // Without name and time, which would differ from build to build.
    let compress =
        "find man changelog */changelog.Debian */THIRD-PARTY -type f ! -name '*.gz' -exec gzip -9n {} +";
    answer(shell::command("sh").args(["-c", compress]).current_dir(&folder))?;
    Ok(())
}

/// What deb-changelog(5) asks for; the changes themselves are in `CHANGELOG.md`, which is beside it.
fn changelog(name: &str, recipe: &Recipe) -> anyhow::Result<String> {
    let date = answer(
        shell::command("date").args(["--utc", "--rfc-email", "--date"]).arg(format!("@{}", epoch()?)),
    )?;
    let version = recipe.version()?;
    Ok(format!(
        "{name} ({version}) unstable; urgency=medium\n\n  * The changes are told in changelog.gz.\n\n \
         -- The authors of fusiond <fusiond@packages.invalid>  {date}"
    ))
}

/// Makes the packages for Debian.
///
/// # Errors
///
/// When cargo-deb is missing and cannot be installed, or refuses.
pub(super) fn debs(recipe: &Recipe) -> anyhow::Result<Vec<PathBuf>> {
    tool("cargo-deb", "3.8.0", &["deb"])?;
    shell::need("dpkg-shlibdeps", "dpkg-dev")?;
    let (target, epoch, version) = (recipe.target.to_string_lossy(), epoch()?, recipe.version()?);
    let mut made = Vec::new();
    for (name, ..) in PACKAGES {
        let file = recipe.out.join(format!("{name}_{version}_{}.deb", architecture()));
        let path = file.to_string_lossy();
        let mut args = vec!["deb", "--quiet", "--no-build", "--package", name, "--deb-version", &version];
        args.extend(["--profile", recipe.profile.name(), "--output", &path]);
        args.push(match recipe.profile {
            Profile::Release => "--no-strip",
            Profile::Dev => "--strip",
        });
        if recipe.profile == Profile::Dev {
            args.push("--fast");
        }
        std::fs::create_dir_all(&recipe.out)?;
        let env = [("CARGO_TARGET_DIR", target.as_ref()), ("SOURCE_DATE_EPOCH", epoch.as_str())];
        shell::run_with(&shell::cargo(), &args, &env)?;
        made.push(file);
    }
    Ok(made)
}

/// Makes the packages for Red Hat.
///
/// # Errors
///
/// When cargo-generate-rpm is missing and cannot be installed, or refuses.
pub(super) fn rpms(recipe: &Recipe) -> anyhow::Result<Vec<PathBuf>> {
    tool("cargo-generate-rpm", "0.21.1", &["generate-rpm"])?;
    shell::need("rpm", "rpm")?;
    let target = match recipe.profile {
        Profile::Release => recipe.target.clone(),
        Profile::Dev => stripped(recipe)?,
    };
    let (programs, epoch, version) = (target.join(recipe.profile.folder()), epoch()?, recipe.version()?);
    not_before(&epoch, &programs)?;
    let target = target.to_string_lossy();
    let mut made = Vec::new();
    for (name, folder, _) in PACKAGES {
        std::fs::create_dir_all(&recipe.out)?;
        let file = recipe.out.join(format!("{name}-{version}.{}.rpm", std::env::consts::ARCH));
        let (path, release) = (file.to_string_lossy(), format!("release = \"{}\"", recipe.revision));
        let args = ["generate-rpm", "-p", folder, "--profile", recipe.profile.name()];
        let packed = match recipe.profile {
            Profile::Release => "zstd",
            // The tool is not optimised.
            Profile::Dev => "none",
        };
        let more = ["--target-dir", &target, "-s", &release, "-o", &path, "--payload-compress", packed];
        let args = [&args[..], &more].concat();
        shell::run_with(&shell::cargo(), &args, &[("SOURCE_DATE_EPOCH", &epoch)])?;
        made.push(file);
    }
    Ok(made)
}

/// Lets no file that is packaged be older than the moment that a release carries. The tool for .rpm cuts later times to
/// that moment, and keeps earlier ones, which say when somebody checked the file out, or built a program that the last
/// commits did not change.
fn not_before(epoch: &str, programs: &Path) -> anyhow::Result<()> {
    let moment =
        UNIX_EPOCH + Duration::from_secs(epoch.parse().context("the moment of the release is a number")?);
    let kept = answer(shell::command("find").args(PACKAGED).args(["-type", "f"]).current_dir(shell::root()))?;
    let built = PROGRAMS.iter().map(|name| programs.join(name));
    for path in kept.lines().map(|name| shell::root().join(name)).chain(built) {
        let shown = path.display();
        let file = File::options().write(true).open(&path).with_context(|| format!("opening {shown}"))?;
        if file.metadata()?.modified()? < moment {
            file.set_modified(moment).with_context(|| format!("setting the time of {shown}"))?;
        }
    }
    Ok(())
}

/// A target folder with what packages hold, for a tool that does not strip, and that packs for minutes what is not.
fn stripped(recipe: &Recipe) -> anyhow::Result<PathBuf> {
    let target = recipe.target.join("stripped");
    let (from, to) = (recipe.programs(), target.join(recipe.profile.folder()));
    std::fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
    for name in PROGRAMS {
        answer(shell::command("strip").arg("-o").arg(to.join(name)).arg(from.join(name)))?;
    }
    answer(shell::command("cp").arg("-rT").arg(from.join("package")).arg(to.join("package")))?;
    Ok(target)
}

const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// A tool of cargo in exactly this version: another one may make other bytes.
pub(super) fn tool(name: &str, version: &str, words: &[&str]) -> anyhow::Result<()> {
    let said = answer(shell::command(shell::cargo()).args(words).arg("--version")).unwrap_or_default();
    if said.split_whitespace().any(|word| word == version) {
        return Ok(());
    }
    shell::install_tool(name, &["--version", version])
}

/// The moment that all files of a release carry, in seconds: that of the last commit, unless somebody says.
///
/// # Errors
///
/// Where there is neither a commit nor `SOURCE_DATE_EPOCH`.
pub(crate) fn epoch() -> anyhow::Result<String> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(said) => Ok(said),
        Err(_) => git(&["log", "-1", "--format=%ct"]).context("set SOURCE_DATE_EPOCH where there is no git"),
    }
}

/// What git says in this checkout.
///
/// # Errors
///
/// When git is missing or refuses.
pub(super) fn git(args: &[&str]) -> anyhow::Result<String> {
    let said = answer(shell::command("git").args(args).current_dir(shell::root()))?;
    Ok(said.trim().to_owned())
}

/// What a program prints.
///
/// # Errors
///
/// When it cannot be started or fails; then with what it complained of.
pub(crate) fn answer(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} did not print text"))
}
