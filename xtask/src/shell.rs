//! How errands talk to the terminal, find the checkout and run programs. Not here: what any errand does.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::dist;
use anyhow::{Context as _, bail};

/// Names another checkout that an errand is to work on, whose own errands need not be built for that.
pub(crate) const CHECKOUT: &str = "FUSIOND_CHECKOUT";

/// The root of the checkout: the folder above this package, or the one that [`CHECKOUT`] names.
pub(crate) fn root() -> PathBuf {
    if let Some(named) = std::env::var_os(CHECKOUT) {
        return named.into();
    }
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

/// The cargo that runs this errand.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Where the environment has the key that signs a repository: only this program reads it.
pub(crate) const SIGNING_KEY: &str = "FUSIOND_SIGNING_KEY";

/// A program that an errand starts. No errand starts one in another way: each build script of each dependency would find the
/// key that signs releases in its environment.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove(SIGNING_KEY);
    command
}

/// Runs a program in the root of the checkout, in sight of the user.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(crate) fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    run_with(program, args, &[])
}

/// As [`run`], with these in its environment.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(crate) fn run_with(program: &str, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    say(&format!("$ {program} {}\n", args.join(" ")));
    let status = command(program)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", args.join(" "));
    }
    Ok(())
}

/// Whether a program starts and succeeds, without showing its output.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut asked = command(program);
    asked.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Installs a tool of cargo's without optimising it and without what debuggers read: it runs for seconds and would be built for
/// minutes.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn install_tool(tool: &str, flags: &[&str]) -> anyhow::Result<()> {
    say(&format!("{tool} {} is not installed; installing it\n", flags.last().unwrap_or(&"")));
    let args = [&["install", "--locked", "--debug", "--quiet", tool], flags].concat();
    run_with(&cargo(), &args, &[("CARGO_PROFILE_DEV_DEBUG", "none"), ("CARGO_INCREMENTAL", "0")])
}

/// Installs the Debian package that brings `program`, if it is not there; without root, says how.
///
/// # Errors
///
/// When it is not there and cannot be installed.
pub(crate) fn need(program: &str, package: &str) -> anyhow::Result<()> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
        std::env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).is_file())
    });
    if found {
        return Ok(());
    }
    install(program, package)
}

/// Installs what is missing.
///
/// # Errors
///
/// When it cannot be installed.
pub(crate) fn install(missing: &str, package: &str) -> anyhow::Result<()> {
    if !fusion_tests::is_root() {
        bail!("{missing} is not installed: run `sudo apt-get install {package}`");
    }
    say(&format!("{missing} is not installed; installing {package}\n"));
    run_with("apt-get", &["install", "-y", "-qq", package], &[("DEBIAN_FRONTEND", "noninteractive")])
}

/// The number behind `name` in `flags`, or `otherwise`.
///
/// # Errors
///
/// When something else stands there.
pub(crate) fn number_flag(flags: &[&str], name: &str, otherwise: u64) -> anyhow::Result<u64> {
    let Some(at) = flags.iter().position(|flag| *flag == name) else { return Ok(otherwise) };
    let value = flags.get(at + 1).with_context(|| format!("{name} takes a number"))?;
    value.parse().with_context(|| format!("{name} takes a number, not {value:?}"))
}

/// Builds all programs optimised, and makes the harness use them.
///
/// # Errors
///
/// When the build fails.
pub(crate) fn build_release() -> anyhow::Result<()> {
    let (target, profile) = (dist::target(), dist::Profile::Release);
    let recipe = dist::Recipe { profile, out: target.join("dist"), target, revision: 1, pages: None };
    dist::programs(&recipe)?;
    let helpers = ["build", "--bins", "--release", "--locked", "--quiet", "-p", "fusion-tests"];
    run_with(&cargo(), &helpers, &[("CARGO_ENCODED_RUSTFLAGS", &dist::release_flags(&recipe.target)?)])?;
    fusion_tests::use_binaries_in(recipe.programs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the test below runs once more, with a key in its environment.
    const AGAIN: &str = "shell::tests::no_program_that_is_started_sees_the_signing_key";

    #[test]
    fn no_program_that_is_started_sees_the_signing_key() {
        if std::env::var_os(SIGNING_KEY).is_some() {
            let seen = ["-c", &format!("test -n \"${SIGNING_KEY}\"")];
            assert!(!succeeds("sh", &seen), "a program that is asked sees it");
            assert!(run("sh", &seen).is_err(), "a program that is run sees it");
            return;
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        let status = again.args(["--exact", AGAIN]).env(SIGNING_KEY, "a key").stdout(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
}
