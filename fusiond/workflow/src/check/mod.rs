//! Whether the parts of a definition fit together: ids, needs, cycles, what each node does, templates, schemas.
//!
//! Not for: the form of single values (`shape`).

mod node;
mod shell;
mod texts;
mod wait;

use crate::EDGES_MAX;
use crate::definition::{Definition, HOOK_IDS, Node};
use crate::inputs;
use crate::near::meant;
use crate::order::Order;
use crate::problem::Problem;
use crate::shape::is_name;
use crate::tree::{Kind, Tree};
use crate::words;
use std::collections::{BTreeSet, HashMap};

/// Finds everything that is wrong or doubtful.
pub fn check(definition: &Definition, tree: &Tree, problems: &mut Vec<Problem>) {
    let nodes = tree.get("nodes").map(Tree::items).unwrap_or_default();
    let faulty = problems.iter().map(|problem| problem.path.clone()).collect();
    let mut check =
        Check { faulty, definition, ids: HashMap::new(), order: Order::new(0, []), patterns: 0, problems };
    if definition.nodes.is_empty()
        && tree.get("nodes").is_some_and(|nodes| matches!(nodes.kind, Kind::List(_)))
    {
        let span = tree.get("nodes").and_then(|nodes| nodes.span);
        check.problems.push(Problem::error(
            span,
            "a workflow needs at least one node",
            "give a list of nodes, each with an `id`",
        ));
    }
    check.inputs(tree);
    check.ids(nodes);
    check.order(nodes);
    for ((at, node), tree) in (0..).zip(&definition.nodes).zip(nodes) {
        if !check.is_faulty(&format!("nodes[{at}]")) {
            node::does_one_thing(&mut check, node, tree);
        }
        node::check(&mut check, node, tree);
    }
    check.hooks(tree);
    check.whole_path(tree, "tasks_file", definition.tasks_file.as_deref());
    if let Some(defaults) = tree.get("defaults") {
        check.whole_path(defaults, "workdir", definition.defaults.workdir.as_deref());
        check.one_agent(defaults);
    }
}

/// The longest path (path_resolution(7)).
const PATH_BYTES_MAX: usize = 4096;

