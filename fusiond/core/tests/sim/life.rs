//! One simulated life from one seed: a phase in which anything fails, then quiet until nothing is due.
//!
//! `FUSION_SIM_SEEDS` and `FUSION_SIM_STEPS` make it longer, `FUSION_SIM_SEED` runs a single one and
//! prints what came in. Not for: single stories (`golden`).

use crate::clients;
use crate::edits;
use crate::flows;
use crate::hang;
use crate::rng::Rng;
use crate::shim::{Fate, Who};
use crate::world::World;
use fusion_core::input::Intake;
use fusion_core::state::UserLimits;
use fusion_core::{AgentId, Command, Config, Input, Millis, wake};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Deliveries and waits after the faults, far more than any life needs.
const QUIET_MAX: u32 = 60_000;

fn config(rng: &mut Rng) -> Config {
    Config {
        agents_max: 9,
        running_max: *rng.pick(&[0, 0, 1, 2, 3]),
        per_user: UserLimits { agents_max: 4, tasks_max: 25 },
        retention: Millis::from_secs(60),
        ended_in_memory: 15,
        grace: Millis::from_secs(2),
        seed_timeout: Millis::from_secs(6),
        restart_max: Millis::from_secs(8),
        quarantine_crashes: 4,
        quarantine_window: Millis::from_secs(60),
        retry_base: Millis(500),
        retry_max: Millis::from_secs(8),
        pools: clients::draw_pools(rng),
        ..Config::default()
    }
}

struct Life {
    world: World,
    rng: Rng,
    script: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let world = World::new(config(&mut rng), Fate::Drawn(Rng::new(seed ^ 1)), seed ^ 2);
        Self { world, rng, script: Vec::new() }
    }

    fn note(&mut self, line: impl Into<String>) {
        self.script.push(format!("{:>9} {}", self.world.now.0, line.into()));
    }

    fn fault_phase(&mut self, steps: u32) -> Result<(), String> {
        self.boot()?;
        for _ in 0..steps {
            self.turn()?;
            if self.world.up && self.rng.permille(400) {
                self.world.commit()?;
            }
        }
        Ok(())
    }

    fn boot(&mut self) -> Result<(), String> {
        self.note("boot");
        self.world.boot()
    }

    fn turn(&mut self) -> Result<(), String> {
        if !self.world.up && self.rng.permille(500) {
            return self.boot();
        }
        match self.rng.below(1000) {
            0..=289 => self.ask(),
            290..=339 => self.answer(),
            340..=569 => self.carry_out(),
            570..=799 => self.take_news(),
            800..=939 => self.pass(),
            940..=954 => self.kill_shim(),
            955..=959 => self.stop_shim(),
            960..=979 => self.crash(),
            980..=982 => self.reboot(),
            983..=989 => self.configure(),
            990..=992 => self.back_up_or_restore(),
            _ => self.world.up.then(|| self.world.commit()).transpose().map(drop),
        }
    }

    fn ask(&mut self) -> Result<(), String> {
        if !self.world.up {
            return Ok(());
        }
        let (caller, mut command) = clients::draw(&mut self.rng, &self.world.state, self.world.now);
        let of_any = if matches!(command, Command::RetryTask { .. }) { 500 } else { 100 };
        if self.rng.permille(of_any) {
            clients::ask_of_any(&mut self.rng, &mut command, &self.world.store.task_ids());
        }
        self.note(format!("{} {command:?}", caller.actor()));
        let reply = self.world.ask(caller, command)?;
        self.note(format!("  {reply:?}"));
        Ok(())
    }

    /// The engine has found out something that a run wants, in any order.
    fn answer(&mut self) -> Result<(), String> {
        if self.world.wants.is_empty() {
            return Ok(());
        }
        let at = usize::try_from(self.rng.below(self.world.wants.len() as u64)).expect("below a length");
        let want = self.world.wants.swap_remove(at);
        let Some(input) = flows::answer(&mut self.rng, &self.world.state, self.world.now, want) else {
            return Ok(());
        };
        self.note(format!("{input:?}"));
        self.world.take(input)?.map(drop).map_err(|reject| reject.to_string())
    }

    fn carry_out(&mut self) -> Result<(), String> {
        let waiting: Vec<AgentId> = self.world.orders.keys().copied().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let agent = *self.rng.pick(&waiting);
        let order = self.world.orders.get(&agent).and_then(|queue| queue.front());
        let order = format!("carried out: {order:?}");
        self.note(order);
        self.world.carry_out(agent)
    }

    fn take_news(&mut self) -> Result<(), String> {
        let waiting: Vec<Who> = self.world.news.keys().copied().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let who = *self.rng.pick(&waiting);
        let news = self.world.news.get(&who).and_then(|queue| queue.front());
        let news = format!("news: {news:?}");
        self.note(news);
        self.world.take_news(who)
    }

    fn pass(&mut self) -> Result<(), String> {
        let span = Millis(self.rng.below(1500));
        self.note(format!("{span} pass"));
        self.world.pass(span)
    }

    fn kill_shim(&mut self) -> Result<(), String> {
        let alive: Vec<Who> = self.world.shims.alive.keys().copied().collect();
        if alive.is_empty() {
            return Ok(());
        }
        let who = *self.rng.pick(&alive);
        self.note(format!("shim {} of {} is killed", who.1, who.0));
        let news = self.world.shims.bury(who, false);
        self.world.hear(news);
        Ok(())
    }

    /// Somebody asks a shim to end, past the daemon.
    fn stop_shim(&mut self) -> Result<(), String> {
        let alive: Vec<Who> = self.world.shims.alive.keys().copied().collect();
        if alive.is_empty() {
            return Ok(());
        }
        let who = *self.rng.pick(&alive);
        self.note(format!("shim {} of {} is asked to end", who.1, who.0));
        let news = self.world.shims.stop_from_outside(who, self.world.now);
        self.world.hear(news);
        Ok(())
    }

    /// Before the commit, between the commit and the effects, or in the midst of them.
    fn crash(&mut self) -> Result<(), String> {
        if !self.world.up {
            return Ok(());
        }
        if self.rng.permille(600) {
            self.world.commit()?;
            for _ in 0..self.rng.below(6) {
                self.carry_out()?;
            }
        }
        self.note("crash");
        self.world.crash()
    }

    fn reboot(&mut self) -> Result<(), String> {
        self.note("reboot");
        self.world.crash()?;
        self.world.shims.reboot();
        Ok(())
    }

    fn back_up_or_restore(&mut self) -> Result<(), String> {
        if self.world.has_backup() && self.rng.permille(500) {
            self.note("restore");
            return self.world.restore();
        }
        self.note("backup");
        self.world.back_up();
        Ok(())
    }

    fn configure(&mut self) -> Result<(), String> {
        let config = config(&mut self.rng);
        self.note(format!("running_max = {}", config.running_max));
        self.world.config = config.clone();
        if self.world.up {
            self.world.take(Input::Configure(Box::new(config)))?.map_err(|reject| reject.to_string())?;
            let pools = clients::draw_pools(&mut self.rng);
            self.world.config.pools = pools.clone();
            self.world.take(Input::SetPools(Box::new(pools)))?.map_err(|reject| reject.to_string())?;
        }
        Ok(())
    }

    /// No more faults: everything comes to an end or says why not.
    fn quiet_phase(&mut self) -> Result<(), String> {
        self.note("quiet from here on");
        self.world.shims.be_kind();
        if self.world.up {
            self.world.commit()?;
            self.world.crash()?;
        }
        self.boot()?;
        let open = Command::SetIntake(Intake::Open);
        self.world.ask(clients::admin(), open)?.map_err(|reject| reject.to_string())?;
        let mut reruns = self.rng.below(6);
        for _ in 0..QUIET_MAX {
            self.world.commit()?;
            if !self.world.orders.is_empty() {
                self.carry_out()?;
            } else if !self.world.news.is_empty() {
                self.take_news()?;
            } else if !self.world.wants.is_empty() {
                self.answer()?;
            } else if let Some(at) = self.next_instant() {
                let span = at.since(self.world.now);
                self.note(format!("{span} pass"));
                self.world.pass(span)?;
            } else {
                hang::check(&self.world)?;
                let attended = flows::attend(&mut self.rng, &self.world.state)?;
                if let Some(command) = attended {
                    self.note(format!("{command:?}"));
                    self.world.ask(clients::admin(), command)?.map_err(|reject| reject.to_string())?;
                } else if reruns > 0 {
                    reruns -= 1;
                    let command = self.draw_again();
                    self.note(format!("{command:?}"));
                    let _may_be_refused = self.world.ask(clients::admin(), command)?;
                } else {
                    return Ok(());
                }
            }
        }
        Err("the world does not come to rest".to_owned())
    }

    /// Somebody mends what has ended, or lets it be done once more.
    fn draw_again(&mut self) -> Command {
        if self.rng.permille(400) {
            edits::draw(&mut self.rng, &self.world.state, 1000)
        } else {
            flows::draw_rerun(&mut self.rng, &self.world.state)
        }
    }

    fn next_instant(&self) -> Option<fusion_core::Time> {
        let own = wake::next_wake(&self.world.state);
        own.into_iter().chain(self.world.shims.next_end(self.world.now)).min()
    }
}

