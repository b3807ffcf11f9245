//! From tasks and their order to a definition, with what comes before them and after them.
//!
//! Not for: which order that is (`fusion-speckit`), which hooks there are (`hooks`).

use std::collections::HashSet;
use std::time::Duration;

use fusion_speckit::{Item, Order, State, Step, TaskFile, node_id, prompt};
use serde_json::{Map, Value, json};

use super::feature::Feature;
use super::hooks::{Hook, Hooks};
use crate::units::format_duration;

/// What the command line asks for besides.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) name: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) capabilities: Vec<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    pub(super) concurrency: Option<u32>,
    /// Checklists with open boxes: a person is asked before anything begins.
    pub(super) checklists: Vec<String>,
    /// What extensions of spec-kit have run before the tasks and after them.
    pub(super) hooks: Hooks,
}

/// The node at which a person is asked about open checklists; no task has such a name.
const CHECKLISTS: &str = "checklists";

/// The longest name of a workflow.
const NAME_BYTES_MAX: usize = 63;

/// The definition.
pub(super) fn definition(file: &TaskFile, order: &Order, feature: &Feature, wishes: &Wishes) -> Value {
    let ids: Vec<String> = order.steps.iter().map(|step| id(file, step.item)).collect();
    let papers = feature.papers();
    let mut nodes: Vec<Value> = order
        .steps
        .iter()
        .zip(&ids)
        .map(|(step, id)| node(file, step, id, &ids, &|task| template(&prompt(file, task, &papers))))
        .collect();
    let mut first = hook_nodes("before-implement", &wishes.hooks.before, &papers.tasks);
    first.extend(ask(&wishes.checklists));
    put_first(&mut nodes, first);
    put_last(&mut nodes, hook_nodes("after-implement", &wishes.hooks.after, &papers.tasks));
    let feature_name = feature.name();
    let mut definition = json!({
        "name": wishes.name.clone().unwrap_or_else(|| name(&feature_name)),
        "labels": {"speckit": feature_name},
        "tasks_file": feature.file.to_string_lossy(),
        "defaults": defaults(feature, wishes),
        "nodes": nodes,
    });
    if !file.title.is_empty() {
        definition["description"] = json!(file.title);
    }
    if let Some(concurrency) = wishes.concurrency {
        definition["concurrency"] = json!(concurrency);
    }
    definition
}

/// A step for each hook, in order; no task has such a name.
fn hook_nodes(name: &str, hooks: &[Hook], tasks: &str) -> Vec<Value> {
    let node = |(at, hook): (usize, &Hook)| {
        let about = if hook.description.is_empty() { "" } else { ": " };
        json!({
            "id": format!("{name}-{}", at + 1),
            "description": format!("{}{about}{}", hook.command, hook.description),
            "prompt": template(&hook.prompt(tasks)),
        })
    };
    hooks.iter().enumerate().map(node).collect()
}

/// A person decides who has seen which boxes are open.
fn ask(checklists: &[String]) -> Option<Value> {
    let message = template(&format!("Go on? {}", checklists.join("; ")));
    (!checklists.is_empty()).then(|| json!({"id": CHECKLISTS, "approval": {"message": message}}))
}

/// Whatever is to be done waits for these, which are done one after the other.
fn put_first(nodes: &mut Vec<Value>, mut first: Vec<Value>) {
    let Some(last) = first.last().map(|node| node["id"].clone()) else { return };
    let is_done = |node: &&Value| node.get("done").is_some();
    let done: HashSet<Value> = nodes.iter().filter(is_done).map(|node| node["id"].clone()).collect();
    for node in nodes.iter_mut().filter(|node| node.get("done").is_none()) {
        let mut needs = node.get("needs").and_then(Value::as_array).cloned().unwrap_or_default();
        // What needs something that is still to be done waits with that.
        if needs.iter().all(|need| done.contains(need)) {
            needs.push(last.clone());
            node["needs"] = json!(needs);
        }
    }
    chain(&mut first);
    nodes.splice(0..0, first);
}

/// These wait for everything that stands there, and are done one after the other.
fn put_last(nodes: &mut Vec<Value>, mut last: Vec<Value>) {
    let needs = |node: &Value| node.get("needs").and_then(Value::as_array).cloned().unwrap_or_default();
    let needed: HashSet<Value> = nodes.iter().flat_map(needs).collect();
    let ends: Vec<Value> =
        nodes.iter().map(|node| node["id"].clone()).filter(|id| !needed.contains(id)).collect();
    chain(&mut last);
    if let Some(first) = last.first_mut() {
        first["needs"] = json!(ends);
    }
    nodes.append(&mut last);
}

fn chain(nodes: &mut [Value]) {
    let ids: Vec<Value> = nodes.iter().map(|node| node["id"].clone()).collect();
    for (node, before) in nodes.iter_mut().skip(1).zip(ids) {
        node["needs"] = json!([before]);
    }
}

