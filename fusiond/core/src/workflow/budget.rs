//! What runs and nodes may use, and what they have used.
//!
//! ```text
//!  a place begins ── used up? ──► it fails with `budget_exhausted`; when it is the run's budget, so does the run
//!       │
//!       └─► its task gets at most what is left ── the task ends ──► what its attempts took is counted
//! ```
//! What is done always and hooks are done all the same. Attempts that run at once may together take more than was left
//! when each of them began. What models cost is counted as programs say it, at the end of each attempt.

use crate::cost::Cost;
use crate::failure::{Failure, FailureCode};
use crate::task::{SubmitTask, Task};
use crate::time::{Millis, Time};
use crate::workflow::node::{How, Node, Place};
use crate::workflow::plan::Occasion;
use crate::workflow::run::Act;
use crate::workflow::{Doom, Run};
use serde::{Deserialize, Serialize};

/// What may be used. What is not said has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How long all attempts may take together.
    pub time: Option<Millis>,
    /// How many attempts there may be.
    pub attempts: Option<u32>,
    /// What all attempts may cost together.
    pub cost: Cost,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// How long all attempts took together, each from its start to its end.
    pub time: Millis,
    /// How many attempts there were.
    pub attempts: u32,
    /// What they cost together, as far as it is known.
    pub cost: Cost,
}

/// What was used, and how many tasks are on their way to use more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    pub(crate) spent: Spent,
    pub(crate) underway: u32,
}

impl Spent {
    /// What the attempts of a task used.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let took = task.attempts.iter().filter_map(|attempt| {
            let ended = attempt.ending.as_ref()?;
            Some(ended.at.since(attempt.started_at?).0)
        });
        let attempts = u32::try_from(task.attempts.len()).unwrap_or(u32::MAX);
        Self { time: Millis(took.sum()), attempts, cost: task.cost() }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            time: Millis(self.time.0.saturating_add(other.time.0)),
            attempts: self.attempts.saturating_add(other.attempts),
            cost: self.cost.and(other.cost),
        }
    }
}

impl Meter {
    /// Counts what a place has used and is using.
    pub(crate) fn enter(&mut self, node: &Node) {
        self.spent = self.spent.and(node.spent);
        self.underway += u32::from(node.state.is_active());
    }

    /// A task of it has begun, or has ended.
    pub(crate) fn turn(&mut self, begun: bool) {
        self.underway = if begun { self.underway + 1 } else { self.underway - 1 };
    }

    /// It has used this.
    pub(crate) fn add(&mut self, spent: Spent) {
        self.spent = self.spent.and(spent);
    }

    /// Which limit is reached, in words.
    fn reached(self, budget: Budget) -> Option<String> {
        let attempts = self.spent.attempts.saturating_add(self.underway);
        if let Some(limit) = budget.attempts.filter(|limit| attempts >= *limit) {
            let attempts = if limit == 1 { "attempt" } else { "attempts" };
            return Some(format!("has used up its budget of {limit} {attempts}"));
        }
        if let Some(limit) = budget.time.filter(|limit| self.spent.time >= *limit) {
            return Some(format!("has used up its budget of {limit}: attempts took {}", self.spent.time));
        }
        let reached = self.spent.cost.reached(budget.cost)?;
        Some(format!("has used up its budget of {reached}"))
    }

    /// Lets a task use no more than is left.
    fn bound(self, budget: Budget, task: &mut SubmitTask) {
        if let Some(limit) = budget.attempts {
            let left = limit.saturating_sub(self.spent.attempts.saturating_add(self.underway));
            task.retries = task.retries.min(left.saturating_sub(1));
        }
        if let Some(limit) = budget.time {
            let left = Millis(limit.0.saturating_sub(self.spent.time.0));
            task.timeouts.run = Some(task.timeouts.run.map_or(left, |timeout| timeout.min(left)));
        }
    }
}

/// Whose budget keeps a place from beginning, and how that reads.
pub(super) enum Reached {
    Node(Failure),
    Run(Failure),
}

impl Run {
    /// What it has used.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.book.meter().spent
    }

    /// Whether a place cannot begin as too much was used before.
    pub(super) fn reached(&self, place: Place) -> Option<Reached> {
        let plan = self.plan.node(place.node);
        if plan.occasion != Occasion::Needs {
            return None;
        }
        let failure = |what: &str, why| Failure::new(FailureCode::BudgetExhausted, format!("{what} {why}"));
        if let Some(why) = self.book.meter().reached(self.plan.budget) {
            return Some(Reached::Run(failure("the run", why)));
        }
        let why = self.meter(place).reached(plan.budget)?;
        Some(Reached::Node(failure("the node", why)))
    }

    /// Lets the task of a place use no more than is left.
    pub(super) fn bound(&self, place: Place, task: &mut SubmitTask) {
        let plan = self.plan.node(place.node);
        if plan.occasion == Occasion::Needs {
            self.book.meter().bound(self.plan.budget, task);
            self.meter(place).bound(plan.budget, task);
        }
    }

    /// What the task of a place may cost.
    pub(super) fn cost_left(&self, place: Place) -> Cost {
        let plan = self.plan.node(place.node);
        if plan.occasion != Occasion::Needs {
            return Cost::default();
        }
        let left = |budget: Budget, meter: Meter| budget.cost.less(meter.spent.cost);
        left(self.plan.budget, self.book.meter()).tighter(left(plan.budget, self.meter(place)))
    }

    /// What a node has used, with all its items.
    #[must_use]
    pub fn spent_by(&self, place: Place) -> Spent {
        self.meter(place).spent
    }

    fn meter(&self, place: Place) -> Meter {
        let mut meter = self.book.fan(place.node).map(|fan| fan.meter).unwrap_or_default();
        meter.enter(&self.nodes[place.node as usize]);
        meter
    }

    /// A place ends before it begins.
    pub(super) fn end_over_budget(&mut self, now: Time, place: Place, reached: Reached, acts: &mut Vec<Act>) {
        let (failure, whole) = match reached {
            Reached::Node(failure) => (failure, None),
            Reached::Run(failure) => (failure.clone(), Some(failure)),
        };
        self.end_busy(now, place, How::Failed(Box::new(failure)), acts);
        if let Some(failure) = whole.filter(|_| self.doom.is_none()) {
            self.doom(now, Doom::Failed(Box::new(failure)), acts);
        }
    }

    /// What does the work of a place has used this.
    pub(super) fn charge(&mut self, place: Place, spent: Spent) {
        let node = match place.item {
            None => &mut self.nodes[place.node as usize],
            Some(item) => self.items.entry((place.node, item)).or_default(),
        };
        node.spent = node.spent.and(spent);
        self.book.meters(place).for_each(|meter| meter.add(spent));
    }
}
