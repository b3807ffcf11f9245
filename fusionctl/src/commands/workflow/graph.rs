//! `workflow graph`: the nodes of a definition or a run as a drawing.

use std::fmt::Write as _;

use clap::ValueEnum;
use fusion_proto::v1::GetRunRequest;
use fusion_workflow::order::Order;
use serde::Serialize;

use super::file::{File, is_file};
use crate::commands::Session;
use crate::error::{Exit, Stop};
use crate::table::printable;
use crate::view::workflow::Run;

const AFTER: &str = "\
Examples:
  fusionctl workflow graph review.yaml
  fusionctl workflow graph 4f2k9x0a --format mermaid
  fusionctl workflow graph review.yaml --format dot | dot -Tsvg > review.svg";

/// Arguments of `workflow graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML (`-`: stdin), or a run: id, a unique part of one, or key:KEY
    #[arg(value_name = "FILE|RUN")]
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
}

/// Reads the definition here, or asks for the run, and draws it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let nodes = if is_file(&args.run) { of_file(&args.run)? } else { of_run(&session, args.run).await? };
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

fn of_file(file: &str) -> Result<Vec<Node>, Stop> {
    let file = File::read(file)?;
    let nodes = file.definition()?.nodes.iter();
    Ok(nodes
        .map(|node| Node { id: node.id.clone(), state: String::new(), needs: node.needs.clone() })
        .collect())
}

async fn of_run(session: &Session, run: String) -> Result<Vec<Node>, Stop> {
    let link = session.link().await?;
    let request = GetRunRequest { run };
    let run = Run::from(link.repeat(async || link.workflows().get_run(request.clone()).await).await?);
    Ok(run.nodes.into_iter().map(|node| Node { id: node.id, state: node.state, needs: node.needs }).collect())
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("a String takes all");
}

/// One line for each node below the wave in which it can begin at the earliest.
fn ascii(nodes: &[Node]) -> String {
    let number =
        |id: &String| nodes.iter().position(|node| node.id == *id).and_then(|at| u32::try_from(at).ok());
    let edges = (0..).zip(nodes).flat_map(|(at, node)| {
        node.needs.iter().filter_map(number).map(move |need| (need, at)).collect::<Vec<_>>()
    });
    let waves = Order::new(nodes.len(), edges).waves().unwrap_or_default();
    let width = nodes.iter().map(|node| node.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (wave, members) in waves.iter().enumerate() {
        if wave > 0 {
            out.push_str("  │\n");
        }
        for at in members {
            let node = &nodes[*at as usize];
            let state = if node.state.is_empty() { String::new() } else { format!(" [{}]", node.state) };
            let needs = if node.needs.is_empty() {
                String::new()
            } else {
                format!("  ← {}", node.needs.join(", "))
            };
            push(&mut out, format_args!("  ● {:width$}{state}{needs}\n", node.id));
        }
    }
    printable_lines(&out)
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn mermaid(nodes: &[Node]) -> String {
    let mut out = String::from("flowchart TD\n");
    for node in nodes {
        let class = if node.state.is_empty() { String::new() } else { format!(":::{}", node.state) };
        push(&mut out, format_args!("    {}[\"{}\"]{class}\n", name(&node.id), node.id));
    }
    for node in nodes {
        for need in &node.needs {
            push(&mut out, format_args!("    {} --> {}\n", name(need), name(&node.id)));
        }
    }
    let states =
        ["succeeded fill:#c8e6c9", "failed fill:#ffcdd2", "running fill:#bbdefb", "skipped fill:#eeeeee"];
    for state in states {
        if nodes.iter().any(|node| state.starts_with(&node.state) && !node.state.is_empty()) {
            push(&mut out, format_args!("    classDef {state}\n"));
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
        let colour = match node.state.as_str() {
            "succeeded" => " [style=filled, fillcolor=\"#c8e6c9\"]",
            "failed" => " [style=filled, fillcolor=\"#ffcdd2\"]",
            "running" => " [style=filled, fillcolor=\"#bbdefb\"]",
            "skipped" => " [style=filled, fillcolor=\"#eeeeee\"]",
            _ => "",
        };
        push(&mut out, format_args!("    \"{}\"{colour}\n", node.id));
    }
    for node in nodes {
        for need in &node.needs {
            push(&mut out, format_args!("    \"{need}\" -> \"{}\"\n", node.id));
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
}
