//! Bytes of workflows and runs, beside what the core decides about: under which keys, and reading them back.
//!
//! ```text
//! definition/<workflow>          the definition, as JSON
//! script/<run>                   the definition and the inputs of a run
//! revision/<run><number>         a definition that the run had or has, once it was edited
//! items/<run><node><item>        an item of a `foreach`, as JSON
//! question/<run><node>           what a person is asked
//! output/<run><node>[<item>]     a result, as JSON, or where it stands (`outputs`)
//! ```
//!
//! Not for: when they are written.

use super::edit::Revision;
use super::outputs;
use super::script::Script;
use crate::engine::record;
use crate::store::{Batch, Direction, ReadError, Reader};
use fusion_core::workflow::{End, How, Node, NodeState, Output, Place, Plan, Run};
use fusion_core::{RunId, TaskId, WorkflowId};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const WORKFLOW: &[u8] = b"workflow/";
pub(crate) const RUN: &[u8] = b"run/";
pub(crate) const PLAN: &[u8] = b"plan/";
pub(crate) const NODE: &[u8] = b"node/";
const SCRIPT: &[u8] = b"script/";
const REVISION: &[u8] = b"revision/";
const DEFINITION: &[u8] = b"definition/";
const ITEMS: &[u8] = b"items/";
const QUESTION: &[u8] = b"question/";
pub(super) const OUTPUT: &[u8] = b"output/";

/// Runs read at once from the store.
const PAGE: usize = 128;

fn key(prefix: &[u8], id: u128) -> Vec<u8> {
    [prefix, &id.to_be_bytes()].concat()
}

pub(super) fn place_key(prefix: &[u8], run: RunId, place: Place) -> Vec<u8> {
    let mut bytes = key(prefix, run.0);
    bytes.extend_from_slice(&place.node.to_be_bytes());
    if let Some(item) = place.item {
        bytes.extend_from_slice(&item.to_be_bytes());
    }
    bytes
}

/// Where a version of a workflow is stored.
pub(crate) fn workflow_key(id: WorkflowId) -> Vec<u8> {
    key(WORKFLOW, id.0)
}

/// Where its definition is stored.
pub(crate) fn definition_key(id: WorkflowId) -> Vec<u8> {
    key(DEFINITION, id.0)
}

/// Where a run is stored.
pub(crate) fn run_key(id: RunId) -> Vec<u8> {
    key(RUN, id.0)
}

/// Where the plan of a run is stored.
pub(crate) fn plan_key(id: RunId) -> Vec<u8> {
    key(PLAN, id.0)
}

/// Where the definition and the inputs of a run are stored.
pub(crate) fn script_key(id: RunId) -> Vec<u8> {
    key(SCRIPT, id.0)
}

/// Where a definition that a run had, or has, is stored.
pub(crate) fn revision_key(id: RunId, number: u32) -> Vec<u8> {
    place_key(REVISION, id, Place::whole(number))
}

/// Where a node, or an item of it, is stored.
pub(crate) fn node_key(run: RunId, place: Place) -> Vec<u8> {
    place_key(NODE, run, place)
}

/// Where an item of a `foreach` is stored.
pub(crate) fn item_key(run: RunId, node: u32, item: u32) -> Vec<u8> {
    place_key(ITEMS, run, Place { node, item: Some(item) })
}

