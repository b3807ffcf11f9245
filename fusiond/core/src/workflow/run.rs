//! The one transition function of a run: what news mean for its nodes.
//!
//! It changes the run alone and says what else is to be done. Not for: doing that (`drive`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::ids::{RunId, TaskId};
use crate::input::PauseHow;
use crate::state::Key;
use crate::task::SubmitTask;
use crate::time::{Millis, Time};
use crate::workflow::book::{Book, is_over};
use crate::workflow::budget::Spent;
use crate::workflow::edit::Changes;
use crate::workflow::node::{Decision, How, Node, NodeState, Output, Place, SkipWhy};
use crate::workflow::plan::{Occasion, Plan, ResultUse};
use crate::workflow::prepared::Prepared;
use crate::workflow::standstill::thaw;
use crate::workflow::start::StartRun;
use crate::workflow::watch::Watch;
use crate::workflow::{Doom, Run, RunClock, RunState};
use std::sync::Arc;

/// What a run is told.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// It begins, or goes on after a restart or a pause.
    GoOn,
    /// What a place that was to be prepared will be.
    Prepared { place: Place, ticket: u64, what: Prepared },
    /// A place that was to be prepared waits for events after that number.
    Listens { place: Place, ticket: u64, watch: Box<Watch>, timeout: Option<Millis>, after: u64 },
    /// An event came that a node waits for.
    Heard { node: u32, seq: u64 },
    /// Its task was not accepted.
    Refused { place: Place, failure: Failure },
    /// An attempt of a task has ended.
    Spent { place: Place, task: TaskId, spent: Spent },
    /// Nothing more may be used, and something would.
    Exhausted { failure: Failure },
    /// A node was given to nobody yet and is taken back.
    Recalled { node: u32 },
    /// A task has ended.
    TaskEnded { place: Place, task: TaskId, how: How },
    /// A result was looked at.
    Collected { place: Place, task: TaskId, what: Result<Output, Failure> },
    /// A person decided.
    Decided { node: u32, decision: Decision },
    /// A run within it has ended.
    InnerEnded { place: Place, run: RunId, how: How, spent: Spent },
    /// Time has passed.
    Due,
    /// It shall stand still.
    Pause(PauseHow),
    /// It shall end.
    Cancel,
    /// These nodes are done once more.
    Again { nodes: Vec<bool> },
    /// Something else is to be done from now on.
    Edited { plan: Arc<Plan>, changes: Changes },
}

/// What is to be done besides.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Something stored has changed.
    Touch(Key),
    /// Something happened.
    Tell(EventKind),
    /// Find out what a place will be.
    Prepare { place: Place, ticket: u64 },
    /// Look at the result of a task.
    Collect { place: Place, task: TaskId },
    /// Keep an event as the result of a node.
    Keep { node: u32, seq: u64 },
    /// Submit a task.
    Submit { place: Place, task: Box<SubmitTask> },
    /// End a task.
    CancelTask(TaskId),
    /// Start a run.
    Start { place: Place, run: Box<StartRun> },
    /// End a run.
    CancelRun(RunId),
    /// Let a run stand still.
    PauseRun(RunId, PauseHow),
    /// Let a task stand still: one that waits for an agent does not begin, one that runs stands still with a frozen run.
    Freeze(TaskId),
    /// A task that waits for an agent does not begin any more.
    Withdraw(TaskId),
    /// The budget that a place is held to is used up: what waits does not begin any more.
    Exhausted(Place),
    /// Let go on what stands still for the run.
    Thaw,
    /// Let a run go on.
    ResumeRun(RunId),
    /// The run has ended.
    Over,
}

impl Run {
    /// Takes news; what is to be done besides is added to `acts`, in order.
    pub(crate) fn take(&mut self, now: Time, news: News, acts: &mut Vec<Act>) {
        match news {
            News::GoOn => self.go_on(now, acts),
            News::Prepared { place, ticket, what } => self.prepared(now, place, ticket, what, acts),
            News::Listens { place, ticket, watch, timeout, after } => {
                self.listens(now, place, ticket, watch, timeout, after, acts);
            }
            News::Heard { node, seq } => self.heard(now, node, seq, acts),
            News::Refused { place, failure } => {
                self.end_busy(now, place, How::Failed(Box::new(failure)), acts)
            }
            News::Spent { place, task, spent } => self.spend(place, task, spent, acts),
            News::Exhausted { failure } => {
                if self.doom.is_none() {
                    self.doom(now, Doom::Failed(Box::new(failure)), acts);
                }
            }
            News::Recalled { node } => self.recall(node, acts),
            News::TaskEnded { place, task, how } => self.task_ended(now, place, task, how, acts),
            News::Collected { place, task, what } => self.collected(now, place, task, what, acts),
            News::Decided { node, decision } => self.decided(now, node, decision, acts),
            News::InnerEnded { place, run, how, spent } => {
                self.inner_ended(now, place, run, how, spent, acts);
            }
            News::Due => self.due_now(now, acts),
            News::Pause(how) => self.pause(now, how, acts),
            News::Cancel => self.cancel(now, acts),
            News::Again { nodes } => self.again(now, &nodes, acts),
            News::Edited { plan, changes } => self.edit(now, plan, changes, acts),
        }
        self.advance(now, acts);
    }

