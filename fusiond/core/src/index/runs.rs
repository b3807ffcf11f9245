//! Workflows and runs in the index.

use super::{Index, Step, Timer, count, place, shift};
use crate::ids::RunId;
use crate::workflow::{Run, Workflow};
use std::collections::BTreeMap;

/// A name belongs to the newest that has it.
fn claim<K: Ord>(names: &mut BTreeMap<K, RunId>, name: K, run: RunId, by: Step) {
    match by {
        Step::Enter => {
            let holder = names.entry(name).or_insert(run);
            *holder = (*holder).max(run);
        }
        Step::Leave if names.get(&name) == Some(&run) => {
            names.remove(&name);
        }
        Step::Leave => {}
    }
}

impl Index {
    pub(crate) fn enter_workflow(&mut self, workflow: &Workflow) {
        let names = self.workflows.entry(workflow.owner).or_default();
        names.entry(workflow.name.clone()).or_default().insert(workflow.id);
    }

    pub(crate) fn leave_workflow(&mut self, workflow: &Workflow) {
        let names = self.workflows.entry(workflow.owner).or_default();
        let versions = names.entry(workflow.name.clone()).or_default();
        versions.remove(&workflow.id);
        if versions.is_empty() {
            names.remove(&workflow.name);
        }
        if names.is_empty() {
            self.workflows.remove(&workflow.owner);
        }
    }

    pub(crate) fn enter_run(&mut self, run: &Run) {
        self.move_run(run, Step::Enter);
    }

    pub(crate) fn leave_run(&mut self, run: &Run) {
        self.move_run(run, Step::Leave);
    }

    fn move_run(&mut self, run: &Run, by: Step) {
        count(&mut self.run_words, run.state.word(), by);
        if let Some(at) = run.due() {
            place(&mut self.timers, (at, Timer::Run(run.id)), by);
        }
        if let Some(key) = &run.spec.key {
            claim(&mut self.run_keys, (run.owner, key.clone()), run.id, by);
        }
        if run.spec.request != 0 {
            claim(&mut self.run_requests, (run.owner, run.spec.request), run.id, by);
        }
        if run.book.is_listening() {
            let listening = self.listening.entry(run.owner).or_default();
            place(listening, run.id, by);
            if listening.is_empty() {
                self.listening.remove(&run.owner);
            }
        }
        match run.state.ended_at() {
            Some(at) => place(&mut self.ended_runs, (at, run.id), by),
            None => {
                let open = self.open_runs.entry(run.owner).or_default();
                shift(open, by);
                if *open == 0 {
                    self.open_runs.remove(&run.owner);
                }
            }
        }
    }
}
