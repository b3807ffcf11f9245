//! What a node waits for: one thing, and events that exist. Not for: its templates (`texts`).

use super::Check;
use crate::definition::Wait;
use crate::events;
use crate::problem::Problem;
use crate::tree::{Kind, Tree};

/// The words of which a wait has exactly one.
const WAYS: [&str; 3] = ["for", "until", "event"];
/// Words that only a wait for an event can have.
const OF_EVENTS: [&str; 7] = ["task", "agent", "run", "node", "workflow", "labels", "timeout"];

pub(super) fn check(check: &mut Check<'_>, wait: &Wait, tree: &Tree) {
    let said: Vec<&str> = WAYS.into_iter().filter(|word| tree.get(word).is_some()).collect();
    // `wait: 10m` says it without a word.
    let is_plain = !matches!(tree.kind, Kind::Map(_));
    if !is_plain && said.len() != 1 {
        let hint = "write wait: 10m, or wait: {event: task.succeeded}";
        check.problems.push(Problem::error(
            tree.span,
            "`wait` must have one of `for`, `until`, `event`",
            hint,
        ));
    }
    if said == ["for"] || said == ["until"] {
        for word in OF_EVENTS.into_iter().filter(|word| tree.get(word).is_some()) {
            let message = format!("`{word}` of a `wait` makes no sense without `event`");
            check.problems.push(Problem::error(tree.key_span(word), message, "remove it, or name an event"));
        }
    }
    let named = tree.get("event");
    let spans: Vec<_> = match named.map(|event| &event.kind) {
        Some(Kind::List(items)) => items.iter().map(|item| item.span).collect(),
        Some(Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::Map(_)) | None => {
            vec![named.and_then(|event| event.span)]
        }
    };
    if wait.event.is_empty() && named.is_some_and(|event| matches!(event.kind, Kind::List(_))) {
        let hint = "name one, such as task.succeeded";
        check.problems.push(Problem::error(named.and_then(|event| event.span), "`event` is empty", hint));
    }
    for (text, span) in wait.event.iter().zip(spans) {
        if let Some(hint) = events::fault(text) {
            check.problems.push(Problem::error(span, format!("there is no event {text:?}"), hint));
        }
    }
}
