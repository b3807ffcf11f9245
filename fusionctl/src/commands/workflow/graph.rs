//! `workflow graph`: the nodes of a definition or a run as a drawing.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use clap::ValueEnum;
use fusion_proto::v1::GetRunRequest;
use fusion_workflow::definition::{self, Definition, HOOK_IDS, Work};
use fusion_workflow::order::Order;
use serde::Serialize;

use super::applied;
use super::file::{File, is_file};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table::printable;
use crate::view::workflow::Run;

const AFTER: &str = "\
Examples:
  fusionctl workflow graph review.yaml
  fusionctl workflow graph 4f2k9x0a --format mermaid
  fusionctl workflow graph review@2
  fusionctl workflow graph review.yaml --format dot | dot -Tsvg > review.svg";

/// Arguments of `workflow graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML (`-`: stdin), a run (id, a unique part of one, or key:KEY), or the
    /// name of a definition that was applied, NAME or NAME@VERSION
    #[arg(value_name = "FILE|RUN|NAME")]
    run: String,
    /// For whom it is drawn
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Drawing,
}

/// For whom it is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// For a terminal: a line for each node, in the order in which they can begin
    #[default]
    Ascii,
    /// For Mermaid
    Mermaid,
    /// For Graphviz
    Dot,
}

/// A node to draw.
#[derive(Debug, Serialize)]
struct Node {
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    needs: Vec<String>,
    /// What is to be known of it at a glance: `approval`, `each item`, `hook`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<String>,
}

const HOOK: &str = "hook";

impl Node {
    /// Whether it comes when everything else has ended.
    fn is_hook(&self) -> bool {
        HOOK_IDS.contains(&self.id.as_str())
    }

    /// `gate (approval)`.
    fn label(&self) -> String {
        if self.marks.is_empty() {
            self.id.clone()
        } else {
            format!("{} ({})", self.id, self.marks.join(", "))
        }
    }
}

/// Reads the definition here, or asks for the run, and draws it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let nodes = match is_file(&args.run) {
        true => of_definition(File::read(&args.run)?.definition()?),
        false => of_run_or_name(&session, args.run).await?,
    };
    session.out.document(&nodes, |out| {
        let drawn = match args.format {
            Drawing::Ascii => ascii(&nodes),
            Drawing::Mermaid => mermaid(&nodes),
            Drawing::Dot => dot(&nodes),
        };
        out.line(drawn.trim_end())
    })?;
    Ok(Exit::Done)
}

fn of_definition(definition: &Definition) -> Vec<Node> {
    let nodes = definition.all_nodes().into_iter();
    nodes
        .map(|node| Node { marks: marks(&node), state: String::new(), id: node.id, needs: node.needs })
        .collect()
}

fn marks(node: &definition::Node) -> Vec<String> {
    let work = match node.work() {
        Some(Work::Approval(_)) => Some("approval".to_owned()),
        Some(Work::Workflow(inner)) => Some(format!("workflow {}", inner.name)),
        Some(Work::Wait(_)) => Some("wait".to_owned()),
        Some(Work::Prompt(_) | Work::Run(_) | Work::Done) | None => None,
    };
    let said = [
        (node.foreach.is_some(), "for each item"),
        (node.when.is_some(), "when"),
        (node.always, "always"),
        (HOOK_IDS.contains(&node.id.as_str()), HOOK),
    ];
    let said = said.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned());
    work.into_iter().chain(said).collect()
}

/// What no run is called may be the name of a definition.
async fn of_run_or_name(session: &Session, name: String) -> Result<Vec<Node>, Stop> {
    let link = session.link().await?;
    let request = GetRunRequest { run: name.clone() };
    match link.repeat(async || link.workflows().get_run(request.clone()).await).await {
        Ok(run) => Ok(of_run(Run::from(run))),
        Err(stop) => match applied::find(&link, &name).await {
            Ok(definition) => Ok(of_definition(&definition)),
            Err(_) => Err(stop),
        },
    }
}

fn of_run(run: Run) -> Vec<Node> {
    let node = |node: crate::view::workflow::Node| {
        let count = node.item_count.map(|count| format!("{count} items"));
        let hook = HOOK_IDS.contains(&node.id.as_str()).then(|| HOOK.to_owned());
        let marks = count.into_iter().chain(hook).collect();
        Node { id: node.id, state: node.state, needs: node.needs, marks }
    };
    run.nodes.into_iter().map(node).collect()
}

/// How nodes are filled, by their state.
const COLOURS: [(&str, &str); 7] = [
    ("succeeded", "#c8e6c9"),
    ("failed", "#ffcdd2"),
    ("running", "#bbdefb"),
    ("waiting_approval", "#ffe0b2"),
    ("waiting", "#e1bee7"),
    ("cancelled", "#d7ccc8"),
    ("skipped", "#eeeeee"),
];

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("a String takes all");
}

/// The nodes by the wave in which they can begin at the earliest; hooks come last.
fn waves(nodes: &[Node]) -> Vec<Vec<&Node>> {
    let (steps, hooks): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| !node.is_hook());
    let numbers: HashMap<&str, u32> = steps.iter().map(|node| node.id.as_str()).zip(0..).collect();
    let edges = (0..).zip(&steps).flat_map(|(at, node)| {
        node.needs.iter().filter_map(|need| numbers.get(need.as_str())).map(move |need| (*need, at))
    });
    let order = Order::new(steps.len(), edges.collect::<Vec<_>>()).waves().unwrap_or_default();
    let mut waves: Vec<Vec<&Node>> =
        order.iter().map(|wave| wave.iter().map(|at| steps[*at as usize]).collect()).collect();
    if !hooks.is_empty() {
        waves.push(hooks);
    }
    waves
}