/// Lives one life. An error comes with everything that went in.
fn live(seed: u64, steps: u32) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut life = Life::new(seed);
    let result = life.fault_phase(steps).and_then(|()| life.quiet_phase());
    match result {
        Ok(()) => Ok(life.world.history.counts),
        Err(broken) => Err(format!("{}\nseed {seed}, {steps} steps: {broken}", life.script.join("\n"))),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_fails_no_task_is_lost_and_nothing_runs_twice() {
    let steps = u32::try_from(setting("FUSION_SIM_STEPS", 300)).expect("fits");
    let (first, seeds) = match std::env::var("FUSION_SIM_SEED") {
        Ok(seed) => (seed.parse().expect("a number"), 1),
        Err(_) => (0, setting("FUSION_SIM_SEEDS", 300)),
    };
    let next = AtomicU64::new(first);
    let worker = || {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return counts;
            }
            match live(seed, steps) {
                Ok(more) => more.into_iter().for_each(|(word, n)| *counts.entry(word).or_default() += n),
                Err(broken) => panic!("{broken}"),
            }
        }
    };
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
        for thread in threads {
            let counts = thread.join().expect("no law was broken");
            counts.into_iter().for_each(|(word, n)| *all.entry(word).or_default() += n);
        }
        all
    });
    println!("{counts:#?}");
    let of_runs = ["run.edited", "run.rerun", "run.paused", "run.resumed", "run.cancelled", "node.retried"];
    let missing: Vec<&str> = of_runs.into_iter().filter(|word| !counts.contains_key(word)).collect();
    assert!(seeds < 300 || missing.is_empty(), "no life had {missing:?}");
}
