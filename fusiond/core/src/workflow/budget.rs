//! What runs and nodes may use, and what they have used.
//!
//! ```text
//!  a place begins ── used up? ──► it fails with `budget_exhausted`; when it is the run's budget, so does the run
//!       │
//!       └─► an attempt ends ──► what it took is counted ── used up? ──► there is no further one; what waits does not begin
//! ```
//! What is done always and hooks are done all the same. Attempts that run at once may together take more than was left
//! when each of them began, and so may runs within it. What models cost is counted as programs say it.

use crate::cost::Cost;
use crate::failure::{Failure, FailureCode};
use crate::ids::TaskId;
use crate::state::Key;
use crate::task::attempt::Ended;
use crate::task::{Attempt, Ending, SubmitTask};
use crate::time::{Millis, Time};
use crate::workflow::node::{How, Node, NodeState, Place};
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
    /// What an attempt used; one that never began is none.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Self {
        let took = attempt.ending.as_ref().and_then(|ended| Some(ended.at.since(attempt.started_at?)));
        let never_began = |ended: &Ended| ended.how == Ending::NotStarted;
        Self {
            time: took.unwrap_or_default(),
            attempts: u32::from(!attempt.ending.as_ref().is_some_and(never_began)),
            cost: attempt.exit().map(|exit| exit.cost).unwrap_or_default(),
        }
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

    /// What is left.
    fn left(self, budget: Budget) -> Budget {
        let used = self.spent.attempts.saturating_add(self.underway);
        Budget {
            time: budget.time.map(|limit| Millis(limit.0.saturating_sub(self.spent.time.0))),
            attempts: budget.attempts.map(|limit| limit.saturating_sub(used)),
            cost: budget.cost.less(self.spent.cost),
        }
    }

    /// The same without one that is on its way.
    const fn but_one(self) -> Self {
        Self { underway: self.underway.saturating_sub(1), ..self }
    }
}

impl Budget {
    /// The tighter of two.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        Self {
            time: self.time.into_iter().chain(other.time).min(),
            attempts: self.attempts.into_iter().chain(other.attempts).min(),
            cost: self.cost.tighter(other.cost),
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
        self.reached_by(place, self.book.meter(), self.meter(place))
    }

    /// Why the task of a place that has begun is not tried again: too much was used.
    pub(crate) fn spent_up(&self, place: Place) -> Option<Failure> {
        let reached = self.reached_by(place, self.book.meter().but_one(), self.meter(place).but_one());
        reached.map(|reached| match reached {
            Reached::Node(failure) | Reached::Run(failure) => failure,
        })
    }

    fn reached_by(&self, place: Place, run: Meter, node: Meter) -> Option<Reached> {
        let plan = self.plan.node(place.node);
        if plan.occasion != Occasion::Needs {
            return None;
        }
        let failure = |what: &str, why| Failure::new(FailureCode::BudgetExhausted, format!("{what} {why}"));
        if let Some(why) = run.reached(self.plan.budget) {
            return Some(Reached::Run(failure("the run", why)));
        }
        Some(Reached::Node(failure("the node", node.reached(plan.budget)?)))
    }

    /// What a place may use.
    pub(super) fn left(&self, place: Place) -> Budget {
        let plan = self.plan.node(place.node);
        if plan.occasion != Occasion::Needs {
            return Budget::default();
        }
        self.book.meter().left(self.plan.budget).tighter(self.meter(place).left(plan.budget))
    }

    /// How long an attempt that begins now may take.
    pub(crate) fn time_left(&self, place: Place) -> Option<Millis> {
        self.left(place).time
    }

    /// Lets an attempt of the task of a place take no longer than what is left.
    pub(super) fn bound(&self, place: Place, task: &mut SubmitTask) {
        if let Some(left) = self.left(place).time {
            task.timeouts.run = Some(task.timeouts.run.map_or(left, |timeout| timeout.min(left)));
        }
    }

    /// What a node has used, with all its items, or what one item has.
    #[must_use]
    pub fn spent_by(&self, place: Place) -> Spent {
        let own = self.node(place).map(|node| node.spent).unwrap_or_default();
        let items = self.items(place.node).filter(|_| place.item.is_none());
        items.fold(own, |sum, (_, item)| sum.and(item.spent))
    }

    /// What a node with items has used, and what is on its way, as long as some of them are.
    fn meter(&self, place: Place) -> Meter {
        let mut meter = self.book.fan(place.node).map(|fan| fan.meter).unwrap_or_default();
        meter.enter(&self.nodes[place.node as usize]);
        meter
    }

    /// An attempt of the task of a place has ended.
    pub(super) fn spend(&mut self, place: Place, id: TaskId, spent: Spent, acts: &mut Vec<Act>) {
        if matches!(self.state_of(place), NodeState::Active { task, .. } if task == id) {
            self.charge(place, spent);
            acts.push(Act::Touch(Key::Node(self.id, place.node, place.item)));
            self.tell_exhausted(place, acts);
        }
    }

    /// Where nothing of money or time is left, what waits must hear of it; attempts are counted before they begin.
    pub(super) fn tell_exhausted(&self, place: Place, acts: &mut Vec<Act>) {
        if self.doom.is_none() && self.used_up(place).is_some() {
            acts.push(Act::Exhausted(place));
        }
    }

    /// Whether nothing of money or time is left for what waits: in the run, or in a node that is held to its budget.
    pub(super) fn used_up(&self, place: Place) -> Option<Reached> {
        let failure = |what: &str, why| Failure::new(FailureCode::BudgetExhausted, format!("{what} {why}"));
        let but_attempts = |budget: Budget| Budget { attempts: None, ..budget };
        if let Some(why) = self.book.meter().reached(but_attempts(self.plan.budget)) {
            return Some(Reached::Run(failure("the run", why)));
        }
        let plan = self.plan.node(place.node);
        let is_held = plan.occasion == Occasion::Needs;
        let why = self.meter(place).reached(but_attempts(plan.budget)).filter(|_| is_held)?;
        Some(Reached::Node(failure("the node", why)))
    }

    /// A place ends before it begins.
    pub(super) fn end_over_budget(&mut self, now: Time, place: Place, reached: Reached, acts: &mut Vec<Act>) {
        let failure = match reached {
            Reached::Node(failure) => {
                self.end_busy(now, place, How::Failed(Box::new(failure)), acts);
                return;
            }
            Reached::Run(failure) => failure,
        };
        // Known first: what the end of the place leads to does not tell another reason.
        let is_new = self.doom.is_none();
        let doom = self.doom.get_or_insert_with(|| Doom::Failed(Box::new(failure.clone()))).clone();
        self.end_busy(now, place, How::Failed(Box::new(failure)), acts);
        if is_new {
            self.doom(now, doom, acts);
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
