//! What a run is to do, as far as decisions depend on it. An edit of the run makes another one.
//!
//! Not for: prompts, commands and templates; the engine keeps them and fills them in.

use crate::time::Millis;
use crate::workflow::budget::Budget;
use crate::workflow::graph::Graph;
use serde::{Deserialize, Serialize};

/// The nodes of a run and their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which node needs which.
    pub graph: Graph,
    /// The nodes by number: in the order of the definition, hooks last, those that an edit added behind them.
    pub nodes: Box<[NodePlan]>,
    /// The numbers in the order of the definition; empty where that is their own.
    pub order: Box<[u32]>,
    /// Tasks of the run at once; 0: as many as there are.
    pub concurrency: u32,
    /// How long the whole run may take.
    pub timeout: Option<Millis>,
    /// What the whole run may use.
    pub budget: Budget,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Its name in the definition.
    pub id: Box<str>,
    /// What it does.
    pub kind: NodeKind,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// When it is done.
    pub occasion: Occasion,
    /// Done once for each item of a list, so many at once; 0: all.
    pub fan: Option<u32>,
    /// Whether its result is looked at before it counts as done.
    pub result: ResultUse,
    /// How often it is done again when its result is not what it should be.
    pub retries: u32,
    /// What it may use with all its items.
    pub budget: Budget,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// A task for an agent.
    Task,
    /// A person decides.
    Approval {
        /// How long to wait.
        timeout: Option<Millis>,
        /// What holds when nobody decided in time.
        lapse: Lapse,
        /// What a rejection is.
        rejection: Rejection,
    },
    /// Time passes.
    Wait,
    /// A run of another workflow.
    Workflow,
}

/// What holds when nobody decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lapse {
    /// As if somebody had approved.
    Approve,
    /// As if somebody had rejected.
    Reject,
}

/// What a rejection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// A result: everything that needs the node looks at it.
    Result,
    /// A failure: something that needs the node would go on without looking.
    Failure,
}

/// What a failure of a node means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The run fails.
    #[default]
    Fail,
    /// As if the node had gone well.
    Continue,
    /// What needs it is skipped.
    SkipDependents,
}

/// When a node is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// When what it needs went well.
    #[default]
    Needs,
    /// When what it needs has ended, however it ended.
    Always,
    /// When everything else has ended well.
    Success,
    /// When everything else has ended, and not well.
    Failure,
    /// Not any more: an edit removed it, and its number stays empty.
    Never,
}

impl Occasion {
    /// Whether it comes after everything else.
    #[must_use]
    pub const fn is_hook(self) -> bool {
        match self {
            Self::Success | Self::Failure => true,
            Self::Needs | Self::Always | Self::Never => false,
        }
    }
}

/// Whether the result of a node's task is looked at before the node counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultUse {
    /// Nothing depends on it: it stays with the task.
    #[default]
    Left,
    /// Other nodes use it, or it must have a form.
    Kept,
}

impl Plan {
    /// The node of this name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        let at = self.nodes.iter().position(|node| &*node.id == id)?;
        u32::try_from(at).ok()
    }

    /// The numbers of all nodes in the order of the definition.
    #[must_use]
    pub fn in_order(&self) -> Vec<u32> {
        if self.order.is_empty() { (0..self.graph.len()).collect() } else { self.order.to_vec() }
    }

    /// One node.
    #[must_use]
    pub fn node(&self, at: u32) -> &NodePlan {
        &self.nodes[at as usize]
    }
}
