//! The world outside the daemon: shims, their attempts, and what they leave behind when they die.
//!
//! A shim is known by (agent, incarnation); it lives through crashes of the daemon. Not for: what
//! the daemon makes of the news.

mod restored;

use crate::program::{Program, Run};
use crate::rng::Rng;
use fusion_core::input::Witness;
use fusion_core::task::{Exit, ExitKind, StopWhy};
use fusion_core::workspace::Removal;
use fusion_core::workspace::quota::Found;
use fusion_core::{AgentId, Effect, Millis, Outcome, TaskId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// One incarnation of one agent.
pub(crate) type Who = (AgentId, u32);

/// A live shim.
#[derive(Debug, Default)]
pub(crate) struct Shim {
    pub(crate) highest: u32,
    pub(crate) running: Option<Run>,
    exits: Vec<(u32, Exit)>,
    started: Vec<u32>,
    pub(crate) frozen: bool,
    /// The end of the shim was asked for.
    ending: bool,
    /// A script lets it decline every start.
    pub(crate) declines: bool,
    /// Whether the present daemon speaks to it.
    connected: bool,
    /// The highest attempt when it was greeted, and those of which it said something then.
    greeted: (u32, Vec<u32>),
}

/// What a dead shim left in its folders.
#[derive(Debug, Default)]
struct Grave {
    exits: Vec<(u32, Exit)>,
    started: Vec<u32>,
    rebooted: bool,
    stopped: bool,
}

/// Where programs and mishaps come from.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// A script says what happens.
    Script,
    /// Anything may happen.
    Drawn(Rng),
    /// Everything goes well.
    Kind,
}

/// All shims, and the truth about every attempt.
#[derive(Debug)]
pub(crate) struct Shims {
    pub(crate) alive: BTreeMap<Who, Shim>,
    graves: BTreeMap<Who, Grave>,
    pub(crate) fate: Fate,
    /// Launches that a script has not decided yet.
    pub(crate) launches: BTreeSet<Who>,
    /// Every attempt that ever began, by its lease.
    pub(crate) began: BTreeSet<(AgentId, u32, u32)>,
    /// Every end that was recorded.
    pub(crate) truth: BTreeMap<(AgentId, u32, u32), Exit>,
    pub(crate) reboots: u32,
    /// Which attempts fill a workspace. Their task is called as the agent, so that each has its own.
    pub(crate) seeds: BTreeSet<(AgentId, u32, u32)>,
    /// What was really removed.
    pub(crate) removed: BTreeSet<(AgentId, Removal)>,
    /// Agents whose leftovers a script keeps from being removed.
    pub(crate) stuck: BTreeSet<AgentId>,
    /// How much the wall clock of the shims is behind the daemon's timeline.
    pub(crate) behind: Millis,
    /// How much a script lets be in workspaces.
    pub(crate) disks: BTreeMap<AgentId, u64>,
    /// What ran for a state that is lost.
    orphans: BTreeSet<(Who, u32)>,
    is_restored: bool,
}

type News = Vec<(Who, Outcome)>;

impl Shims {
    pub(crate) fn new(fate: Fate) -> Self {
        let alive = BTreeMap::new();
        let graves = BTreeMap::new();
        let (launches, began, truth) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let (seeds, removed, stuck) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let disks = BTreeMap::new();
        let (behind, orphans, is_restored) = (Millis(0), BTreeSet::new(), false);
        let reboots = 0;
        Self {
            alive,
            graves,
            fate,
            launches,
            began,
            truth,
            reboots,
            seeds,
            removed,
            stuck,
            behind,
            disks,
            orphans,
            is_restored,
        }
    }

    fn mishap(&mut self, permille: u64) -> bool {
        match &mut self.fate {
            Fate::Drawn(rng) => rng.permille(permille),
            Fate::Script | Fate::Kind => false,
        }
    }

    fn next_program(&mut self) -> Program {
        match &mut self.fate {
            Fate::Drawn(rng) => Program::draw(rng),
            Fate::Script => Program::patient(),
            Fate::Kind => Program::good(),
        }
    }

