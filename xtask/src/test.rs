//! `cargo xtask test`: everything that CI runs, in the order in which it fails fastest; installs what it needs.
//!
//! Not here: benchmarks and chaos, which are errands of their own.

use std::path::PathBuf;

use anyhow::{anyhow, bail};

use crate::{shell, tidy, units, vm};

/// Formats, lints, rules of the house, licences, build, tests, a look at what the tests left behind, and the packages on a
/// machine with systemd.
///
/// # Errors
///
/// When any of it is not in order.
pub(crate) fn run() -> anyhow::Result<()> {
    let cargo = shell::cargo();
    shell::run(&cargo, &["fmt", "--all", "--check"])?;
    tidy::run()?;
    shell::run(
        &cargo,
        &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"],
    )?;
    deny(&cargo)?;
    // Shells whose completion is tried, repositories to fill workspaces from, a reader of man pages, and a server for
    // `--host ssh://`.
    for (program, package) in NEEDED {
        shell::need(program, package)?;
    }
    // For the real spec-kit, in an environment of its own.
    if !shell::succeeds("python3", &["-c", "import ensurepip"]) {
        shell::install("python3 with venv", "python3-venv")?;
    }
    let is_root = fusion_tests::is_root();
    let machine = if is_root { Some(vm::prepare_quick()?) } else { None };
    // The stories start the programs themselves, which no test target depends on; built together with the tests they
    // share what both need.
    shell::run(&cargo, &["build", "--workspace", "--all-targets", "--locked", "--quiet"])?;
    units::run()?;
    let outcome = tests(&cargo);
    fusion_tests::users::remove_all();
    outcome?;
    nothing_left()?;
    let Some(image) = machine else {
        shell::complain(
            "note: passed, but for the packages: no machine was booted, and nothing was installed, upgraded or removed, for want of root\n",
        );
        return Ok(());
    };
    image.join().map_err(|_| anyhow!("the maker of the image panicked"))??;
    // Packing it takes a tool of its own, and as long as the machine.
    vm::run(&["--quick", "--without-rpm"])
}

/// Programs that tests run, and the Debian packages that bring them.
const NEEDED: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("git", "git"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("mandoc", "mandoc"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
];

/// Licences, sources and bans. Advisories need the network each time, so the release errand checks them.
fn deny(cargo: &str) -> anyhow::Result<()> {
    if !shell::succeeds(cargo, &["deny", "--version"]) {
        shell::install_tool("cargo-deny", &[])?;
    }
    shell::run(cargo, &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"])
}

/// What needs no other users and no mounts.
const WITHOUT_ROOT: &str = "not (test(as_root::) or (binary(house) and test(/^(lives|logs|workspaces)::/)) \
    or test(a_power_cut_at_any_moment) or test(a_full_disk) or test(below_the_floor))";

fn tests(cargo: &str) -> anyhow::Result<()> {
    if !shell::succeeds(cargo, &["nextest", "--version"]) {
        shell::install_tool("cargo-nextest", &[])?;
    }
    let mut args = vec!["nextest", "run", "--workspace", "--locked", "--profile", "ci"];
    if !fusion_tests::is_root() {
        shell::complain(
            "note: not root, so tests that serve several users, mount file systems or boot systemd are left out: run `sudo cargo xtask test` for all\n",
        );
        args.extend(["--filter-expr", WITHOUT_ROOT]);
    }
    shell::run(cargo, &args)?;
    shell::run(cargo, &["test", "--workspace", "--doc", "--locked", "--quiet"])
}

/// Programs of this checkout that outlived the tests.
fn nothing_left() -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let folder = own.parent().map(PathBuf::from).unwrap_or_default();
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(exe) = std::fs::read_link(entry.path().join("exe")) else { continue };
        if exe.starts_with(&folder) && exe != own {
            left.push(format!("{} {}", entry.file_name().display(), exe.display()));
        }
    }
    if !left.is_empty() {
        bail!("the tests left processes behind:\n  {}", left.join("\n  "));
    }
    Ok(())
}
