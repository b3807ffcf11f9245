//! What /proc says of one process: memory in proportion, time on a processor, times it was put off one.
//!
//! Not here: which processes there are (`fusion_tests::processes`).

use std::path::PathBuf;

use anyhow::Context as _;

/// One thread at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    /// Its short name.
    pub(crate) name: String,
    /// Voluntary and involuntary context switches (proc_pid_status(5)).
    pub(crate) switches: u64,
    /// Nanoseconds on a processor (schedstat, first field).
    pub(crate) cpu_ns: u64,
}

/// All threads of a process.
pub(crate) fn threads(pid: i32) -> anyhow::Result<Vec<Thread>> {
    let folder = format!("/proc/{pid}/task");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    entries.map(|entry| thread(&entry?.path())).collect()
}

fn thread(folder: &std::path::Path) -> anyhow::Result<Thread> {
    let read = |name: &str| {
        let path: PathBuf = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let status = read("status")?;
    let switches = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    let switches = switches.map(|(_, count)| count.trim().parse::<u64>()).sum::<Result<u64, _>>()?;
    let cpu_ns = read("schedstat")?.split_whitespace().next().context("schedstat has fields")?.parse()?;
    Ok(Thread { name: read("comm")?.trim_end().to_owned(), switches, cpu_ns })
}

/// Seconds on a processor of all threads that a process has now.
pub(crate) fn own_cpu_seconds(pid: i32) -> anyhow::Result<f64> {
    let ns: u64 = threads(pid)?.iter().map(|thread| thread.cpu_ns).sum();
    Ok(std::time::Duration::from_nanos(ns).as_secs_f64())
}

/// A line of `smaps_rollup` in KiB, such as `Pss` or `Rss`: memory that processes share is divided among them in `Pss`.
pub(crate) fn rollup_kib(pid: i32, key: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = line.with_context(|| format!("{path} has no {key}"))?;
    value.trim_end_matches("kB").trim().parse().with_context(|| format!("{key} of {path} is a number"))
}
