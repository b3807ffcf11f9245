//! A run as a picture that fits a screen: what needs eyes is always there, what is done or still to come is counted.
//!
//! Nodes stand in the order of the definition, indented by the wave in which they can begin at the earliest. Not for: the
//! whole list (`Run::tree`), when it is drawn (`commands::workflow::live`).

use std::collections::HashMap;

use fusion_proto::v1::{Node, NodeState, Run, RunState};

use super::word::{instant, short_id, tone, word};
use crate::colour;
use crate::output::stdout_is_terminal;
use crate::table::{self, Cell};
use crate::units::format_duration;
use jiff::Timestamp;
use std::time::Duration;

/// Deeper waves are not indented further.
const INDENT_MAX: usize = 8;
/// The heading and the names of the columns.
const HEAD: usize = 2;

/// The lines of a run, no more than `room` if that is possible, for a terminal of this width.
pub(crate) fn picture(run: &Run, room: usize, width: u16) -> Vec<String> {
    let depths = depths(run);
    let rows = run.nodes.iter().zip(depths).flat_map(|(node, depth)| rows_of(run, node, depth));
    let rows = fit(rows.collect(), room.saturating_sub(HEAD));
    let cells = rows.into_iter().map(|row| row.cells).collect();
    let colour = colour::wanted(stdout_is_terminal());
    let mut lines = vec![cut(&heading(run), width)];
    let header = ["NODE", "STATE", "TOOK", "TASK", "NOTE"];
    lines.extend(table::lay_out(&header, &["TASK", "TOOK"], cells, Some(width), colour));
    lines
}

/// How much a line is missed when it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// It is only counted when there is no room.
    Done,
    ToCome,
    Active,
    Wrong,
}

#[derive(Clone, Debug)]
struct Row {
    worth: Worth,
    cells: Vec<Cell>,
}

const fn worth(state: NodeState) -> Worth {
    match state {
        NodeState::Succeeded | NodeState::Skipped => Worth::Done,
        NodeState::Pending | NodeState::Unspecified => Worth::ToCome,
        NodeState::Running | NodeState::WaitingApproval | NodeState::Waiting => Worth::Active,
        NodeState::Failed | NodeState::Cancelled => Worth::Wrong,
    }
}

/// `release running  3 of 12 nodes  2 running  1 failed  4s`.
fn heading(run: &Run) -> String {
    let count = |wanted: NodeState| run.nodes.iter().filter(|node| node.state() == wanted).count();
    let ended = run.nodes.iter().filter(|node| matches!(worth(node.state()), Worth::Done | Worth::Wrong));
    let mut words = vec![
        format!("{} {}", run.workflow, word::<RunState>(run.state)),
        format!("{} of {} nodes", ended.count(), run.nodes.len()),
    ];
    let told = [
        (NodeState::Running, "running"),
        (NodeState::WaitingApproval, "waiting for approval"),
        (NodeState::Failed, "failed"),
    ];
    words.extend(
        told.into_iter()
            .filter(|(state, _)| count(*state) > 0)
            .map(|(state, name)| format!("{} {name}", count(state))),
    );
    words.extend(took(run.create_time, run.end_time));
    words.join("  ")
}

/// The wave of each node: one more than the last that it needs.
fn depths(run: &Run) -> Vec<usize> {
    let numbers: HashMap<&str, usize> = run.nodes.iter().map(|node| node.id.as_str()).zip(0..).collect();
    let mut depths: Vec<Option<usize>> = vec![None; run.nodes.len()];
    for first in 0..run.nodes.len() {
        let mut open = vec![first];
        while let Some(at) = open.last().copied() {
            let needs = run.nodes[at].needs.iter().filter_map(|need| numbers.get(need.as_str()).copied());
            let needs: Vec<usize> = needs.collect();
            let unknown = needs.iter().copied().find(|need| depths[*need].is_none() && !open.contains(need));
            if let Some(need) = unknown {
                open.push(need);
                continue;
            }
            depths[at] = Some(needs.iter().filter_map(|need| depths[*need]).max().map_or(0, |most| most + 1));
            open.pop();
        }
    }
    depths.into_iter().map(Option::unwrap_or_default).collect()
}

/// A node, and the items of it that went wrong.
fn rows_of(run: &Run, node: &Node, depth: usize) -> Vec<Row> {
    let indent = "  ".repeat(depth.min(INDENT_MAX));
    let mut rows = vec![row(run, node, format!("{indent}{}", node.id))];
    let wrong = node.items.iter().filter(|item| worth(item.state()) == Worth::Wrong);
    rows.extend(wrong.map(|item| row(run, item, format!("{indent}  item {}", item.id))));
    rows
}

fn row(run: &Run, node: &Node, name: String) -> Row {
    let state = word::<NodeState>(node.state);
    let work = node.task.as_deref().or(node.run.as_deref()).map(short_id).unwrap_or_default();
    let took = took(node.start_time, node.end_time).unwrap_or_default();
    let tone = tone(&state);
    let cells = vec![name.into(), Cell::toned(state, tone), took.into(), work.into(), note(run, node).into()];
    Row { worth: worth(node.state()), cells }
}

