//! Workflows: named versions of definitions, and runs of them.
//!
//! ```text
//!  Running ⇄ Paused ──► Succeeded
//!     ├─ a node fails ──► (what runs ends, the rest is skipped) ──► Failed
//!     └─ cancel ────────► (what runs is ended) ──────────────────► Cancelled
//!  ended ── rerun ──► Running
//! ```
//!
//! A node's work is an ordinary task of the queue. One transition function ([`Run::take`]) is used for running and for
//! what a crash left behind: nothing is done differently after one. Not for: what prompts and results say; the engine
//! prepares and collects them and tells their sizes.

pub mod apply;
pub mod approve;
pub(crate) mod book;
pub mod budget;
pub mod cancel;
pub mod drive;
pub mod edit;
mod ends;
pub mod explain;
pub(crate) mod freeze;
mod gate;
pub mod graph;
pub mod node;
pub mod pause;
pub mod plan;
pub mod prepared;
pub mod rerun;
pub mod resume;
pub mod run;
mod runs;
mod standstill;
pub mod start;
#[cfg(test)]
mod tests;
pub mod watch;

pub use apply::ApplyWorkflow;
pub use approve::ApproveNode;
pub use budget::{Budget, Spent};
pub use drive::Want;
pub use edit::{Changes, EditMode, EditRun};
pub use graph::Graph;
pub use node::{Decision, End, How, Node, NodeRef, NodeState, Output, Place, SkipWhy, Verdict};
pub use plan::{NodeKind, NodePlan, Occasion, OnFailure, Plan};
pub use prepared::Prepared;
pub use start::StartRun;
pub use watch::{AskWatch, Watch};

use crate::failure::Failure;
use crate::ids::{RunId, Uid, WorkflowId};
use crate::input::{Actor, PauseHow};
use crate::time::{Millis, Time};
use book::Book;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One version of a definition that somebody applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its id; ids sort by age.
    pub id: WorkflowId,
    /// Whose it is.
    pub owner: Uid,
    /// Its name.
    pub name: Box<str>,
    /// Which version, from 1.
    pub version: u32,
    /// When it was applied.
    pub applied_at: Time,
    /// Hash of the definition: the same again is the same version.
    pub fingerprint: u64,
    /// How many nodes it has.
    pub nodes: u32,
}

/// One execution of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id; ids sort by age.
    pub id: RunId,
    /// Whose it is.
    pub owner: Uid,
    /// Who started it.
    pub actor: Actor,
    /// When.
    pub created_at: Time,
    /// What was asked for.
    pub spec: RunSpec,
    /// How far it is.
    pub state: RunState,
    /// Why it will not end well, as soon as that is certain.
    pub doom: Option<Doom>,
    /// When it will have taken too long.
    pub clock: RunClock,
    /// How often it was run, from 1: `rerun` begins another one.
    pub generation: u32,
    /// Which definition it has, from 1: each edit gives it another one.
    pub revision: u32,
    /// What it is to do; stored under a key of its own.
    #[serde(skip)]
    pub plan: Arc<Plan>,
    /// How far its nodes are; each is stored under a key of its own once it has begun.
    #[serde(skip)]
    pub(crate) nodes: Vec<Node>,
    /// How far items of nodes are, by node and item.
    #[serde(skip)]
    pub(crate) items: BTreeMap<(u32, u32), Node>,
    #[serde(skip)]
    pub(crate) book: Book,
    /// The number of the next order to prepare something.
    #[serde(skip)]
    pub(crate) tickets: u64,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The name of the workflow.
    pub workflow: Box<str>,
    /// Its version; 0: the definition was given with the run.
    pub version: u32,
    /// For people and filters; its tasks have them, too.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Idempotency key, unique per owner.
    pub key: Option<Box<str>>,
    /// Hash of the request that made it, 0 for none.
    pub request: u64,
    /// Hash of everything that was asked for.
    pub fingerprint: u64,
    /// The node that it is the work of.
    pub parent: Option<(RunId, Place)>,
    /// What that node had left for it: an edit does not give it more.
    pub bound: Budget,
    /// How many runs it stands within.
    pub depth: u8,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// It goes on.
    Running,
    /// Nothing new begins.
    Paused {
        /// Since when.
        since: Time,
        /// Whether what runs ends, or stands still.
        how: PauseHow,
    },
    /// It is done.
    Succeeded {
        /// When.
        at: Time,
    },
    /// It failed.
    Failed {
        /// When.
        at: Time,
        /// Why.
        failure: Box<Failure>,
    },
    /// Somebody ended it.
    Cancelled {
        /// When.
        at: Time,
    },
}

