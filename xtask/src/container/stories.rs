//! What the image is used for, and what its users are told. Not here: how it is built.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::engine::Engine;
use crate::shell;

/// Runs all of them.
///
/// # Errors
///
/// At the first that fails.
pub(super) fn run(engine: &Engine, image: &str) -> anyhow::Result<()> {
    let volume = Volume { engine, name: engine.own_name("state") };
    let first = Container::start(engine, image, &volume, &["--init", "--tmpfs", "/run:mode=755"])?;
    story("commands run as the user who asks", || serves(&first))?;
    story("the health check asks the daemon", || healthy(&first, image))?;
    story("doctor tells what a container takes away", || told(&first))?;
    story("a limit that nothing holds is refused", || limits(&first))?;
    story("a stop ends agents in order, and a start has their state", || stopped(&first))?;
    story("an attempt that a kill ends is lost, and said to be", || killed(&first))?;
    drop(first);
    let second = Container::start(engine, image, &volume, &[])?;
    story("a new container has the state of the volume", || kept(&second))?;
    story("doctor tells that nobody reaps without --init", || unreaped(&second))
}

fn story(name: &str, test: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    test().with_context(|| format!("story: {name}"))?;
    shell::say(&format!("ok: {name}\n"));
    Ok(())
}

fn serves(container: &Container<'_>) -> anyhow::Result<()> {
    let said = container.ctl(&["run", "command", "--", "sh", "-c", "uname -s; id -un; git --version"])?;
    expect(&said, &["Linux", "agent", "git version"])
}

fn healthy(container: &Container<'_>, image: &str) -> anyhow::Result<()> {
    let format = "{{json .Config.Healthcheck.Test}}";
    let test = container.engine.answer(&["image", "inspect", "--format", format, image])?;
    let test: Vec<String> = serde_json::from_str(&test).context("the image has no health check")?;
    let (kind, command) = test.split_first().context("the health check is empty")?;
    if kind != "CMD" {
        bail!("the health check is {test:?}, a command was expected");
    }
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = container.command("root", &command).output()?;
    if !output.status.success() {
        bail!("the health check of a daemon that serves: {output:?}");
    }
    Ok(())
}

fn told(container: &Container<'_>) -> anyhow::Result<()> {
    let checks = container.checks()?;
    let failed = checks.iter().find(|check| check["status"] == "failed");
    if let Some(failed) = failed {
        bail!("a check failed: {failed}");
    }
    expect(&detail(&checks, "container")?, &["weak: all agents end with the container"])?;
    expect(&detail(&checks, "run folder")?, &["ok: /run/fusiond is on tmpfs"])?;
    expect(&detail(&checks, "git")?, &["ok: "])?;
    // What doctor says of a user's namespaces is what a user's program meets.
    let unshare = container.command("agent", &["unshare", "--user", "true"]).output()?;
    let word = if unshare.status.success() { "ok: " } else { "weak: refused" };
    expect(&detail(&checks, "user namespaces")?, &[word])
}

fn limits(container: &Container<'_>) -> anyhow::Result<()> {
    let checks = container.checks()?;
    let spawn = ["fusionctl", "agent", "spawn", "limited", "--profile", "shell", "--memory", "64M"];
    let output = container.command("agent", &spawn).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    match detail(&checks, "memory limit")?.starts_with("ok") {
        true if output.status.success() => Ok(()),
        false if !output.status.success() => {
            expect(&said, &["memory cannot be enforced here", "system doctor"])
        }
        promised => bail!("doctor says {promised} of the memory limit, and the agent: {said}"),
    }
}

/// The program ends well when it is asked to, which a kill would not let it.
fn stopped(container: &Container<'_>) -> anyhow::Result<()> {
    container.begin("orderly")?;
    container.engine.answer(&["stop", "--time", "60", &container.name])?;
    let code = container.engine.answer(&["inspect", "--format", "{{.State.ExitCode}}", &container.name])?;
    if code != "0" {
        bail!("the daemon ended with {code}");
    }
    container.start_again()?;
    let task = container.task("orderly")?;
    let first = &task["attempts"][0];
    if first["exitCode"] != 0 || first["failure"]["code"] != "agent_terminated" {
        bail!("the agent was not ended in order: {task}");
    }
    container.ctl(&["task", "cancel", "key:orderly"]).map(drop)
}

fn killed(container: &Container<'_>) -> anyhow::Result<()> {
    container.begin("sudden")?;
    container.engine.answer(&["kill", &container.name])?;
    container.start_again()?;
    // It ends with 1, for the task failed.
    container.command("agent", &["fusionctl", "task", "wait", "key:sudden", "--timeout", "1m"]).output()?;
    let task = container.task("sudden")?;
    if task["state"] != "failed" || task["attempts"][0]["state"] != "lost" {
        bail!("the attempt is not lost: {task}");
    }
    Ok(())
}

