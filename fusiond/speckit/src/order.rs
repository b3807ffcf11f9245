//! In which order tasks may be done: what is said, what works on the same file, and what the mode asks for.
//!
//! ```text
//!   strict    Setup ═► Foundational ═► US1 ═► US2 ═► Polish         ═► everything before has ended
//!   stories   Setup ═► Foundational ═► { US1 ∥ US2 } ═► Polish
//!   within    T1 ─► T2 ─► { T3 [P] ∥ T4 [P] } ─► T5
//! ```
//!
//! Not for: what a task is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::{Note, Refusal, TaskFile};

/// How phases follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One phase after the other.
    #[default]
    Strict,
    /// Phases of user stories beside one another, where they stand together.
    Stories,
}

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A task, by number.
    Task(usize),
    /// Somebody looks, by number of the checkpoint.
    Checkpoint(usize),
    /// Nothing: everything of a phase, by number, has ended. It stands where many tasks would come after many others.
    Join(usize),
}

/// Behind so many tasks side by side stands a step that joins them.
const JOIN_FROM: usize = 32;

/// Something that is done, and what it comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub item: Item,
    /// The steps before it, by number, as few as say it.
    pub needs: Vec<usize>,
}

/// All steps; a step stands behind those that it comes after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The steps.
    pub steps: Vec<Step>,
    /// What was decided besides.
    pub notes: Vec<Note>,
}

impl TaskFile {
    /// The order in which its tasks may be done; with checkpoints as steps of their own, if they are to be held.
    ///
    /// # Errors
    ///
    /// When tasks are said to come after one another in a circle.
    pub fn order(&self, mode: Mode, holds_checkpoints: bool) -> Result<Order, Refusal> {
        let items = self.items(holds_checkpoints);
        let mut place = vec![0; self.tasks.len()];
        for (at, item) in items.iter().enumerate() {
            if let Item::Task(task) = item {
                place[*task] = at;
            }
        }
        let said: Vec<Vec<usize>> = items
            .iter()
            .map(|item| match item {
                Item::Task(task) => self.after[*task].iter().map(|(earlier, _)| place[*earlier]).collect(),
                Item::Checkpoint(_) | Item::Join(_) => Vec::new(),
            })
            .collect();
        let sorted = sort(&said).map_err(|circle| self.cycle(&circle, &items))?;
        let mut plan = Plan::new(self, &items, &sorted);
        plan.arrange(mode);
        Ok(plan.finish(said))
    }

    /// Tasks and checkpoints as they stand in the file, and what joins them.
    fn items(&self, holds_checkpoints: bool) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.tasks.len());
        let mut checkpoints = self
            .checkpoints
            .iter()
            .enumerate()
            .filter(|(_, point)| holds_checkpoints && point.before > 0)
            .peekable();
        let mut beside = 0;
        for (at, task) in self.tasks.iter().enumerate() {
            items.push(Item::Task(at));
            beside = if task.is_parallel { beside + 1 } else { 0 };
            let next = self.tasks.get(at + 1);
            if next.is_none_or(|next| next.phase != task.phase) {
                if beside >= JOIN_FROM && next.is_some() {
                    items.push(Item::Join(task.phase));
                }
                beside = 0;
            }
            while let Some((point, _)) = checkpoints.next_if(|(_, point)| point.before <= at + 1) {
                items.push(Item::Checkpoint(point));
            }
        }
        items
    }

    fn cycle(&self, circle: &[usize], items: &[Item]) -> Refusal {
        let named = circle.iter().filter_map(|at| match items[*at] {
            Item::Task(task) => Some((self.tasks[task].name.clone(), self.tasks[task].line)),
            Item::Checkpoint(_) | Item::Join(_) => None,
        });
        Refusal::Cycle(named.collect())
    }
}

