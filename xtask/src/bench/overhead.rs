//! `cargo xtask bench overhead`: what supervision costs a task that computes, and one that writes.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use fusion_proto::v1::SubmitTaskRequest;

use super::proc;
use super::stage::Stage;
use super::stats::median;
use crate::client::Client;
use crate::shell::{self, build_release, number_flag, say};

/// What is written, and by what.
const OUTPUT_BYTES: u64 = 1 << 30;
/// Processor time of the task that computes.
const COMPUTE_MS: u64 = 10_000;
const CONFIG: &str = "[runtime]\nlog_quota = \"2GiB\"\n";

/// Measures and prints.
///
/// # Errors
///
/// When a task does not do its work.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let rounds = number_flag(flags, "--rounds", 5)?;
    build_release()?;
    let stage = Stage::with(1, CONFIG);
    compute(&stage)?;
    output(&stage, rounds)?;
    fusion_tests::users::remove_all();
    Ok(())
}

/// Processor seconds of the daemon and its shims themselves.
fn supervision_seconds(stage: &Stage) -> anyhow::Result<f64> {
    let daemon = i32::try_from(stage.daemon.pid())?;
    let shims = stage.daemon.processes().into_iter().filter(fusion_tests::processes::Process::is_shim);
    let pids = std::iter::once(daemon).chain(shims.map(|shim| shim.pid));
    pids.map(proc::own_cpu_seconds).sum()
}

fn compute(stage: &Stage) -> anyhow::Result<()> {
    let program = fusion_tests::binary("fake-agent");
    let run = [program.to_str().context("a plain name")?.to_owned(), format!("spin {COMPUTE_MS}")];
    let before = supervision_seconds(stage)?;
    let used = work(stage, &run)?;
    let ours = supervision_seconds(stage)? - before;
    say(&format!(
        "a task that computes for {used:.2} s: daemon and shim {:.1} ms, {:.3} % of it (< 1 %)\n",
        ours * 1000.0,
        ours / used * 100.0
    ));
    Ok(())
}

/// Runs a command as a task of the stage's user to its end; its processor seconds.
fn work(stage: &Stage, run: &[String]) -> anyhow::Result<f64> {
    let owner = stage.ctl.json(&["agent", "show", "a0"]);
    let user = owner["user"].as_str().context("an agent has an owner")?.to_owned();
    let mut client = Client::connect(&stage.daemon.socket())?;
    let task =
        client.submit(SubmitTaskRequest { run: run.to_vec(), user, ..SubmitTaskRequest::default() })?;
    client.wait(&task.id)?;
    let task = client.task(&task.id)?;
    let last = task.attempts.last().context("it was started")?;
    ensure!(last.exit_code == Some(0) && last.dropped_bytes == 0, "it ended otherwise: {last:?}");
    Ok(last.usage.as_ref().context("it used something")?.cpu_seconds)
}

/// `head` to a file and `head` as a task, interleaved.
fn output(stage: &Stage, rounds: u64) -> anyhow::Result<()> {
    let argv = ["head", "-c", &OUTPUT_BYTES.to_string(), "/dev/zero"].map(str::to_owned);
    let file = stage.daemon.folder().join("output");
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        plain.push(rate(|| to_file(&argv, &file))?);
        ours.push(rate(|| work(stage, &argv).map(drop))?);
        let last = [&plain, &ours].map(|rates| rates.last().copied().unwrap_or_default());
        say(&format!("{round} `cmd > file` {:>6.0} MB/s, as a task {:>6.0} MB/s\n", last[0], last[1]));
    }
    let ratio = median(&ours) / median(&plain);
    say(&format!(
        "1 GiB of output: {:.0} MB/s, {ratio:.2} of the rate of `cmd > file` (≥ 0.7)\n",
        median(&ours)
    ));
    Ok(())
}

fn to_file(argv: &[String], path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).context("the temporary folder can be written")?;
    let status = shell::command(&argv[0]).args(&argv[1..]).stdin(Stdio::null()).stdout(file).status()?;
    ensure!(status.success(), "head failed: {status}");
    Ok(())
}

/// Megabytes a second of one run.
fn rate(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    work()?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let megabytes = OUTPUT_BYTES as f64 / 1e6;
    Ok(megabytes / begin.elapsed().as_secs_f64())
}
