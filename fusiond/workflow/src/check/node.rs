//! One node: what it does, and which options go with that. Not for: its templates (`texts`).

use super::{Check, texts};
use crate::definition::{Node, Work};
use crate::problem::Problem;
use crate::schema::Checker;
use crate::template;
use crate::tree::Tree;
use crate::words;
use serde_json::Value;

/// Options that only a node with a task can have.
const OF_TASKS: [&str; 16] = [
    "capabilities",
    "agent",
    "profile",
    "priority",
    "timeout",
    "idle_timeout",
    "queue_timeout",
    "retries",
    "on_lost",
    "concurrency_key",
    "env",
    "workdir",
    "secrets",
    "output",
    "foreach",
    "budget",
];

/// The most patterns in all schemas of a definition: each takes up to some milliseconds to read.
const PATTERNS_MAX: usize = 1_000;

/// What it does is said once. Not asked of a node in which something is wrong: a misspelt word may be what it does.
pub(super) fn does_one_thing(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    let works = words::NODE.one_of;
    let said: Vec<&str> = works.iter().copied().filter(|word| tree.get(word).is_some()).collect();
    match said.as_slice() {
        [] => {
            let message = format!("node \"{}\" does nothing", node.id);
            let hint = format!("give it one of {}", works.join(", "));
            check.problems.push(Problem::error(tree.get("id").and_then(|id| id.span), message, hint));
        }
        [_] => {}
        [_, second, ..] => {
            let message = format!("node \"{}\" does several things: {}", node.id, said.join(", "));
            check.problems.push(Problem::error(tree.key_span(second), message, "make a node of each"));
        }
    }
}

pub(super) fn check(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    options(check, node, tree);
    check.one_agent(tree);
    check.whole_path(tree, "workdir", node.terms.workdir.as_deref());
    work(check, node, tree);
    output(check, node, tree);
    texts::check(check, node, tree, texts::Sight::Needs);
}

fn options(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    if let Some(work) = node.work().filter(|_| !node.is_task()) {
        let is_mapped = |word: &str| word == "foreach" && matches!(work, Work::Workflow(_));
        let wrong = OF_TASKS.into_iter().filter(|word| tree.get(word).is_some() && !is_mapped(word));
        for word in wrong {
            let message = format!("`{word}` makes no sense in node \"{}\", which no agent works on", node.id);
            check.problems.push(Problem::error(tree.key_span(word), message, instead(work, word)));
        }
    }
    if node.max_parallel.is_some() && node.foreach.is_none() {
        let span = tree.key_span("max_parallel");
        check.problems.push(Problem::error(
            span,
            "`max_parallel` makes no sense without `foreach`",
            "remove it",
        ));
    }
    if let Some(Value::String(text)) = &node.when
        && template::expression(text).is_none()
        && template::names(text).is_ok()
    {
        let span = tree.get("when").and_then(|when| when.span);
        let message = "`when` must be one expression in double braces";
        check.problems.push(Problem::error(
            span,
            message,
            "write when: \"{{ … }}\", with `and`, `or`, `not` inside",
        ));
    }
    if let Some(Value::String(text)) = &node.foreach
        && template::expression(text).is_none()
        && template::names(text).is_ok()
    {
        let span = tree.get("foreach").and_then(|items| items.span);
        let message = "`foreach` must be a list, or one expression in double braces that is one";
        check.problems.push(Problem::error(
            span,
            message,
            "write foreach: \"{{ nodes.ID.output }}\" or foreach: [a, b]",
        ));
    }
    for (secret, tree) in node.secrets.iter().zip(tree.get("secrets").map(Tree::items).unwrap_or_default()) {
        let variable = secret.split_once('=').map_or(secret.as_str(), |(_, variable)| variable);
        let is_fine =
            variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !variable.is_empty();
        if !is_fine && tree.is_word() {
            let message = format!("{secret:?} names no variable");
            check.problems.push(Problem::error(tree.span, message, "write NAME, or NAME=VARIABLE"));
        }
    }
    for name in node.terms.env.keys() {
        let span = tree.get("env").and_then(|env| env.key_span(name));
        let is_fine =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_fine || name.starts_with(|first: char| first.is_ascii_digit()) {
            check.problems.push(Problem::error(
                span,
                format!("{name:?} is not a name of a variable"),
                "use letters, digits and '_'",
            ));
        } else if name.starts_with("FUSION_") {
            let message = format!("{name:?} is the daemon's: names that begin with FUSION_ are");
            check.problems.push(Problem::error(span, message, "choose another name"));
        }
    }
}