    /// Carries out an order. Returns the news; an error is a broken law.
    pub(crate) fn obey(&mut self, effect: Effect, now: Time) -> Result<News, String> {
        Ok(match effect {
            Effect::Launch { agent, incarnation } => self.launch((agent, incarnation))?,
            Effect::Adopt { agent, incarnation } => self.adopt((agent, incarnation)),
            Effect::Start { agent, incarnation, serial, task, .. } => {
                self.start((agent, incarnation), serial, task, now)?
            }
            Effect::Seed { agent, incarnation, serial } => {
                let highest = self.alive.get(&(agent, incarnation)).map_or(0, |shim| shim.highest);
                if highest > 0 && !self.seeds.contains(&(agent, incarnation, highest)) {
                    return Err(format!("the workspace of {agent} is filled anew after attempt {highest}"));
                }
                self.seeds.insert((agent, incarnation, serial));
                self.start((agent, incarnation), serial, TaskId(agent.0), now)?
            }
            Effect::Stop { agent, incarnation, serial, grace, why } => {
                self.stop((agent, incarnation), serial, grace, why, now)
            }
            Effect::Ack { agent, incarnation, serial } => {
                self.forget((agent, incarnation), serial);
                Vec::new()
            }
            Effect::Freeze { agent, incarnation } => self.set_frozen((agent, incarnation), true),
            Effect::Thaw { agent, incarnation } => self.set_frozen((agent, incarnation), false),
            Effect::Refresh { .. } => Vec::new(),
            Effect::Observe { agent, incarnation } => self.observe((agent, incarnation), now),
            Effect::StopShim { agent, incarnation, grace } => {
                self.stop_shim((agent, incarnation), grace, now)
            }
            Effect::Measure { agent, incarnation, serial } => self.measure((agent, incarnation), serial),
            Effect::RemoveWorkspace { agent, what } => vec![((agent, 0), self.remove(agent, what))],
        })
    }

    /// What an agent has is drawn; in a script it is what the script says.
    pub(crate) fn measure(&mut self, who: Who, serial: u32) -> News {
        let (agent, incarnation) = who;
        let drawn = if self.mishap(250) { 2000 } else { 10 };
        let bytes = self.disks.get(&agent).copied().unwrap_or(drawn);
        let missing = self.mishap(100).then(|| "a folder cannot be read".to_owned());
        let found = Found { bytes, missing };
        vec![(who, Outcome::WorkspaceMeasured { agent, incarnation, serial, found })]
    }

    fn remove(&mut self, agent: AgentId, what: Removal) -> Outcome {
        if self.stuck.contains(&agent) || self.mishap(200) {
            return Outcome::WorkspaceKept { agent, what, reason: "busy".to_owned() };
        }
        self.removed.insert((agent, what));
        Outcome::WorkspaceRemoved { agent, what }
    }

    fn launch(&mut self, who: Who) -> Result<News, String> {
        if self.alive.contains_key(&who) {
            return Ok(self.adopt(who));
        }
        if let Some(other) = self.alive.keys().find(|other| other.0 == who.0) {
            return Err(format!("incarnation {} is launched while {} lives", who.1, other.1));
        }
        if matches!(self.fate, Fate::Script) {
            self.launches.insert(who);
            return Ok(Vec::new());
        }
        if self.mishap(100) {
            return Ok(self.fail_launch(who, "no room"));
        }
        Ok(self.come_up(who))
    }

    /// The shim of a launch comes up.
    pub(crate) fn come_up(&mut self, who: Who) -> News {
        self.launches.remove(&who);
        if self.is_restored && !self.alive.contains_key(&who) {
            // Another life of the same number is put aside.
            let is_other = |lease: &(AgentId, u32, u32)| (lease.0, lease.1) != who;
            self.graves.remove(&who);
            self.began.retain(is_other);
            self.truth.retain(|lease, _| is_other(lease));
            self.seeds.retain(is_other);
        }
        self.alive.entry(who).or_default();
        self.adopt(who)
    }

    /// The shim of a launch does not come up.
    pub(crate) fn fail_launch(&mut self, who: Who, reason: &str) -> News {
        self.launches.remove(&who);
        let (agent, incarnation) = who;
        vec![(who, Outcome::ShimFailed { agent, incarnation, reason: reason.to_owned() })]
    }

    fn adopt(&mut self, who: Who) -> News {
        let (agent, incarnation) = who;
        let Some(shim) = self.alive.get_mut(&who) else { return self.absence(who) };
        shim.connected = true;
        let running = shim.running.as_ref().map(|run| (run.serial, run.since));
        let told = shim.exits.iter().map(|(serial, _)| *serial).chain(running.map(|(serial, _)| serial));
        shim.greeted = (shim.highest, told.collect());
        let (exits, frozen, highest_started) = (shim.exits.clone(), shim.frozen, shim.highest);
        vec![(who, Outcome::ShimUp { agent, incarnation, highest_started, running, exits, frozen })]
    }

    fn absence(&self, who: Who) -> News {
        let empty = Grave::default();
        let grave = self.graves.get(&who).unwrap_or(&empty);
        let witness = Witness {
            exits: grave.exits.clone(),
            started: grave.started.clone(),
            rebooted: grave.rebooted,
            stopped: grave.stopped,
        };
        vec![(who, Outcome::ShimGone { agent: who.0, incarnation: who.1, witness })]
    }