fn kept(container: &Container<'_>) -> anyhow::Result<()> {
    for (key, state) in [("orderly", "cancelled"), ("sudden", "failed")] {
        let task = container.task(key)?;
        if task["state"] != state {
            bail!("{key} is not {state}: {task}");
        }
    }
    // Waits until it is there.
    container.ctl(&["task", "submit", "--agent", "orderly", "--wait", "true"])?;
    expect(&container.ctl(&["run", "command", "--", "uname", "-s"])?, &["Linux"])
}

fn unreaped(container: &Container<'_>) -> anyhow::Result<()> {
    let checks = container.checks()?;
    expect(&detail(&checks, "container")?, &["weak: this daemon is its first process"])?;
    expect(&detail(&checks, "run folder")?, &["weak: /run/fusiond is on a disk"])
}

fn expect(said: &str, parts: &[&str]) -> anyhow::Result<()> {
    match parts.iter().find(|part| !said.contains(**part)) {
        Some(missing) => bail!("{missing:?} is not in {said:?}"),
        None => Ok(()),
    }
}

/// Status and detail of one of doctor's checks.
fn detail(checks: &[Value], name: &str) -> anyhow::Result<String> {
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.with_context(|| format!("doctor says nothing of {name}"))?;
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    Ok(format!("{}: {}", text("status"), text("detail")))
}

/// Removed when dropped, after the containers that use it.
struct Volume<'a> {
    engine: &'a Engine,
    name: String,
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        drop(self.engine.answer(&["volume", "rm", "--force", &self.name]));
    }
}

/// A container that serves; removed when dropped.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
}

impl<'a> Container<'a> {
    fn start(engine: &'a Engine, image: &str, volume: &Volume<'_>, flags: &[&str]) -> anyhow::Result<Self> {
        let container = Self { engine, name: engine.own_name("daemon") };
        let mount = format!("{}:/var/lib/fusiond", volume.name);
        let words = ["run", "--detach", "--network", "none", "--name", &container.name, "--volume", &mount];
        engine.answer(&[&words, flags, &[image]].concat())?;
        container.serves(1)?;
        Ok(container)
    }

    fn start_again(&self) -> anyhow::Result<()> {
        let earlier = self.engine.command(&["logs", &self.name]).output()?;
        let served = String::from_utf8_lossy(&earlier.stderr).matches(READY).count();
        self.engine.answer(&["start", &self.name])?;
        self.serves(served + 1)
    }

    /// Waits until its log says so for the so manieth time.
    fn serves(&self, times: usize) -> anyhow::Result<()> {
        let mut follow = self.engine.command(&["logs", "--follow", &self.name]);
        let mut follow = Following(follow.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        let log = follow.0.stderr.take().context("its standard error is a pipe")?;
        let mut said = Vec::new();
        for line in BufReader::new(log).lines() {
            said.push(line?);
            if said.iter().filter(|line| line.contains(READY)).count() == times {
                return Ok(());
            }
        }
        bail!("the daemon ended:\n{}", said.join("\n"))
    }

    /// A program of the container as one of its users.
    fn command(&self, user: &str, words: &[&str]) -> std::process::Command {
        self.engine.command(&[&["exec", "--user", user, &self.name], words].concat())
    }

    fn ctl(&self, words: &[&str]) -> anyhow::Result<String> {
        crate::dist::answer(&mut self.command("agent", &[&["fusionctl"], words].concat()))
    }

    fn checks(&self) -> anyhow::Result<Vec<Value>> {
        let diagnosis: Value = serde_json::from_str(&self.ctl(&["-o", "json", "system", "doctor"])?)?;
        diagnosis["checks"].as_array().cloned().context("doctor gives a list of checks")
    }

    fn task(&self, key: &str) -> anyhow::Result<Value> {
        let said = self.ctl(&["-o", "json", "task", "show", &format!("key:{key}")])?;
        serde_json::from_str(&said).context("a task as JSON")
    }

    /// An agent with a task of this name, which runs until it is asked to end, and then ends well.
    fn begin(&self, name: &str) -> anyhow::Result<()> {
        let fifo = format!("/tmp/{name}");
        let script = format!(
            "trap 'exit 0' TERM; mkfifo {fifo} 2>/dev/null; echo begun > {fifo}; sleep infinity & wait"
        );
        self.ctl(&["agent", "spawn", name, "--profile", "shell"])?;
        self.ctl(&["task", "submit", "--agent", name, "--key", name, "--on-lost", "fail", &script])?;
        // The fifo is made by whoever comes first.
        let read = format!("mkfifo {fifo} 2>/dev/null; cat {fifo}");
        let said = crate::dist::answer(&mut self.command("agent", &["sh", "-c", &read]))?;
        expect(&said, &["begun"])
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        drop(self.engine.answer(&["rm", "--force", &self.name]));
    }
}

const READY: &str = "ready: version";

/// A program that only ends when it is ended.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