fn defaults(feature: &Feature, wishes: &Wishes) -> Value {
    let mut defaults = Map::new();
    defaults.insert("workdir".to_owned(), json!(feature.workdir.to_string_lossy()));
    // The scripts of spec-kit note the feature of an agent in a file of the project: many agents would fight over it.
    let env = json!({
        "SPECIFY_FEATURE_DIRECTORY": template(&feature.folder_shown()),
        "SPECIFY_FEATURE_NO_PERSIST": "1",
    });
    defaults.insert("env".to_owned(), env);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            defaults.insert(name.to_owned(), value);
        }
    };
    put("agent", wishes.agent.as_ref().map(|agent| json!(template(agent))));
    put("profile", wishes.profile.as_ref().map(|profile| json!(template(profile))));
    put("capabilities", (!wishes.capabilities.is_empty()).then(|| json!(wishes.capabilities)));
    put("timeout", wishes.timeout.map(|timeout| json!(format_duration(timeout))));
    put("retries", wishes.retries.map(|retries| json!(retries)));
    Value::Object(defaults)
}

fn id(file: &TaskFile, item: Item) -> String {
    match item {
        Item::Task(task) => node_id(&file.tasks[task].name),
        Item::Checkpoint(point) => format!("checkpoint-{}", point + 1),
        Item::Join(phase) => format!("phase-{}-done", phase + 1),
    }
}

fn node(
    file: &TaskFile,
    step: &Step,
    id: &str,
    ids: &[String],
    prompt: &dyn Fn(&fusion_speckit::Task) -> String,
) -> Value {
    let mut node = Map::new();
    node.insert("id".to_owned(), json!(id));
    if !step.needs.is_empty() {
        let needs: Vec<&str> = step.needs.iter().map(|need| ids[*need].as_str()).collect();
        node.insert("needs".to_owned(), json!(needs));
    }
    match step.item {
        Item::Task(task) => {
            let task = &file.tasks[task];
            node.insert("description".to_owned(), json!(task.text));
            match task.state {
                State::Done | State::Skipped => drop(node.insert("done".to_owned(), json!(true))),
                State::Open => {
                    node.insert("prompt".to_owned(), json!(prompt(task)));
                    if task.is_parallel {
                        node.insert("on_failure".to_owned(), json!("skip-dependents"));
                    }
                }
            }
        }
        Item::Checkpoint(point) => {
            node.insert("approval".to_owned(), json!({"message": template(&file.checkpoints[point].text)}));
        }
        Item::Join(_) => drop(node.insert("done".to_owned(), json!(true))),
    }
    Value::Object(node)
}

/// The same text as a template: what looks like one is none.
fn template(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|sign| rest.find(sign)).min() {
        written.push_str(&rest[..at]);
        written.push_str("{{ '");
        written.push_str(&rest[at..at + 2]);
        written.push_str("' }}");
        rest = &rest[at + 2..];
    }
    written.push_str(rest);
    written
}

/// A name for the workflow of a feature.
fn name(feature: &str) -> String {
    let plain =
        feature.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' });
    let plain: String = plain.collect();
    let is_fit = plain.starts_with(|c: char| c.is_ascii_alphabetic());
    let mut name = if is_fit { plain } else { format!("spec-{plain}") };
    name.truncate(NAME_BYTES_MAX);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_names_that_workflows_may_have() {
        assert_eq!(name("001-log in"), "spec-001-log-in");
        assert_eq!(name("login"), "login");
        assert_eq!(name("é").as_str(), "spec--");
        assert_eq!(name(&"x".repeat(99)).len(), 63);
    }

    #[test]
    fn what_looks_like_a_template_is_a_text() {
        assert_eq!(template("a {{ b }} {%c%} {# d"), "a {{ '{{' }} b }} {{ '{%' }}c%} {{ '{#' }} d");
    }

    #[test]
    fn a_definition_of_a_thousand_tasks_is_valid() {
        let mut text = "# Tasks: Large\n\n## Phase 1: One\n\n".to_owned();
        for at in 1..=1_000 {
            let sign = if at % 10 == 0 { 'x' } else { ' ' };
            let parallel = if at % 3 == 0 { "[P] " } else { "" };
            text.push_str(&format!(
                "- [{sign}] T{at:03} {parallel}Write src/file_{at}.rs, see {{{{ x }}}}\n"
            ));
        }
        let file = TaskFile::read(text.as_bytes()).unwrap();
        let order = file.order(fusion_speckit::Mode::Strict, true).unwrap();
        let feature = Feature { file: "/p/specs/001-a/tasks.md".into(), workdir: "/p".into() };
        let wishes = Wishes { capabilities: vec!["code".to_owned()], ..Wishes::default() };
        let definition = definition(&file, &order, &feature, &wishes);
        let read = fusion_workflow::read_json(&definition.to_string());
        assert!(read.definition.is_some(), "{:?}", read.problems);
    }
}
