//! `cargo xtask bench start`: from the start of the daemon to READY, with nothing in its state and with many tasks, after a
//! stop and after kill -9; against a start of the same program that only says its version, and against reading the store.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use super::bounds::Bounds;
use super::bulk::submit;
use super::stage::Stage;
use super::stats::{median, percentile};
use crate::shell::{self, build_release, number_flag, say};

/// With nothing in its state the daemon is there within so many milliseconds, in half of all starts.
const EMPTY_MS_MAX: f64 = 50.0;
/// With 100,000 tasks.
const FULL_MS_MAX: f64 = 1000.0;

/// Measures and prints.
///
/// # Errors
///
/// When the tasks are not accepted, or with `--check` when a bound is broken.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let (count, rounds) = (number_flag(flags, "--count", 100_000)?, number_flag(flags, "--rounds", 20)?);
    build_release()?;
    let bare = timed(rounds, || {
        let status =
            shell::command(fusion_tests::binary("fusiond")).arg("--version").stdout(Stdio::null()).status();
        ensure!(status.context("fusiond can be started")?.success(), "it does not tell its version");
        Ok(())
    })?;
    say(&format!("from start to READY in ms, {rounds} rounds\n{:<34} {:>8} {:>8}\n", "", "p50", "p99"));
    row("fusiond --version", &bare);
    let mut stage = Stage::new(0);
    let mut bounds = Bounds::of(flags);
    for (ending, word) in [(Ending::Stop, "a stop"), (Ending::Kill, "kill -9")] {
        let millis = starts(&mut stage, rounds, ending)?;
        row(&format!("empty state, after {word}"), &millis);
        bounds.at_most("p50", median(&millis), EMPTY_MS_MAX);
    }
    submit(&stage, count)?;
    for (ending, word) in [(Ending::Kill, "kill -9"), (Ending::Stop, "a stop")] {
        let millis = starts(&mut stage, rounds, ending)?;
        row(&format!("{count} tasks, after {word}"), &millis);
        bounds.at_most("p50", median(&millis), FULL_MS_MAX);
    }
    let store = stage.daemon.root().join("state/store");
    let mut bytes = 0;
    let read = timed(rounds, || {
        bytes = read_all(&store)?;
        Ok(())
    })?;
    row(&format!("reading the store, {} MiB", bytes >> 20), &read);
    fusion_tests::users::remove_all();
    bounds.end()
}

#[derive(Clone, Copy)]
enum Ending {
    Stop,
    Kill,
}

fn row(what: &str, millis: &[f64]) {
    say(&format!("{what:<34} {:>8.1} {:>8.1}\n", median(millis), percentile(millis, 99)));
}

/// Milliseconds of each start; what ends the daemon before is not counted.
fn starts(stage: &mut Stage, rounds: u64, ending: Ending) -> anyhow::Result<Vec<f64>> {
    (0..rounds)
        .map(|_| {
            match ending {
                Ending::Stop => drop(stage.daemon.stop_with(Signal::TERM)),
                Ending::Kill => stage.daemon.kill9(),
            }
            let begin = Instant::now();
            stage.daemon.start_again();
            Ok(begin.elapsed().as_secs_f64() * 1000.0)
        })
        .collect()
}

fn timed(rounds: u64, mut act: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            act()?;
            Ok(begin.elapsed().as_secs_f64() * 1000.0)
        })
        .collect()
}

fn read_all(folder: &Path) -> anyhow::Result<usize> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => read_all(&entry.path())?,
            false => std::fs::read(entry.path())?.len(),
        };
    }
    Ok(bytes)
}
