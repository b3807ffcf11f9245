//! A run that stands still and goes on: what that means for its clock, its tasks and the runs within it.
//!
//! Not for: what becomes of agents and tasks (`freeze`).

use crate::event::EventKind;
use crate::ids::RunId;
use crate::input::PauseHow;
use crate::time::Time;
use crate::workflow::node::{Node, NodeState};
use crate::workflow::run::Act;
use crate::workflow::{Run, RunClock, RunState};

impl Run {
    /// Lets a paused run go on.
    pub(crate) fn resume(&mut self, now: Time, acts: &mut Vec<Act>) {
        thaw(&self.state, acts);
        self.state = RunState::Running;
        if let RunClock::Left(left) = self.clock {
            self.clock = RunClock::At(now.plus(left));
        }
        self.head(acts);
        acts.push(Act::Tell(EventKind::RunResumed { run: self.id }));
        let inner = self.inner_runs();
        acts.extend(inner.into_iter().map(Act::ResumeRun));
        self.advance(now, acts);
    }

    pub(super) fn pause(&mut self, now: Time, how: PauseHow, acts: &mut Vec<Act>) {
        let since = if let RunState::Paused { since, .. } = self.state { since } else { now };
        self.state = RunState::Paused { since, how };
        if let RunClock::At(at) = self.clock {
            self.clock = RunClock::Left(at.since(now));
        }
        self.head(acts);
        acts.push(Act::Tell(EventKind::RunPaused { run: self.id, how }));
        let tasks: Vec<Act> = {
            let tasks = self.places().filter_map(|(_, node)| match node.state {
                NodeState::Active { task, .. } => Some(Act::Freeze(task)),
                NodeState::Pending
                | NodeState::Collecting { .. }
                | NodeState::Asking { .. }
                | NodeState::Sleeping { .. }
                | NodeState::Watching { .. }
                | NodeState::Inside { .. }
                | NodeState::Fanned { .. }
                | NodeState::Ended(_) => None,
            });
            tasks.collect()
        };
        acts.extend(tasks);
        let inner = self.inner_runs();
        acts.extend(inner.into_iter().map(|run| Act::PauseRun(run, how)));
    }

    fn inner_runs(&self) -> Vec<RunId> {
        let inner = |node: &Node| match node.state {
            NodeState::Inside { run, .. } => Some(run),
            NodeState::Pending
            | NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Watching { .. }
            | NodeState::Fanned { .. }
            | NodeState::Ended(_) => None,
        };
        self.nodes.iter().chain(self.items.values()).filter_map(inner).collect()
    }
}

/// What stands still for a run in this state goes on.
pub(super) fn thaw(state: &RunState, acts: &mut Vec<Act>) {
    if matches!(state, RunState::Paused { .. }) {
        acts.push(Act::Thaw);
    }
}
