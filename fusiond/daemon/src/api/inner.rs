//! Whether what the nodes of a run name is there: profiles, agents, and workflows that would run within it and take what they are
//! given. Asked before anything begins.
//!
//! Not for: what a template will say; that is known when the node begins (`engine::workflow::prepare`).

use super::Door;
use super::profiles::check_named;
use super::refuse::refuse;
use fusion_core::task::submit::find_target;
use fusion_core::{Caller, Reject, Rights, State, Time, Uid};
use fusion_workflow::definition::{Definition, Inner, Node, Work};
use fusion_workflow::{inputs, template};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

/// The most workflows that are looked at; what lies deeper is found out when it begins.
const WORKFLOWS_MAX: usize = 100;

impl Door {
    /// Looks for everything that these nodes name.
    pub(super) async fn check_nodes(&self, caller: Caller, owner: Uid, nodes: &[Node]) -> Result<(), Status> {
        let library = self.keeper.in_force().library;
        check_named(&library, owner, nodes).map_err(|reject| refuse(&reject))?;
        self.check_agents(owner, nodes).await?;
        self.check_inner(caller, owner, nodes).await
    }

    /// Looks for each agent that these nodes name, as their tasks will.
    async fn check_agents(&self, owner: Uid, nodes: &[Node]) -> Result<(), Status> {
        let names = nodes.iter().filter_map(|node| node.terms.agent.clone());
        let names: BTreeSet<String> = names.filter(|name| !template::is_template(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let caller = Caller { uid: owner, rights: Rights::User };
        let look = move |state: &State, _: Time| {
            names.iter().try_for_each(|name| find_target(state, caller, name).map(|_| ()))
        };
        let found = self.engine.look(look).await.and_then(|found| found);
        found.map_err(|reject| refuse(&reject))
    }

    /// Looks at each workflow that these nodes run, and at those that they run.
    async fn check_inner(&self, caller: Caller, owner: Uid, nodes: &[Node]) -> Result<(), Status> {
        let mut known: BTreeMap<String, Definition> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<Inner> = inner_of(nodes);
        while let Some(inner) = open.pop() {
            if !known.contains_key(&inner.name) && known.len() < WORKFLOWS_MAX {
                let (_, text) = self.find_workflow(caller, owner, inner.name.clone()).await?;
                let definition =
                    self.read_definition(caller, text).await.map_err(|reject| refuse(&reject))?;
                known.insert(inner.name.clone(), definition);
            }
            let Some(definition) = known.get(&inner.name) else { continue };
            takes(definition, &inner.inputs).map_err(|reject| refuse(&reject))?;
            if seen.insert(inner.name) {
                open.extend(inner_of(&definition.nodes));
            }
        }
        Ok(())
    }
}

fn inner_of(nodes: &[Node]) -> Vec<Inner> {
    let inner = |node: &Node| match node.work() {
        Some(Work::Workflow(inner)) => Some(inner.clone()),
        Some(Work::Prompt(_) | Work::Run(_) | Work::Approval(_) | Work::Wait(_) | Work::Done) | None => None,
    };
    nodes.iter().filter_map(inner).collect()
}

/// Whether it takes these inputs, as far as they are known before the node begins.
fn takes(definition: &Definition, given: &BTreeMap<String, Value>) -> Result<(), Reject> {
    let mut declared = definition.inputs.clone();
    let mut known = given.clone();
    let is_open = |value: &Value| value.as_str().is_some_and(template::is_template);
    for (name, _) in given.iter().filter(|(_, value)| is_open(value)) {
        if declared.remove(name).is_some() {
            known.remove(name);
        }
    }
    match inputs::resolve(&declared, &known) {
        Ok(_) => Ok(()),
        Err(problems) => {
            Err(Reject::InputsInvalid { workflow: definition.name.clone(), problems: problems.join("; ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn takes_all(given: &Value) -> Result<(), Reject> {
        let definition = json!({
            "name": "inner",
            "inputs": {"count": {"type": "integer", "required": true}, "who": {"type": "string"}},
            "nodes": [{"id": "a", "run": ["true"]}],
        });
        let definition: Definition = serde_json::from_value(definition).unwrap();
        takes(&definition, &serde_json::from_value(given.clone()).unwrap())
    }

    #[test]
    fn inputs_are_looked_at_as_far_as_they_are_known() {
        for fine in [json!({"count": 3}), json!({"count": "{{ inputs.n }}", "who": "ada"})] {
            assert_eq!(takes_all(&fine), Ok(()), "{fine}");
        }
        for wrong in [json!({}), json!({"count": "many"}), json!({"count": 1, "whom": "{{ inputs.n }}"})] {
            assert!(matches!(takes_all(&wrong), Err(Reject::InputsInvalid { .. })), "{wrong}");
        }
    }
}