/// The items so that each stands behind those it is said to come after, else as in the file; or a circle.
fn sort(said: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut dependents = vec![Vec::new(); said.len()];
    let mut waiting: Vec<usize> = said.iter().map(Vec::len).collect();
    for (at, earlier) in said.iter().enumerate() {
        for before in earlier {
            dependents[*before].push(at);
        }
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..said.len()).filter(|at| waiting[*at] == 0).map(Reverse).collect();
    let mut sorted = Vec::with_capacity(said.len());
    while let Some(Reverse(at)) = free.pop() {
        sorted.push(at);
        for later in &dependents[at] {
            waiting[*later] -= 1;
            if waiting[*later] == 0 {
                free.push(Reverse(*later));
            }
        }
    }
    match waiting.iter().position(|waiting| *waiting > 0) {
        None => Ok(sorted),
        Some(start) => Err(circle(said, &waiting, start)),
    }
}

/// A circle among the items that wait for ever, its first one again at the end.
fn circle(said: &[Vec<usize>], waiting: &[usize], start: usize) -> Vec<usize> {
    let mut walked = vec![start];
    loop {
        let here = walked[walked.len() - 1];
        let Some(next) = said[here].iter().copied().find(|before| waiting[*before] > 0) else {
            return walked;
        };
        if let Some(at) = walked.iter().position(|known| *known == next) {
            let mut circle = walked.split_off(at);
            circle.push(next);
            // Walked from later to earlier: told in the order in which they would be done.
            circle.reverse();
            return circle;
        }
        walked.push(next);
    }
}

/// One thing after the other, and side by side what may be.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// What everything from now on comes after.
    last: Vec<usize>,
    /// What stands side by side behind that.
    beside: Vec<usize>,
}

impl Lane {
    fn behind(last: Vec<usize>) -> Self {
        Self { last, beside: Vec::new() }
    }

    /// Takes the next one; what it comes after.
    fn take(&mut self, at: usize, is_parallel: bool) -> Vec<usize> {
        if is_parallel {
            self.beside.push(at);
            return self.last.clone();
        }
        let mut needs = std::mem::take(&mut self.beside);
        needs.append(&mut self.last);
        self.last.push(at);
        needs
    }

    fn ends(&self) -> Vec<usize> {
        self.beside.iter().chain(&self.last).copied().collect()
    }
}

struct Plan<'a> {
    file: &'a TaskFile,
    items: &'a [Item],
    sorted: &'a [usize],
    /// The place of each item in `sorted`.
    rank: Vec<usize>,
    needs: Vec<Vec<usize>>,
}

impl<'a> Plan<'a> {
    fn new(file: &'a TaskFile, items: &'a [Item], sorted: &'a [usize]) -> Self {
        let mut rank = vec![0; items.len()];
        for (at, item) in sorted.iter().enumerate() {
            rank[*item] = at;
        }
        Self { file, items, sorted, rank, needs: vec![Vec::new(); items.len()] }
    }

    fn phase(&self, item: usize) -> usize {
        match self.items[item] {
            Item::Task(task) => self.file.tasks[task].phase,
            Item::Checkpoint(point) => self.file.checkpoints[point].phase,
            Item::Join(phase) => phase,
        }
    }

    fn is_parallel(&self, item: usize) -> bool {
        match self.items[item] {
            Item::Task(task) => self.file.tasks[task].is_parallel,
            Item::Checkpoint(_) | Item::Join(_) => false,
        }
    }

    /// The story that a whole phase is about: what its heading says, or the labels of all its tasks.
    fn story(&self, phase: usize, members: &[usize]) -> Option<String> {
        if let Some(story) = &self.file.phases[phase].story {
            return Some(story.clone());
        }
        let mut stories = members.iter().filter_map(|item| match self.items[*item] {
            Item::Task(task) => Some(self.file.tasks[task].story.as_ref()),
            Item::Checkpoint(_) | Item::Join(_) => None,
        });
        let first = stories.next()??;
        stories.all(|story| story == Some(first)).then(|| first.clone())
    }

