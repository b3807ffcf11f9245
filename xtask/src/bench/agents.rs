//! `cargo xtask bench agents`: what many idle agents cost, and how fast one of them is known to have died, is replaced,
//! stands still and goes on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fusion_tests::{Deadline, processes, wait_readable};
use rustix::process::Signal;

use super::proc;
use super::stage::Stage;
use super::stats::{median, percentile};
use crate::client::{Client, Events};
use crate::shell::{build_release, number_flag, say};

/// How long wake-ups are counted.
const QUIET: Duration = Duration::from_secs(30);
/// Deaths, replacements and freezes that are measured.
const DEATHS: usize = 200;
const REPLACED: u64 = 50;
const FREEZES: usize = 100;
/// Processes of the tree that is frozen.
const TREE: usize = 50;

/// Measures and prints.
///
/// # Errors
///
/// When an agent does not do what it is told.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let count = number_flag(flags, "--agents", 500)?;
    build_release()?;
    say(&format!("{count} idle agents\n"));
    let mut stage = Stage::new(count);
    memory(&stage)?;
    wake_ups(&stage)?;
    adoption(&mut stage, count)?;
    deaths(&stage)?;
    freezes(&stage)?;
    drop(stage);
    replacements()?;
    fusion_tests::users::remove_all();
    Ok(())
}

fn line(name: &str, value: &str) {
    say(&format!("{name:<58} {value}\n"));
}

fn spread(name: &str, times_ms: &[f64], wanted: &str) {
    let (p50, p99) = (median(times_ms), percentile(times_ms, 99));
    line(name, &format!("p50 {p50:.2} ms, p99 {p99:.2} ms ({wanted})"));
}

fn shims(stage: &Stage) -> Vec<i32> {
    stage.daemon.processes().iter().filter(|process| process.is_shim()).map(|shim| shim.pid).collect()
}

fn memory(stage: &Stage) -> anyhow::Result<()> {
    let pss: Vec<f64> =
        shims(stage).iter().map(|pid| proc::rollup_kib(*pid, "Pss")).collect::<anyhow::Result<_>>()?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let mean = pss.iter().sum::<f64>() / pss.len() as f64;
    let most = percentile(&pss, 100);
    line("memory of a shim in proportion (PSS)", &format!("{mean:.0} KiB, most {most:.0} KiB (≤ 300)"));
    line("resident memory of the daemon", &format!("{:.1} MB (≤ 60)", stage.resident_kib()? * 1024.0 / 1e6));
    Ok(())
}

/// Counts context switches: a thread that sleeps through has none. sled's own threads are told apart.
fn wake_ups(stage: &Stage) -> anyhow::Result<()> {
    let daemon = i32::try_from(stage.daemon.pid())?;
    let shims = shims(stage);
    let count = || -> anyhow::Result<(u64, u64, u64)> {
        let threads = proc::threads(daemon)?;
        let (database, ours): (Vec<_>, Vec<_>) =
            threads.iter().partition(|thread| is_of_database(&thread.name));
        let sum = |threads: Vec<&proc::Thread>| threads.iter().map(|thread| thread.switches).sum::<u64>();
        let shims = shims.iter().map(|pid| proc::threads(*pid)).collect::<anyhow::Result<Vec<_>>>()?;
        let of_shims = shims.iter().flatten().map(|thread| thread.switches).sum();
        Ok((sum(ours), sum(database), of_shims))
    };
    // What the looks and the spawns before set going comes to rest first.
    wait(Duration::from_secs(10));
    let before = count()?;
    wait(QUIET);
    let after = count()?;
    let seconds = QUIET.as_secs();
    line(&format!("wake-ups of the daemon in {seconds} s"), &format!("{} (0)", after.0 - before.0));
    line(&format!("wake-ups of sled's threads in {seconds} s"), &(after.1 - before.1).to_string());
    line(&format!("wake-ups of all shims in {seconds} s"), &format!("{} (0)", after.2 - before.2));
    Ok(())
}

