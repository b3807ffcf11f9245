//! A definition and the inputs of a run, ready to be filled in; and the plan that the core decides by.
//!
//! Not for: filling in (`prepare`).

use super::edit::by_number;
use fusion_core::workflow::plan::{Lapse, Rejection, ResultUse};
use fusion_core::workflow::{Budget, Graph, NodeKind, NodePlan, Occasion, OnFailure, Place, Plan};
use fusion_core::{Cost, Millis, Usd};
use fusion_workflow::definition::{self, Definition, Format, HOOK_IDS, Node, Work};
use fusion_workflow::references;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A definition with its inputs.
#[derive(Clone, Debug)]
pub struct Script {
    /// What is stored.
    pub(super) form: Form,
    /// The nodes by number, with the defaults of the workflow.
    pub(crate) nodes: Vec<Node>,
    /// Which nodes the templates of each node speak about.
    pub(super) uses: Vec<Vec<u32>>,
    /// Which of them its items speak about.
    pub(super) item_uses: Vec<Vec<u32>>,
    /// Whether nothing in a node is to be filled in.
    pub(super) literal: Vec<bool>,
}

/// The stored form of a [`Script`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) definition: Definition,
    pub(super) inputs: Map<String, Value>,
    /// The ids of the nodes by number, once an edit made that another order than the definition's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) numbers: Vec<String>,
}

impl Script {
    /// A definition that was checked, with inputs that were.
    #[must_use]
    pub fn new(definition: Definition, inputs: Map<String, Value>) -> Self {
        Self::of(Form { definition, inputs, numbers: Vec::new() })
    }

    pub(super) fn of(form: Form) -> Self {
        let definition = &form.definition;
        let mut nodes = by_number(definition.all_nodes(), &form.numbers);
        for node in nodes.iter_mut().filter(|node| node.is_task()) {
            node.terms = node.terms.or(&definition.defaults);
        }
        let numbers = numbers(&nodes);
        let texts: Vec<Vec<&str>> = nodes.iter().map(Node::templates).collect();
        let literal = texts.iter().map(Vec::is_empty).collect();
        let whole = texts.iter().map(|texts| uses(texts, &numbers)).collect();
        let item_uses = nodes.iter().map(|node| uses(&node.item_templates(), &numbers)).collect();
        Self { uses: whole, item_uses, literal, nodes, form }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.form).expect("a definition always has a JSON form")
    }

    /// How long its stored form is. Not cheap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut counted = Counted(0);
        serde_json::to_writer(&mut counted, &self.form).expect("a definition always has a JSON form");
        counted.0
    }

    /// Reads the stored form; `None` for bytes that are none.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self::of)
    }

    /// Whether nothing in a node is to be filled in, and nothing to be looked up.
    pub(in crate::engine) fn is_literal(&self, node: u32) -> bool {
        let at = node as usize;
        self.literal.get(at) == Some(&true) && self.nodes[at].workflow.is_none()
    }

    /// The name of the workflow whose run does the work of a node.
    pub(in crate::engine) fn inner_name(&self, node: u32) -> Option<&str> {
        self.nodes.get(node as usize)?.workflow.as_ref().map(|inner| inner.name.as_str())
    }

    /// The nodes that the templates of a place speak about.
    pub(in crate::engine) fn uses_of(&self, place: Place) -> &[u32] {
        let uses = if place.item.is_some() { &self.item_uses } else { &self.uses };
        uses.get(place.node as usize).map_or(&[], Vec::as_slice)
    }

    /// A node.
    pub(in crate::engine) fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    /// The definition.
    #[must_use]
    pub const fn definition(&self) -> &Definition {
        &self.form.definition
    }

    /// The inputs.
    #[must_use]
    pub const fn inputs(&self) -> &Map<String, Value> {
        &self.form.inputs
    }
}

struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn numbers(nodes: &[Node]) -> HashMap<&str, u32> {
    nodes.iter().map(|node| node.id.as_str()).zip(0..).collect()
}

/// The nodes that some texts speak about.
fn uses(texts: &[&str], numbers: &HashMap<&str, u32>) -> Vec<u32> {
    let mut used: Vec<u32> = Vec::new();
    for found in texts.iter().filter_map(|text| references::find(text).ok()) {
        used.extend(found.used.iter().filter_map(|each| numbers.get(each.node()?).copied()));
    }
    used.sort_unstable();
    used.dedup();
    used
}

/// What the core decides by.
///
/// # Panics
/// Never for a definition that was checked: it has no cycle.
#[must_use]
pub fn plan(script: &Script) -> Plan {
    let numbers = numbers(&script.nodes);
    let mut edges = Vec::new();
    for (node, at) in script.nodes.iter().zip(0..) {
        edges.extend(node.needs.iter().filter_map(|need| numbers.get(need.as_str()).map(|need| (*need, at))));
    }
    let count = u32::try_from(script.nodes.len()).expect("nodes are limited");
    let graph = Graph::new(count, &edges).expect("a definition that was checked has no cycle");
    let looked_at = looked_at(script);
    let nodes = (0..).zip(&script.nodes).map(|(at, node)| node_plan(script, &graph, &looked_at, at, node));
    let nodes = nodes.collect();
    let definition = &script.form.definition;
    let concurrency = definition.concurrency.unwrap_or(0);
    let (order, timeout) = (order(script, &numbers), definition.timeout.map(Millis));
    Plan { graph, nodes, order, concurrency, timeout, budget: budget(definition.budget) }
}

