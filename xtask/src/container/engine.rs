//! A container engine: the one that `docker` talks to, or, where none answers, a `dockerd` of this run alone, in a temporary
//! folder, without bridge and firewall rules. Not here: what is built and run.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::dist::answer;
use crate::shell;

/// The engine.
pub(super) struct Engine {
    own: Option<Own>,
}

/// An engine of this run.
struct Own {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl Engine {
    /// # Errors
    ///
    /// When no engine answers and none can be started.
    pub(super) fn find() -> anyhow::Result<Self> {
        shell::need("docker", "docker.io")?;
        if shell::succeeds("docker", &["version"]) {
            return Ok(Self { own: None });
        }
        if !fusion_tests::is_root() {
            bail!("no container engine answers: start one, or run `sudo cargo xtask container`");
        }
        shell::need("dockerd", "docker.io")?;
        Ok(Self { own: Some(Own::start()?) })
    }

    /// Whether it was started by this run.
    pub(super) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// A name that nothing else in the engine has.
    pub(super) fn own_name(&self, what: &str) -> String {
        format!("fusiond-{what}-{}", std::process::id())
    }

    /// `docker` with these words.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = shell::command("docker");
        command.args(words).current_dir(shell::root()).stdin(Stdio::null());
        if let Some(own) = &self.own {
            // The builder that is part of the daemon: the other one is a program that may be missing.
            command.env("DOCKER_HOST", own.address()).env("DOCKER_BUILDKIT", "0");
        }
        command
    }

    /// What `docker` prints.
    pub(super) fn answer(&self, words: &[&str]) -> anyhow::Result<String> {
        answer(&mut self.command(words)).map(|text| text.trim().to_owned())
    }

    /// `docker` in sight of the user.
    pub(super) fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        shell::say(&format!("$ docker {}\n", words.join(" ")));
        let status = self.command(words).status().context("cannot start docker")?;
        if !status.success() {
            bail!("`docker {}` failed: {status}", words.join(" "));
        }
        Ok(())
    }
}

impl Own {
    fn start() -> anyhow::Result<Self> {
        shell::say("no container engine answers; starting one for this run\n");
        let folder = tempfile::Builder::new().prefix("fusiond-engine-").tempdir().context("a folder")?;
        let path = |name: &str| folder.path().join(name);
        let mut dockerd = shell::command("dockerd");
        dockerd.args(["--iptables=false", "--bridge=none", "--data-root"]).arg(path("data"));
        dockerd.arg("--exec-root").arg(path("exec")).arg("--pidfile").arg(path("pid"));
        dockerd.arg("--host").arg(format!("unix://{}", path("socket").display()));
        let mut daemon =
            dockerd.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting dockerd")?;
        let log = daemon.stderr.take().context("its standard error is a pipe")?;
        let own = Self { daemon, folder };
        let mut lines = BufReader::new(log).lines();
        let mut said = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            if line.contains("API listen on") {
                // A daemon that cannot write stops.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(own);
            }
            said.push(line);
        }
        bail!("dockerd ended:\n{}", said.join("\n"))
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }
}

impl Drop for Own {
    /// Its containerd ends with it; a mount and cgroups of version 1 stay.
    fn drop(&mut self) {
        let pinned = pidfd_open(Pid::from_child(&self.daemon), PidfdFlags::empty());
        // One that is gone already needs no signal.
        pinned.and_then(|pidfd| pidfd_send_signal(&pidfd, Signal::TERM)).ok();
        drop(self.daemon.wait());
        let namespace = self.folder.path().join("exec/netns/default");
        shell::succeeds("umount", &[&namespace.to_string_lossy()]);
        let left = "for folder in /sys/fs/cgroup/*/docker; do \
                    [ -d \"$folder\" ] && find \"$folder\" -depth -type d -exec rmdir {} ';'; done";
        shell::succeeds("sh", &["-c", left]);
    }
}
