//! Ends of nodes, of their items and of what is left of a run, and what follows from them within it.
//!
//! Not for: other news (`run`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::time::Time;
use crate::workflow::book::{Fan, is_missed, is_over};
use crate::workflow::node::{End, How, Node, NodeState, Output, Place, SkipWhy};
use crate::workflow::plan::{Occasion, OnFailure};
use crate::workflow::run::Act;
use crate::workflow::{Doom, Run};

impl Run {
    /// A place that had a slot is over.
    pub(super) fn end_busy(&mut self, now: Time, place: Place, how: How, acts: &mut Vec<Act>) {
        self.book.rest();
        self.end(now, place, how, acts);
    }

    /// A place is over.
    pub(super) fn end(&mut self, now: Time, place: Place, how: How, acts: &mut Vec<Act>) {
        match place.item {
            None => self.conclude(now, place.node, how, acts),
            Some(item) => self.end_item(now, place.node, item, how, acts),
        }
    }

    pub(super) fn end_item(&mut self, now: Time, node: u32, item: u32, how: How, acts: &mut Vec<Act>) {
        let place = Place { node, item: Some(item) };
        let state = self.state_of(place);
        let went_well = matches!(how, How::Succeeded(_));
        acts.push(Act::Tell(self.told(node, Some(item), &how)));
        let end = End { since: state.since(), at: now, task: state.task(), how };
        self.set(place, NodeState::Ended(end), acts);
        let policy = self.plan.node(node).on_failure;
        let was_stopped = self.book.fan(node).is_some_and(|fan| fan.stopped);
        let mut fan = self.book.end_item(node, went_well, policy);
        if fan.as_ref().is_some_and(|fan| fan.stopped) {
            fan = self.book.stop_fan(node);
            if !was_stopped {
                self.withdraw(node, acts);
            }
        }
        if fan.is_some_and(|fan| fan.is_over()) {
            self.conclude_fan(now, node, acts);
        }
    }

    /// All items of a node have ended, or no more will begin.
    fn conclude_fan(&mut self, now: Time, node: u32, acts: &mut Vec<Act>) {
        let Some(fan) = self.book.fan(node) else { return };
        let how = if fan.failed == 0 && fan.ended == fan.count {
            How::Succeeded(Output::Items(fan.count))
        } else {
            self.how_items_failed(node, fan)
        };
        self.conclude(now, node, how, acts);
    }

    /// How a node ends of which not all items ended well: what failed by itself says why, and what was ended with its run
    /// is no failure.
    fn how_items_failed(&self, node: u32, fan: &Fan) -> How {
        let failures = || {
            self.items(node).filter_map(|(item, own)| match own.state.end().map(|end| &end.how) {
                Some(How::Failed(failure)) => Some((item, failure.message.as_str())),
                Some(How::Cancelled | How::Succeeded(_) | How::Skipped(_)) | None => None,
            })
        };
        let (count, first) = match failures().next() {
            Some(first) => (u32::try_from(failures().count()).unwrap_or(u32::MAX), first),
            None if self.doom.is_some() || fan.failed == 0 => return How::Cancelled,
            None => {
                let cancelled =
                    |own: &Node| matches!(own.state.end().map(|end| &end.how), Some(How::Cancelled));
                let first = self.items(node).find(|(_, own)| cancelled(own)).map_or(0, |(item, _)| item);
                (fan.failed, (first, "cancelled"))
            }
        };
        let (item, why) = first;
        let message = format!("{count} of {} items failed; item {item}: {why}", fan.count);
        How::Failed(Box::new(Failure::new(FailureCode::ItemsFailed, message)))
    }

    /// Ends what agents do for the run.
    pub(super) fn stop_tasks(&mut self, acts: &mut Vec<Act>) {
        for node in self.nodes.iter().chain(self.items.values()) {
            match node.state {
                NodeState::Active { task, .. } => acts.push(Act::CancelTask(task)),
                NodeState::Inside { run, .. } => acts.push(Act::CancelRun(run)),
                NodeState::Pending
                | NodeState::Collecting { .. }
                | NodeState::Asking { .. }
                | NodeState::Sleeping { .. }
                | NodeState::Watching { .. }
                | NodeState::Fanned { .. }
                | NodeState::Ended(_) => {}
            }
        }
    }

    /// From now on nothing begins but what is done always.
    pub(super) fn doom(&mut self, now: Time, doom: Doom, acts: &mut Vec<Act>) {
        let kills = doom == Doom::Killed;
        self.doom = Some(doom);
        self.head(acts);
        for node in 0..self.plan.graph.len() {
            let spared = match self.plan.node(node).occasion {
                Occasion::Needs | Occasion::Never => false,
                Occasion::Always => !kills,
                Occasion::Success | Occasion::Failure => true,
            };
            if !spared {
                self.drop_node(now, node, acts);
                self.withdraw(node, acts);
            }
        }
    }