    fn start(&mut self, who: Who, serial: u32, task: TaskId, now: Time) -> Result<News, String> {
        let (agent, incarnation) = who;
        let program = self.next_program();
        let quiet = self.mishap(300);
        let elsewhere = self.live_attempt_of(task).filter(|(other, _)| *other != who);
        let Some(shim) = self.alive.get_mut(&who) else { return Ok(Vec::new()) };
        if serial <= shim.highest {
            // Started before: its news follows or has been told, or nothing will ever come of it.
            let forgotten = serial <= shim.greeted.0 && !shim.greeted.1.contains(&serial);
            return Ok(if forgotten { self.forget_attempt(who, serial) } else { Vec::new() });
        }
        if shim.running.is_some() || shim.frozen || shim.ending || shim.declines {
            let reason = "not now".to_owned();
            return Ok(vec![(who, Outcome::AttemptRefused { agent, incarnation, serial, reason })]);
        }
        if let Some((other, _)) = elsewhere {
            return Err(format!("{task} starts on {agent} while it runs on {}", other.0));
        }
        if !self.began.insert((agent, incarnation, serial)) {
            return Err(format!("attempt {serial} of {agent} is started twice"));
        }
        shim.highest = serial;
        shim.started.push(serial);
        let failed = matches!(program.end, ExitKind::StartFailed { .. });
        let cpu = Millis(0);
        let run =
            Run { serial, task, since: now, program, stop: None, last_output: now, cpu, tail: String::new() };
        if failed {
            let end = run.program.end.clone();
            shim.running = Some(run);
            return Ok(self.finish(who, end, now));
        }
        shim.running = Some(run);
        if quiet {
            return Ok(Vec::new());
        }
        let at = Time(now.0.saturating_sub(self.behind.0));
        Ok(vec![(who, Outcome::AttemptStarted { agent, incarnation, serial, at })])
    }

    /// The shim has begun an attempt and knows nothing of its end.
    pub(crate) fn forget_attempt(&self, who: Who, serial: u32) -> News {
        vec![(who, Outcome::AttemptForgotten { agent: who.0, incarnation: who.1, serial })]
    }

    /// Where a task runs now for the present state.
    pub(crate) fn live_attempt_of(&self, task: TaskId) -> Option<(Who, u32)> {
        let runs = |(who, shim): (&Who, &Shim)| {
            let run = shim.running.as_ref().filter(|run| run.task == task)?;
            Some((*who, run.serial)).filter(|run| !self.orphans.contains(run))
        };
        self.alive.iter().find_map(runs)
    }

    /// Ends the running attempt; the shim may follow.
    pub(crate) fn finish(&mut self, who: Who, kind: ExitKind, now: Time) -> News {
        let Some(shim) = self.alive.get_mut(&who) else { return Vec::new() };
        let Some(run) = shim.running.take() else { return Vec::new() };
        let exit = run.record(kind, now);
        shim.exits.push((run.serial, exit.clone()));
        let (agent, incarnation) = who;
        let serial = run.serial;
        let mut news = Vec::new();
        if shim.connected {
            let exit = exit.clone();
            news.push((who, Outcome::AttemptExited { agent, incarnation, serial, exit }));
        }
        self.truth.insert((agent, incarnation, serial), exit);
        news.extend(self.settle(who));
        news
    }

    /// The program ends before any signal reaches it.
    pub(crate) fn end_by_itself(&mut self, who: Who, kind: ExitKind, now: Time) -> News {
        if let Some(run) = self.alive.get_mut(&who).and_then(|shim| shim.running.as_mut()) {
            run.stop = None;
        }
        self.finish(who, kind, now)
    }

    /// What runs there.
    pub(crate) fn run(&mut self, who: Who) -> &mut Run {
        self.alive.get_mut(&who).and_then(|shim| shim.running.as_mut()).expect("something runs")
    }

    fn settle(&mut self, who: Who) -> News {
        match self.alive.get(&who) {
            Some(shim) if shim.ending && shim.running.is_none() => self.bury(who, true),
            Some(_) | None => Vec::new(),
        }
    }

    /// The shim dies, and everything in it.
    pub(crate) fn bury(&mut self, who: Who, stopped: bool) -> News {
        let Some(shim) = self.alive.remove(&who) else { return Vec::new() };
        let (exits, started) = (shim.exits, shim.started);
        self.graves.insert(who, Grave { exits, started, rebooted: false, stopped });
        if shim.connected { self.absence(who) } else { Vec::new() }
    }

    /// The machine starts anew: what lay in memory is gone.
    pub(crate) fn reboot(&mut self) {
        self.reboots += 1;
        for who in self.alive.keys().copied().collect::<Vec<_>>() {
            self.bury(who, false);
        }
        let saved = !self.mishap(500);
        for grave in self.graves.values_mut() {
            grave.rebooted = true;
            grave.started.clear();
            if !saved {
                grave.exits.clear();
            }
        }
    }

