//! `cargo xtask chaos down`: agents end while the daemon is dead; what it learns afterwards must be the truth.

use std::collections::BTreeMap;

use anyhow::bail;
use fusion_tests::{Daemon, Deadline, Setup, wait_for_exit};
use rustix::process::Pid;
use serde_json::Value;

use super::{AGENTS, Dice};
use crate::shell::{build_release, number_flag, say};

/// Signals that end a program and that nothing between fake agent and kernel treats in a way of its own.
const SIGNALS: [u64; 8] = [1, 2, 3, 6, 9, 10, 12, 15];

/// Runs the cycles and prints the counts.
///
/// # Errors
///
/// When a status is not the true one.
pub(crate) fn down(flags: &[&str]) -> anyhow::Result<()> {
    let cycles = number_flag(flags, "--cycles", 20)?;
    let seed = number_flag(flags, "--seed", u64::from(std::process::id()))?;
    build_release()?;
    say(&format!("chaos down: {cycles} cycles, {AGENTS} agents, seed {seed}\n"));
    let mut dice = Dice(seed);
    let mut daemon = Daemon::with(Setup::default());
    for number in 0..AGENTS {
        daemon.ctl().spawn_fake(&format!("a{number}"), &[]);
    }
    let mut faults = Vec::new();
    for cycle in 0..cycles {
        faults.extend(one_death(&mut daemon, cycle, &mut dice));
    }
    let count = cycles * AGENTS as u64;
    say(&format!(
        "{} of {count} statuses of agents that ended while the daemon was down are true\n",
        count - faults.len() as u64
    ));
    if !faults.is_empty() {
        bail!("not the truth:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// One death of the daemon with every agent ending meanwhile; answers what is not the truth.
fn one_death(daemon: &mut Daemon, cycle: u64, dice: &mut Dice) -> Vec<String> {
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo(&format!("bell{cycle}"));
    let mut gate = daemon.fifo(&format!("gate{cycle}"));
    let mut endings = BTreeMap::new();
    for _ in 0..AGENTS {
        let (field, number) = ending(dice);
        let verb = if field == "signal" { "signal" } else { "exit" };
        let script = format!("ring {}\nawait {}\n{verb} {number}", bell.path(), gate.path());
        endings.insert(ctl.submit(&script, &[]), (field, number));
    }
    let pids: Vec<i32> = (0..AGENTS).map(|_| bell.next_pid()).collect();
    daemon.kill9();
    gate.open_gate(AGENTS);
    for pid in pids {
        let pid = Pid::from_raw(pid).expect("a pid is not 0");
        assert!(wait_for_exit(pid, Deadline::default()), "a fake agent did not end");
    }
    daemon.start_again();
    let differs = |(task, (field, number)): (String, (&str, u64))| {
        let ended = ctl.ended(&task);
        let attempts = ended["attempts"].as_array().cloned().unwrap_or_default();
        let is_true = matches!(attempts.as_slice(), [one] if one[field].as_u64() == Some(number));
        (!is_true).then(|| format!("{task} ended with {field} {number}: {}", Value::Array(attempts)))
    };
    endings.into_iter().filter_map(differs).collect()
}

/// How an agent is to end: half of them with an exit code, half by a signal. 75 means something else.
fn ending(dice: &mut Dice) -> (&'static str, u64) {
    let index = dice.between(0, 2 * SIGNALS.len() as u64 - 1);
    match usize::try_from(index).ok().and_then(|index| SIGNALS.get(index)) {
        Some(signal) => ("signal", *signal),
        None => match dice.between(0, 255) {
            75 => ("exitCode", 76),
            code => ("exitCode", code),
        },
    }
}
