//! Whether packages install, upgrade and go where no systemd runs, as in the build of a container's image: in a tree of
//! their own, with their scripts. Not here: what they do on a machine that runs (`vm`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::build::answer;
use crate::{debian, shell};

/// What the scripts run.
const PACKAGES: &str = "systemd,passwd,procps";
/// In both kinds of package, but that the distributions do not agree on the folder of completions for zsh and on that of
/// licences.
const HELD: [&str; 22] = [
    "usr/bin/fusiond",
    "usr/bin/fusionctl",
    "usr/bin/fusion-run",
    "usr/lib/fusiond/fusion-shim",
    "usr/lib/fusiond/end-agents",
    "etc/fusiond/fusiond.toml",
    "usr/lib/systemd/system/fusiond.service",
    "usr/lib/systemd/system/fusiond.socket",
    "usr/lib/systemd/system/fusion.slice",
    "usr/lib/systemd/user/fusiond.service",
    "usr/share/man/man8/fusiond.8.gz",
    "usr/share/man/man1/fusionctl.1.gz",
    "usr/share/man/man1/fusionctl-task-submit.1.gz",
    "usr/share/man/man1/fusion-run.1.gz",
    "usr/share/bash-completion/completions/fusiond",
    "usr/share/bash-completion/completions/fusionctl",
    "usr/share/zsh/ZSH/_fusiond",
    "usr/share/zsh/ZSH/_fusionctl",
    "usr/share/fish/vendor_completions.d/fusiond.fish",
    "usr/share/fish/vendor_completions.d/fusionctl.fish",
    "usr/share/LICENCES/fusiond/THIRD-PARTY.gz",
    "usr/share/LICENCES/fusionctl/THIRD-PARTY.gz",
];
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/fusiond.service";
const SETTINGS: &str = "etc/fusiond/fusiond.toml";
const STATE: &str = "var/lib/fusiond/store/kept";

/// Two revisions of the packages of one kind.
pub(super) struct Pair {
    /// What is installed first.
    pub(super) old: Vec<PathBuf>,
    /// What it is upgraded to.
    pub(super) new: Vec<PathBuf>,
}

/// Installs, upgrades, removes and purges the packages for Debian.
///
/// # Errors
///
/// When a script fails, or something is not there that should be, or the other way round.
pub(super) fn debs(pair: &Pair) -> anyhow::Result<()> {
    let tree = Tree::make()?;
    let before = tree.names()?;
    tree.dpkg(&["--install"], &pair.old)?;
    tree.is_installed("vendor-completions", "doc")?;
    if !answer(&mut tree.command("dpkg-query", &["--show", "--showformat=${Conffiles}", "fusiond"]))?
        .contains(SETTINGS)
    {
        bail!("{SETTINGS} is no conffile");
    }
    tree.change()?;
    tree.dpkg(&["--install"], &pair.new)?;
    tree.is_kept()?;
    answer(&mut tree.command("dpkg", &["--remove", "fusiond", "fusionctl"]))?;
    tree.has(&[STATE, SETTINGS])?;
    answer(&mut tree.command("dpkg", &["--purge", "fusiond", "fusionctl"]))?;
    let left = tree.left_since(&before)?;
    if !left.is_empty() || tree.groups()?.contains("fusion") {
        bail!("the purge left {left:?}, or a group");
    }
    shell::say("the packages for Debian install, upgrade, go and leave nothing\n");
    Ok(())
}

/// Installs, upgrades and erases the packages for Red Hat. What they depend on is Debian's here, which rpm does not know.
///
/// # Errors
///
/// When a script fails, or something is not there that should be, or the other way round.
pub(super) fn rpms(pair: &Pair) -> anyhow::Result<()> {
    let tree = Tree::make()?;
    let before = tree.names()?;
    tree.rpm(&["--install", "--nodeps"], &pair.old)?;
    tree.is_installed("site-functions", "licenses")?;
    tree.rpm(&["--verify", "--nodeps", "fusiond", "fusionctl"], &[])?;
    tree.change()?;
    tree.rpm(&["--upgrade", "--nodeps"], &pair.new)?;
    tree.is_kept()?;
    answer(&mut tree.command("systemctl", &["enable", "fusiond.service"]))?;
    tree.rpm(&["--erase", "--nodeps", "fusiond", "fusionctl"], &[])?;
    tree.has(&[STATE, "etc/fusiond/fusiond.toml.rpmsave"])?;
    tree.lacks(&[ENABLED, SETTINGS])?;
    let stays = ["./var/lib/fusiond", "./etc/fusiond"];
    let mut left = tree.left_since(&before)?;
    left.retain(|name| !stays.iter().any(|folder| name.starts_with(folder)));
    if !left.is_empty() {
        bail!("erasing left {left:?}");
    }
    shell::say("the packages for Red Hat install, upgrade, go and leave the state\n");
    Ok(())
}

