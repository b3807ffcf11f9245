//! A store that keeps what was committed and nothing else. Values go through serde, as on disk.
//!
//! Not for: torn writes and full disks, which are the real store's business.

use fusion_core::profile::UserProfiles;
use fusion_core::state::Meta;
use fusion_core::workflow::{Node, Place, Plan};
use fusion_core::{
    Agent, Attempt, Config, Event, Key, Out, Run, RunId, Secret, State, Task, TaskId, Uid, Workflow,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Store {
    values: BTreeMap<Key, Vec<u8>>,
    pub(crate) events: Vec<Event>,
    /// The plans that runs have had, by revision, also those that came and went within a batch.
    plans: BTreeMap<(RunId, u32), Arc<Plan>>,
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("entities are plain data")
}

/// The present stored form of what `key` names; `None` when it is gone.
fn image(state: &State, key: Key) -> Option<Vec<u8>> {
    match key {
        Key::Meta => Some(bytes(&state.meta)),
        Key::Agent(id) => state.agent(id).map(bytes),
        Key::Task(id) => state.task(id).map(bytes),
        Key::Secret(id) => state.secret(id).map(bytes),
        Key::Profiles(owner) => state.profiles_of(owner).map(bytes),
        Key::Workflow(id) => state.workflow(id).map(bytes),
        Key::Run(id) => state.run(id).map(bytes),
        Key::Plan(id) => state.run(id).map(|run| bytes(&*run.plan)),
        Key::Node(run, node, item) => {
            let node = state.run(run)?.node(Place { node, item })?;
            (*node != Node::default()).then(|| bytes(node))
        }
        Key::Attempt(id, number) => {
            state.task(id)?.attempts.iter().find(|attempt| attempt.number == number).map(bytes)
        }
    }
}

impl Store {
    /// Writes a batch, all of it at once.
    pub(crate) fn commit(&mut self, state: &State, out: &Out) -> Result<(), String> {
        for key in &out.touched {
            match image(state, *key) {
                Some(value) => self.values.insert(*key, value),
                None => self.values.remove(key),
            };
        }
        for event in &out.events {
            let expected = self.events.len() as u64 + 1;
            if event.seq != expected {
                return Err(format!("event {} where {expected} was due", event.seq));
            }
            self.events.push(event.clone());
        }
        Ok(())
    }

    /// Keeps the plans of runs that were given one in this batch.
    pub(crate) fn keep_plans(&mut self, state: &State, out: &Out) {
        for key in &out.touched {
            if let Key::Plan(id) = key
                && let Some(run) = state.run(*id)
            {
                self.plans.insert((*id, run.revision), Arc::clone(&run.plan));
            }
        }
    }

    /// The plan that a run had in this revision.
    pub(crate) fn plan(&self, id: RunId, revision: u32) -> Option<Arc<Plan>> {
        self.plans.get(&(id, revision)).cloned()
    }

    /// One task with its attempts.
    pub(crate) fn task(&self, id: TaskId) -> Option<Task> {
        let mut task: Task = serde_json::from_slice(self.values.get(&Key::Task(id))?).expect("written above");
        let attempts = self.values.range(Key::Attempt(id, 0)..=Key::Attempt(id, u32::MAX));
        task.attempts = attempts.map(|(_, value)| read_attempt(value)).collect();
        Some(task)
    }

    /// The task of an idempotency key.
    pub(crate) fn task_of_key(&self, owner: Uid, text: &str) -> Option<Task> {
        let is_meant = |task: &Task| task.owner == owner && task.spec.key.as_deref() == Some(text);
        self.task_ids().into_iter().filter_map(|id| self.task(id)).find(is_meant)
    }

    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        let id = |key: &Key| match key {
            Key::Task(id) => Some(*id),
            Key::Meta
            | Key::Agent(_)
            | Key::Attempt(..)
            | Key::Secret(_)
            | Key::Profiles(_)
            | Key::Workflow(_)
            | Key::Run(_)
            | Key::Plan(_)
            | Key::Node(..) => None,
        };
        self.values.keys().filter_map(id).collect()
    }

    fn agents(&self) -> Vec<Agent> {
        let agents = self.values.iter().filter(|(key, _)| matches!(key, Key::Agent(_)));
        agents.map(|(_, value)| serde_json::from_slice(value).expect("written above")).collect()
    }

    fn secrets(&self) -> Vec<Secret> {
        let secrets = self.values.iter().filter(|(key, _)| matches!(key, Key::Secret(_)));
        secrets.map(|(_, value)| serde_json::from_slice(value).expect("written above")).collect()
    }

    fn profiles(&self) -> Vec<UserProfiles> {
        let profiles = self.values.iter().filter(|(key, _)| matches!(key, Key::Profiles(_)));
        profiles.map(|(_, value)| serde_json::from_slice(value).expect("written above")).collect()
    }

    fn workflows(&self) -> Vec<Workflow> {
        let workflows = self.values.iter().filter(|(key, _)| matches!(key, Key::Workflow(_)));
        workflows.map(|(_, value)| serde_json::from_slice(value).expect("written above")).collect()
    }

    fn runs(&self) -> Vec<Run> {
        let run = |(key, value): (&Key, &Vec<u8>)| match key {
            Key::Run(id) => Some(self.whole_run(*id, serde_json::from_slice(value).expect("written above"))),
            Key::Meta
            | Key::Agent(_)
            | Key::Attempt(..)
            | Key::Secret(_)
            | Key::Profiles(_)
            | Key::Workflow(_)
            | Key::Task(_)
            | Key::Plan(_)
            | Key::Node(..) => None,
        };
        self.values.iter().filter_map(run).collect()
    }

    /// One run with its plan and its nodes.
    pub(crate) fn run(&self, id: RunId) -> Option<Run> {
        let run = serde_json::from_slice(self.values.get(&Key::Run(id))?).expect("written above");
        Some(self.whole_run(id, run))
    }

    fn whole_run(&self, id: RunId, run: Run) -> Run {
        let plan: Plan = serde_json::from_slice(&self.values[&Key::Plan(id)]).expect("written above");
        let nodes = self.values.range(Key::Node(id, 0, None)..=Key::Node(id, u32::MAX, Some(u32::MAX)));
        let nodes = nodes.filter_map(|(key, value)| match key {
            Key::Node(_, node, item) => {
                let place = Place { node: *node, item: *item };
                Some((place, serde_json::from_slice(value).expect("written above")))
            }
            Key::Meta
            | Key::Agent(_)
            | Key::Attempt(..)
            | Key::Secret(_)
            | Key::Profiles(_)
            | Key::Workflow(_)
            | Key::Task(_)
            | Key::Run(_)
            | Key::Plan(_) => None,
        });
        run.with(Arc::new(plan), nodes.collect())
    }

    /// What a daemon finds at its start.
    pub(crate) fn load(&self, config: Config) -> State {
        let meta: Option<Meta> =
            self.values.get(&Key::Meta).map(|value| serde_json::from_slice(value).expect("written above"));
        let tasks: Vec<_> = self.task_ids().into_iter().filter_map(|id| self.task(id)).collect();
        State::load(config, meta, self.events.len() as u64, self.agents(), tasks)
            .with_secrets(self.secrets())
            .with_profiles(self.profiles())
            .with_workflows(self.workflows(), self.runs())
    }

    /// Compares with a state of which everything was committed.
    pub(crate) fn compare(&self, state: &State) -> Result<(), String> {
        for agent in self.agents() {
            if state.agent(agent.id) != Some(&agent) {
                return Err(format!("{} was changed and not touched", agent.id));
            }
        }
        for secret in self.secrets() {
            if state.secret(secret.id) != Some(&secret) {
                return Err(format!("{} was changed and not touched", secret.id));
            }
        }
        if !self.profiles().iter().eq(state.profiles()) {
            return Err("profiles were changed and not touched".to_owned());
        }
        for run in self.runs() {
            let head = |run: &Run| {
                let Run { spec, state, doom, clock, generation, revision, plan, .. } = run.clone();
                (spec, state, doom, clock, generation, revision, plan)
            };
            let same = |live: &Run| head(live) == head(&run) && live.places().eq(run.places());
            if !state.run(run.id).is_some_and(same) {
                return Err(format!("{} was changed and not touched", run.id));
            }
        }
        for task in state.tasks() {
            if self.task(task.id).as_ref() != Some(task) {
                return Err(format!("{} was changed and not touched", task.id));
            }
        }
        Ok(())
    }
}

fn read_attempt(value: &[u8]) -> Attempt {
    serde_json::from_slice(value).expect("written above")
}
