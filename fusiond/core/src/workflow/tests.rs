//! Random runs from seeds: nodes that fail, items, gates, pauses, and restarts at any moment.
//!
//! `FUSION_SIM_SEEDS` makes it longer.

mod edits;

use super::run::{Act, News};
use super::start::{StartRun, make};
use super::*;
use crate::failure::FailureCode;
use crate::ids::{Capabilities, TaskId};
use crate::input::PauseHow;
use crate::step::Turn;
use crate::task::submit::{Admission, SubmitTask};
use crate::task::{OnLost, Stdin, TaskKind, Timeouts};
use crate::workflow::plan::{Lapse, Rejection, ResultUse};
use std::collections::BTreeSet;

/// SplitMix64, as in [`Turn::draw`].
struct Rng(u64);

impl Rng {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        Turn { now: Time(0), seed: self.0 }.draw(7) % most
    }
}

fn draw_plan(rng: &mut Rng) -> Plan {
    let count = u32::try_from(1 + rng.below(12)).unwrap();
    let mut edges = Vec::new();
    for to in 0..count {
        edges.extend((0..to).filter(|_| rng.below(100) < 30).map(|from| (from, to)));
    }
    let hooks = u32::try_from(rng.below(3)).unwrap();
    let nodes = (0..count + hooks).map(|at| NodePlan {
        id: format!("n{at}").into(),
        kind: match rng.below(10) {
            _ if at >= count => NodeKind::Task,
            0 => NodeKind::Approval {
                timeout: (rng.below(2) == 0).then_some(Millis(500)),
                lapse: if rng.below(2) == 0 { Lapse::Approve } else { Lapse::Reject },
                rejection: if rng.below(2) == 0 { Rejection::Result } else { Rejection::Failure },
            },
            1 => NodeKind::Wait,
            _ => NodeKind::Task,
        },
        on_failure: match rng.below(4) {
            0 => OnFailure::Continue,
            1 => OnFailure::SkipDependents,
            _ => OnFailure::Fail,
        },
        occasion: match (at >= count, at == count, rng.below(6)) {
            (true, true, _) => Occasion::Success,
            (true, false, _) => Occasion::Failure,
            (false, _, 0) => Occasion::Always,
            (false, _, _) => Occasion::Needs,
        },
        fan: (at < count && rng.below(5) == 0).then(|| u32::try_from(rng.below(3)).unwrap()),
        result: if rng.below(2) == 0 { ResultUse::Kept } else { ResultUse::Left },
        retries: u32::try_from(rng.below(2)).unwrap(),
        budget: Budget::default(),
    });
    let nodes = nodes.collect();
    let concurrency = u32::try_from(rng.below(4)).unwrap();
    let graph = Graph::new(count + hooks, &edges).unwrap();
    Plan { graph, nodes, order: Box::default(), concurrency, timeout: None, budget: Budget::default() }
}

fn task(id: u128) -> SubmitTask {
    SubmitTask {
        id: TaskId(id),
        owner: Uid(1),
        owner_name: String::new(),
        title: String::new(),
        kind: TaskKind::Run,
        input_bytes: 0,
        priority: 5,
        capabilities: Capabilities::default(),
        agent: String::new(),
        key: String::new(),
        request: 0,
        fingerprint: 0,
        labels: Vec::new(),
        timeouts: Timeouts::default(),
        retries: 0,
        on_lost: OnLost::Review,
        not_before: None,
        after: Vec::new(),
        concurrency_key: String::new(),
        admission: Admission::Free,
        secrets: Vec::new(),
        stdin: Stdin::Closed,
        node: None,
        recalled: None,
    }
}

/// What the world makes of a place: a pure function of the seed and the place, so that a restart changes nothing.
fn fate(seed: u64, place: Place, salt: u64) -> u64 {
    let at = u64::from(place.node) << 32 | place.item.map_or(0, |item| u64::from(item) + 1);
    Turn { now: Time(0), seed }.draw(at ^ salt << 56) % 100
}