/// The numbers in the order of the definition, those that are gone last; nothing where that is their own order.
fn order(script: &Script, numbers: &HashMap<&str, u32>) -> Box<[u32]> {
    if script.form.numbers.is_empty() {
        return Box::default();
    }
    let named = script.form.definition.all_nodes();
    let named = named.iter().filter_map(|node| numbers.get(node.id.as_str()).copied());
    let gone = (0..).zip(&script.nodes).filter(|(_, node)| node.work().is_none()).map(|(at, _)| at);
    named.chain(gone).collect()
}

fn budget(said: definition::Budget) -> Budget {
    // What is no amount was refused before; if not, it allows nothing rather than all.
    let usd = said.usd.map(|usd| Usd::from_dollars(usd).unwrap_or_default());
    let cost = Cost { usd, tokens: said.tokens };
    Budget { time: said.time.map(Millis), attempts: said.attempts, cost }
}

/// Whether the result of each node is used: by another one, or because it is what the run comes to.
fn looked_at(script: &Script) -> Vec<bool> {
    let mut looked_at = vec![false; script.nodes.len()];
    for node in script.uses.iter().flatten() {
        looked_at[*node as usize] = true;
    }
    looked_at
}

/// How many items of a node are worked on at once by runs of their own when the node does not say.
const INNER_PARALLEL: u32 = 16;

fn node_plan(script: &Script, graph: &Graph, looked_at: &[bool], at: u32, node: &Node) -> NodePlan {
    let is_last = graph.dependents(at).is_empty() && !HOOK_IDS.contains(&node.id.as_str());
    let is_kept = looked_at[at as usize] || is_last || node.format() == Format::Json;
    let everybody_looks = || {
        let dependents = graph.dependents(at);
        !dependents.is_empty() && dependents.iter().all(|other| script.uses[*other as usize].contains(&at))
    };
    // A run takes more than a task that waits in a queue.
    let parallel = if matches!(node.work(), Some(Work::Workflow(_))) { INNER_PARALLEL } else { 0 };
    NodePlan {
        id: node.id.as_str().into(),
        kind: match node.work() {
            Some(Work::Approval(approval)) => NodeKind::Approval {
                timeout: approval.timeout.map(Millis),
                lapse: match approval.default {
                    definition::Lapse::Approve => Lapse::Approve,
                    definition::Lapse::Reject => Lapse::Reject,
                },
                rejection: if everybody_looks() { Rejection::Result } else { Rejection::Failure },
            },
            Some(Work::Wait(_) | Work::Done) => NodeKind::Wait,
            Some(Work::Workflow(_)) => NodeKind::Workflow,
            Some(Work::Prompt(_) | Work::Run(_)) | None => NodeKind::Task,
        },
        on_failure: match node.on_failure {
            definition::OnFailure::Fail => OnFailure::Fail,
            definition::OnFailure::Continue => OnFailure::Continue,
            definition::OnFailure::SkipDependents => OnFailure::SkipDependents,
        },
        occasion: match HOOK_IDS.iter().position(|id| *id == node.id) {
            _ if node.work().is_none() => Occasion::Never,
            Some(0) => Occasion::Success,
            Some(_) => Occasion::Failure,
            None if node.always => Occasion::Always,
            None => Occasion::Needs,
        },
        fan: node.foreach.as_ref().map(|_| node.max_parallel.unwrap_or(parallel)),
        result: if is_kept { ResultUse::Kept } else { ResultUse::Left },
        retries: node.terms.retries.unwrap_or(0),
        budget: budget(node.budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        let read = fusion_workflow::read_yaml(text);
        Script::new(read.definition.unwrap_or_else(|| panic!("{:?}", read.problems)), Map::new())
    }

    #[test]
    fn results_are_kept_where_somebody_looks_and_a_rejection_fails_where_nobody_does() {
        let text = "name: a\nnodes:\n\
            - {id: plan, prompt: p}\n\
            - {id: use, needs: plan, prompt: '{{ nodes.plan.output }}'}\n\
            - {id: gate, needs: use, approval: {}}\n\
            - {id: blind, needs: gate, run: ['true']}\n\
            - {id: seen, needs: use, approval: {}}\n\
            - {id: looks, needs: seen, when: '{{ nodes.seen.output.approved }}', run: ['true']}\n\
            on_failure: {run: ['true']}\n";
        let script = script(text);
        let plan = plan(&script);
        let kept: Vec<&str> =
            plan.nodes.iter().filter(|node| node.result == ResultUse::Kept).map(|node| &*node.id).collect();
        assert_eq!(kept, ["plan", "blind", "seen", "looks"]);
        let rejection = |id| match plan.node(plan.find(id).unwrap()).kind {
            NodeKind::Approval { rejection, .. } => Some(rejection),
            NodeKind::Task | NodeKind::Wait | NodeKind::Workflow => None,
        };
        assert_eq!(
            (rejection("gate"), rejection("seen")),
            (Some(Rejection::Failure), Some(Rejection::Result))
        );
        assert_eq!(plan.nodes.last().map(|node| node.occasion), Some(Occasion::Failure));
        assert_eq!(plan, super::plan(&Script::decode(&script.encode()).unwrap()));
    }
}
