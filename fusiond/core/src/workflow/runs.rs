//! Workflows and runs among all that the daemon knows: finding and changing them, and letting go of ended ones.
//!
//! Not for: what a change means (`run`).

use crate::find::{is_id_part, only};
use crate::ids::{RunId, Uid, WorkflowId};
use crate::input::Caller;
use crate::reject::Reject;
use crate::state::State;
use crate::time::Time;
use crate::workflow::{Run, Want, Workflow};

/// Ended runs kept in memory; older ones stay on disk.
const RUNS_ENDED_IN_MEMORY: usize = 100;

impl State {
    /// The same with workflows and runs as stored. Runs carry their plans and nodes already.
    #[must_use]
    pub fn with_workflows(mut self, workflows: Vec<Workflow>, runs: Vec<Run>) -> Self {
        for workflow in workflows {
            self.index.enter_workflow(&workflow);
            self.workflows.insert(workflow.id, workflow);
        }
        for run in runs {
            self.recall_run(run);
        }
        self
    }

    /// Takes a run into memory that is stored. Of two with the same key the newer one has it.
    pub(crate) fn recall_run(&mut self, run: Run) {
        self.index.enter_run(&run);
        self.runs.insert(run.id, Box::new(run));
    }

    /// One run in memory.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id).map(AsRef::as_ref)
    }

    /// All runs in memory, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values().map(AsRef::as_ref)
    }

    /// One version of a workflow.
    #[must_use]
    pub fn workflow(&self, id: WorkflowId) -> Option<&Workflow> {
        self.workflows.get(&id)
    }

    /// All versions of all workflows, oldest first.
    pub fn workflows(&self) -> impl DoubleEndedIterator<Item = &Workflow> {
        self.workflows.values()
    }

    /// The newest version of a user's workflow.
    #[must_use]
    pub fn newest_workflow(&self, owner: Uid, name: &str) -> Option<&Workflow> {
        let versions = self.index.workflows.get(&owner)?.get(name)?;
        self.workflow(*versions.last()?)
    }

    /// The run in memory that `text` names for this caller: an id, a unique part of one, or `key:K`.
    ///
    /// # Errors
    /// [`Reject::RunNotFound`], also for what the caller may not see; [`Reject::AmbiguousId`].
    pub fn find_run(&self, caller: Caller, text: &str) -> Result<&Run, Reject> {
        let not_found = || Reject::RunNotFound { run: text.to_owned() };
        let seen = |id: RunId| self.run(id).filter(|run| Self::sees(caller, run.owner)).ok_or_else(not_found);
        if let Some(id) = RunId::parse(text) {
            return seen(id);
        }
        if let Some(key) = text.strip_prefix("key:") {
            return seen(*self.index.run_keys.get(&(caller.uid, key.into())).ok_or_else(not_found)?);
        }
        let part = text.strip_prefix(RunId::PREFIX).unwrap_or(text);
        if !is_id_part(part) {
            return Err(not_found());
        }
        let matching = self.runs().filter(|run| run.id.matches(part) && Self::sees(caller, run.owner));
        only("run", text, matching)?.ok_or_else(not_found)
    }

    /// What runs need from the engine; it is not asked for again.
    pub fn take_wants(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.wants)
    }

    /// Changes a run and keeps the index true. `None` when there is no such run.
    pub(crate) fn alter_run<R>(&mut self, id: RunId, change: impl FnOnce(&mut Run) -> R) -> Option<R> {
        let run = self.runs.get_mut(&id)?;
        self.index.leave_run(run);
        let result = change(run);
        self.index.enter_run(run);
        Some(result)
    }

    /// Drops ended runs beyond [`RUNS_ENDED_IN_MEMORY`] from memory, oldest first.
    pub(crate) fn trim_runs(&mut self) {
        while self.index.ended_runs.len() > RUNS_ENDED_IN_MEMORY {
            let Some((_, id)) = self.index.ended_runs.first().copied() else { return };
            self.drop_run(id);
        }
    }

    /// Drops one run from memory.
    fn drop_run(&mut self, id: RunId) {
        if let Some(run) = self.runs.remove(&id) {
            self.index.leave_run(&run);
        }
    }

    /// Drops one run from memory if it has ended before `cutoff`; whether it is not there any more.
    pub fn forget_ended_run(&mut self, id: RunId, cutoff: Time) -> bool {
        let unended = |run: &Run| run.state.ended_at().is_none_or(|at| at >= cutoff);
        if self.run(id).is_some_and(unended) {
            return false;
        }
        self.drop_run(id);
        true
    }
}
