//! Which runs work through a task file, and what of it is done: said to the hands when it is on disk.
//!
//! It is said as a whole each time, so that what a crash lost is made up for at the next start. Not for: writing
//! (`runtime::boxes`).

use super::Loop;
use crate::engine::unread;
use crate::engine::workflow::{Script, kept};
use crate::runtime::Ticks;
use fusion_core::workflow::{How, NodeState, Run};
use fusion_core::{EventKind, Millis, RunId, Time};
use std::collections::BTreeSet;

/// Of runs that ended longer ago, everything has been written: people may have changed boxes since.
const MEND_WITHIN: Millis = Millis(24 * 3_600_000);

impl Loop {
    /// Nodes have succeeded: their boxes are ticked.
    pub(super) fn write_back(&mut self) {
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        for event in &self.out.events {
            if let EventKind::NodeSucceeded { run, item: None, .. } = &event.kind {
                runs.insert(*run);
            }
        }
        for id in runs {
            let file = self.script(id).and_then(|script| script.definition().tasks_file.clone());
            self.say_done(id, file);
        }
    }

    /// After a start: what was not written any more is.
    pub(super) fn write_back_again(&mut self) {
        let now = self.clock.now();
        let may_lack = |run: &&Run| run.state.ended_at().is_none_or(|at| is_recent(now, at));
        let runs: Vec<RunId> = self.state.runs().filter(may_lack).map(|run| run.id).collect();
        let reader = self.store.reader();
        for id in runs {
            let body = unread::or_nothing("the definition of a run", reader.get(&kept::script_key(id)));
            let script = body.and_then(|body| Script::decode(&body));
            let file = script.and_then(|script| script.definition().tasks_file.clone());
            self.say_done(id, file);
        }
    }

    fn say_done(&self, id: RunId, file: Option<String>) {
        let (Some(run), Some(file)) = (self.state.run(id), file) else { return };
        let nodes = done(run);
        if !nodes.is_empty() {
            self.runtime.tick(Ticks { owner: run.owner, run: id, file, nodes });
        }
    }
}

fn is_recent(now: Time, at: Time) -> bool {
    now.since(at).0 <= MEND_WITHIN.0
}

/// The nodes that have succeeded.
fn done(run: &Run) -> Vec<String> {
    let named = run.plan.nodes.iter().zip(run.nodes());
    let succeeded = named.filter(|(_, node)| match &node.state {
        NodeState::Ended(end) => matches!(end.how, How::Succeeded(_)),
        NodeState::Pending
        | NodeState::Active { .. }
        | NodeState::Collecting { .. }
        | NodeState::Asking { .. }
        | NodeState::Sleeping { .. }
        | NodeState::Watching { .. }
        | NodeState::Inside { .. }
        | NodeState::Fanned { .. } => false,
    });
    succeeded.map(|(plan, _)| plan.id.to_string()).collect()
}
