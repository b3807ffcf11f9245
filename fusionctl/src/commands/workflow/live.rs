//! A run as a live tree on a terminal: its nodes as events change them, redrawn in place on stderr.
//!
//! Only what the stream of events says changes the picture; the clock makes it look again, for how long things have
//! taken. Not for: pipes, which get a line for each change (`follow`), how the picture is laid out
//! (`view::workflow_picture`).

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use fusion_proto::v1::{Event, Failure, Node, NodeState, Run, RunState};
use indicatif::{ProgressBar, ProgressStyle};
use prost_types::Timestamp;
use serde_json::Value;

use crate::table;
use crate::view::word::instant;
use crate::view::workflow_picture::picture;

/// How often a terminal sees that time goes on.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// Where the terminal does not say how high it is.
const HEIGHT: usize = 24;

/// The tree of one run.
#[derive(Debug)]
pub(super) struct Live {
    bar: ProgressBar,
    run: Run,
}

/// What an event means for the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is in the picture.
    All,
    /// The run must be looked at: the event does not say all.
    Ask,
}

impl Live {
    /// A tree, if there is a terminal to draw it on.
    pub(super) fn start(run: &Run) -> Option<Self> {
        if !io::stderr().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        Some(Self { bar: ProgressBar::new_spinner().with_style(style), run: run.clone() })
    }

    /// The run as it is now.
    pub(super) fn renew(&mut self, run: &Run) {
        self.run = run.clone();
    }

    /// Takes what an event says.
    pub(super) fn tell(&mut self, event: &Event) -> Told {
        apply(&mut self.run, event)
    }

    /// Draws the run as it is known.
    pub(super) fn draw(&self) {
        let room = height().saturating_sub(1);
        self.bar.set_message(picture(&self.run, room, table::terminal_width()).join("\n"));
    }

    /// Takes the tree away; what is left of it is the last picture, as lines.
    pub(super) fn finish(self) -> Vec<String> {
        self.bar.finish_and_clear();
        picture(&self.run, height().saturating_sub(2), table::terminal_width())
    }
}

fn height() -> usize {
    let lines = std::env::var("LINES").ok().and_then(|text| text.parse().ok());
    let rows = || rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_row));
    lines.or_else(rows).filter(|rows| *rows > 0).unwrap_or(HEIGHT)
}

/// Changes the run as the event says.
fn apply(run: &mut Run, event: &Event) -> Told {
    let state = match event.r#type.as_str() {
        "run.paused" => Some(RunState::Paused),
        "run.resumed" | "run.cancelling" => Some(RunState::Running),
        "run.succeeded" => Some(RunState::Succeeded),
        "run.failed" => Some(RunState::Failed),
        "run.cancelled" => Some(RunState::Cancelled),
        "run.rerun" | "run.edited" => return Told::Ask,
        _ => None,
    };
    if let Some(state) = state {
        run.state = state.into();
        return Told::All;
    }
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    let item = data.get("item").and_then(Value::as_u64).map(|item| item.to_string());
    let named = text("node").and_then(|id| run.nodes.iter_mut().find(|node| node.id == id));
    let Some(whole) = named else { return Told::All };
    let node = match &item {
        None => whole,
        Some(item) => item_of(whole, item),
    };
    // What was known before the event was told may be newer than it.
    let known = [node.start_time, node.end_time].map(instant).into_iter().max().flatten();
    if instant(event.time) < known {
        return Told::All;
    }
    let (state, ends) = match event.r#type.as_str() {
        "node.started" => (NodeState::Running, false),
        "node.waiting" => (NodeState::Waiting, false),
        "node.asked" => (NodeState::WaitingApproval, false),
        "node.retried" => (NodeState::Pending, false),
        "node.succeeded" => (NodeState::Succeeded, true),
        "node.failed" => (NodeState::Failed, true),
        "node.skipped" => (NodeState::Skipped, true),
        "node.cancelled" => (NodeState::Cancelled, true),
        _ => return Told::All,
    };
    enter(node, state, ends, event.time);
    node.task = text("task").or(node.task.take());
    node.reason = text("reason").unwrap_or_default();
    node.failure = (state == NodeState::Failed).then(|| Failure {
        code: text("code").unwrap_or_default(),
        message: text("message").unwrap_or_default(),
        ..Failure::default()
    });
    let says_too_little = matches!(state, NodeState::Waiting | NodeState::WaitingApproval)
        || (state == NodeState::Running && item.is_none() && text("task").is_none());
    if says_too_little { Told::Ask } else { Told::All }
}

fn item_of<'a>(node: &'a mut Node, item: &str) -> &'a mut Node {
    let place = node.items.iter().position(|known| known.id == item).unwrap_or_else(|| {
        node.items.push(Node { id: item.to_owned(), ..Node::default() });
        node.items.len() - 1
    });
    &mut node.items[place]
}

fn enter(node: &mut Node, state: NodeState, ends: bool, at: Option<Timestamp>) {
    node.state = state.into();
    if ends {
        node.end_time = at;
        node.until = None;
        return;
    }
    (node.start_time, node.end_time) = (at.filter(|_| state != NodeState::Pending), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seconds: i64, kind: &str, data: &str) -> Event {
        let time = Some(Timestamp { seconds, nanos: 0 });
        Event { r#type: kind.to_owned(), data: data.to_owned(), time, ..Event::default() }
    }

    fn run() -> Run {
        let node = |id: &str| Node { id: id.to_owned(), state: NodeState::Pending.into(), ..Node::default() };
        Run { nodes: vec![node("a"), node("b")], state: RunState::Running.into(), ..Run::default() }
    }

    #[test]
    fn events_change_what_they_are_about() {
        let mut run = run();
        assert_eq!(
            apply(&mut run, &event(1, "node.started", r#"{"node": "a", "task": "tsk_1"}"#)),
            Told::All
        );
        assert_eq!((run.nodes[0].state(), run.nodes[0].task.as_deref()), (NodeState::Running, Some("tsk_1")));
        apply(&mut run, &event(2, "node.failed", r#"{"node": "a", "code": "x", "message": "exit code 1"}"#));
        let message = run.nodes[0].failure.as_ref().map(|failure| failure.message.as_str());
        assert_eq!((run.nodes[0].state(), message), (NodeState::Failed, Some("exit code 1")));
        assert_eq!(
            apply(&mut run, &event(3, "node.started", r#"{"node": "b"}"#)),
            Told::Ask,
            "how many items?"
        );
        for item in [1, 0, 1] {
            apply(
                &mut run,
                &event(4, "node.started", &format!(r#"{{"node": "b", "item": {item}, "task": "t"}}"#)),
            );
        }
        assert_eq!(run.nodes[1].items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["1", "0"]);
        apply(&mut run, &event(5, "run.failed", "{}"));
        assert_eq!(run.state(), RunState::Failed);
    }

    #[test]
    fn what_is_older_than_what_is_known_changes_nothing() {
        let mut run = run();
        run.nodes[0].state = NodeState::Succeeded.into();
        run.nodes[0].end_time = Some(Timestamp { seconds: 9, nanos: 0 });
        apply(&mut run, &event(4, "node.started", r#"{"node": "a", "task": "tsk_1"}"#));
        assert_eq!(run.nodes[0].state(), NodeState::Succeeded);
        apply(&mut run, &event(10, "node.started", r#"{"node": "a", "task": "tsk_2"}"#));
        assert_eq!(run.nodes[0].state(), NodeState::Running, "it is done once more");
    }
}
