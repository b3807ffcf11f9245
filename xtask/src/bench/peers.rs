//! The anchors: the limit of the machine, and programs that start programs and do nothing else.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::stage::cpu_seconds_of;
use crate::shell;

/// The program that every side starts.
pub(crate) const TRUE: &str = "/bin/true";

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) cpu_ms_per_task: f64,
}

impl Rate {
    pub(crate) fn new(count: u64, seconds: f64, cpu_seconds: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of tasks are far below 2^52")]
        let count = count as f64;
        Self { per_second: count / seconds, cpu_ms_per_task: cpu_seconds * 1000.0 / count }
    }
}

/// posix_spawn and wait of `true`, two at a time: std uses posix_spawn(3) when nothing is to be done in between.
pub(crate) fn spawn_limit(count: u64) -> anyhow::Result<Rate> {
    measure(count, || {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                std::thread::spawn(move || -> std::io::Result<()> {
                    for _ in 0..count / 2 {
                        shell::command(TRUE).stdin(Stdio::null()).status()?;
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker.join().expect("a worker does not panic").context("cannot start true")?;
        }
        Ok(())
    })
}

/// `xargs -P2 -n1 true`.
pub(crate) fn xargs(count: u64) -> anyhow::Result<Rate> {
    measure(count, || feed("xargs", &["-P2", "-n1", TRUE], count))
}

/// `parallel -j2 true`, GNU parallel.
pub(crate) fn parallel(count: u64) -> anyhow::Result<Rate> {
    measure(count, || feed("parallel", &["--will-cite", "-j2", TRUE], count))
}

/// Installs GNU parallel where it is missing and may be installed.
pub(crate) fn ensure_parallel() -> anyhow::Result<()> {
    if shell::succeeds("parallel", &["--version"]) {
        return Ok(());
    }
    shell::run("apt-get", &["install", "-y", "-qq", "-o=Dpkg::Use-Pty=0", "parallel"])
        .context("GNU parallel is missing: install it")
}

/// Times `work` and counts the processor time of this process and the children it waited for.
pub(crate) fn measure(count: u64, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Rate> {
    let before = cpu_seconds_of("/proc/self/stat")?;
    let begin = Instant::now();
    work()?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Rate::new(count, seconds, cpu_seconds_of("/proc/self/stat")? - before))
}

fn feed(program: &str, args: &[&str], count: u64) -> anyhow::Result<()> {
    let mut command = shell::command(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let lines: String = (0..count).map(|number| format!("{number}\n")).collect();
    child.stdin.take().context("stdin is a pipe")?.write_all(lines.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}