/// Where the question of a node is stored.
pub(crate) fn question_key(run: RunId, node: u32) -> Vec<u8> {
    place_key(QUESTION, run, Place::whole(node))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The run in a key with this prefix.
pub(crate) fn run_in(prefix: &[u8], key: &[u8]) -> Option<RunId> {
    let id = key.get(prefix.len()..prefix.len() + 16)?;
    id.try_into().ok().map(|bytes| RunId(u128::from_be_bytes(bytes)))
}

/// The place in the key of a node.
pub(crate) fn place_in(key: &[u8]) -> Option<Place> {
    let at = NODE.len() + 16;
    Some(Place { node: number(key, at)?, item: number(key, at + 4) })
}

/// A run with its plan and its nodes.
///
/// # Errors
/// When the store does not answer.
pub fn stored_run(reader: &Reader, id: RunId) -> Result<Option<Run>, ReadError> {
    let run = reader.get(&run_key(id))?.and_then(|body| record::decode::<Run>(&body));
    let plan = reader.get(&plan_key(id))?.and_then(|body| record::decode::<Plan>(&body));
    let (Some(run), Some(plan)) = (run, plan) else { return Ok(None) };
    let entries = reader.range(&key(NODE, id.0), None, usize::MAX, Direction::Ascending)?;
    let nodes = entries
        .iter()
        .filter_map(|entry| Some((place_in(&entry.key)?, record::decode::<Node>(&entry.body)?)));
    Ok(Some(run.with(Arc::new(plan), nodes.collect())))
}

/// Runs that are meant, newest first, older than `after`; no more than `size`. `takes` sees a run without its nodes,
/// `takes_whole` with them.
///
/// # Errors
/// When the store does not answer.
pub fn stored_runs(
    reader: &Reader,
    after: Option<RunId>,
    size: usize,
    takes: impl Fn(&Run) -> bool,
    takes_whole: impl Fn(&Run) -> bool,
) -> Result<Vec<Run>, ReadError> {
    let mut found = Vec::new();
    let mut after = after.map(run_key);
    loop {
        let page = reader.range(RUN, after.as_deref(), PAGE, Direction::Descending)?;
        for run in page.iter().filter_map(|entry| record::decode::<Run>(&entry.body)) {
            if takes(&run) {
                found.extend(stored_run(reader, run.id)?.filter(&takes_whole));
            }
            if found.len() == size {
                return Ok(found);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            Some(_) | None => return Ok(found),
        }
    }
}

/// What a run was given, as a JSON object.
///
/// # Errors
/// When the store does not answer.
pub fn script_of(reader: &Reader, run: RunId) -> Result<Option<Value>, ReadError> {
    let body = reader.get(&script_key(run))?;
    let form = body.and_then(|body| serde_json::from_slice::<super::script::Form>(&body).ok());
    Ok(form.map(|form| Value::Object(form.inputs)))
}

/// What a run was begun with, and what it does now.
///
/// # Errors
/// When the store does not answer.
pub fn whole_script_of(reader: &Reader, run: RunId) -> Result<Option<Script>, ReadError> {
    Ok(reader.get(&script_key(run))?.and_then(|body| Script::decode(&body)))
}

/// The definitions that a run has had, oldest first.
///
/// # Errors
/// When the store does not answer.
pub fn revisions_of(reader: &Reader, run: &Run) -> Result<Vec<Revision>, ReadError> {
    let entries = reader.range(&key(REVISION, run.id.0), None, usize::MAX, Direction::Ascending)?;
    if !entries.is_empty() {
        return Ok(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.body).ok()).collect());
    }
    let script = whole_script_of(reader, run.id)?;
    Ok(script.map(|script| Revision::first(run, script.definition().clone())).into_iter().collect())
}

/// The definition of a version, as JSON.
///
/// # Errors
/// When the store does not answer.
pub fn definition_of(reader: &Reader, id: WorkflowId) -> Result<Option<String>, ReadError> {
    Ok(reader.get(&definition_key(id))?.and_then(|body| String::from_utf8(body).ok()))
}