/// One line for each node below the wave in which it can begin at the earliest.
fn ascii(nodes: &[Node]) -> String {
    let width = nodes.iter().map(|node| node.label().chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (wave, members) in waves(nodes).iter().enumerate() {
        if wave > 0 {
            out.push_str("  │\n");
        }
        for node in members {
            let state = if node.state.is_empty() { String::new() } else { format!(" [{}]", node.state) };
            let needs = match (node.needs.is_empty(), node.is_hook()) {
                (true, true) => "  ← everything else".to_owned(),
                (true, false) => String::new(),
                (false, _) => format!("  ← {}", node.needs.join(", ")),
            };
            push(&mut out, format_args!("  ● {:width$}{state}{needs}\n", node.label()));
        }
    }
    printable_lines(&out)
}

/// Nodes that no other node needs: what a hook comes after.
fn last(nodes: &[Node]) -> Vec<&Node> {
    let needed: HashSet<&str> = nodes.iter().flat_map(|node| &node.needs).map(String::as_str).collect();
    nodes.iter().filter(|node| !node.is_hook() && !needed.contains(node.id.as_str())).collect()
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn mermaid(nodes: &[Node]) -> String {
    let mut out = String::from("flowchart TD\n");
    for node in nodes {
        let class = if node.state.is_empty() { String::new() } else { format!(":::{}", node.state) };
        push(&mut out, format_args!("    {}[\"{}\"]{class}\n", name(&node.id), node.label()));
    }
    for node in nodes {
        for need in &node.needs {
            push(&mut out, format_args!("    {} --> {}\n", name(need), name(&node.id)));
        }
    }
    for hook in nodes.iter().filter(|node| node.is_hook()) {
        for before in last(nodes) {
            push(&mut out, format_args!("    {} -.-> {}\n", name(&before.id), name(&hook.id)));
        }
    }
    for (state, colour) in COLOURS {
        if nodes.iter().any(|node| node.state == state) {
            push(&mut out, format_args!("    classDef {state} fill:{colour}\n"));
        }
    }
    out
}

/// `end` is a word of Mermaid, and `-` an edge: names are kept apart from what is shown.
fn name(id: &str) -> String {
    format!("n_{}", id.replace('-', "_d_"))
}

fn dot(nodes: &[Node]) -> String {
    let mut out = String::from("digraph workflow {\n    node [shape=box]\n");
    for node in nodes {
        let colour = COLOURS.iter().find(|(state, _)| node.state == *state);
        let filled =
            colour.map(|(_, colour)| format!(", style=filled, fillcolor=\"{colour}\"")).unwrap_or_default();
        push(&mut out, format_args!("    \"{}\" [label=\"{}\"{filled}]\n", node.id, node.label()));
    }
    for node in nodes {
        for need in &node.needs {
            push(&mut out, format_args!("    \"{need}\" -> \"{}\"\n", node.id));
        }
    }
    for hook in nodes.iter().filter(|node| node.is_hook()) {
        for before in last(nodes) {
            push(&mut out, format_args!("    \"{}\" -> \"{}\" [style=dashed]\n", before.id, hook.id));
        }
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diamond() -> Vec<Node> {
        let node = |id: &str, state: &str, needs: &[&str]| Node {
            id: id.to_owned(),
            state: state.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            marks: Vec::new(),
        };
        vec![node("a", "succeeded", &[]), node("b-1", "failed", &["a"]), node("end", "", &["a", "b-1"])]
    }

    #[test]
    fn a_graph_is_drawn_for_each() {
        assert_eq!(
            ascii(&diamond()),
            "  ● a   [succeeded]\n  │\n  ● b-1 [failed]  ← a\n  │\n  ● end  ← a, b-1"
        );
        let mermaid = mermaid(&diamond());
        assert!(
            mermaid.contains("    n_b_d_1[\"b-1\"]:::failed\n") && mermaid.contains("    n_a --> n_end\n")
        );
        assert!(dot(&diamond()).contains("    \"b-1\" -> \"end\"\n"));
    }

    #[test]
    fn what_a_node_is_and_what_comes_last_is_drawn() {
        let text = "name: d\nnodes:\n- {id: gate, approval: {}}\n\
                    - {id: all, needs: gate, foreach: [1], run: [a]}\n\
                    - {id: call, needs: gate, workflow: inner}\non_failure: {run: [b]}\n";
        let read = fusion_workflow::read_yaml(text);
        let nodes = of_definition(&read.definition.unwrap_or_else(|| panic!("{:?}", read.problems)));
        assert_eq!(
            ascii(&nodes),
            "  ● gate (approval)\n  │\n\
             \u{20} ● all (for each item)    ← gate\n\
             \u{20} ● call (workflow inner)  ← gate\n  │\n\
             \u{20} ● on_failure (hook)      ← everything else"
        );
        let mermaid = mermaid(&nodes);
        assert!(mermaid.contains("n_gate[\"gate (approval)\"]"), "{mermaid}");
        assert!(mermaid.contains("n_all -.-> n_on_failure\n    n_call -.-> n_on_failure\n"), "{mermaid}");
        assert!(dot(&nodes).contains("\"call\" -> \"on_failure\" [style=dashed]"));
    }
}