struct Check<'a> {
    definition: &'a Definition,
    ids: HashMap<&'a str, u32>,
    order: Order,
    /// Where something is wrong already.
    faulty: BTreeSet<String>,
    /// How many patterns the schemas have.
    patterns: usize,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Check<'a> {
    /// Whether something is wrong already in this place of the definition.
    fn is_faulty(&self, place: &str) -> bool {
        let within = format!("{place}.");
        let behind = self.faulty.range(within.clone()..).next();
        self.faulty.contains(place) || behind.is_some_and(|path| path.starts_with(&within))
    }

    /// A path is one from the root: the daemon stands in no folder of its user's.
    fn whole_path(&mut self, tree: &Tree, word: &str, path: Option<&str>) {
        let is_whole =
            |path: &str| path.starts_with('/') && path.len() < PATH_BYTES_MAX && !path.contains('\0');
        if let Some(path) = path.filter(|path| !is_whole(path)) {
            let span = tree.get(word).and_then(|value| value.span);
            let message = format!("`{word}` must be an absolute path, found {path:?}");
            self.problems.push(Problem::error(
                span,
                message,
                "write it from the root, such as /home/ada/project",
            ));
        }
    }

    /// Whoever names the agent has no say in what it is made of.
    fn one_agent(&mut self, tree: &Tree) {
        if let Some(span) = tree.get("agent").and_then(|_| tree.key_span("profile")) {
            let message = "`agent` and `profile` both say who does the work";
            let hint = "keep `agent` for one agent that there is, or `profile` for any of its kind";
            self.problems.push(Problem::error(Some(span), message, hint));
        }
    }

    fn inputs(&mut self, tree: &Tree) {
        let declared = tree.get("inputs");
        for (name, input) in &self.definition.inputs {
            let span = declared.and_then(|declared| declared.key_span(name));
            if !is_name(name) || name.contains('-') {
                let hint = "use letters, digits and '_', beginning with a letter";
                self.problems.push(Problem::error(
                    span,
                    format!("{name:?} is not a name for an input"),
                    hint,
                ));
            }
            let own = declared.and_then(|declared| declared.get(name));
            let span = own.and_then(|own| own.get("default")).and_then(|value| value.span).or(span);
            if let Some(Err(problem)) = input.default.as_ref().map(|value| inputs::fits(input, value)) {
                let message = format!("the default of input \"{name}\" {problem}");
                self.problems.push(Problem::error(span, message, "write a default that the input may have"));
            }
            if input.required && input.default.is_some() {
                let message = format!("input \"{name}\" is required and has a default that is never used");
                self.problems.push(Problem::warning(span, message, "remove one of the two"));
            }
        }
    }

    fn ids(&mut self, nodes: &[Tree]) {
        for (at, node) in (0..).zip(&self.definition.nodes).filter(|(_, node)| !node.id.is_empty()) {
            let span = nodes.get(at as usize).and_then(|tree| tree.get("id")).and_then(|id| id.span);
            if HOOK_IDS.contains(&node.id.as_str()) {
                let message = format!("\"{}\" is the name of a hook", node.id);
                self.problems.push(Problem::error(span, message, "choose another id"));
            }
            if let Some(first) = self.ids.get(node.id.as_str()) {
                let first = nodes.get(*first as usize).and_then(|tree| tree.get("id")).and_then(|id| id.span);
                let line = first.map_or_else(String::new, |span| format!(", first in line {}", span.line));
                let message = format!("two nodes have the id \"{}\"{line}", node.id);
                self.problems.push(Problem::error(span, message, "give each node an id of its own"));
                continue;
            }
            self.ids.insert(&node.id, at);
        }
    }

    /// Needs that name nothing, and nodes that need one another.
    fn order(&mut self, trees: &[Tree]) {
        let mut edges = Vec::new();
        for ((at, node), tree) in (0..).zip(&self.definition.nodes).zip(trees) {
            let spans: Vec<_> =
                tree.get("needs").map(Tree::items).unwrap_or_default().iter().map(|need| need.span).collect();
            // An empty one was no name.
            for (place, need) in node.needs.iter().enumerate().filter(|(_, need)| !need.is_empty()) {
                let span = spans.get(place).copied().flatten();
                let Some(needed) = self.ids.get(need.as_str()) else {
                    let hint = meant(need, self.ids.keys().copied(), "a need names the id of another node");
                    let message = format!("node \"{}\" needs \"{need}\", which does not exist", node.id);
                    self.problems.push(Problem::error(span, message, hint));
                    continue;
                };
                if node.needs[..place].contains(need) {
                    let message = format!("node \"{}\" needs \"{need}\" twice", node.id);
                    self.problems.push(Problem::error(span, message, "remove one of the two"));
                    continue;
                }
                edges.push((*needed, at));
            }
        }
        if edges.len() > EDGES_MAX {
            let message = format!("{} needs are too many: at most {EDGES_MAX}", edges.len());
            self.problems.push(Problem::error(None, message, "put a node in between that gathers them"));
        }
        self.order = Order::new(self.definition.nodes.len(), edges);
        for cycle in self.order.cycles() {
            self.cycle(&cycle, trees);
        }
    }

    /// The cycle is told as it would go on: from a node to what needs it.
    fn cycle(&mut self, cycle: &[u32], trees: &[Tree]) {
        let id = |at: u32| self.definition.nodes[at as usize].id.as_str();
        let round = cycle.iter().chain(cycle.first()).map(|at| id(*at));
        let written = round.collect::<Vec<_>>().join(" → ");
        let first = cycle.first().and_then(|at| trees.get(*at as usize));
        let span = first.and_then(|tree| tree.key_span("needs"));
        let (last, first) = (cycle.last().map_or("", |at| id(*at)), cycle.first().map_or("", |at| id(*at)));
        let hint = if cycle.len() == 1 {
            format!("\"{first}\" cannot need itself")
        } else {
            format!("one of these needs must go, for example that \"{first}\" needs \"{last}\"")
        };
        self.problems.push(Problem::error(span, format!("nodes need one another: {written}"), hint));
    }

    fn hooks(&mut self, tree: &Tree) {
        let hooks = [&self.definition.on_success, &self.definition.on_failure];
        for (hook, id) in hooks.into_iter().zip(HOOK_IDS) {
            let (Some(hook), Some(tree)) = (hook, tree.get(id)) else { continue };
            let node = hook.node(id);
            if !self.is_faulty(id) && (!node.is_task() || node.work().is_none()) {
                let message = format!("`{id}` must have either `prompt` or `run`");
                let hint = format!("write {id}: {}", words::HOOK.example);
                self.problems.push(Problem::error(tree.span, message, hint));
            }
            self.one_agent(tree);
            // A hook comes after everything: it may speak about every node.
            texts::check(self, &node, tree, texts::Sight::All);
        }
    }

    fn number(&self, node: &Node) -> Option<u32> {
        self.ids.get(node.id.as_str()).copied()
    }
}