/// What a person is asked by a node.
///
/// # Errors
/// When the store does not answer.
pub fn question_of(reader: &Reader, run: RunId, node: u32) -> Result<String, ReadError> {
    let body = reader.get(&question_key(run, node))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The result of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeOutput {
    /// There is none.
    Nothing,
    /// It stays with the task.
    Task,
    /// This.
    Value(Value),
}

/// As much of a run as results are read by.
pub trait Seen {
    /// Which run.
    fn id(&self) -> RunId;
    /// What it is to do.
    fn plan(&self) -> &Plan;
    /// How far a place is; `None` also for what is left out.
    fn found(&self, place: Place) -> Option<&NodeState>;
    /// How many items of a node have begun, up to the last that did.
    fn begun(&self, node: u32) -> u32;
    /// A result that stays with its task, where it was read because somebody uses it now.
    fn late(&self, _place: Place) -> Option<&Value> {
        None
    }
}

impl Seen for Run {
    fn id(&self) -> RunId {
        self.id
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn found(&self, place: Place) -> Option<&NodeState> {
        self.node(place).map(|node| &node.state)
    }

    fn begun(&self, node: u32) -> u32 {
        self.items(node).map(|(item, _)| item + 1).max().unwrap_or(0)
    }
}

/// Some nodes of a run as they were at one moment: what a node uses is seldom much of a run.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    id: RunId,
    plan: Arc<Plan>,
    places: BTreeMap<Place, NodeState>,
    late: BTreeMap<Place, Value>,
}

impl Part {
    /// These nodes and their items.
    pub(crate) fn of(run: &Run, nodes: &[u32]) -> Self {
        let mut places = BTreeMap::new();
        for node in nodes {
            let items = run.items(*node).map(|(item, own)| (Place { node: *node, item: Some(item) }, own));
            let whole = run.node(Place::whole(*node)).map(|own| (Place::whole(*node), own));
            places.extend(whole.into_iter().chain(items).map(|(place, own)| (place, own.state.clone())));
        }
        Self { id: run.id, plan: Arc::clone(&run.plan), places, late: BTreeMap::new() }
    }

    /// The places whose results stay with their tasks: nobody used them when they ended.
    pub(crate) fn left(&self) -> impl Iterator<Item = (Place, TaskId)> {
        self.places.iter().filter_map(|(place, state)| match state {
            NodeState::Ended(End { how: How::Succeeded(Output::Task), task, .. }) => Some((*place, (*task)?)),
            NodeState::Ended(_)
            | NodeState::Pending
            | NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Watching { .. }
            | NodeState::Inside { .. }
            | NodeState::Fanned { .. } => None,
        })
    }

    /// What such a place came to.
    pub(crate) fn add(&mut self, place: Place, result: Value) {
        self.late.insert(place, result);
    }
}

impl Seen for Part {
    fn id(&self) -> RunId {
        self.id
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn found(&self, place: Place) -> Option<&NodeState> {
        self.places.get(&place)
    }

    fn late(&self, place: Place) -> Option<&Value> {
        self.late.get(&place)
    }

    fn begun(&self, node: u32) -> u32 {
        let items = self.places.range(Place::whole(node)..=Place { node, item: Some(u32::MAX) });
        items.filter_map(|(place, _)| place.item).max().map_or(0, |item| item + 1)
    }
}

/// The result of a node, as it is kept.
///
/// # Errors
/// When the store does not answer.
pub fn output_of(reader: &Reader, run: &impl Seen, place: Place) -> Result<NodeOutput, ReadError> {
    let Some(end) = run.found(place).and_then(NodeState::end) else { return Ok(NodeOutput::Nothing) };
    let value = match &end.how {
        How::Succeeded(Output::Nothing) => Value::Null,
        How::Succeeded(Output::Task) => match run.late(place) {
            Some(value) => value.clone(),
            None => return Ok(NodeOutput::Task),
        },
        How::Succeeded(Output::Kept { .. } | Output::Event(_)) => read_value(reader, run.id(), place)?,
        How::Succeeded(Output::Decision(decision)) => serde_json::json!({
            "approved": decision.verdict.is_approved(),
            "by": decision.by.to_string(),
            "comment": decision.comment,
        }),
        How::Succeeded(Output::Items(count)) => items_value(reader, run, place.node, *count)?,
        How::Succeeded(Output::Run(inner)) => inner_value(reader, *inner)?,
        How::Failed(_) if place.item.is_none() && run.plan().node(place.node).fan.is_some() => {
            let count = run.begun(place.node);
            items_value(reader, run, place.node, count)?
        }
        How::Failed(_) | How::Skipped(_) | How::Cancelled => return Ok(NodeOutput::Nothing),
    };
    Ok(NodeOutput::Value(value))
}

fn read_value(reader: &Reader, run: RunId, place: Place) -> Result<Value, ReadError> {
    let body = outputs::get(reader, run, place)?;
    Ok(body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default())
}

/// The results of all items, in their order; nothing for those that did not go well.
fn items_value(reader: &Reader, run: &impl Seen, node: u32, count: u32) -> Result<Value, ReadError> {
    let mut values = Vec::new();
    for item in 0..count {
        let place = Place { node, item: Some(item) };
        let end = run.found(place).and_then(NodeState::end).map(|end| &end.how);
        values.push(match (run.late(place), end) {
            (Some(value), _) => value.clone(),
            (None, Some(How::Succeeded(Output::Kept { .. }))) => read_value(reader, run.id(), place)?,
            (None, Some(How::Succeeded(Output::Run(inner)))) => inner_value(reader, *inner)?,
            (None, Some(How::Succeeded(_) | How::Failed(_) | How::Skipped(_) | How::Cancelled) | None) => {
                Value::Null
            }
        });
    }
    Ok(Value::Array(values))
}

/// The results of the nodes of a run, by name.
fn inner_value(reader: &Reader, id: RunId) -> Result<Value, ReadError> {
    let Some(run) = stored_run(reader, id)? else { return Ok(Value::Null) };
    let mut nodes = serde_json::Map::new();
    for (at, node) in (0..).zip(&run.plan.nodes) {
        if let NodeOutput::Value(value) = output_of(reader, &run, Place::whole(at))? {
            nodes.insert(node.id.to_string(), value);
        }
    }
    Ok(serde_json::json!({"run": id.to_string(), "state": run.state.word(), "nodes": nodes}))
}

/// Puts the end of everything of a run into the batch.
///
/// # Errors
/// When the store does not answer.
pub(crate) fn delete_run(reader: &Reader, batch: &mut Batch, id: RunId) -> Result<(), ReadError> {
    outputs::release(reader, batch, &key(OUTPUT, id.0))?;
    for prefix in [NODE, ITEMS, QUESTION, OUTPUT, REVISION] {
        for entry in reader.range(&key(prefix, id.0), None, usize::MAX, Direction::Ascending)? {
            batch.delete(&entry.key);
        }
    }
    for key in [run_key(id), plan_key(id), script_key(id)] {
        batch.delete(&key);
    }
    Ok(())
}
