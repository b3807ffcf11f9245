//! What a node waits for: one thing, and events that exist. Not for: its templates (`texts`).

use super::Check;
use crate::definition::Wait;
use crate::events;
use crate::problem::Problem;
use crate::template;
use crate::tree::{Kind, Tree};
use crate::words;

/// Words that only a wait for an event can have.
const OF_EVENTS: [&str; 7] = ["task", "agent", "run", "node", "workflow", "labels", "timeout"];

pub(super) fn check(check: &mut Check<'_>, wait: &Wait, tree: &Tree, of: Option<u32>) {
    let said: Vec<&str> =
        words::WAIT.one_of.iter().copied().filter(|word| tree.get(word).is_some()).collect();
    // `wait: 10m` says it without a word.
    let is_plain = !matches!(tree.kind, Kind::Map(_));
    let is_faulty = of.is_some_and(|of| check.is_faulty(&format!("nodes[{of}].wait")));
    if !is_plain && said.len() != 1 && !is_faulty {
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
    if wait.event.is_empty() && named.is_some_and(|event| matches!(event.kind, Kind::List(_))) {
        let hint = "name one, such as task.succeeded";
        check.problems.push(Problem::error(named.and_then(|event| event.span), "`event` is empty", hint));
    }
    let items = named.map(Tree::items).unwrap_or_default();
    for (text, item) in wait.event.iter().zip(items).filter(|(_, item)| item.is_word()) {
        if let Some(hint) = events::fault(text) {
            check.problems.push(Problem::error(item.span, format!("there is no event {text:?}"), hint));
        }
    }
    if let (Some(until), Some(tree)) = (&wait.until, tree.get("until"))
        && !template::is_template(until)
        && !is_instant(until.trim())
    {
        let hint = "write one such as until: 2030-01-31T08:00:00Z, or a span from now on: for: 10m";
        check.problems.push(Problem::error(tree.span, format!("{until:?} is not an instant"), hint));
    }
}

/// Whether a text is an instant as RFC 3339 has it; without a time the day's beginning, without a zone UTC.
fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    is_date(date) && (rest.is_empty() || rest.strip_prefix(['T', 't', ' ']).is_some_and(is_time))
}

fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, "dddd-dd-dd") else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return false,
    };
    year >= 1970 && (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let Some((time, rest)) = text.split_at_checked(8) else { return false };
    let Some([hour, minute, second]) = numbers(time, "dd:dd:dd") else { return false };
    let zone = match rest.strip_prefix('.') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => {
            rest.trim_start_matches(|letter: char| letter.is_ascii_digit())
        }
        Some(_) => return false,
        None => rest,
    };
    // A leap second is one.
    hour < 24 && minute < 60 && second <= 60 && is_zone(zone)
}

fn is_zone(text: &str) -> bool {
    let of_hours = |text: &str| {
        let parts = numbers(text, "dd:dd").or_else(|| numbers(text, "dd").map(|[hour]| [hour, 0]));
        parts.is_some_and(|[hour, minute]| hour < 24 && minute < 60)
    };
    matches!(text, "" | "Z" | "z") || text.strip_prefix(['+', '-']).is_some_and(of_hours)
}

/// The numbers of a text of this form, in which `d` stands for a digit.
fn numbers<const N: usize>(text: &str, form: &str) -> Option<[u32; N]> {
    let fits =
        |(letter, wanted): (u8, u8)| if wanted == b'd' { letter.is_ascii_digit() } else { letter == wanted };
    if text.len() != form.len() || !text.bytes().zip(form.bytes()).all(fits) {
        return None;
    }
    let parts = text.split(|letter: char| !letter.is_ascii_digit());
    let found: Vec<u32> = parts.map(str::parse).collect::<Result<_, _>>().ok()?;
    found.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::is_instant;

    #[test]
    fn instants_are_those_of_rfc_3339() {
        for fine in [
            "2030-01-31T08:00:00Z",
            "2028-02-29t23:59:60.123+05:30",
            "2030-01-31 08:00:00",
            "2030-01-31",
            "2030-01-31T08:00:00-08",
        ] {
            assert!(is_instant(fine), "{fine}");
        }
        for wrong in [
            "tomorrow",
            "",
            "10m",
            "2030",
            "2030-02-29",
            "2030-13-01",
            "2030-01-31T24:00:00Z",
            "2030-01-31T08:00Z",
            "2030-01-31T08:00:00.Z",
            "2030-01-31T08:00:00 CET",
            "1969-12-31T23:59:59Z",
            "2030-01-3é",
        ] {
            assert!(!is_instant(wrong), "{wrong}");
        }
    }
}