    /// What the mode asks for.
    fn arrange(&mut self, mode: Mode) {
        let mut phases: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in self.sorted {
            phases.entry(self.phase(*item)).or_default().push(*item);
        }
        let is_file_order = self.sorted.is_sorted();
        let mut base: Vec<usize> = Vec::new();
        let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
        let (mut passed, mut beside): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for (phase, members) in phases {
            let story = self.story(phase, &members).filter(|_| mode == Mode::Stories);
            let is_common = story.is_none();
            if is_common && !lanes.is_empty() {
                base = lanes.values().flat_map(Lane::ends).collect();
                passed.append(&mut beside);
                lanes.clear();
            }
            // What was moved behind something later may end no lane: then all that passed counts.
            let start = if is_file_order { &base } else { &passed };
            let lane = lanes.entry(story.unwrap_or_default()).or_insert_with(|| Lane::behind(start.clone()));
            for item in &members {
                let needs = lane.take(*item, self.is_parallel(*item));
                self.needs[*item].extend(needs);
            }
            beside.extend(members);
            if is_common {
                base = lane.ends();
                passed.append(&mut beside);
                lanes.clear();
            }
        }
    }

    /// The steps with as few needs as say it all.
    fn finish(mut self, said: Vec<Vec<usize>>) -> Order {
        let shared = self.share_files();
        let mut order = Order::default();
        let words = self.items.len().div_ceil(64);
        // What each step comes after, at first or second hand, by rank.
        let mut behind: Vec<Vec<u64>> = Vec::with_capacity(self.items.len());
        for (rank, item) in self.sorted.iter().enumerate() {
            let mut wanted: Vec<usize> =
                said[*item].iter().chain(&self.needs[*item]).map(|before| self.rank[*before]).collect();
            wanted.extend(shared.get(item).map(|(before, _)| self.rank[*before]));
            wanted.retain(|before| *before < rank);
            wanted.sort_unstable_by_key(|before| Reverse(*before));
            wanted.dedup();
            let mut seen = vec![0u64; words];
            let mut needs = Vec::new();
            for before in wanted {
                if seen[before / 64] >> (before % 64) & 1 == 0 {
                    needs.push(before);
                    seen.iter_mut().zip(&behind[before]).for_each(|(own, other)| *own |= other);
                    seen[before / 64] |= 1 << (before % 64);
                }
            }
            needs.reverse();
            if let Some((before, file)) = shared.get(item)
                && needs.contains(&self.rank[*before])
                && !said[*item].contains(before)
                && !self.needs[*item].contains(before)
            {
                order.notes.extend(self.shared_note(*item, *before, file));
            }
            behind.push(seen);
            order.steps.push(Step { item: self.items[*item], needs });
        }
        order.notes.sort();
        order
    }

    /// Of each task that names a file: the one before it that names the same.
    fn share_files(&mut self) -> HashMap<usize, (usize, String)> {
        let mut last: HashMap<&str, usize> = HashMap::new();
        let mut shared = HashMap::new();
        for item in self.sorted {
            let Item::Task(task) = self.items[*item] else { continue };
            for file in &self.file.tasks[task].files {
                if let Some(before) = last.insert(file, *item) {
                    match shared.get(item) {
                        None => drop(shared.insert(*item, (before, file.clone()))),
                        Some(_) => self.needs[*item].push(before),
                    }
                }
            }
        }
        shared
    }

    fn shared_note(&self, item: usize, before: usize, file: &str) -> Option<Note> {
        let (Item::Task(one), Item::Task(other)) = (self.items[item], self.items[before]) else {
            return None;
        };
        let (one, other) = (&self.file.tasks[one], &self.file.tasks[other]);
        let text = format!(
            "{} and {} (line {}) both name {file}: they are done one after the other",
            one.name, other.name, other.line
        );
        Some(Note::new(one.line, text))
    }
}
