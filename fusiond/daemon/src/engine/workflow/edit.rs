//! What another definition changes of a run, and the definitions that a run has had.
//!
//! Nodes are the same when their ids are. Not for: whether a change is possible (`fusion_core::workflow::edit`).

use super::script::{Form, Script, plan};
use fusion_core::Time;
use fusion_core::workflow::{Changes, NodeState, Place, Plan, Run};
use fusion_workflow::Definition;
use fusion_workflow::definition::Node;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

/// A run's next definition, compared with the one that it has.
pub struct Edited {
    /// The definition with the inputs of the run.
    pub script: Arc<Script>,
    /// What the core decides by.
    pub plan: Plan,
    /// The nodes that say something else, by number.
    pub changed: Vec<u32>,
    /// How much is different.
    pub changes: Changes,
}

impl Edited {
    /// The nodes that are new, say something else or have not begun. What the others name may be gone.
    #[must_use]
    pub fn to_begin(&self, run: &Run) -> Vec<Node> {
        let has_begun = |at: u32| {
            let same = run.node(Place::whole(at)).filter(|_| self.changed.binary_search(&at).is_err());
            same.is_some_and(|node| node.state != NodeState::Pending && !node.state.is_removed())
        };
        let nodes = (0..).zip(&self.script.nodes);
        nodes.filter(|(at, _)| !has_begun(*at)).map(|(_, node)| node.clone()).collect()
    }
}

type IsSame = fn(&Definition, &Definition) -> bool;

/// What nothing but the definition that a run began with can say.
const FIXED: [(&str, IsSame); 4] = [
    ("the name of the workflow", |old, new| old.name == new.name),
    ("the declaration of the inputs", |old, new| old.inputs == new.inputs),
    ("the labels", |old, new| old.labels == new.labels),
    ("the task file", |old, new| old.tasks_file == new.tasks_file),
];

/// Compares; `None` when nothing is different.
///
/// # Errors
/// What of it is fixed for the life of a run.
pub fn edit(old: &Script, definition: Definition) -> Result<Option<Edited>, &'static str> {
    let was = old.definition();
    if let Some((what, _)) = FIXED.iter().find(|(_, is_same)| !is_same(was, &definition)) {
        return Err(what);
    }
    if *was == definition {
        return Ok(None);
    }
    let numbers = numbers(old, &definition);
    let before = by_number(was.all_nodes(), &numbers);
    let after = by_number(definition.all_nodes(), &numbers);
    let mut changes = Changes::default();
    let mut changed = Vec::new();
    for (at, (before, after)) in (0..).zip(before.iter().zip(&after)) {
        match (before.work().is_some(), after.work().is_some()) {
            (true, true) if !is_same(before, after) => {
                changes.changed += 1;
                changed.push(at);
            }
            (true, false) => changes.removed += 1,
            (false, true) => changes.added += 1,
            (true, true) | (false, false) => {}
        }
    }
    let script = Script::of(Form { definition, inputs: old.inputs().clone(), numbers });
    let plan = plan(&script);
    Ok(Some(Edited { script: Arc::new(script), plan, changed, changes }))
}

/// All ids that the run has known, each at its number; those that are new stand last.
fn numbers(old: &Script, new: &Definition) -> Vec<String> {
    let mut ids: Vec<String> = old.nodes.iter().map(|node| node.id.clone()).collect();
    let known: HashSet<String> = ids.iter().cloned().collect();
    ids.extend(new.all_nodes().into_iter().map(|node| node.id).filter(|id| !known.contains(id)));
    ids
}

/// Nodes by their numbers; one that is not there does nothing.
pub(super) fn by_number(nodes: Vec<Node>, numbers: &[String]) -> Vec<Node> {
    if numbers.is_empty() {
        return nodes;
    }
    let mut by_id: std::collections::HashMap<String, Node> =
        nodes.into_iter().map(|node| (node.id.clone(), node)).collect();
    let gone = |id: &String| Node { id: id.clone(), ..Node::default() };
    numbers.iter().map(|id| by_id.remove(id).unwrap_or_else(|| gone(id))).collect()
}

/// Whether two nodes do the same. What they say to people alone may differ.
fn is_same(one: &Node, other: &Node) -> bool {
    let other = Node { description: one.description.clone(), ..other.clone() };
    *one == other
}

/// A definition that a run has had, or has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u32,
    /// When the run took it.
    pub at: Time,
    /// Who gave it.
    pub by: String,
    /// What was different from the one before.
    pub changes: Changes,
    /// What it says.
    pub definition: Definition,
}

impl Revision {
    /// The one that a run began with.
    pub(crate) fn first(run: &Run, definition: Definition) -> Self {
        let (at, by) = (run.created_at, run.actor.to_string());
        Self { number: 1, at, by, changes: Changes::default(), definition }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_core::workflow::{NodeKind, Occasion};
    use serde_json::Map;

    fn definition(text: &str) -> Definition {
        let read = fusion_workflow::read_yaml(text);
        read.definition.unwrap_or_else(|| panic!("{:?}", read.problems))
    }

    const OLD: &str = "name: a\nnodes:\n\
        - {id: one, run: [a]}\n\
        - {id: two, needs: one, run: [b]}\n\
        - {id: three, needs: two, run: [c]}\n\
        on_success: {run: [d]}\n";

    #[test]
    fn nodes_keep_their_numbers_and_new_ones_stand_behind_them() {
        let old = Script::new(definition(OLD), Map::new());
        let new = "name: a\nnodes:\n\
            - {id: one, run: [a], description: other words}\n\
            - {id: new, needs: one, approval: {}}\n\
            - {id: three, needs: [one, new], run: [c]}\n\
            on_success: {run: [d]}\n";
        let edited = edit(&old, definition(new)).unwrap().unwrap();
        let ids: Vec<&str> = edited.plan.nodes.iter().map(|node| &*node.id).collect();
        assert_eq!(ids, ["one", "two", "three", "on_success", "new"]);
        assert_eq!(edited.changed, [2]);
        assert_eq!(edited.changes, Changes { added: 1, changed: 1, removed: 1 });
        assert_eq!(edited.plan.node(1).occasion, Occasion::Never);
        assert_eq!(edited.plan.graph.needs(2), [0, 4]);
        assert_eq!(*edited.plan.order, [0, 4, 2, 3, 1]);
        assert!(matches!(edited.plan.node(4).kind, NodeKind::Approval { .. }));
        let read = Script::decode(&edited.script.encode()).unwrap();
        assert_eq!(plan(&read), edited.plan, "the stored form says the same");
        let back = edit(&read, definition(OLD)).unwrap().unwrap();
        assert_eq!(back.changes, Changes { added: 1, changed: 1, removed: 1 });
        assert_eq!((back.plan.find("two"), back.plan.node(4).occasion), (Some(1), Occasion::Never));
    }

    #[test]
    fn what_a_run_began_with_is_fixed_and_the_same_again_is_no_edit() {
        let old = Script::new(definition(OLD), Map::new());
        assert!(edit(&old, definition(OLD)).unwrap().is_none());
        let renamed = definition(&OLD.replace("name: a", "name: b"));
        assert_eq!(edit(&old, renamed).err(), Some("the name of the workflow"));
        let inputs = definition(&format!("{OLD}inputs: {{x: {{}}}}\n"));
        assert_eq!(edit(&old, inputs).err(), Some("the declaration of the inputs"));
    }
}
