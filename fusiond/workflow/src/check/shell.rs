//! Whether what another node wrote becomes part of a script: one quote in it, and it is a command.
//!
//! Not for: whether its templates are some (`texts`).

use super::Check;
use crate::definition::{Node, Terms};
use crate::problem::Problem;
use crate::references::{Reference, find};
use crate::template::{Tag, place, tags};
use crate::tree::{Text, Tree};
use serde_json::Value;
use std::collections::HashSet;

/// Programs that read a script.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "zsh", "ksh"];
/// Programs that run the command behind them.
const WRAPPERS: [&str; 8] = ["env", "sudo", "nice", "ionice", "nohup", "timeout", "setsid", "stdbuf"];
/// The profile whose agents read a task's text as a script.
const SHELL_PROFILE: &str = "shell";

pub(super) fn check(check: &mut Check<'_>, node: &Node, tree: &Tree) {
    let Some(text) = script(node, &check.definition.defaults, tree) else { return };
    let mut foreign = Foreign::default();
    if node.foreach.as_ref().is_some_and(|items| foreign.is_in_any(items)) {
        foreign.names.insert("item".to_owned());
    }
    for tag in tags(&text.text) {
        let inner = inner(tag);
        if tag.text.starts_with("{%") {
            foreign.follow(inner);
        } else if foreign.is_in(inner) {
            let (line, column) = place(&text.text, tag.at);
            let span = text.locate(line, column, tag.text.chars().count());
            let message = format!(
                "what another node wrote reaches a shell in node \"{}\" without shell_quote",
                node.id
            );
            let hint = "write {{ … | shell_quote }}: otherwise a quote or a `;` in it becomes a command";
            check.problems.push(Problem::warning(span, message, hint));
        }
    }
}

/// What stands between the braces.
fn inner(tag: Tag<'_>) -> &str {
    let inner = tag.text.get(2..tag.text.len() - 2).unwrap_or_default();
    inner.trim_matches(['-', '+']).trim()
}

/// Names in a template that hold what another node wrote.
#[derive(Default)]
struct Foreign {
    names: HashSet<String>,
}

impl Foreign {
    /// Whether an expression is made of it, unquoted.
    fn is_in(&self, expression: &str) -> bool {
        if expression.contains("shell_quote") {
            return false;
        }
        match find(&format!("{{{{ {expression} }}}}")) {
            Ok(found) => found.used.iter().any(|used| is_written(used) || self.holds(used)),
            // What cannot be read by itself may say anything.
            Err(_) => expression.contains("nodes"),
        }
    }

    fn holds(&self, used: &Reference) -> bool {
        used.path.first().is_some_and(|first| self.names.contains(first))
    }

    fn is_in_any(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => tags(text).into_iter().any(|tag| self.is_in(inner(tag))),
            Value::Array(items) => items.iter().any(|item| self.is_in_any(item)),
            Value::Object(map) => map.values().any(|value| self.is_in_any(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Goes through a statement that gives names to values.
    fn follow(&mut self, statement: &str) {
        let Some((word, rest)) = statement.split_once(char::is_whitespace) else { return };
        match word {
            "for" => {
                if let Some((names, value)) = rest.split_once(" in ") {
                    self.name(names, value.trim_end().trim_end_matches("recursive"));
                }
            }
            "set" => {
                if let Some((names, value)) = rest.split_once('=') {
                    self.name(names, value);
                }
            }
            "with" => {
                for (name, value) in rest.split(',').filter_map(|part| part.split_once('=')) {
                    self.name(name, value);
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, names: &str, value: &str) {
        let is_foreign = self.is_in(value);
        for name in names.split(',').map(|name| name.trim_matches(['(', ')', ' '])) {
            if is_foreign {
                self.names.insert(name.to_owned());
            } else {
                self.names.remove(name);
            }
        }
    }
}

/// Whether it is what a node wrote: all but its state.
fn is_written(used: &Reference) -> bool {
    used.path.first().is_some_and(|first| first == "nodes")
        && used.path.get(2).is_none_or(|word| word != "state")
}

/// The text that a shell reads, if one does.
fn script<'a>(node: &Node, defaults: &Terms, tree: &'a Tree) -> Option<&'a Text> {
    if let Some(run) = &node.run {
        return tree.get("run")?.items().get(script_of(run)?)?.text();
    }
    let terms = node.terms.or(defaults);
    let is_shell = terms.profile.as_deref() == Some(SHELL_PROFILE)
        || terms.capabilities.iter().flatten().any(|name| SHELLS.contains(&name.as_str()));
    tree.get("prompt").filter(|_| is_shell)?.text()
}

/// Which argument of a command is a script: `bash -e -c SCRIPT`, also behind a wrapper.
fn script_of(run: &[String]) -> Option<usize> {
    let is = |program: &str, known: &[&str]| known.contains(&program.rsplit('/').next().unwrap_or(program));
    let shell = match run.first() {
        Some(first) if is(first, &SHELLS) => 0,
        Some(first) if is(first, &WRAPPERS) => run.iter().position(|word| is(word, &SHELLS))?,
        Some(_) | None => return None,
    };
    let mut before = "";
    for (at, word) in run.iter().enumerate().skip(shell + 1) {
        let is_flag = word.starts_with(['-', '+']);
        if is_flag && !word.starts_with("--") && word.contains('c') {
            return Some(at + 1);
        }
        // `-o pipefail` has a value.
        if !is_flag && !before.ends_with('o') {
            return None;
        }
        before = if is_flag { word } else { "" };
    }
    None
}
