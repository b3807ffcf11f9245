//! `cargo xtask bench tasks`: durable, isolated tasks per second, against the limit of the machine and against
//! programs that are neither, interleaved in one run.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::peers::{self, Rate, TRUE};
use super::stage::Stage;
use super::stats::median;
use crate::client::Client;
use crate::shell::{build_release, number_flag, say};

/// Sizes of the queue that is worked off to its end.
const SIZES: [u64; 2] = [1_000, 10_000];

/// The long queue, and how much of it is worked off for the rate.
const LONG: u64 = 100_000;
const OF_LONG: u64 = 5_000;

/// GNU parallel is too slow for more.
const PARALLEL: u64 = 1_000;

/// What one round of the long queue came to.
struct Long {
    rate: Rate,
    submit_seconds: f64,
    bytes_per_task: f64,
}

#[derive(Default)]
struct Rounds {
    limit: Vec<Rate>,
    xargs: Vec<Rate>,
    parallel: Vec<Rate>,
    sizes: [Vec<Rate>; 2],
    long: Vec<Long>,
}

/// Measures and prints.
///
/// # Errors
///
/// When a side does not do its work.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let rounds = number_flag(flags, "--rounds", 5)?;
    let agents = number_flag(flags, "--agents", 4)?;
    build_release()?;
    peers::ensure_parallel()?;
    say(&format!(
        "{rounds} rounds, {agents} agents, `{TRUE}`; each line is one round: tasks per second (CPU ms per task)\n"
    ));
    let mut all = Rounds::default();
    for round in 1..=rounds {
        all.limit.push(shown(round, "posix_spawn, two at a time", peers::spawn_limit(SIZES[1])?));
        for (size, rates) in SIZES.into_iter().zip(&mut all.sizes) {
            rates.push(shown(round, &format!("fusiond, {size} tasks"), worked_off(size, agents)?));
        }
        all.xargs.push(shown(round, "xargs -P2", peers::xargs(SIZES[1])?));
        all.parallel.push(shown(round, "GNU parallel -j2", peers::parallel(PARALLEL)?));
        let long = long_queue(agents)?;
        shown(round, &format!("fusiond, {LONG} queued"), long.rate);
        all.long.push(long);
    }
    summary(&all);
    fusion_tests::users::remove_all();
    Ok(())
}

fn shown(round: u64, name: &str, rate: Rate) -> Rate {
    say(&format!("{round} {name:<28} {:>7.0}/s ({:.2} ms)\n", rate.per_second, rate.cpu_ms_per_task));
    rate
}

/// Queues `count` tasks on a daemon that starts none, then lets it work them off.
fn worked_off(count: u64, agents: u64) -> anyhow::Result<Rate> {
    let stage = Stage::new(agents);
    let (ids, _) = queue(&stage, count)?;
    let rate = work_off(&stage, &ids, count)?;
    let mut client = Client::connect(&stage.daemon.socket())?;
    let done = client.status()?.tasks.get("succeeded").copied().unwrap_or_default();
    // The newest task ends last but for those that run beside it.
    ensure!(done + agents > count, "{done} of {count} tasks succeeded");
    Ok(rate)
}

fn long_queue(agents: u64) -> anyhow::Result<Long> {
    let stage = Stage::new(agents);
    let before = stage.resident_kib()?;
    let (ids, submit_seconds) = queue(&stage, LONG)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of tasks are far below 2^52")]
    let bytes_per_task = (stage.resident_kib()? - before) * 1024.0 / LONG as f64;
    let rate = work_off(&stage, &ids, OF_LONG)?;
    Ok(Long { rate, submit_seconds, bytes_per_task })
}

/// Submits `count` tasks by stream; answers their ids and how long it took.
fn queue(stage: &Stage, count: u64) -> anyhow::Result<(Vec<String>, f64)> {
    stage.daemon.ctl().ok(&["system", "drain"]);
    let file = stage.daemon.folder().join("tasks.jsonl");
    let mut lines = String::new();
    for _ in 0..count {
        writeln!(lines, "{{\"run\": [\"{TRUE}\"]}}")?;
    }
    std::fs::write(&file, lines).context("the temporary folder can be written")?;
    let begin = Instant::now();
    let printed = stage.ctl.ok(&["-q", "task", "submit", "--file", file.to_str().context("a plain name")?]);
    let seconds = begin.elapsed().as_secs_f64();
    let ids: Vec<String> = printed.lines().map(str::to_owned).collect();
    ensure!(ids.len() as u64 == count, "{} of {count} tasks were accepted", ids.len());
    // A copy of the state is made when the database has caught up: the submit's own work is not in the rates.
    let copy = stage.daemon.folder().join("settled");
    stage.daemon.ctl().ok(&["system", "backup", copy.to_str().context("a plain name")?]);
    Ok((ids, seconds))
}

/// Lets the tasks start and waits for the `count`th.
fn work_off(stage: &Stage, ids: &[String], count: u64) -> anyhow::Result<Rate> {
    let last =
        usize::try_from(count).ok().and_then(|count| ids.get(count - 1)).context("there are fewer tasks")?;
    let mut client = Client::connect(&stage.daemon.socket())?;
    let cpu = stage.cpu_seconds()?;
    let begin = Instant::now();
    client.open_intake()?;
    client.wait(last)?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Rate::new(count, seconds, stage.cpu_seconds()? - cpu))
}

fn summary(all: &Rounds) {
    let per_second = |rates: &[Rate]| median(&rates.iter().map(|rate| rate.per_second).collect::<Vec<_>>());
    let cpu = |rates: &[Rate]| median(&rates.iter().map(|rate| rate.cpu_ms_per_task).collect::<Vec<_>>());
    let limit = per_second(&all.limit);
    let long: Vec<Rate> = all.long.iter().map(|long| long.rate).collect();
    let rows = [
        ("posix_spawn, two at a time", all.limit.as_slice()),
        ("xargs -P2", &all.xargs),
        ("fusiond, 1000 tasks", &all.sizes[0]),
        ("fusiond, 10000 tasks", &all.sizes[1]),
        ("fusiond, 100000 queued", &long),
        ("GNU parallel -j2", &all.parallel),
    ];
    say(&format!("\n{:<28} {:>9} {:>9} {:>11}\n", "median", "tasks/s", "of limit", "CPU ms/task"));
    for (name, rates) in rows {
        let rate = per_second(rates);
        say(&format!("{name:<28} {rate:>9.0} {:>9.3} {:>11.2}\n", rate / limit, cpu(rates)));
    }
    let submit: Vec<f64> = all.long.iter().map(|long| long.submit_seconds).collect();
    let bytes: Vec<f64> = all.long.iter().map(|long| long.bytes_per_task).collect();
    say(&format!(
        "\nrate with {LONG} queued / with 1000: {:.2}\n{LONG} submitted by stream: {:.1} s\nmemory per queued task: {:.0} bytes\n",
        per_second(&long) / per_second(&all.sizes[0]),
        median(&submit),
        median(&bytes)
    ));
}
