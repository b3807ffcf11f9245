//! Waiting for an event: what a node waits for, and hearing of it in the step in which it happens.
//!
//! An event is looked at once, by the runs of its owner that wait for one of its kind; while nobody of the owner waits, it
//! costs nothing. What was heard is written in the batch of the event itself: a crash loses both or neither. Not for: what
//! follows from it (`run`), the event as a result (the engine keeps it).

use crate::event::{Event, EventKind, Subject};
use crate::ids::{AgentId, RunId, TaskId, Uid};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::Task;
use crate::time::{Millis, Time};
use crate::workflow::Run;
use crate::workflow::drive::drive;
use crate::workflow::node::{How, NodeState, Output, Place};
use crate::workflow::run::{Act, News};
use serde::{Deserialize, Serialize};

/// What a node waits for, in the words of its definition; an empty text says nothing.
#[derive(Clone, Debug, Default)]
pub struct AskWatch {
    /// Words of events, or `agent.*`.
    pub kinds: Vec<String>,
    /// A task: an id, a unique part of one, or `key:K`.
    pub task: String,
    /// An agent: a name, an id, or a unique part of one.
    pub agent: String,
    /// A run: an id, a unique part of one, or `key:K`.
    pub run: String,
    /// A node, by its name.
    pub node: String,
    /// A workflow, by its name.
    pub workflow: String,
    /// Labels of the task or the run.
    pub labels: Vec<(String, String)>,
    /// How long to wait.
    pub timeout: Option<Millis>,
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Words of events, or `agent.*`; one of them.
    pub kinds: Box<[Box<str>]>,
    /// What the event is about; all of it.
    pub about: Box<[About]>,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// This task.
    Task(TaskId),
    /// The task of this key.
    TaskKey(Box<str>),
    /// This agent, or a task that it worked on last.
    Agent(AgentId),
    /// An agent of this name, or a task that it worked on last.
    AgentName(Box<str>),
    /// This run, or a task of it.
    Run(RunId),
    /// The run of this key, or a task of it.
    RunKey(Box<str>),
    /// A node of this name, or a task of it.
    Node(Box<str>),
    /// A run of the workflow of this name, a task of it, or the workflow.
    Workflow(Box<str>),
    /// A task or a run with this label.
    Label(Box<str>, Box<str>),
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task(id) => write!(f, "task {id}"),
            Self::TaskKey(key) => write!(f, "task key:{key}"),
            Self::Agent(id) => write!(f, "agent {id}"),
            Self::AgentName(name) => write!(f, "agent {name}"),
            Self::Run(id) => write!(f, "run {id}"),
            Self::RunKey(key) => write!(f, "run key:{key}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Workflow(name) => write!(f, "workflow {name}"),
            Self::Label(key, value) => write!(f, "label {key}={value}"),
        }
    }
}

impl std::fmt::Display for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kinds.join(" or "))?;
        for (at, about) in self.about.iter().enumerate() {
            write!(f, "{}{about}", if at == 0 { " of " } else { ", " })?;
        }
        Ok(())
    }
}

/// The words under which an event of this kind is waited for: its own, and that of its room.
pub(crate) fn patterns(word: &str) -> [String; 2] {
    let room = word.split_once('.').map_or(word, |(room, _)| room);
    [word.to_owned(), format!("{room}.*")]
}

/// Finds what the words name. What can come only later, such as the task of a key, need not be there.
///
/// # Errors
/// A task, an agent's id or a run that does not exist, or that the owner may not see.
pub(crate) fn find(state: &State, owner: Uid, ask: AskWatch) -> Result<Watch, Reject> {
    let caller = Caller { uid: owner, rights: Rights::User };
    let mut about = Vec::new();
    if let Some(key) = ask.task.strip_prefix("key:") {
        about.push(About::TaskKey(key.into()));
    } else if !ask.task.is_empty() {
        about.push(About::Task(state.find_task(caller, &ask.task)?.id));
    }
    if ask.agent.starts_with(AgentId::PREFIX) {
        about.push(About::Agent(state.find_agent(caller, &ask.agent)?.id));
    } else if !ask.agent.is_empty() {
        about.push(About::AgentName(ask.agent.into()));
    }
    if let Some(key) = ask.run.strip_prefix("key:") {
        about.push(About::RunKey(key.into()));
    } else if !ask.run.is_empty() {
        about.push(About::Run(state.find_run(caller, &ask.run)?.id));
    }
    about.extend(Some(ask.node).filter(|name| !name.is_empty()).map(|name| About::Node(name.into())));
    about.extend(Some(ask.workflow).filter(|name| !name.is_empty()).map(|name| About::Workflow(name.into())));
    about.extend(ask.labels.into_iter().map(|(key, value)| About::Label(key.into(), value.into())));
    let kinds = ask.kinds.into_iter().map(Into::into).collect();
    Ok(Watch { kinds, about: about.into() })
}