    /// The daemon is gone: nobody hears the news.
    pub(crate) fn hang_up(&mut self) {
        self.launches.clear();
        for shim in self.alive.values_mut() {
            shim.connected = false;
        }
    }

    fn stop(&mut self, who: Who, serial: u32, grace: Millis, why: StopWhy, now: Time) -> News {
        let run = self.alive.get_mut(&who).and_then(|shim| shim.running.as_mut());
        let Some(run) = run.filter(|run| run.serial == serial) else { return Vec::new() };
        run.ask_stop(why, now.plus(grace));
        self.kill_if_due(who, now)
    }

    fn kill_if_due(&mut self, who: Who, now: Time) -> News {
        let run = self.alive.get(&who).and_then(|shim| shim.running.as_ref());
        match run.and_then(|run| run.stop) {
            Some((_, kill_at)) if kill_at <= now => self.finish(who, ExitKind::Signaled { signal: 9 }, now),
            Some(_) | None => Vec::new(),
        }
    }

    fn stop_shim(&mut self, who: Who, grace: Millis, now: Time) -> News {
        self.launches.remove(&who);
        let Some(shim) = self.alive.get_mut(&who) else { return self.absence(who) };
        shim.connected = true;
        shim.ending = true;
        if let Some(run) = &mut shim.running {
            run.ask_stop(StopWhy::Terminated, now.plus(grace));
        }
        let mut news = self.kill_if_due(who, now);
        news.extend(self.settle(who));
        news
    }

    /// Somebody asks the shim to end, past the daemon.
    pub(crate) fn stop_from_outside(&mut self, who: Who, now: Time) -> News {
        let Some(shim) = self.alive.get_mut(&who) else { return Vec::new() };
        shim.ending = true;
        if let Some(run) = &mut shim.running {
            run.ask_stop(StopWhy::Terminated, now.plus(Millis::from_secs(8)));
        }
        self.settle(who)
    }

    fn forget(&mut self, who: Who, serial: u32) {
        if let Some(shim) = self.alive.get_mut(&who) {
            shim.exits.retain(|(other, _)| *other != serial);
            shim.started.retain(|other| *other != serial);
        }
        if let Some(grave) = self.graves.get_mut(&who) {
            grave.exits.retain(|(other, _)| *other != serial);
            grave.started.retain(|other| *other != serial);
        }
    }

    fn set_frozen(&mut self, who: Who, frozen: bool) -> News {
        let (agent, incarnation) = who;
        let Some(shim) = self.alive.get_mut(&who) else { return Vec::new() };
        shim.frozen = frozen;
        if frozen { vec![(who, Outcome::Frozen { agent, incarnation })] } else { Vec::new() }
    }

    fn observe(&self, who: Who, now: Time) -> News {
        let (agent, incarnation) = who;
        let Some(shim) = self.alive.get(&who) else { return Vec::new() };
        let run = shim.running.as_ref();
        let serial = run.map(|run| run.serial);
        let quiet = run.map_or(Millis(0), |run| now.since(run.last_output));
        let cpu = run.map_or(Millis(0), |run| run.cpu);
        vec![(who, Outcome::Observed { agent, incarnation, serial, quiet, cpu })]
    }

    /// Lets time pass everywhere.
    pub(crate) fn pass(&mut self, now: Time, span: Millis) -> News {
        let mut news = Vec::new();
        for who in self.alive.keys().copied().collect::<Vec<_>>() {
            let Some(shim) = self.alive.get_mut(&who) else { continue };
            let frozen = shim.frozen;
            let end = shim.running.as_mut().and_then(|run| run.pass(now, span, frozen));
            match end {
                Some(kind) => news.extend(self.finish(who, kind, now)),
                None => news.extend(self.settle(who)),
            }
        }
        news
    }

    /// The instant at which something ends by itself.
    pub(crate) fn next_end(&self, now: Time) -> Option<Time> {
        let end = |shim: &Shim| {
            let run = shim.running.as_ref()?;
            let own = run.program.left.filter(|_| !shim.frozen).map(|left| now.plus(left));
            let kill = run.stop.map(|(_, at)| at);
            own.into_iter().chain(kill).min()
        };
        self.alive.values().filter_map(end).min()
    }

    /// From now on everything goes well, and what hangs ends.
    pub(crate) fn be_kind(&mut self) {
        self.fate = Fate::Kind;
        for run in self.alive.values_mut().filter_map(|shim| shim.running.as_mut()) {
            run.program.left = Some(run.program.left.unwrap_or(Millis(500)));
            run.program.obeys = true;
        }
    }
}
