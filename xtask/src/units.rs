//! `cargo xtask units`: what systemd itself says about `systemd/`, and a bound on how exposed the service may be.
//!
//! Not here: what the units do on a machine that runs (`tests/vm`).

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::shell;

/// Ten times the exposure level of systemd-analyze(1). The unit tells which directive is left out for which reason; one
/// that goes missing raises the level by at least two of these.
const EXPOSURE_MAX: &str = "67";
/// Of the unit for one user, which has no right of root's to give up: `NoNewPrivileges=` is what lowers it.
const EXPOSURE_MAX_USER: &str = "94";

/// Verifies the units, holds the exposure level, and applies sysusers and tmpfiles to an empty root.
///
/// # Errors
///
/// When systemd complains about any of it.
pub(crate) fn run() -> anyhow::Result<()> {
    for program in ["systemd-analyze", "systemd-sysusers", "systemd-tmpfiles"] {
        shell::need(program, "systemd")?;
    }
    let staged = tempfile::tempdir().context("a temporary folder")?;
    let system = ["fusiond.service", "fusiond.socket", "fusion.slice"];
    verify("systemd", &system, &staged.path().join("system"), "--system")?;
    verify("systemd/user", &system, &staged.path().join("user"), "--user")?;
    expose("systemd/fusiond.service", EXPOSURE_MAX)?;
    expose("systemd/user/fusiond.service", EXPOSURE_MAX_USER)?;
    apply(&staged.path().join("root"))
}

/// Lets systemd load the units as they are, but for the program: it lies in the target folder.
fn verify(from: &str, names: &[&str], to: &Path, manager: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let own = std::env::current_exe().context("a running program has a path")?;
    let program = own.with_file_name("fusiond");
    let mut paths = Vec::new();
    for name in names {
        let path = shell::root().join(from).join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let text = text.replace("/usr/bin/fusiond", &program.to_string_lossy());
        std::fs::write(to.join(name), text)?;
        paths.push(to.join(name));
    }
    let mut command = shell::command("systemd-analyze");
    command.args(["verify", "--man=no", manager]).args(&paths);
    // The manager of a user has no units without it.
    command.env("XDG_RUNTIME_DIR", to);
    let output = command.output().context("cannot start systemd-analyze")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // It also reads units of the machine that ours stand beside; those are not ours to mend.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("fusion")).collect();
    if !output.status.success() || !ours.is_empty() {
        bail!("systemd-analyze verify complains about {from}:\n{said}");
    }
    shell::say(&format!("units: {from} verified\n"));
    Ok(())
}

fn expose(unit: &str, most: &str) -> anyhow::Result<()> {
    let threshold = format!("--threshold={most}");
    let args = ["security", "--offline=yes", "--no-pager", &threshold, unit];
    let output = shell::command("systemd-analyze").args(args).current_dir(shell::root()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let level = said.lines().last().unwrap_or_default().trim();
    shell::say(&format!("units: {unit}: {level} (at most {most} tenths)\n"));
    if !output.status.success() {
        bail!("{unit} is more exposed than it may be:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Groups and folders come into being where there was nothing.
fn apply(root: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(root.join("etc"))?;
    let base = shell::root().join("systemd");
    let folder = format!("--root={}", root.display());
    let sysusers = base.join("sysusers.d/fusiond.conf");
    shell::run("systemd-sysusers", &[&folder, &sysusers.to_string_lossy()])?;
    let groups =
        std::fs::read_to_string(root.join("etc/group")).context("reading the groups that were made")?;
    for group in ["fusion:", "fusion-admin:"] {
        if !groups.lines().any(|line| line.starts_with(group)) {
            bail!("systemd-sysusers made no group {group}\n{groups}");
        }
    }
    if !fusion_tests::is_root() {
        return Ok(());
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    std::fs::write(root.join("etc/group"), format!("root:x:0:\n{groups}"))?;
    let tmpfiles = base.join("tmpfiles.d/fusiond.conf");
    shell::run("systemd-tmpfiles", &["--create", &folder, &tmpfiles.to_string_lossy()])?;
    for made in ["run/fusiond", "var/lib/fusiond"] {
        let seen = rustix::fs::stat(root.join(made)).with_context(|| format!("tmpfiles made no {made}"))?;
        if seen.st_mode & 0o7777 != 0o711 {
            bail!(
                "{made} has mode {:04o}, users must pass through and see nothing: 0711",
                seen.st_mode & 0o7777
            );
        }
    }
    Ok(())
}