/// Lets the runs that wait hear of every event since the last time. Whether something followed.
pub(crate) fn hear(state: &mut State, out: &mut Out, turn: Turn) -> bool {
    let mut followed = false;
    while state.heard < state.seq {
        if state.index.listening.is_empty() {
            state.heard = state.seq;
            break;
        }
        // All events since the last time stand at the end of the batch.
        let behind = usize::try_from(state.seq - state.heard).unwrap_or(usize::MAX);
        state.heard += 1;
        let event = out.events.len().checked_sub(behind).and_then(|at| out.events.get(at));
        let (seq, found) = event.map(|event| (event.seq, listeners(state, event))).unwrap_or_default();
        for (run, node) in found {
            drive(state, out, turn, run, Actor::Daemon, News::Heard { node, seq });
            followed = true;
        }
    }
    followed
}

/// The nodes that have waited for this event.
fn listeners(state: &State, event: &Event) -> Vec<(RunId, u32)> {
    let runs = event.owner.and_then(|owner| state.index.listening.get(&owner));
    let runs = runs.into_iter().flatten().filter_map(|id| state.run(*id));
    let patterns = patterns(event.kind.word());
    let nodes = runs.flat_map(|run| {
        let nodes = patterns.iter().flat_map(|pattern| run.book.listeners(pattern));
        nodes.filter(|node| hears(state, run, *node, event)).map(|node| (run.id, node))
    });
    nodes.collect()
}

/// Whether the event came after the node had begun to wait, and is about what it waits for.
fn hears(state: &State, run: &Run, node: u32, event: &Event) -> bool {
    let NodeState::Watching { after, watch, .. } = &run.nodes()[node as usize].state else { return false };
    event.seq > *after && watch.about.iter().all(|about| is_about(state, about, &event.kind))
}

fn is_about(state: &State, about: &About, kind: &EventKind) -> bool {
    let subject = kind.subject();
    let task = if let Subject::Task(id) = subject { state.task(id) } else { None };
    let node = task.and_then(|task| task.spec.node.as_ref());
    let run_id = if let Subject::Run(id) = subject { Some(id) } else { node.map(|node| node.run) };
    let run = run_id.and_then(|id| state.run(id));
    match about {
        About::Task(id) => subject == Subject::Task(*id),
        About::TaskKey(key) => task.is_some_and(|task| task.spec.key.as_ref() == Some(key)),
        About::Agent(id) => agent_of(subject, task) == Some(*id),
        About::AgentName(name) => {
            let agent = agent_of(subject, task).and_then(|id| state.agent(id));
            agent.is_some_and(|agent| *agent.spec.name == **name)
        }
        About::Run(id) => run_id == Some(*id),
        About::RunKey(key) => run.is_some_and(|run| run.spec.key.as_ref() == Some(key)),
        About::Node(name) => kind.node().or(node.map(|node| &*node.id)) == Some(name),
        About::Workflow(name) => {
            run.is_some_and(|run| run.spec.workflow == *name)
                || matches!(kind, EventKind::WorkflowApplied { name: applied, .. } if **applied == **name)
        }
        About::Label(key, value) => {
            let labels = task.map(|task| &task.spec.labels).or(run.map(|run| &run.spec.labels));
            labels.is_some_and(|labels| labels.iter().any(|label| (&label.0, &label.1) == (key, value)))
        }
    }
}

fn agent_of(subject: Subject, task: Option<&Task>) -> Option<AgentId> {
    if let Subject::Agent(id) = subject {
        return Some(id);
    }
    let task = task?;
    task.attempts.last().map(|attempt| attempt.lease.agent).or(task.spec.target)
}

impl Run {
    #[expect(clippy::too_many_arguments, reason = "the fields of one piece of news")]
    pub(super) fn listens(
        &mut self,
        now: Time,
        place: Place,
        ticket: u64,
        watch: Box<Watch>,
        timeout: Option<Millis>,
        after: u64,
        acts: &mut Vec<Act>,
    ) {
        if !self.admits(place, ticket) {
            return;
        }
        let node = place.node;
        let expires_at = timeout.map(|span| now.plus(span));
        self.book.rest();
        self.book.listen(node, &watch);
        self.book.expect(node, expires_at);
        self.set(place, NodeState::Watching { since: now, after, expires_at, watch }, acts);
        let kind = EventKind::NodeWaiting { run: self.id, node: self.name(node), until: expires_at };
        acts.push(Act::Tell(kind));
    }

    pub(super) fn heard(&mut self, now: Time, node: u32, seq: u64, acts: &mut Vec<Act>) {
        if self.leave_watch(node) {
            acts.push(Act::Keep { node, seq });
            self.conclude(now, node, How::Succeeded(Output::Event(seq)), acts);
        }
    }

    /// A node waits for an event no more; whether it did.
    pub(super) fn leave_watch(&mut self, node: u32) -> bool {
        let NodeState::Watching { expires_at, watch, .. } = self.state_of(Place::whole(node)) else {
            return false;
        };
        self.book.unlisten(node, &watch);
        self.book.unexpect(node, expires_at);
        true
    }
}