/// Why a run will not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doom {
    /// A node failed.
    Failed(Box<Failure>),
    /// Somebody ended it.
    Cancelled,
    /// Somebody ended it twice: also what is done always is not done.
    Killed,
}

/// When a run will have taken too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunClock {
    /// Never.
    #[default]
    None,
    /// Then.
    At(Time),
    /// So long after it is resumed.
    Left(Millis),
}

impl RunState {
    /// The state's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// When it ended; `None` while it has not.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Time> {
        match self {
            Self::Succeeded { at } | Self::Failed { at, .. } | Self::Cancelled { at } => Some(*at),
            Self::Running | Self::Paused { .. } => None,
        }
    }
}

impl Run {
    /// The same with its plan and its nodes, as stored.
    #[must_use]
    pub fn with(mut self, plan: Arc<Plan>, stored: Vec<(Place, Node)>) -> Self {
        self.nodes = vec![Node::default(); plan.nodes.len()];
        self.items = BTreeMap::new();
        for (place, node) in stored {
            match place.item {
                None => {
                    if let Some(own) = self.nodes.get_mut(place.node as usize) {
                        *own = node;
                    }
                }
                Some(item) => {
                    self.items.insert((place.node, item), node);
                }
            }
        }
        self.book = Book::of(&plan, &self.nodes, &self.items, self.doom.as_ref());
        self.plan = plan;
        self
    }

    /// How far a node is.
    #[must_use]
    pub fn node(&self, place: Place) -> Option<&Node> {
        match place.item {
            None => self.nodes.get(place.node as usize),
            Some(item) => self.items.get(&(place.node, item)),
        }
    }

    /// The node of this name, or, as `NODE[ITEM]`, an item of one.
    #[must_use]
    pub fn find_place(&self, name: &str) -> Option<Place> {
        if let Some(node) = self.plan.find(name) {
            return Some(Place::whole(node));
        }
        let (node, item) = name.strip_suffix(']')?.split_once('[')?;
        let (node, item) = (self.plan.find(node)?, item.parse().ok()?);
        let count = match &self.node(Place::whole(node))?.state {
            NodeState::Fanned { count, .. } => *count,
            NodeState::Ended(_) => self.items(node).map(|(item, _)| item + 1).max().unwrap_or(0),
            NodeState::Pending
            | NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Watching { .. }
            | NodeState::Inside { .. } => 0,
        };
        (item < count).then_some(Place { node, item: Some(item) })
    }

    /// How far all nodes are, in the order of the definition.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How far the items of a node are that have begun.
    pub fn items(&self, node: u32) -> impl Iterator<Item = (u32, &Node)> {
        self.items.range((node, 0)..=(node, u32::MAX)).map(|((_, item), node)| (*item, node))
    }

    /// All nodes and the items of them that have begun.
    pub fn places(&self) -> impl Iterator<Item = (Place, &Node)> {
        let whole = (0..).zip(&self.nodes).map(|(node, own)| (Place::whole(node), own));
        let items =
            self.items.iter().map(|((node, item), own)| (Place { node: *node, item: Some(*item) }, own));
        whole.chain(items)
    }

    /// The instant at which time alone changes it.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        if self.state.ended_at().is_some() {
            return None;
        }
        let over = match self.clock {
            RunClock::At(at) if self.doom.is_none() => Some(at),
            RunClock::At(_) | RunClock::Left(_) | RunClock::None => None,
        };
        [over, self.book.due().map(|(due, _)| due)].into_iter().flatten().min()
    }

    /// Whether what is known of it follows from its nodes.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let fresh = Book::of(&self.plan, &self.nodes, &self.items, self.doom.as_ref());
        self.book.forgetful(&self.plan) == fresh.forgetful(&self.plan)
    }
}
