//! The templates of a node: that they are some, and that they speak only about what they may.
//!
//! Not for: filling them in.

use super::Check;
use crate::TEMPLATE_BYTES_MAX;
use crate::definition::Node;
use crate::near::meant;
use crate::problem::Problem;
use crate::references::{Reference, find};
use crate::tree::{Kind, Text, Tree};

/// About which nodes templates may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Those that are needed, by whatever is between.
    Needs,
    /// All.
    All,
}

/// What stands behind a node's name in a template.
const OF_NODES: [&str; 3] = ["output", "state", "items"];
/// What stands behind `run`.
const OF_RUNS: [&str; 3] = ["id", "workflow", "version"];

pub(super) fn check(check: &mut Check<'_>, node: &Node, tree: &Tree, sight: Sight) {
    for (word, text) in templates(tree) {
        if text.text.len() > TEMPLATE_BYTES_MAX {
            let message = format!(
                "`{word}` has {} bytes: a template has at most {TEMPLATE_BYTES_MAX}",
                text.text.len()
            );
            check.problems.push(Problem::error(
                text.locate(1, 1, 1),
                message,
                "put the bulk in a file that the agent reads",
            ));
            continue;
        }
        match find(&text.text) {
            Err(fault) => {
                let span = text.locate(fault.line, fault.column, fault.length);
                let message = format!("`{word}` is no template: {}", fault.message);
                check.problems.push(Problem::error(
                    span,
                    message,
                    "see docs/guide/workflows.md for what templates may say",
                ));
            }
            Ok(found) => {
                let filters = found.unknown_filters.into_iter();
                for filter in filters {
                    let span = text.locate(filter.at.0, filter.at.1, filter.length);
                    let known = [
                        "shell_quote",
                        "tojson",
                        "length",
                        "join",
                        "lower",
                        "upper",
                        "trim",
                        "default",
                        "first",
                        "last",
                        "replace",
                        "lines",
                        "indent",
                        "sort",
                        "unique",
                        "map",
                        "select",
                        "reject",
                        "round",
                        "int",
                        "float",
                        "string",
                        "list",
                        "items",
                        "title",
                        "split",
                    ];
                    let name = filter.name();
                    let hint = meant(&name, known, "the filters are those of Jinja, and shell_quote");
                    check.problems.push(Problem::error(span, format!("there is no filter \"{name}\""), hint));
                }
                for used in found.used {
                    reference(check, node, text, word, &used, sight);
                }
            }
        }
    }
    super::shell::check(check, node, tree);
}

/// All texts of a node in which templates are filled in.
fn templates(tree: &Tree) -> Vec<(&'static str, &Text)> {
    let mut found = Vec::new();
    for word in ["prompt", "agent", "profile", "concurrency_key", "when", "foreach"] {
        found.extend(tree.get(word).and_then(Tree::text).map(|text| (word, text)));
    }
    for item in tree.get("run").map(Tree::items).unwrap_or_default() {
        found.extend(item.text().map(|text| ("run", text)));
    }
    let of_wait = ["until", "task", "agent", "run", "node", "workflow"].map(|inner| ("wait", inner));
    for (outer, inner) in [("approval", "message")].into_iter().chain(of_wait) {
        found.extend(
            tree.get(outer).and_then(|tree| tree.get(inner)).and_then(Tree::text).map(|text| (inner, text)),
        );
    }
    if let Some(labels) = tree.get("wait").and_then(|wait| wait.get("labels")) {
        all_texts(labels, "labels", &mut found);
    }
    if let Some(env) = tree.get("env") {
        all_texts(env, "env", &mut found);
    }
    if let Some(inputs) = tree.get("workflow").and_then(|inner| inner.get("inputs")) {
        all_texts(inputs, "inputs", &mut found);
    }
    found
}

fn all_texts<'a>(tree: &'a Tree, word: &'static str, found: &mut Vec<(&'static str, &'a Text)>) {
    match &tree.kind {
        Kind::Text(text) => found.push((word, text)),
        Kind::List(items) => items.iter().for_each(|item| all_texts(item, word, found)),
        Kind::Map(named) => named.iter().for_each(|(_, value)| all_texts(value, word, found)),
        Kind::Null | Kind::Bool(_) | Kind::Number(..) => {}
    }
}

fn reference(check: &mut Check<'_>, node: &Node, text: &Text, word: &str, used: &Reference, sight: Sight) {
    let span = text.locate(used.at.0, used.at.1, used.length);
    let mut fault = |message: String, hint: String| check.problems.push(Problem::error(span, message, hint));
    let second = used.path.get(1).map(String::as_str);
    match (used.path.first().map(String::as_str), second) {
        (Some("nodes"), Some(id)) => of_node(check, node, span, used, id, sight),
        (Some("nodes"), None) => {
            fault(
                "`nodes` alone says nothing".to_owned(),
                "name the node: nodes.ID.output, or nodes[\"ID\"].output".to_owned(),
            );
        }
        (Some("inputs"), Some(name)) if check.definition.inputs.contains_key(name) => {}
        (Some("inputs"), Some(name)) => {
            let known = check.definition.inputs.keys().map(String::as_str);
            let hint = meant(name, known, "declare it below `inputs`");
            fault(format!("there is no input \"{name}\""), hint);
        }
        (Some("inputs"), None) => {}
        (Some("item" | "index"), _) if node.foreach.is_some() && word != "foreach" && word != "when" => {}
        (Some(first @ ("item" | "index")), _) => {
            fault(
                format!("`{first}` exists only in a node with `foreach`, and not in its `when`"),
                "give the node a `foreach`".to_owned(),
            );
        }
        (Some("run"), Some(name)) if OF_RUNS.contains(&name) => {}
        (Some("run"), _) => {
            fault(format!("there is no `{}`", used.name()), format!("`run` has: {}", OF_RUNS.join(", ")))
        }
        (Some(first), _) => {
            let known = ["nodes", "inputs", "item", "index", "run"];
            let hint = meant(
                first,
                known,
                "templates may use nodes, inputs, run, and with `foreach` item and index",
            );
            fault(format!("there is no `{first}`"), hint);
        }
        (None, _) => {}
    }
}

fn of_node(
    check: &mut Check<'_>,
    node: &Node,
    span: Option<crate::problem::Span>,
    used: &Reference,
    id: &str,
    sight: Sight,
) {
    let Some(other) = check.ids.get(id).copied() else {
        let begins = check.ids.keys().find(|known| known.starts_with(&format!("{id}-")));
        let hint = match begins {
            Some(known) => format!("write nodes[\"{known}\"]: behind a point, '-' is a minus"),
            None => meant(id, check.ids.keys().copied(), "the id of a node stands behind `nodes.`"),
        };
        check.problems.push(Problem::error(span, format!("there is no node \"{id}\""), hint));
        return;
    };
    if let Some(word) = used.path.get(2).filter(|word| !OF_NODES.contains(&word.as_str())) {
        let hint = meant(word, OF_NODES, "a node has: output, state, items");
        check.problems.push(Problem::error(span, format!("a node has no `{word}`"), hint));
    }
    let is_needed = sight == Sight::All
        || node.needs.iter().any(|need| need == id)
        || check.number(node).is_some_and(|own| check.order.needs(own, other));
    if !is_needed {
        let message = format!("node \"{}\" uses \"{id}\" without needing it", node.id);
        check.problems.push(Problem::error(span, message, format!("add \"{id}\" to its `needs`")));
    }
}