/// A Debian that does not run.
struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn make() -> anyhow::Result<Self> {
        if !fusion_tests::is_root() {
            bail!("packages are installed by root: run `sudo cargo xtask dist --check`");
        }
        let root =
            tempfile::Builder::new().prefix("fusiond-tree-").tempdir().context("a temporary folder")?;
        debian::unpack(&debian::archive(PACKAGES)?, root.path())?;
        Ok(Self { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A program of the tree, in it.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = shell::command("chroot");
        command.arg(self.root.path()).arg(program).args(args).env_clear();
        command.envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")]);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn dpkg(&self, words: &[&str], packages: &[PathBuf]) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for package in packages {
            let name = package.file_name().context("a package has a name")?.to_string_lossy().into_owned();
            std::fs::copy(package, self.path(&name))?;
            names.push(format!("/{name}"));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        answer(&mut self.command("dpkg", &[words, &names].concat())).map(drop)
    }

    /// It ends well also when a script failed, so what it says is read.
    fn rpm(&self, words: &[&str], packages: &[PathBuf]) -> anyhow::Result<()> {
        let mut command = shell::command("rpm");
        command.arg("--root").arg(self.root.path()).args(["--define", "_dbpath /var/lib/rpm"]);
        let output = command.args(words).args(packages).env("LC_ALL", "C.UTF-8").output();
        let output = output.context("cannot start rpm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("scriptlet failed") {
            bail!(
                "rpm {}: {}: {}{said}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(())
    }

    /// Everything is where users and other programs look for it, and the programs start.
    fn is_installed(&self, zsh: &str, licences: &str) -> anyhow::Result<()> {
        let held = HELD.iter().map(|name| name.replace("ZSH", zsh).replace("LICENCES", licences));
        let held: Vec<String> = held.collect();
        self.has(&held.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.has(&[ENABLED])?;
        let groups = self.groups()?;
        if !groups.contains("\nfusion:") || !groups.contains("\nfusion-admin:") {
            bail!("the groups are missing in {groups}");
        }
        for program in ["fusiond", "fusionctl", "/usr/lib/fusiond/fusion-shim"] {
            answer(&mut self.command(program, &["--version"]))?;
        }
        answer(&mut self.command("fusiond", &["--check-config"])).map(drop)
    }

    /// What an administrator does between two versions.
    fn change(&self) -> anyhow::Result<()> {
        let mut settings = std::fs::read_to_string(self.path(SETTINGS))?;
        settings.push_str("[limits]\nmax_running = 3\n");
        std::fs::write(self.path(SETTINGS), settings)?;
        let state = self.path(STATE);
        std::fs::create_dir_all(state.parent().context("a file lies in a folder")?)?;
        std::fs::write(state, "")?;
        answer(&mut self.command("systemctl", &["disable", "fusiond.service"])).map(drop)
    }

    /// An upgrade changed none of it.
    fn is_kept(&self) -> anyhow::Result<()> {
        self.has(&[STATE, "usr/bin/fusiond"])?;
        self.lacks(&[ENABLED])?;
        if !std::fs::read_to_string(self.path(SETTINGS))?.contains("max_running = 3") {
            bail!("the upgrade replaced {SETTINGS}");
        }
        Ok(())
    }

    fn has(&self, names: &[&str]) -> anyhow::Result<()> {
        match names.iter().find(|name| !self.is_there(name)) {
            Some(name) => bail!("/{name} is missing"),
            None => Ok(()),
        }
    }

    fn lacks(&self, names: &[&str]) -> anyhow::Result<()> {
        match names.iter().find(|name| self.is_there(name)) {
            Some(name) => bail!("/{name} is there"),
            None => Ok(()),
        }
    }

    /// Also a link that leads nowhere from outside.
    fn is_there(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    fn groups(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path("etc/group")).context("reading the groups")
    }

    /// What is ours of all that came into being since then.
    fn left_since(&self, before: &[String]) -> anyhow::Result<Vec<String>> {
        let ours = |name: &String| name.contains("fusion") && !before.contains(name);
        Ok(self.names()?.into_iter().filter(ours).collect())
    }

    /// The paths of everything in it, from its root.
    fn names(&self) -> anyhow::Result<Vec<String>> {
        let found = answer(shell::command("find").arg(".").current_dir(self.root.path()))?;
        let own = |name: &&str| Path::new(name).extension().is_none_or(|ending| ending != "deb");
        Ok(found.lines().filter(own).filter(|name| !name.contains("/var/log/")).map(str::to_owned).collect())
    }
}