    pub(super) fn head(&self, acts: &mut Vec<Act>) {
        acts.push(Act::Touch(Key::Run(self.id)));
    }

    pub(super) fn name(&self, node: u32) -> String {
        self.plan.node(node).id.to_string()
    }

    /// Begins what can begin, and ends when nothing is left.
    pub(super) fn advance(&mut self, now: Time, acts: &mut Vec<Act>) {
        while self.state.ended_at().is_none() {
            let has_slot = self.plan.concurrency == 0 || self.book.busy() < self.plan.concurrency;
            if self.state == RunState::Running && has_slot {
                self.tickets += 1;
                if let Some(place) = self.book.begin_next(self.tickets) {
                    acts.push(Act::Prepare { place, ticket: self.tickets });
                    continue;
                }
            }
            if self.book.open() > 0 {
                return;
            }
            if self.book.open_hooks() == 0 {
                self.finish(now, acts);
            } else if !self.choose_hook(now, acts) {
                return;
            }
        }
    }

    /// Nodes that could begin and shall not are over.
    pub(super) fn release(&mut self, now: Time, acts: &mut Vec<Act>) {
        let unwanted = |node: u32| self.unwanted(node).map(|why| (node, why));
        let unwanted: Vec<(u32, SkipWhy)> = self.book.ready().filter_map(unwanted).collect();
        for (node, why) in unwanted {
            self.conclude(now, node, How::Skipped(why), acts);
        }
    }

    /// Why a node shall not begin although nothing keeps it.
    pub(super) fn unwanted(&self, node: u32) -> Option<SkipWhy> {
        let occasion = self.plan.node(node).occasion;
        let missed = self.book.missed(node).filter(|_| occasion == Occasion::Needs);
        let over = is_over(occasion, self.doom.as_ref()).then_some(SkipWhy::RunOver);
        missed.map(SkipWhy::Need).or(over)
    }

    /// Everything else has ended: the hook for that begins, the other one is over. Whether anything changed.
    fn choose_hook(&mut self, now: Time, acts: &mut Vec<Act>) -> bool {
        let wanted = match &self.doom {
            None => Some(Occasion::Success),
            Some(Doom::Failed(_)) => Some(Occasion::Failure),
            Some(Doom::Cancelled | Doom::Killed) => None,
        };
        let hooks = (0..self.plan.graph.len()).filter(|node| self.plan.node(*node).occasion.is_hook());
        let is_pending = |node: &u32| self.nodes[*node as usize].state == NodeState::Pending;
        let undecided: Vec<u32> =
            hooks.filter(is_pending).filter(|node| !self.book.is_begun(*node)).collect();
        for node in &undecided {
            if Some(self.plan.node(*node).occasion) == wanted {
                self.book.make_ready(*node);
            } else {
                self.conclude(now, *node, How::Skipped(SkipWhy::Hook), acts);
            }
        }
        !undecided.is_empty()
    }

    fn finish(&mut self, now: Time, acts: &mut Vec<Act>) {
        let run = self.id;
        let took = now.since(self.created_at);
        let (state, kind) = match &self.doom {
            None => (RunState::Succeeded { at: now }, EventKind::RunSucceeded { run, took }),
            Some(Doom::Failed(failure)) => {
                let (code, message) = (failure.code.code().to_owned(), failure.message.clone());
                (
                    RunState::Failed { at: now, failure: failure.clone() },
                    EventKind::RunFailed { run, code, message },
                )
            }
            Some(Doom::Cancelled | Doom::Killed) => {
                (RunState::Cancelled { at: now }, EventKind::RunCancelled { run })
            }
        };
        thaw(&self.state, acts);
        self.state = state;
        self.head(acts);
        acts.extend([Act::Tell(kind), Act::Over]);
    }

    /// After a restart: what is being collected is collected again. What was being prepared is simply ready.
    fn go_on(&mut self, now: Time, acts: &mut Vec<Act>) {
        self.release(now, acts);
        for (place, node) in self.places() {
            if let NodeState::Collecting { task, .. } = node.state {
                acts.push(Act::Collect { place, task });
            }
        }
    }

