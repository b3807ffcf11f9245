//! `cargo xtask demo`: the daemon does real work on the files of this checkout, is killed in the middle together with
//! one agent, and loses nothing.
//!
//! Every result is compared with that of the same script run by hand. Not here: the table (`report`).

mod report;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use fusion_tests::{Ctl, Daemon, processes};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;

use crate::shell::{self, say};

const TASKS: &str = "examples/tasks.jsonl";

/// The agents, and what each can do.
const AGENTS: &[(&str, &str)] = &[("counter", "count"), ("summer", "sum"), ("reader", "text")];

/// The task that is running when its agent's shim is killed.
const VICTIM: &str = "key:sum-big";

/// What the demo reads of a line of the task file; the daemon reads the rest.
#[derive(Debug, Deserialize)]
struct Line {
    key: String,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    retries: u32,
}

/// Builds, runs the demo and says whether all is as expected.
///
/// # Errors
///
/// When something was lost, run twice, left behind or not as the file says.
pub(crate) fn run() -> anyhow::Result<()> {
    shell::run(&shell::cargo(), &["build", "--workspace", "--bins", "--locked", "--quiet"])?;
    let begin = Instant::now();
    let lines = read_tasks()?;
    let by_hand = start_by_hand(&lines)?;
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    say(&format!("fusiond runs in {}\n", daemon.root().display()));
    spawn_agents(&ctl);
    let file = shell::root().join(TASKS);
    let submitted = ctl.ok(&[
        "-q",
        "task",
        "submit",
        "--file",
        file.to_str().context("the checkout has a strange name")?,
    ]);
    say(&format!("{} tasks submitted from {TASKS}\n", submitted.lines().count()));
    ensure!(submitted.lines().count() == lines.len(), "some of the {} tasks were refused", lines.len());
    let at_the_kill = kill_in_the_middle(&mut daemon, &ctl)?;
    wait_for_all(&ctl, &lines);
    let tasks: Vec<Value> =
        lines.iter().map(|line| ctl.json(&["task", "show", &format!("key:{}", line.key)])).collect();
    report::print(&ctl, &tasks);
    let mut faults = judge(&lines, &tasks);
    faults.extend(compare(&ctl, by_hand)?);
    faults.extend(stop(&mut daemon, &ctl, &at_the_kill));
    if !faults.is_empty() {
        bail!("not as expected:\n  {}", faults.join("\n  "));
    }
    say(&format!("\nall as expected, stopped clean, {:.1} s\n", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn read_tasks() -> anyhow::Result<Vec<Line>> {
    let text =
        std::fs::read_to_string(shell::root().join(TASKS)).with_context(|| format!("cannot read {TASKS}"))?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("in {TASKS}: {line}")))
        .collect()
}

/// Starts every script whose result must be the same without a daemon.
fn start_by_hand(lines: &[Line]) -> anyhow::Result<Vec<(String, Child)>> {
    let mut started = Vec::new();
    for line in lines.iter().filter(|line| line.retries == 0 && !expects_failure(line)) {
        let Some(prompt) = &line.prompt else { continue };
        let mut command = shell::command("/bin/sh");
        command.args(["-c", prompt]).env("REPO", shell::root()).stdin(Stdio::null()).stdout(Stdio::piped());
        started.push((line.key.clone(), command.spawn().context("cannot start /bin/sh")?));
    }
    Ok(started)
}

fn expects_failure(line: &Line) -> bool {
    line.labels.get("expect").is_some_and(|expected| expected == "failed")
}

fn spawn_agents(ctl: &Ctl) {
    let repo = format!("REPO={}", shell::root().display());
    for (name, capability) in AGENTS {
        let flags = ["--capability", capability, "--env", &repo, "--restart", "on-failure"];
        let mut args = vec!["agent", "spawn", name, "--profile", "shell"];
        args.extend(flags);
        let id = ctl.id(&args);
        say(&format!("agent {name} can {capability}: {id}\n"));
    }
}

/// Kills the daemon, then the shim of the agent that works on the victim; starts the daemon again. Answers who was
/// alive before.
fn kill_in_the_middle(daemon: &mut Daemon, ctl: &Ctl) -> anyhow::Result<Vec<processes::Process>> {
    let running = ctl.task_in(VICTIM, "running");
    let agent = running["attempts"][0]["agent"].as_str().context("a running task has an agent")?.to_owned();
    let before = daemon.processes();
    daemon.kill9();
    say("\nkill -9 of the daemon");
    let shim = before.iter().find(|process| process.is_shim() && process.command.contains(&agent));
    let shim = shim.context("the agent has no shim")?;
    ensure!(
        processes::signal(shim.pid, &daemon.root(), Signal::KILL),
        "the shim was gone before it was killed"
    );
    say(&format!(", kill -9 of the shim of agent {agent}\n"));
    let again = Instant::now();
    daemon.start_again();
    let status = ctl.json(&["system", "status"]);
    say(&format!(
        "fusiond is back after {} ms: agents {}, tasks {}\n",
        again.elapsed().as_millis(),
        status["agents"],
        status["tasks"]
    ));
    // Whether the victim's attempt did its work nobody can know: that is for a person to decide, here for us.
    ctl.task_in(VICTIM, "lost");
    say(&format!("task {VICTIM} is lost; `fusionctl task resolve --retry` runs it again\n"));
    ctl.ok(&["task", "resolve", VICTIM, "--retry"]);
    Ok(before)
}

fn wait_for_all(ctl: &Ctl, lines: &[Line]) {
    let names: Vec<String> = lines.iter().map(|line| format!("key:{}", line.key)).collect();
    let mut args = vec!["-q", "task", "wait", "--timeout", "40s"];
    args.extend(names.iter().map(String::as_str));
    // Two tasks are meant to fail, so the code says nothing; `judge` looks at each.
    drop(ctl.run(&args));
}

/// What is not as the task file says.
fn judge(lines: &[Line], tasks: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, task) in lines.iter().zip(tasks) {
        let expected = if expects_failure(line) { "failed" } else { "succeeded" };
        if task["state"] != expected {
            faults.push(format!("task {} is {}, not {expected}", line.key, task["state"]));
        }
        let tries = task["attempts"].as_array().map_or(0, Vec::len);
        let allowed = if line.retries > 0 || VICTIM.ends_with(&line.key) { 2 } else { 1 };
        if tries > allowed {
            faults.push(format!("task {} was tried {tries} times, not {allowed}", line.key));
        }
    }
    faults
}

/// Results that differ from those of the same scripts run by hand.
fn compare(ctl: &Ctl, by_hand: Vec<(String, Child)>) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    let count = by_hand.len();
    for (key, child) in by_hand {
        let expected = child.wait_with_output().context("cannot wait for a script")?.stdout;
        let result = ctl.run(&["task", "result", &format!("key:{key}")]);
        if result.stdout.trim_end().as_bytes() != expected.trim_ascii_end() {
            faults.push(format!("the result of {key} is not that of the script: {result}"));
        }
    }
    say(&format!(
        "\n{} of {count} results equal those of the same scripts run by hand\n",
        count - faults.len()
    ));
    Ok(faults)
}

/// Stops daemon and agents; answers what was left.
fn stop(daemon: &mut Daemon, ctl: &Ctl, before: &[processes::Process]) -> Vec<String> {
    ctl.ok(&["system", "shutdown", "--agents", "stop", "--grace", "2s"]);
    daemon.wait_for_end();
    let mut left = daemon.processes();
    left.extend(
        before.iter().filter(|process| processes::look(process.pid).as_ref() == Some(process)).cloned(),
    );
    left.into_iter().map(|process| format!("left behind: {} {}", process.pid, process.command)).collect()
}
