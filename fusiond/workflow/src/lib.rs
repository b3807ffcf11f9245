//! What a workflow's definition may say: reading it, checking it, filling its templates.
//!
//! ```text
//!   YAML  ──► Tree ──► checked against the words ──► Definition ──► graph, templates, inputs
//!   JSON  ──┘          (`shape`, `words`)                           (`check`)
//! ```
//!
//! The command line reads the user's file and finds what is wrong with it; the daemon gets the definition as JSON and
//! checks it again by the same code. Not for: what happens when a run goes on (`fusion-core`), files and sockets.

pub mod check;
pub mod definition;
pub mod duration;
mod elsewhere;
pub mod events;
mod hint;
pub mod inputs;
pub mod near;
pub mod order;
pub mod problem;
pub mod references;
pub mod schema;
pub mod shape;
pub mod template;
pub mod tree;
pub mod words;
pub mod yaml;

pub use definition::{Definition, Node, Work};
pub use problem::{Problem, Severity};

use serde_json::Value;
use tree::Tree;

/// The longest definition, as text and as JSON.
pub const DEFINITION_BYTES_MAX: usize = 4 << 20;
/// The most nodes of one definition.
pub const NODES_MAX: usize = 20_000;
/// The most edges of one definition.
pub const EDGES_MAX: usize = 200_000;
/// The longest template.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;
/// The most items of one `foreach`.
pub const ITEMS_MAX: usize = 10_000;
/// How deep workflows may stand within one another.
pub const NESTING_MAX: u8 = 8;

/// A definition, and everything that was found wrong or doubtful about it.
#[derive(Debug)]
pub struct Read {
    /// What it says; `None` when something is wrong with it.
    pub definition: Option<Definition>,
    /// All that was found, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Reads and checks the text of a definition.
#[must_use]
pub fn read_yaml(text: &str) -> Read {
    match yaml::read(text) {
        (Some(tree), problems) => read(&tree, problems),
        (None, problems) => Read { definition: None, problems },
    }
}

/// Reads and checks a definition that another program wrote as JSON.
#[must_use]
pub fn read_json(text: &str) -> Read {
    match serde_json::from_str(text) {
        Ok(value) => read(&Tree::from_json(value), Vec::new()),
        Err(error) => {
            let problem = Problem::error(None, format!("the definition is not JSON: {error}"), "");
            Read { definition: None, problems: vec![problem] }
        }
    }
}

fn read(tree: &Tree, mut problems: Vec<Problem>) -> Read {
    let value = shape::read(tree, &words::DEFINITION, &mut problems);
    let mut definition = None;
    let value = if problems.is_empty() { value } else { without_nothing(value) };
    match serde_json::from_value::<Definition>(value) {
        Ok(found) => {
            check::check(&found, tree, &mut problems);
            definition = Some(found);
        }
        // What is no map leaves nothing to read: it is said already.
        Err(_) if !problems.is_empty() => {}
        Err(error) => problems.push(Problem::error(tree.span, format!("the definition: {error}"), "")),
    }
    problems.sort_by_key(|problem| problem.span.map(|span| (span.line, span.column)));
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        definition = None;
    }
    Read { definition, problems }
}

/// The same without values that were wrong, so that the rest can be checked as well.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let said = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(name, value)| (name, without_nothing(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nothing).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
