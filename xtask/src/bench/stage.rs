//! The daemon as benchmarks run it: as root, state on a real disk, the run folder in memory as `/run` is, agents of a
//! user of their own. Not as root: one user, the run folder where the temporary folder is.

use std::path::Path;

use anyhow::Context as _;
use fusion_tests::{Ctl, Daemon, RunFolder, Setup, is_root, users};

/// Clock ticks per second in /proc (proc_pid_stat(5)); the kernel's ABI fixes it at 100 on every architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// A daemon with `agents` agents that run commands.
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    /// Speaks as the owner of the agents.
    pub(crate) ctl: Ctl,
}

impl Stage {
    pub(crate) fn new(agents: u64) -> Self {
        Self::with(agents, "")
    }

    /// The same with more tables of configuration.
    pub(crate) fn with(agents: u64, tables: &str) -> Self {
        let run_folder = if is_root() { RunFolder::Memory } else { RunFolder::Disk };
        let most = agents.max(20);
        let config = format!(
            "[limits]\nmax_concurrent_agents = {most}\n[limits.per_user]\nmax_concurrent_agents = {most}\n{tables}"
        );
        let daemon = Daemon::with(Setup { config, run_folder, ..Setup::default() });
        let ctl = if is_root() { daemon.ctl().as_user(&users::first()) } else { daemon.ctl() };
        for number in 0..agents {
            ctl.ok(&["agent", "spawn", &format!("a{number}"), "--profile", "shell"]);
        }
        Self { daemon, ctl }
    }

    /// Processor seconds of the daemon, its shims, and all processes that they have waited for.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let daemon = i32::try_from(self.daemon.pid()).context("a pid fits an i32")?;
        let mut pids = vec![daemon];
        pids.extend(self.daemon.processes().iter().filter(|process| process.is_shim()).map(|shim| shim.pid));
        pids.iter().map(|pid| cpu_seconds_of(&format!("/proc/{pid}/stat"))).sum()
    }

    /// Resident memory of the daemon in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<f64> {
        let pid = i32::try_from(self.daemon.pid()).context("a pid fits an i32")?;
        let text = fusion_tests::processes::status(pid, "VmRSS").context("the daemon has gone")?;
        text.trim_end_matches(" kB").trim().parse().context("VmRSS is a number")
    }
}

/// utime + stime + cutime + cstime of a stat file: fields 14 to 17.
pub(crate) fn cpu_seconds_of(stat: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(Path::new(stat)).with_context(|| format!("cannot read {stat}"))?;
    let (_, fields) = text.rsplit_once(')').context("a stat file has a name in brackets")?;
    let ticks: Result<f64, _> = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>).sum();
    Ok(ticks.context("ticks are numbers")? / TICKS_PER_SECOND)
}