/// sled 0.34 names its pool and leaves its flusher without a name of ours.
fn is_of_database(name: &str) -> bool {
    name.starts_with("sled")
}

/// Nothing is waited for: time itself is what is measured over.
fn wait(span: Duration) {
    let nothing = wait_readable(&[], Deadline::after(span));
    debug_assert!(nothing.is_none(), "no descriptor can become readable");
}

fn adoption(stage: &mut Stage, count: u64) -> anyhow::Result<()> {
    let last_seq = Client::connect(&stage.daemon.socket())?.status()?.last_seq;
    stage.daemon.kill9();
    let begin = Instant::now();
    stage.daemon.start_again();
    let ready = begin.elapsed();
    let mut events = Events::since(&stage.daemon.socket(), last_seq)?;
    for _ in 0..count {
        events.expect(|event| event.r#type == "agent.ready" && event.data.contains("\"adopted\":true"))?;
    }
    let adopted = begin.elapsed();
    line("start after kill -9, to ready", &format!("{:.2} s", ready.as_secs_f64()));
    line(&format!("the same, until {count} are adopted"), &format!("{:.2} s (< 1.5)", adopted.as_secs_f64()));
    Ok(())
}

/// From the kill of a running attempt to the event that tells of it.
fn deaths(stage: &Stage) -> anyhow::Result<()> {
    let mut events = Events::now(&stage.daemon.socket())?;
    let mut bell = stage.daemon.fifo("deaths");
    let script = format!("echo $$ > {}; exec sleep 1000", bell.path());
    let mut times = Vec::new();
    for _ in 0..DEATHS {
        let task = stage.ctl.submit(&script, &[]);
        let pid = bell.next_pid();
        let begin = Instant::now();
        ensure!(processes::signal(pid, &stage.daemon.root(), Signal::KILL), "the attempt has gone by itself");
        events.expect(|event| event.r#type == "attempt.exited" && event.subject == task)?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    spread("death of an attempt known", &times, "p99 < 50");
    Ok(())
}

/// Pause and resume of a tree of processes; each call returns when the kernel says that it is so.
fn freezes(stage: &Stage) -> anyhow::Result<()> {
    let mut bell = stage.daemon.fifo("tree");
    let script = format!(
        "n=1; while [ $n -lt {TREE} ]; do sleep 1000 & n=$((n+1)); done; echo $$ > {}; exec sleep 1000",
        bell.path()
    );
    let task = stage.ctl.submit(&script, &["--agent", "a0"]);
    bell.next_line();
    let owner = stage.ctl.json(&["agent", "show", "a0"]);
    let id = owner["id"].as_str().context("an agent has an id")?.to_owned();
    let mut client = Client::connect(&stage.daemon.socket())?;
    let (mut frozen, mut thawed) = (Vec::new(), Vec::new());
    for _ in 0..FREEZES {
        let begin = Instant::now();
        client.pause(&id)?;
        frozen.push(begin.elapsed().as_secs_f64() * 1000.0);
        let begin = Instant::now();
        client.resume(&id)?;
        thawed.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    stage.ctl.ok(&["task", "cancel", &task, "--grace", "0s"]);
    spread(&format!("freeze of a tree of {TREE} processes"), &frozen, "p99 < 20");
    spread(&format!("thaw of a tree of {TREE} processes"), &thawed, "p99 < 20");
    Ok(())
}

/// From the kill of a shim to the next incarnation, without cgroups; each agent's first restart, which waits for nothing.
fn replacements() -> anyhow::Result<()> {
    let stage = Stage::with(REPLACED, "[runtime]\nbackend = \"none\"\n");
    let mut events = Events::now(&stage.daemon.socket())?;
    let mut times = Vec::new();
    for pid in shims(&stage) {
        let begin = Instant::now();
        ensure!(processes::signal(pid, &stage.daemon.root(), Signal::KILL), "the shim has gone by itself");
        events.expect(|event| event.r#type == "agent.ready")?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    spread("killed shim replaced, backend none", &times, "p50 < 20");
    Ok(())
}