    pub(super) fn set(&mut self, place: Place, state: NodeState, acts: &mut Vec<Act>) {
        let node = match place.item {
            None => &mut self.nodes[place.node as usize],
            Some(item) => self.items.entry((place.node, item)).or_default(),
        };
        let (was, is) = (node.state.is_active(), state.is_active());
        node.state = state;
        if was != is {
            self.book.meters(place).for_each(|meter| meter.turn(is));
        }
        acts.push(Act::Touch(Key::Node(self.id, place.node, place.item)));
    }

    pub(super) fn state_of(&self, place: Place) -> NodeState {
        self.node(place).map(|node| node.state.clone()).unwrap_or_default()
    }

    /// Whether what was prepared begins now. A run that stands still asks for it again later.
    pub(super) fn admits(&mut self, place: Place, ticket: u64) -> bool {
        let stands = self.book.take_ticket(place, ticket);
        if stands && self.state != RunState::Running {
            self.book.put_back(place);
            return false;
        }
        stands
    }

    fn prepared(&mut self, now: Time, place: Place, ticket: u64, what: Prepared, acts: &mut Vec<Act>) {
        if !self.admits(place, ticket) {
            return;
        }
        let (run, node) = (self.id, self.name(place.node));
        if let Some(reached) = what.uses_budget().then(|| self.reached(place)).flatten() {
            self.end_over_budget(now, place, reached, acts);
            return;
        }
        match what {
            Prepared::Task(mut task) => {
                self.bound(place, &mut task);
                self.set(place, NodeState::Active { since: now, task: task.id }, acts);
                let kind = EventKind::NodeStarted { run, node, item: place.item, task: Some(task.id) };
                // Told first: a task that is refused ends the node at once.
                acts.extend([Act::Tell(kind), Act::Submit { place, task }]);
            }
            Prepared::Failed(failure) => self.end_busy(now, place, How::Failed(Box::new(failure)), acts),
            Prepared::Done => self.end_busy(now, place, How::Succeeded(Output::Nothing), acts),
            Prepared::Skip => self.end_busy(now, place, How::Skipped(SkipWhy::When), acts),
            Prepared::Items(count) => {
                self.book.rest();
                self.set(place, NodeState::Fanned { since: now, count }, acts);
                acts.push(Act::Tell(EventKind::NodeStarted { run, node, item: None, task: None }));
                self.book.fan_out(place.node, count, self.plan.node(place.node).fan.unwrap_or_default());
                if count == 0 {
                    self.conclude(now, place.node, How::Succeeded(Output::Items(0)), acts);
                }
            }
            Prepared::Gate => self.ask(now, place.node, acts),
            Prepared::Sleep(until) => {
                self.book.rest();
                self.set(place, NodeState::Sleeping { since: now, until }, acts);
                self.book.expect(place.node, Some(until));
                acts.push(Act::Tell(EventKind::NodeWaiting { run, node, until: Some(until) }));
            }
            // What it is about is looked up first: see `Listens`.
            Prepared::Watch(_) => self.book.put_back(place),
            Prepared::Inner(mut start) => {
                start.bound = self.left(place);
                start.plan.budget = start.plan.budget.tighter(start.bound);
                self.book.rest();
                self.set(place, NodeState::Inside { since: now, run: start.id }, acts);
                let kind = EventKind::NodeStarted { run, node, item: place.item, task: None };
                acts.extend([Act::Tell(kind), Act::Start { place, run: start }]);
            }
        }
    }

    /// A node whose task nobody has begun is as if it had not begun.
    fn recall(&mut self, node: u32, acts: &mut Vec<Act>) {
        let place = Place::whole(node);
        if let NodeState::Active { .. } = self.state_of(place) {
            self.set(place, NodeState::Pending, acts);
            self.book.put_back(place);
            let reason = "an edit came before an agent began it".to_owned();
            acts.push(Act::Tell(EventKind::NodeRetried {
                run: self.id,
                node: self.name(node),
                item: None,
                reason,
            }));
        }
    }

    fn task_ended(&mut self, now: Time, place: Place, id: TaskId, how: How, acts: &mut Vec<Act>) {
        let NodeState::Active { since, task } = self.state_of(place) else { return };
        if task != id {
            return;
        }
        let is_kept = self.plan.node(place.node).result == ResultUse::Kept;
        if matches!(how, How::Succeeded(_)) && is_kept {
            self.set(place, NodeState::Collecting { since, task }, acts);
            acts.push(Act::Collect { place, task });
            return;
        }
        self.end_busy(now, place, how, acts);
    }