/// Where an option belongs that no agent can heed here.
fn instead(work: Work<'_>, word: &str) -> String {
    match (work, word) {
        (Work::Workflow(inner), "timeout" | "budget") => {
            format!("write `{word}` at the top of workflow \"{}\": it holds for its whole run", inner.name)
        }
        (Work::Workflow(inner), "secrets" | "concurrency_key" | "output") => {
            format!("write it at the node of workflow \"{}\" that it is meant for", inner.name)
        }
        (Work::Workflow(inner), _) => {
            format!("write it below `defaults` of workflow \"{}\", or at its nodes", inner.name)
        }
        (Work::Approval(_), "timeout") => {
            "put it into the approval: approval: {timeout: 1h, default: reject}".to_owned()
        }
        (Work::Wait(_), "timeout") => {
            "put it into the wait: wait: {event: task.succeeded, timeout: 1h}".to_owned()
        }
        (Work::Wait(_), "agent") => {
            "put it into the wait: wait: {event: agent.ready, agent: NAME}".to_owned()
        }
        (Work::Approval(_), "retries" | "foreach" | "output") => {
            "remove it: a person is asked once, and the answer is the result".to_owned()
        }
        (Work::Prompt(_) | Work::Run(_) | Work::Approval(_) | Work::Wait(_) | Work::Done, _) => {
            "remove it, or put it into a node with `prompt` or `run`".to_owned()
        }
    }
}

fn work(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    match node.work() {
        Some(Work::Run([])) => {
            let span = tree.get("run").and_then(|run| run.span);
            check.problems.push(Problem::error(
                span,
                "`run` is empty",
                "give a command with its arguments: [\"make\", \"check\"]",
            ));
        }
        Some(Work::Prompt(prompt)) if prompt.trim().is_empty() => {
            let span = tree.get("prompt").and_then(|prompt| prompt.span);
            check.problems.push(Problem::error(span, "`prompt` is empty", "say what the agent shall do"));
        }
        Some(Work::Wait(wait)) => {
            if let Some(tree) = tree.get("wait") {
                super::wait::check(check, wait, tree, check.number(node));
            }
        }
        Some(Work::Workflow(inner)) if inner.name == check.definition.name && !inner.name.is_empty() => {
            let span = tree.get("workflow").and_then(|inner| inner.span);
            let message = format!("workflow \"{}\" would run itself without end", inner.name);
            check.problems.push(Problem::error(span, message, "name another workflow"));
        }
        None if tree.get("done").is_some() && !node.done => {
            let span = tree.get("done").and_then(|done| done.span);
            let hint = "remove it, or say what the node does";
            check.problems.push(Problem::error(span, "`done` can only be true", hint));
        }
        Some(Work::Run(_) | Work::Prompt(_) | Work::Workflow(_) | Work::Approval(_) | Work::Done) | None => {}
    }
}

fn output(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    let Some(output) = &node.output else { return };
    let span = tree.get("output").and_then(|output| output.get("schema")).and_then(|schema| schema.span);
    let Some(schema) = &output.schema else { return };
    if output.format == crate::definition::Format::Text {
        check.problems.push(Problem::error(
            span,
            "a schema needs `format: json`",
            "remove `format`, or make it json",
        ));
    }
    // Each may take long to read: no more of a definition that has too many.
    if check.patterns > PATTERNS_MAX {
        return;
    }
    match Checker::new(schema) {
        Err(problem) => {
            let message = format!("the schema of node \"{}\" cannot be used: {problem}", node.id);
            check.problems.push(Problem::error(span, message, "see https://json-schema.org"));
        }
        Ok(checker) => {
            check.patterns += checker.patterns();
            if check.patterns > PATTERNS_MAX {
                let message = format!("the schemas up to here have more than {PATTERNS_MAX} patterns");
                check.problems.push(Problem::error(
                    span,
                    message,
                    "use fewer `pattern` and `patternProperties`",
                ));
            }
        }
    }
}