struct World {
    seed: u64,
    rng: Rng,
    now: Time,
    run: Run,
    /// What may happen next.
    open: Vec<Act>,
    /// Tasks that have not ended.
    tasks: BTreeMap<TaskId, Place>,
    begun: BTreeSet<(Place, u32)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let ask = StartRun {
            id: RunId(1),
            owner: Uid(1),
            owner_name: String::new(),
            workflow: "w".to_owned(),
            version: 0,
            plan: draw_plan(&mut rng),
            labels: Vec::new(),
            key: String::new(),
            request: 0,
            fingerprint: 0,
            parent: None,
            bound: Budget::default(),
        };
        let now = Time(1000);
        let run = make(Actor::Daemon, Turn { now, seed }, ask, 0);
        let (tasks, begun) = (BTreeMap::new(), BTreeSet::new());
        Self { seed, rng, now, run, open: Vec::new(), tasks, begun }
    }

    fn tell(&mut self, news: News) {
        let mut acts = Vec::new();
        self.run.take(self.now, news, &mut acts);
        assert!(self.run.is_consistent(), "seed {}: the book differs", self.seed);
        for act in acts {
            match act {
                Act::Submit { place, task } => {
                    let tries = self.run.node(place).unwrap().tries;
                    assert!(self.begun.insert((place, tries)), "seed {}: {place:?} begins twice", self.seed);
                    assert!(self.run.plan.node(place.node).occasion != Occasion::Never, "seed {}", self.seed);
                    let needs = self.run.plan.graph.needs(place.node);
                    assert!(needs.iter().all(|need| self.run.nodes[*need as usize].state.end().is_some()));
                    self.tasks.insert(task.id, place);
                }
                Act::CancelTask(task) => self.open.push(Act::CancelTask(task)),
                // Half of the tasks have an agent by then, and go on.
                Act::Withdraw(task) => {
                    let waits = self.tasks.get(&task).is_some_and(|place| fate(self.seed, *place, 30) < 50);
                    self.open.extend(waits.then_some(Act::CancelTask(task)));
                }
                act @ (Act::Prepare { .. } | Act::Collect { .. }) => self.open.push(act),
                Act::Touch(_)
                | Act::Tell(_)
                | Act::Keep { .. }
                | Act::Freeze(_)
                | Act::Thaw
                | Act::Exhausted(_)
                | Act::Over => {}
                Act::Start { .. } | Act::CancelRun(_) | Act::PauseRun(..) | Act::ResumeRun(_) => {
                    unreachable!()
                }
            }
        }
        let slots = self.run.plan.concurrency;
        assert!(slots == 0 || self.tasks.len() <= slots as usize, "seed {}: too many at once", self.seed);
    }

    /// The id of the next task of a place: a function of the place, as everything here.
    fn task_id(&self, place: Place) -> u128 {
        let tries = self.run.node(place).map_or(0, |node| node.tries);
        let item = place.item.map_or(0, |item| item + 1);
        u128::from(place.node) << 64 | u128::from(item) << 32 | u128::from(tries + 1)
    }

    fn prepare(&mut self, place: Place, ticket: u64) {
        let plan = self.run.plan.node(place.node).clone();
        let drawn = fate(self.seed, place, 1);
        if plan.kind == NodeKind::Wait && drawn >= 50 {
            let watch = Box::new(Watch { kinds: ["task.*".into()].into(), about: [].into() });
            let timeout = (drawn < 75).then_some(Millis(drawn));
            self.tell(News::Listens { place, ticket, watch, timeout, after: 0 });
            return;
        }
        let what = match plan.kind {
            _ if drawn < 5 => Prepared::Failed(Failure::new(FailureCode::TemplateFailed, "x")),
            _ if drawn < 15 && place.item.is_none() => Prepared::Skip,
            NodeKind::Approval { .. } => Prepared::Gate,
            NodeKind::Wait => Prepared::Sleep(self.now.plus(Millis(drawn))),
            NodeKind::Task | NodeKind::Workflow if plan.fan.is_some() && place.item.is_none() => {
                Prepared::Items(u32::try_from(drawn % 5).unwrap())
            }
            NodeKind::Task | NodeKind::Workflow => Prepared::Task(Box::new(task(self.task_id(place)))),
        };
        self.tell(News::Prepared { place, ticket, what });
    }

    fn end_task(&mut self, id: TaskId, cancelled: bool) {
        let Some(place) = self.tasks.remove(&id) else { return };
        let tries = u64::from(self.run.node(place).map_or(0, |node| node.tries));
        let how = match fate(self.seed, place, 2 + tries) {
            _ if cancelled => How::Cancelled,
            0..15 => How::Failed(Box::new(Failure::new(FailureCode::ExitNonzero, "x"))),
            _ => How::Succeeded(Output::Task),
        };
        self.tell(News::TaskEnded { place, task: id, how });
    }

    /// One thing that may happen. `false`: nothing is left.
    fn step(&mut self) -> bool {
        let choices = self.open.len() + self.tasks.len();
        if choices > 0 {
            let at = usize::try_from(self.rng.below(choices as u64)).unwrap();
            if at < self.open.len() {
                let act = self.open.swap_remove(at);
                self.do_act(act);
            } else {
                let task = *self.tasks.keys().nth(at - self.open.len()).unwrap();
                self.end_task(task, false);
            }
            return true;
        }
        self.wait()
    }

    fn do_act(&mut self, act: Act) {
        match act {
            Act::Prepare { place, ticket } => self.prepare(place, ticket),
            Act::CancelTask(task) => self.end_task(task, true),
            Act::Collect { place, task } => {
                let tries = u64::from(self.run.node(place).map_or(0, |node| node.tries));
                let failed = fate(self.seed, place, 9 + tries) < 20;
                let what = if failed {
                    Err(Failure::new(FailureCode::OutputInvalid, "x"))
                } else {
                    let bytes = u32::try_from(fate(self.seed, place, 13)).unwrap();
                    Ok(Output::Kept { bytes })
                };
                self.tell(News::Collected { place, task, what });
            }
            Act::Touch(_)
            | Act::Tell(_)
            | Act::Keep { .. }
            | Act::Submit { .. }
            | Act::Start { .. }
            | Act::CancelRun(_)
            | Act::PauseRun(..)
            | Act::ResumeRun(_)
            | Act::Freeze(_)
            | Act::Thaw
            | Act::Withdraw(_)
            | Act::Exhausted(_)
            | Act::Over => unreachable!("only those above are kept"),
        }
    }

    /// A person decides, or time passes. `false`: nothing is left.
    fn wait(&mut self) -> bool {
        let asking = (0..self.run.plan.graph.len()).find(|node| {
            matches!(self.run.nodes[*node as usize].state, NodeState::Asking { expires_at: None, .. })
        });
        if let Some(node) = asking {
            let approved = fate(self.seed, Place::whole(node), 5) < 50;
            let verdict = if approved { Verdict::Approved } else { Verdict::Rejected };
            let decision = Decision { verdict, by: Actor::User(Uid(1)), comment: "".into() };
            self.tell(News::Decided { node, decision });
            return true;
        }
        let waits_on = |node: &u32| {
            matches!(self.run.nodes[*node as usize].state, NodeState::Watching { expires_at: None, .. })
        };
        let listener = self.run.book.listeners("task.*").find(waits_on);
        if let Some(node) = listener {
            self.tell(News::Heard { node, seq: 1 });
            return true;
        }
        if let Some(due) = self.run.due() {
            self.now = self.now.max(due);
            self.tell(News::Due);
            return true;
        }
        false
    }

    /// The daemon dies and starts again: what was written is read, what was under way is asked for again.
    fn restart(&mut self) {
        let stored = self.run.places().filter(|(_, node)| **node != Node::default());
        let stored = stored.map(|(place, node)| (place, node.clone())).collect();
        let plan = self.run.plan.clone();
        let bytes = serde_json::to_vec(&self.run).unwrap();
        let read: Run = serde_json::from_slice(&bytes).unwrap();
        self.run = read.with(plan, stored);
        self.open.retain(|act| matches!(act, Act::CancelTask(_)));
        self.tell(News::GoOn);
    }

    /// The first of what may happen, in an order that no mishap changes: ends that were asked for, nodes that begin,
    /// results, tasks. Without it the order in which nodes fail would decide what is still begun.
    fn step_in_order(&mut self) -> bool {
        let rank = |act: &Act| match act {
            Act::CancelTask(task) => (0, Place::whole(0), task.0),
            Act::Prepare { place, ticket } => (1, *place, u128::from(*ticket)),
            Act::Collect { place, task } => (2, *place, task.0),
            Act::Touch(_)
            | Act::Tell(_)
            | Act::Keep { .. }
            | Act::Submit { .. }
            | Act::Start { .. }
            | Act::CancelRun(_)
            | Act::PauseRun(..)
            | Act::ResumeRun(_)
            | Act::Freeze(_)
            | Act::Thaw
            | Act::Withdraw(_)
            | Act::Exhausted(_)
            | Act::Over => unreachable!("only those above are kept"),
        };
        if let Some(first) = (0..self.open.len()).min_by_key(|at| rank(&self.open[*at])) {
            let act = self.open.swap_remove(first);
            self.do_act(act);
            return true;
        }
        if let Some((task, _)) = self.tasks.iter().min_by_key(|(_, place)| **place).map(|(id, at)| (*id, *at))
        {
            self.end_task(task, false);
            return true;
        }
        self.wait()
    }

    /// How the run and its nodes ended, without times and tasks. Which items of a node were done when one of them failed
    /// depends on the order.
    fn result(&self) -> Vec<String> {
        let nodes = self.run.nodes.iter().map(|node| {
            let how = node.state.end().map(|end| match &end.how {
                How::Skipped(_) => "skipped",
                other @ (How::Succeeded(_) | How::Failed(_) | How::Cancelled) => other.word(),
            });
            format!("{how:?}")
        });
        std::iter::once(self.run.state.word().to_owned()).chain(nodes).collect()
    }

    fn live(seed: u64, mishaps: u64) -> Self {
        Self::live_with(seed, mishaps, false)
    }

    fn live_with(seed: u64, mishaps: u64, edits: bool) -> Self {
        let mut world = Self::new(seed);
        world.rng = Rng(seed ^ mishaps);
        world.tell(News::GoOn);
        for _ in 0..100_000 {
            let may_edit = edits && edit::too_late(&world.run).is_none();
            if may_edit && world.run.state.ended_at().is_none() && world.rng.below(8) == 0 {
                world.edit();
            }
            if mishaps > 0 && world.rng.below(10) == 0 && world.run.state.ended_at().is_none() {
                match (world.rng.below(3), &world.run.state) {
                    (0, RunState::Running) => world.tell(News::Pause(PauseHow::Drain)),
                    (1, RunState::Paused { .. }) => world.resume(),
                    (_, _) => world.restart(),
                }
            }
            if !world.step() {
                if let RunState::Paused { .. } = world.run.state {
                    world.resume();
                    continue;
                }
                assert!(world.run.state.ended_at().is_some(), "seed {seed}: stuck: {:#?}", world.run);
                return world;
            }
        }
        panic!("seed {seed}: it does not end");
    }

    /// Lives in the one order; each step may come after a restart, or after a pause that nothing happens in.
    fn live_in_order(seed: u64, mishaps: u64) -> Self {
        let mut world = Self::new(seed);
        world.run.plan = Arc::new(Plan { concurrency: 0, ..Plan::clone(&world.run.plan) });
        world.rng = Rng(seed ^ mishaps);
        world.tell(News::GoOn);
        for _ in 0..100_000 {
            if mishaps > 0 && world.run.state.ended_at().is_none() {
                world.suffer();
            }
            if !world.step_in_order() {
                assert!(world.run.state.ended_at().is_some(), "seed {seed}: stuck: {:#?}", world.run);
                return world;
            }
        }
        panic!("seed {seed}: it does not end");
    }

    fn suffer(&mut self) {
        match self.rng.below(8) {
            0 | 1 => self.restart(),
            2 => {
                self.tell(News::Pause(PauseHow::Drain));
                if self.rng.below(2) == 0 {
                    self.restart();
                }
                self.resume();
            }
            _ => {}
        }
    }

    fn resume(&mut self) {
        let mut acts = Vec::new();
        self.run.resume(self.now, &mut acts);
        let open = acts.into_iter().filter(|act| matches!(act, Act::Prepare { .. } | Act::Collect { .. }));
        self.open.extend(open);
    }
}