    fn collected(
        &mut self,
        now: Time,
        place: Place,
        id: TaskId,
        what: Result<Output, Failure>,
        acts: &mut Vec<Act>,
    ) {
        if !matches!(self.state_of(place), NodeState::Collecting { task, .. } if task == id) {
            return;
        }
        match what {
            Ok(output) => self.end_busy(now, place, How::Succeeded(output), acts),
            Err(failure) => {
                let tries = self.node(place).map_or(0, |node| node.tries);
                let is_stopped =
                    place.item.is_some() && self.book.fan(place.node).is_none_or(|fan| fan.stopped);
                let allowed = tries < self.plan.node(place.node).retries;
                let again = allowed && self.doom.is_none() && !is_stopped;
                if !again || failure.code != FailureCode::OutputInvalid {
                    self.end_busy(now, place, How::Failed(Box::new(failure)), acts);
                    return;
                }
                self.set(place, NodeState::Pending, acts);
                let node = match place.item {
                    None => &mut self.nodes[place.node as usize],
                    Some(item) => self.items.entry((place.node, item)).or_default(),
                };
                node.tries += 1;
                self.book.put_back(place);
                let (run, node) = (self.id, self.name(place.node));
                acts.push(Act::Tell(EventKind::NodeRetried {
                    run,
                    node,
                    item: place.item,
                    reason: failure.message,
                }));
            }
        }
    }

    fn inner_ended(
        &mut self,
        now: Time,
        place: Place,
        id: RunId,
        how: How,
        spent: Spent,
        acts: &mut Vec<Act>,
    ) {
        if matches!(self.state_of(place), NodeState::Inside { run, .. } if run == id) {
            self.charge(place, spent);
            self.tell_exhausted(place, acts);
            self.end(now, place, how, acts);
        }
    }

    fn due_now(&mut self, now: Time, acts: &mut Vec<Act>) {
        if matches!(self.clock, RunClock::At(at) if at <= now) && self.doom.is_none() {
            let span = self.plan.timeout.unwrap_or_default();
            let message = format!("the run took longer than {span}");
            self.doom(now, Doom::Failed(Box::new(Failure::new(FailureCode::TimeoutWorkflow, message))), acts);
            self.stop_tasks(acts);
        }
        while let Some((due, node)) = self.book.due() {
            if due > now {
                return;
            }
            match self.state_of(Place::whole(node)) {
                NodeState::Asking { .. } => self.lapse(now, node, acts),
                NodeState::Sleeping { until, .. } => {
                    self.book.unexpect(node, Some(until));
                    self.conclude(now, node, How::Succeeded(Output::Nothing), acts);
                }
                NodeState::Watching { since, watch, .. } => {
                    self.leave_watch(node);
                    let message = format!("no {watch} came within {}", now.since(since));
                    let failure = Failure::new(FailureCode::TimeoutEvent, message);
                    self.conclude(now, node, How::Failed(Box::new(failure)), acts);
                }
                NodeState::Pending
                | NodeState::Active { .. }
                | NodeState::Collecting { .. }
                | NodeState::Inside { .. }
                | NodeState::Fanned { .. }
                | NodeState::Ended(_) => self.book.unexpect(node, Some(due)),
            }
        }
    }

    fn cancel(&mut self, now: Time, acts: &mut Vec<Act>) {
        let doom = match &self.doom {
            Some(Doom::Cancelled | Doom::Killed) => Doom::Killed,
            Some(Doom::Failed(_)) | None => Doom::Cancelled,
        };
        // Somebody who ends a run that stands still does not want it to stand still.
        let was = self.state.clone();
        if let RunState::Paused { .. } = was {
            self.state = RunState::Running;
        }
        acts.push(Act::Tell(EventKind::RunCancelling { run: self.id }));
        self.doom(now, doom, acts);
        self.stop_tasks(acts);
        // Who is told to end must be able to hear it.
        thaw(&was, acts);
    }

    /// These nodes are done once more; everything else stays as it is.
    fn again(&mut self, now: Time, nodes: &[bool], acts: &mut Vec<Act>) {
        self.generation += 1;
        self.state = RunState::Running;
        self.doom = None;
        self.clock = self.plan.timeout.map_or(RunClock::None, |span| RunClock::At(now.plus(span)));
        self.head(acts);
        for node in (0..self.plan.graph.len()).filter(|node| nodes[*node as usize]) {
            // What was used is used.
            let spent = self.spent_by(Place::whole(node));
            let items: Vec<u32> = self.items(node).map(|(item, _)| item).collect();
            for item in items {
                self.items.remove(&(node, item));
                acts.push(Act::Touch(Key::Node(self.id, node, Some(item))));
            }
            self.nodes[node as usize] = Node { spent, ..Node::default() };
            acts.push(Act::Touch(Key::Node(self.id, node, None)));
        }
        self.book = Book::of(&self.plan, &self.nodes, &self.items, None);
        acts.push(Act::Tell(EventKind::RunRerun { run: self.id, generation: self.generation }));
        self.release(now, acts);
    }
}