    /// Tasks of a node and its items that wait for an agent do not begin any more.
    fn withdraw(&self, node: u32, acts: &mut Vec<Act>) {
        let places = self.nodes.get(node as usize).into_iter().chain(self.items(node).map(|(_, item)| item));
        let active = places.filter(|own| own.state.is_active());
        acts.extend(active.filter_map(|own| own.state.task()).map(Act::Withdraw));
    }

    /// Whether a task of a place may begin once more.
    pub(crate) fn goes_on_with(&self, place: Place) -> bool {
        let is_stopped = place.item.is_some() && self.book.fan(place.node).is_none_or(|fan| fan.stopped);
        !is_over(self.plan.node(place.node).occasion, self.doom.as_ref()) && !is_stopped
    }

    /// A node that no agent works on is over, and no further item of it begins.
    fn drop_node(&mut self, now: Time, node: u32, acts: &mut Vec<Act>) {
        match self.nodes[node as usize].state {
            NodeState::Pending => {
                let why = self.book.missed(node).map_or(SkipWhy::RunOver, SkipWhy::Need);
                self.conclude(now, node, How::Skipped(why), acts);
            }
            NodeState::Asking { expires_at: due, .. } => {
                self.book.unexpect(node, due);
                self.conclude(now, node, How::Cancelled, acts);
            }
            NodeState::Sleeping { until, .. } => {
                self.book.unexpect(node, Some(until));
                self.conclude(now, node, How::Cancelled, acts);
            }
            NodeState::Watching { expires_at, ref watch, .. } => {
                self.book.unlisten(node, watch);
                self.book.unexpect(node, expires_at);
                self.conclude(now, node, How::Cancelled, acts);
            }
            NodeState::Fanned { .. } => {
                if self.book.stop_fan(node).is_some_and(|fan| fan.is_over()) {
                    self.conclude_fan(now, node, acts);
                }
            }
            NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Inside { .. }
            | NodeState::Ended(_) => {}
        }
    }

    fn told(&self, node: u32, item: Option<u32>, how: &How) -> EventKind {
        let (run, name) = (self.id, self.name(node));
        match how {
            How::Succeeded(_) => EventKind::NodeSucceeded { run, node: name, item },
            How::Failed(failure) => {
                let (code, message) = (failure.code.code().to_owned(), failure.message.clone());
                EventKind::NodeFailed { run, node: name, item, code, message }
            }
            How::Skipped(why) => EventKind::NodeSkipped { run, node: name, reason: self.why_skipped(*why) },
            How::Cancelled => EventKind::NodeCancelled { run, node: name, item },
        }
    }

    /// Why a node was not done, in words.
    #[must_use]
    pub fn why_skipped(&self, why: SkipWhy) -> String {
        match why {
            SkipWhy::When => "its `when` is not true".to_owned(),
            SkipWhy::Need(node) => match self.nodes[node as usize].state.end().map(|end| end.how.word()) {
                Some(word @ ("skipped" | "cancelled")) => {
                    format!("{}, which it needs, was {word}", self.plan.node(node).id)
                }
                Some(_) | None => format!("{}, which it needs, failed", self.plan.node(node).id),
            },
            SkipWhy::RunOver => "the run was over before".to_owned(),
            SkipWhy::Hook => "the run ended otherwise".to_owned(),
            SkipWhy::Removed => "an edit removed it".to_owned(),
        }
    }

    /// A node has ended: what needs it is freed or skipped, and the run may be lost.
    pub(super) fn conclude(&mut self, now: Time, node: u32, how: How, acts: &mut Vec<Act>) {
        let mut work = vec![(node, how)];
        while let Some((node, how)) = work.pop() {
            let state = &self.nodes[node as usize].state;
            if state.end().is_some() {
                continue;
            }
            let plan = self.plan.node(node);
            let missed = is_missed(&how, plan.on_failure);
            let fails = matches!(how, How::Failed(_) | How::Cancelled) && plan.on_failure == OnFailure::Fail;
            let failure = fails.then(|| Box::new(lost_by(&plan.id, &how)));
            let end = End { since: state.since(), at: now, task: state.task(), how };
            self.book.forget(node);
            acts.push(Act::Tell(self.told(node, None, &end.how)));
            self.set(Place::whole(node), NodeState::Ended(end), acts);
            for freed in self.book.end(&self.plan.clone(), node, missed) {
                if self.nodes[freed as usize].state != NodeState::Pending {
                    continue;
                }
                match self.unwanted(freed) {
                    Some(why) => work.push((freed, How::Skipped(why))),
                    None => self.book.make_ready(freed),
                }
            }
            if let Some(failure) = failure.filter(|_| self.doom.is_none()) {
                self.doom(now, Doom::Failed(failure), acts);
            }
        }
    }
}

/// How the end of a node reads as the failure of its run.
pub(super) fn lost_by(id: &str, how: &How) -> Failure {
    match how {
        How::Failed(failure) => Failure::new(failure.code, format!("node {id}: {}", failure.message)),
        How::Cancelled => Failure::new(FailureCode::Cancelled, format!("node {id} was cancelled")),
        How::Succeeded(_) | How::Skipped(_) => Failure::new(FailureCode::Cancelled, format!("node {id}")),
    }
}