fn seeds() -> u64 {
    std::env::var("FUSION_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[test]
fn every_run_ends_and_none_of_its_nodes_begins_twice_or_too_early() {
    for seed in 0..seeds() {
        let world = World::live(seed, 0x5EED);
        assert!(world.tasks.is_empty() && world.run.book.busy() == 0, "seed {seed}");
    }
}

#[test]
fn restarts_and_pauses_change_nothing_about_how_a_run_ends() {
    // Which node fails first decides what is still begun: only runs that no failure ends are alike in every order.
    let mut alike = 0;
    for seed in 0..seeds() {
        let plain = World::live(seed, 0);
        if plain.run.doom.is_none() {
            assert_eq!(World::live(seed, 0xBAD).result(), plain.result(), "seed {seed}");
            alike += 1;
        }
    }
    assert!(alike > seeds() / 20);
}

/// Everything of a run is compared: states, times, failures in their words, decisions, lengths of results, items, tries.
/// Left out is a limit of how many nodes are done at once: a node that was to begin at the moment of a crash may give its
/// place to another one, and when the run fails before both had theirs, another one was done.
#[test]
fn a_run_that_was_interrupted_anywhere_ends_as_one_that_was_not_also_when_it_fails() {
    let mut counts = BTreeMap::new();
    for seed in 0..seeds() {
        let plain = World::live_in_order(seed, 0);
        let other = World::live_in_order(seed, 0xBAD);
        assert_eq!(plain.run.state, other.run.state, "seed {seed}");
        assert_eq!(plain.run.doom, other.run.doom, "seed {seed}");
        assert!(plain.run.places().eq(other.run.places()), "seed {seed}: {:#?}\n{:#?}", plain.run, other.run);
        *counts.entry(plain.run.state.word()).or_insert(0) += 1;
    }
    let enough = |word| counts.get(word).is_some_and(|count| *count > seeds() / 20);
    assert!(enough("failed") && enough("succeeded"), "{counts:?}");
}
