//! `cargo xtask chaos`: the daemon is killed -9 at random points while agents work and users submit; then what the fake
//! agents say they did is compared with what the daemon knows. `down`: they end while it is dead.
//!
//! Not here: crashes at named points and power cuts, which need hooks of their own.

mod dag;
mod down;
mod load;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fusion_proto::v1::AgentState;
use fusion_tests::{Daemon, Deadline, Setup, wait_readable};

pub(crate) use self::dag::dag;
pub(crate) use self::down::down;
use self::load::{Load, Work};
use self::verdict::Verdict;
use crate::bench::stats::percentile;
use crate::client::Client;
use crate::shell::{build_release, number_flag, say};

const AGENTS: usize = 20;

/// A kill comes this long after the daemon got ready.
const KILL_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=400;

/// Runs the cycles and prints the verdict.
///
/// # Errors
///
/// When anything was lost, started twice, orphaned or wrong.
pub(crate) fn kill(flags: &[&str]) -> anyhow::Result<()> {
    let cycles = number_flag(flags, "--cycles", 100)?;
    let seed = number_flag(flags, "--seed", u64::from(std::process::id()))?;
    build_release()?;
    say(&format!("chaos kill: {cycles} cycles, {AGENTS} agents, seed {seed}\n"));
    let mut dice = Dice(seed);
    let mut daemon = Daemon::with(Setup::default());
    let ctl = daemon.ctl();
    for number in 0..AGENTS {
        ctl.spawn_fake(&format!("a{number}"), &[]);
    }
    let ledger = daemon.ledger("ledger");
    let load = Load::start(ctl.clone(), ledger.path().to_owned(), seed);
    let mut adoptions = Vec::new();
    for _ in 0..cycles {
        pause(dice.between(*KILL_AFTER_MS.start(), *KILL_AFTER_MS.end()));
        daemon.kill9();
        let begin = Instant::now();
        daemon.start_again();
        await_adoption(&daemon)?;
        adoptions.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    let works: BTreeMap<String, Work> = load.stop();
    let verdict = Verdict::of(&daemon, &works, &ledger);
    verdict.print(cycles);
    let [p50, p99] = [50, 99].map(|percent| percentile(&adoptions, percent));
    say(&format!("kill to all {AGENTS} agents adopted: p50 {p50:.0} ms, p99 {p99:.0} ms\n"));
    if !verdict.is_clean() {
        bail!("something was lost; run again with --seed {seed}");
    }
    Ok(())
}

/// Waits until the daemon knows of every agent whether it works or waits for work.
fn await_adoption(daemon: &Daemon) -> anyhow::Result<()> {
    let mut client = Client::connect(&daemon.socket())?;
    let deadline = Deadline::default();
    while !deadline.is_over() {
        let agents = client.agents()?;
        let settled = |state: i32| state == AgentState::Idle as i32 || state == AgentState::Busy as i32;
        if agents.len() == AGENTS && agents.iter().all(|agent| settled(agent.state)) {
            return Ok(());
        }
    }
    let agents = client.agents()?;
    let states: Vec<_> = agents
        .iter()
        .map(|agent| format!("{} {} {}", agent.name, agent.state().as_str_name(), agent.reason))
        .collect();
    None.with_context(|| format!("the agents were not adopted in time: {states:?}\n{}", daemon.log()))
}

/// Lets time pass without a clock tick: the moment of the next kill is the only thing waited for.
fn pause(milliseconds: u64) {
    let _nothing = wait_readable(&[], Deadline::after(Duration::from_millis(milliseconds)));
}

/// A small generator (xorshift64*, Vigna 2016): the same seed gives the same kills.
pub(crate) struct Dice(u64);

impl Dice {
    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        low + (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % (high - low + 1)
    }
}