fn note(run: &Run, node: &Node) -> String {
    if let Some(failure) = &node.failure {
        return failure.message.clone();
    }
    match (node.state(), node.item_count) {
        (NodeState::WaitingApproval, _) => {
            let approve = format!("→ fusionctl workflow approve {} {}", short_id(&run.id), node.id);
            format!("{} {approve}", node.reason).trim_start().to_owned()
        }
        (NodeState::Running, Some(count)) => {
            let is = |wanted: Worth| node.items.iter().filter(|item| worth(item.state()) == wanted).count();
            let wrong = is(Worth::Wrong);
            let failed = if wrong == 0 { String::new() } else { format!(", {wrong} failed") };
            format!("{} of {count} items{failed}, {} running", is(Worth::Done) + wrong, is(Worth::Active))
        }
        (_, Some(count)) => format!("{count} items"),
        (_, None) => node.reason.clone(),
    }
}

fn took(start: Option<prost_types::Timestamp>, end: Option<prost_types::Timestamp>) -> Option<String> {
    let start = instant(start)?;
    let end = instant(end);
    let span = end.unwrap_or_else(Timestamp::now).duration_since(start);
    let millis = u64::try_from(Duration::try_from(span).unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
    // What goes on is told to the second: the picture should not flicker.
    let is_coarse = end.is_none() || millis > 10_000;
    Some(format_duration(Duration::from_millis(if is_coarse { millis / 1000 * 1000 } else { millis })))
}

/// Lets lines go until the rest fits, those first that are least missed, and counts them where they stood.
fn fit(rows: Vec<Row>, room: usize) -> Vec<Row> {
    if rows.len() <= room {
        return rows;
    }
    // A line for what is done, one for what is to come, and one for what is left out besides.
    let room = room.saturating_sub(3).max(1);
    let mut shown = vec![false; rows.len()];
    let mut left = room;
    for wanted in [Worth::Wrong, Worth::Active, Worth::ToCome] {
        for (at, _) in rows.iter().enumerate().filter(|(_, row)| row.worth == wanted) {
            if left == 0 {
                break;
            }
            shown[at] = true;
            left -= 1;
        }
    }
    let hidden = |wanted: &[Worth]| {
        rows.iter().zip(&shown).filter(|(row, shown)| wanted.contains(&row.worth) && !**shown).count()
    };
    let (done, to_come) = (hidden(&[Worth::Done]), hidden(&[Worth::ToCome]));
    let others = hidden(&[Worth::Active, Worth::Wrong]);
    let counted = |count: usize, words: &str| {
        let cells = vec![format!("… {count} {words}").into(), "".into(), "".into(), "".into(), "".into()];
        (count > 0).then_some(Row { worth: Worth::Done, cells })
    };
    let mut fitted: Vec<Row> = counted(done, "done").into_iter().collect();
    fitted.extend(rows.into_iter().zip(&shown).filter(|(_, shown)| **shown).map(|(row, _)| row));
    fitted.extend(counted(others, "more under way or failed"));
    fitted.extend(counted(to_come, "to come"));
    fitted
}

fn cut(text: &str, width: u16) -> String {
    let text = table::printable(text);
    text.chars().take(usize::from(width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, state: NodeState, needs: &[&str]) -> Node {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Node { id: id.to_owned(), state: state.into(), needs, ..Node::default() }
    }

    fn run(nodes: Vec<Node>) -> Run {
        Run { workflow: "w".to_owned(), state: RunState::Running.into(), nodes, ..Run::default() }
    }

    #[test]
    fn nodes_stand_below_what_they_need_and_failed_items_below_their_node() {
        let mut fan = node("fan", NodeState::Running, &["a"]);
        fan.item_count = Some(9);
        fan.items = vec![node("0", NodeState::Succeeded, &[]), node("1", NodeState::Failed, &[])];
        let run = run(vec![
            node("a", NodeState::Succeeded, &[]),
            fan,
            node("end", NodeState::Pending, &["fan", "a"]),
        ]);
        let lines = picture(&run, 20, 100);
        assert_eq!(lines[0], "w running  1 of 3 nodes  1 running");
        assert!(lines[2].starts_with("a "), "{lines:#?}");
        assert!(
            lines[3].starts_with("  fan ") && lines[3].contains("2 of 9 items, 1 failed, 0 running"),
            "{lines:#?}"
        );
        assert!(lines[4].starts_with("    item 1 ") && lines[4].contains("failed"), "{lines:#?}");
        assert!(lines[5].starts_with("    end "), "{lines:#?}");
    }

    #[test]
    fn two_hundred_nodes_fit_a_screen_and_what_needs_eyes_is_there() {
        let state = |at: usize| match at {
            77 => NodeState::Failed,
            0..100 => NodeState::Succeeded,
            100..104 => NodeState::Running,
            _ => NodeState::Pending,
        };
        let nodes = (0..200).map(|at| node(&format!("n{at}"), state(at), &[])).collect();
        let lines = picture(&run(nodes), 23, 100);
        assert!(lines.len() <= 23, "{lines:#?}");
        let text = lines.join("\n");
        for shown in ["… 99 done", "n77 ", "n100 ", "n103 ", "n104 ", "to come"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        let many = (0..50).map(|at| node(&format!("n{at}"), NodeState::Running, &[])).collect();
        let lines = picture(&run(many), 10, 100);
        assert!(
            lines.len() <= 10 && lines.last().is_some_and(|line| line.contains("more under way")),
            "{lines:#?}"
        );
    }
}
