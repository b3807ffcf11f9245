//! `cargo xtask bench bulk`: one verb on many tasks, against the batch submit of as many; and how long others wait
//! for the daemon meanwhile.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::stage::Stage;
use super::stats::{median, percentile};
use crate::client::Client;
use crate::shell::{build_release, number_flag, say};

/// The verbs, in an order in which each finds all tasks in a state that suits it.
const VERBS: [&[&str]; 6] = [
    &["task", "hold", "--label", "batch=b"],
    &["task", "release", "--label", "batch=b"],
    &["task", "update", "--label", "batch=b", "--priority", "8"],
    &["task", "cancel", "--label", "batch=b"],
    &["task", "retry", "--label", "batch=b"],
    &["task", "cancel", "--label", "batch=b"],
];

/// Measures and prints.
///
/// # Errors
///
/// When a verb does not reach all tasks.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let count = number_flag(flags, "--count", 100_000)?;
    build_release()?;
    let stage = Stage::new(0);
    let submit = submit(&stage, count)?;
    say(&format!("{count} tasks; others: a status asked for meanwhile, in ms\n"));
    say(&format!(
        "{:<14} {:>8} {:>9} {:>10} {:>11}\n",
        "", "seconds", "of submit", "others p50", "others most"
    ));
    say(&format!("{:<14} {submit:>8.2} {:>9.2}\n", "submit", 1.0));
    for verb in VERBS {
        let (seconds, waits) = beside(&stage, verb, count)?;
        let (half, most) = (median(&waits), percentile(&waits, 100));
        say(&format!("{:<14} {seconds:>8.2} {:>9.2} {half:>10.2} {most:>11.2}\n", verb[1], seconds / submit));
    }
    fusion_tests::users::remove_all();
    Ok(())
}

/// Submits the tasks, which nobody takes, as one file; seconds.
pub(crate) fn submit(stage: &Stage, count: u64) -> anyhow::Result<f64> {
    let file = stage.daemon.folder().join("tasks.jsonl");
    let mut lines = String::new();
    for _ in 0..count {
        writeln!(
            lines,
            "{{\"run\": [\"true\"], \"capabilities\": [\"nobody\"], \"labels\": {{\"batch\": \"b\"}}}}"
        )?;
    }
    std::fs::write(&file, lines).context("the temporary folder can be written")?;
    let begin = Instant::now();
    let printed = stage.ctl.ok(&["-q", "task", "submit", "--file", file.to_str().context("a plain name")?]);
    ensure!(printed.lines().count() as u64 == count, "not all tasks were accepted");
    Ok(begin.elapsed().as_secs_f64())
}

/// Seconds of one verb, and milliseconds of each status that was asked for meanwhile.
fn beside(stage: &Stage, verb: &[&str], count: u64) -> anyhow::Result<(f64, Vec<f64>)> {
    let mut client = Client::connect(&stage.daemon.socket())?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut waits = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                client.status()?;
                waits.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(waits)
        });
        let begin = Instant::now();
        let printed = stage.ctl.ok(&[&["-q"], verb].concat());
        let seconds = begin.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let waits = asker.join().ok().context("the one who asks has panicked")??;
        let reached = printed.lines().count() as u64;
        ensure!(reached == count, "{} reached {reached} of {count} tasks", verb[1]);
        Ok((seconds, waits))
    })
}
