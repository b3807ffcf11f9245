//! What the written events of runs promise: nothing begins before what it needs, nothing twice, nothing after the end;
//! an edit changes nothing that has begun.
//!
//! A second opinion: it knows the graphs that each run has had and the events, and nothing else. Not for: the state's own invariants
//! (`State::check`).

use crate::store::Store;
use fusion_core::event::Subject;
use fusion_core::workflow::{How, NodeState, Occasion, OnFailure, Output, Place, Plan, Watch};
use fusion_core::{Cost, Event, EventKind, Run, RunId, TaskId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Runs {
    runs: BTreeMap<RunId, Story>,
    /// For which place each task was begun.
    tasks: BTreeMap<TaskId, (RunId, Name)>,
    /// What attempts of each run said that they cost.
    costs: BTreeMap<RunId, Cost>,
}

/// A node by its name, and the item of it.
type Name = (String, Option<u32>);

#[derive(Clone)]
struct Story {
    plan: Arc<Plan>,
    revision: u32,
    generation: u32,
    is_paused: bool,
    paused_at: Option<Time>,
    ended: bool,
    /// Places that were begun in this version of the run and are not to be begun again.
    begun: BTreeSet<Name>,
    /// How places ended; of nodes that are done once more, as long as they have not begun again.
    ends: BTreeMap<Name, Ending>,
    /// Nodes that ended in this version of the run.
    fresh: BTreeSet<Name>,
    /// Nodes that wait, since which event, and for what if it is for an event.
    waits: BTreeMap<String, (u64, Option<Watch>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Well,
    Badly,
    Skipped,
}

impl Runs {
    /// One more event.
    pub(crate) fn record(&mut self, event: &Event, store: &Store) -> Result<(), String> {
        self.record_task(event, store)?;
        self.record_cost(event);
        let Subject::Run(id) = event.kind.subject() else { return Ok(()) };
        let told = self.record_run(id, event, store);
        told.map_err(|broken| format!("{broken}: {id}, {:?}", event.kind))
    }

    fn record_run(&mut self, id: RunId, event: &Event, store: &Store) -> Result<(), String> {
        if let EventKind::RunStarted { .. } = &event.kind {
            let plan = store.plan(id, 1).ok_or("it has no plan")?;
            return match self.runs.insert(id, Story::new(plan)) {
                None => Ok(()),
                Some(_) => Err("it began twice".to_owned()),
            };
        }
        if let EventKind::NodeStarted { node, item, task: Some(task), .. } = &event.kind
            && self.tasks.insert(*task, (id, (node.clone(), *item))).is_some()
        {
            return Err("its task was begun before".to_owned());
        }
        let story = self.runs.get_mut(&id).ok_or("it never began")?;
        if let EventKind::RunEdited { revision, .. } = &event.kind {
            return story.edit(*revision, store.plan(id, *revision).ok_or("it has no such plan")?);
        }
        if let EventKind::RunPaused { .. } = &event.kind
            && !story.is_paused
        {
            story.paused_at = Some(event.at);
        }
        story.record(&event.kind)?;
        story.record_wait(id, event, store)
    }

    fn record_cost(&mut self, event: &Event) {
        if let EventKind::AttemptExited { task, exit, .. } = &event.kind
            && let Some((run, _)) = self.tasks.get(task)
        {
            let cost = self.costs.entry(*run).or_default();
            *cost = cost.and(exit.cost);
        }
    }

    /// Each run that has ended has used what its attempts said, in all its generations, and what runs within it have.
    pub(crate) fn miscounted(&self, store: &Store) -> Result<(), String> {
        let runs: Vec<Run> = self.runs.keys().filter_map(|id| store.run(*id)).collect();
        for run in runs.iter().filter(|run| run.state.ended_at().is_some()) {
            let inner =
                runs.iter().filter(|inner| inner.spec.parent.is_some_and(|(parent, _)| parent == run.id));
            let own = self.costs.get(&run.id).copied().unwrap_or_default();
            let expected = inner.fold(own, |sum, inner| sum.and(inner.spent().cost));
            if run.spent().cost != expected {
                return Err(format!("{} has used {:?}, and {expected:?} was told", run.id, run.spent().cost));
            }
        }
        Ok(())
    }

    /// A node's task is given to an agent only when what the node needs has ended.
    fn record_task(&self, event: &Event, store: &Store) -> Result<(), String> {
        let EventKind::TaskStarted { task, .. } = &event.kind else { return Ok(()) };
        let Some((run, (node, item))) = self.tasks.get(task) else { return Ok(()) };
        let story = self.runs.get(run).ok_or("a task of a run that never began")?;
        let given = store.task(*task).and_then(|task| Some(task.attempts.last()?.dispatched_at));
        if story.is_paused && given.zip(story.paused_at).is_some_and(|(given, paused)| given > paused) {
            return Err(format!("{task} starts although {run} is paused"));
        }
        let at = story.plan.find(node).ok_or("a node that does not exist")?;
        if story.ends.contains_key(&(node.clone(), *item)) {
            return Err(format!("{task} starts although {node} of {run} has ended"));
        }
        story.has_needs(at).map_err(|broken| format!("{task} starts too early: {broken}"))
    }
}

/// Whether an event is one of those, as the definition's reference tells it.
fn is_of(watch: &Watch, event: &Event) -> bool {
    let word = event.kind.word();
    watch.kinds.iter().any(|kind| match kind.strip_suffix('*') {
        Some(room) => word.starts_with(room),
        None => **kind == *word,
    })
}

impl Runs {
    /// No node waits for an event that came after it began to wait.
    pub(crate) fn missed(&self, store: &Store) -> Result<(), String> {
        for (id, story) in &self.runs {
            for (node, (since, watch)) in &story.waits {
                let Some(watch) = watch.as_ref().filter(|watch| watch.about.is_empty()) else { continue };
                let owner = store.run(*id).map(|run| run.owner);
                let mut later = store.events.iter().filter(|event| event.seq > *since);
                if let Some(event) = later.find(|event| event.owner == owner && is_of(watch, event)) {
                    return Err(format!("{node} of {id} waits for {watch}, and {} was one", event.seq));
                }
            }
        }
        Ok(())
    }
}

impl Story {
    fn new(plan: Arc<Plan>) -> Self {
        let (begun, ends, fresh, waits) = Default::default();
        Self {
            plan,
            revision: 1,
            generation: 1,
            is_paused: false,
            paused_at: None,
            ended: false,
            begun,
            ends,
            fresh,
            waits,
        }
    }

    fn record(&mut self, kind: &EventKind) -> Result<(), String> {
        if let EventKind::RunRerun { generation, .. } = kind {
            return self.again(*generation);
        }
        match kind.word() {
            "run.paused" => self.is_paused = true,
            "run.resumed" | "run.cancelling" => self.is_paused = false,
            "run.succeeded" | "run.failed" | "run.cancelled" => return self.end(),
            word => self.record_node(word, kind)?,
        }
        if self.ended { Err("something happened after its end".to_owned()) } else { Ok(()) }
    }

    fn record_node(&mut self, word: &str, kind: &EventKind) -> Result<(), String> {
        if let EventKind::NodeStarted { node, item, .. } = kind {
            self.begin((node.clone(), *item))
        } else if let EventKind::NodeWaiting { node, .. } | EventKind::NodeAsked { node, .. } = kind {
            self.begin((node.clone(), None))
        } else if let EventKind::NodeRetried { node, item, .. } = kind {
            let was_begun = self.begun.remove(&(node.clone(), *item));
            if was_begun { Ok(()) } else { Err("it is done again and never was".to_owned()) }
        } else if let EventKind::NodeSucceeded { node, item, .. } = kind {
            self.end_place(node, *item, Ending::Well)
        } else if let EventKind::NodeFailed { node, item, .. } | EventKind::NodeCancelled { node, item, .. } =
            kind
        {
            self.end_place(node, *item, Ending::Badly)
        } else if let EventKind::NodeSkipped { node, .. } = kind {
            self.end_place(node, None, Ending::Skipped)
        } else if word == "node.decided" {
            Ok(())
        } else {
            Err("an event of a run that nobody knows".to_owned())
        }
    }

    /// A node that waits for an event ends with the first that it waits for, of its owner, after it began.
    fn record_wait(&mut self, id: RunId, event: &Event, store: &Store) -> Result<(), String> {
        let Some(node) = event.kind.node() else { return Ok(()) };
        let at = self.plan.find(node).ok_or("a node that does not exist")?;
        let run = store.run(id).ok_or("it is not in the store")?;
        let now = run.node(Place::whole(at)).map(|node| node.state.clone());
        if let EventKind::NodeWaiting { .. } = &event.kind {
            let watch = if let Some(NodeState::Watching { watch, .. }) = now { Some(*watch) } else { None };
            self.waits.insert(node.to_owned(), (event.seq, watch));
            return Ok(());
        }
        let Some((since, watch)) = self.waits.remove(node) else { return Ok(()) };
        let (EventKind::NodeSucceeded { .. }, Some(How::Succeeded(Output::Event(heard)))) =
            (&event.kind, now.as_ref().and_then(NodeState::end).map(|end| &end.how))
        else {
            return Ok(());
        };
        let behind = usize::try_from(since).expect("few events");
        let until = usize::try_from(*heard).expect("few events");
        let found =
            store.events.get(until - 1).filter(|found| found.seq > since && found.owner == Some(run.owner));
        let found = found.ok_or("it heard of what it may not hear of, or too early")?;
        let Some(watch) = watch else { return Ok(()) };
        if !is_of(&watch, found) {
            return Err(format!("it waits for {watch} and ended with {}", found.kind.word()));
        }
        let mut earlier = store.events[behind..until - 1].iter();
        let missed = |event: &&Event| event.owner == Some(run.owner) && is_of(&watch, event);
        match earlier.find(missed).filter(|_| watch.about.is_empty()) {
            Some(missed) => Err(format!("it missed event {}", missed.seq)),
            None => Ok(()),
        }
    }

    /// Which nodes are done once more is not said: each may be, until it has begun.
    fn again(&mut self, generation: u32) -> Result<(), String> {
        if !self.ended || generation != self.generation + 1 {
            return Err("it is run again out of order".to_owned());
        }
        self.generation = generation;
        self.is_paused = false;
        self.ended = false;
        self.begun.clear();
        self.fresh.clear();
        Ok(())
    }

    /// Another plan: what has begun and what went well stays as it is, and what is gone has no end.
    fn edit(&mut self, revision: u32, plan: Arc<Plan>) -> Result<(), String> {
        if revision != self.revision + 1 {
            return Err("it is edited out of order".to_owned());
        }
        for at in (0..self.plan.graph.len()).filter(|at| self.is_settled(*at)) {
            let (was, is) = (self.plan.node(at), plan.node(at));
            if was != is || self.plan.graph.needs(at) != plan.graph.needs(at) {
                return Err(format!("an edit changed {}, which had begun", was.id));
            }
        }
        (self.revision, self.plan) = (revision, plan);
        let gone = |plan: &Plan, node: &str| {
            plan.find(node).is_none_or(|at| plan.node(at).occasion == Occasion::Never)
        };
        let plan = &self.plan;
        self.ends.retain(|(node, _), _| !gone(plan, node));
        self.fresh.retain(|(node, _)| !gone(plan, node));
        Ok(())
    }

    /// Whether a node must stay as it is: of a run that goes on, what has begun; of one that has ended, what went well.
    fn is_settled(&self, at: u32) -> bool {
        let node = self.plan.node(at);
        let name = (node.id.to_string(), None);
        let went_well = self.ends.get(&name) == Some(&Ending::Well);
        if self.ended {
            went_well && !node.occasion.is_hook()
        } else {
            self.begun.contains(&name) || self.fresh.contains(&name)
        }
    }

    fn begin(&mut self, name: Name) -> Result<(), String> {
        if self.is_paused {
            return Err("a node begins although the run is paused".to_owned());
        }
        let at = self.plan.find(&name.0).ok_or("a node that does not exist")?;
        if self.fresh.contains(&(name.0.clone(), None)) || self.fresh.contains(&name) {
            return Err("a node begins that has ended".to_owned());
        }
        self.has_needs(at)?;
        if name.1.is_none() {
            self.ends.retain(|(node, _), _| *node != name.0);
        }
        self.ends.remove(&name);
        if self.begun.insert(name) { Ok(()) } else { Err("a node begins twice".to_owned()) }
    }

    /// Whether everything that a node needs has ended so that it may begin.
    fn has_needs(&self, at: u32) -> Result<(), String> {
        let node = self.plan.node(at);
        let hooks = node.occasion.is_hook();
        let is_step = |other: &u32| {
            let occasion = self.plan.node(*other).occasion;
            occasion != Occasion::Never && !occasion.is_hook()
        };
        let others = (0..self.plan.graph.len()).filter(is_step);
        let needs: Vec<u32> = if hooks { others.collect() } else { self.plan.graph.needs(at).to_vec() };
        for need in needs {
            let plan = self.plan.node(need);
            let fits = match self.ends.get(&(plan.id.to_string(), None)) {
                None => false,
                Some(Ending::Well) => true,
                Some(Ending::Badly) => {
                    node.occasion != Occasion::Needs || plan.on_failure == OnFailure::Continue
                }
                Some(Ending::Skipped) => node.occasion != Occasion::Needs,
            };
            if !fits {
                return Err(format!("{} begins before {} has ended as it should", node.id, plan.id));
            }
        }
        Ok(())
    }

    fn end_place(&mut self, node: &str, item: Option<u32>, how: Ending) -> Result<(), String> {
        let name = (node.to_owned(), item);
        if !self.fresh.insert(name.clone()) {
            return Err("a node ends twice".to_owned());
        }
        self.ends.insert(name, how);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.ended, true) {
            return Err("it ended twice".to_owned());
        }
        let mut done = self.plan.nodes.iter().filter(|node| node.occasion != Occasion::Never);
        let open = done.find(|node| !self.ends.contains_key(&(node.id.to_string(), None)));
        match open {
            None => Ok(()),
            Some(node) => Err(format!("it ended and {} has not", node.id)),
        }
    }
}
