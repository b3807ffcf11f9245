//! One line with a box: `- [ ] **T012** [P] [US1] What to do`. Not for: what stands around it.

use crate::State;

/// A task line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskLine<'a> {
    /// How far its bullet stands to the right.
    pub(crate) indent: usize,
    /// The sign in the box, and where it begins in the line; headings have none.
    pub(crate) sign: Option<(char, usize)>,
    /// The id.
    pub(crate) id: &'a str,
    /// Whether the text is struck through.
    pub(crate) is_struck: bool,
    /// The labels behind it.
    pub(crate) labels: Vec<&'a str>,
    /// What is left.
    pub(crate) text: &'a str,
}

/// What a line with a box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boxed<'a> {
    /// A task.
    Task(TaskLine<'a>),
    /// A sample, such as `TXXX`.
    Sample,
    /// A box without an id that is one.
    Nameless { indent: usize },
    /// Brackets with nothing between them.
    Hollow { indent: usize },
}

/// The line, if it has a bullet and a box.
pub(crate) fn boxed(line: &str) -> Option<Boxed<'_>> {
    let rest = line.trim_start_matches([' ', '\t']);
    let indent = width(&line[..line.len() - rest.len()]);
    let rest = bullet(rest)?.trim_start_matches([' ', '\t']);
    let inside = rest.strip_prefix('[')?;
    let (sign, behind) = match inside.strip_prefix(']') {
        Some(behind) => (None, behind),
        None => {
            let sign = inside.chars().next()?;
            (Some(sign), inside[sign.len_utf8()..].strip_prefix(']')?)
        }
    };
    if !behind.starts_with([' ', '\t']) {
        return None;
    }
    let at = line.len() - inside.len();
    let nameless = Boxed::Nameless { indent };
    let Some(sign) = sign else { return Some(Boxed::Hollow { indent }) };
    let known = state_of(sign).map(|_| nameless.clone());
    let (behind, is_struck) = undecorated(behind);
    if is_sample(behind) {
        return Some(Boxed::Sample);
    }
    let Some(id) = id(behind) else { return known };
    let rest = behind[id.len()..].trim_start_matches([']', '*', '_', '`']);
    let rest = rest.strip_prefix([':', '.']).unwrap_or(rest).trim_start_matches(['*', '_']);
    if rest.chars().next().is_some_and(|next| !matches!(next, ' ' | '\t' | '[' | '—' | '–' | '-' | '~' | '('))
    {
        return known;
    }
    let (labels, text) = labels(rest);
    Some(Boxed::Task(TaskLine { indent, sign: Some((sign, at)), id, is_struck, labels, text }))
}

/// A heading that is a task of its own: `T010: What to do [P]`.
pub(crate) fn titled(heading: &str) -> Option<TaskLine<'_>> {
    let (text, is_struck) = undecorated(heading);
    let id = id(text)?;
    let rest = text[id.len()..].trim_start_matches([']', '*', '_', '`']);
    let is_split = rest.is_empty() || rest.starts_with([':', '.', ' ', '-', '–', '—', '[', '(']);
    if !is_split {
        return None;
    }
    let rest = rest.trim_start_matches([':', '.', '-', '–', '—', ' ']);
    let (mut labels, mut text) = labels(rest);
    while let Some((before, label)) = last_label(text) {
        labels.push(label);
        text = before;
    }
    Some(TaskLine { indent: 0, sign: None, id, is_struck, labels, text })
}

/// A label at the end of a heading.
fn last_label(text: &str) -> Option<(&str, &str)> {
    let (before, label) = text.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    (!label.is_empty()).then_some((before.trim_end(), label))
}

/// What a sign in a box means; `None`: nothing that is known.
pub(crate) const fn state_of(sign: char) -> Option<State> {
    match sign {
        ' ' | '~' | '/' => Some(State::Open),
        'x' | 'X' | '✓' | '✔' | '✅' => Some(State::Done),
        '-' => Some(State::Skipped),
        _other => None,
    }
}

/// How far blanks reach; a tab reaches to the next fourth place.
pub(crate) fn width(blanks: &str) -> usize {
    blanks.chars().fold(0, |at, blank| if blank == '\t' { at / 4 * 4 + 4 } else { at + 1 })
}

/// What is behind a bullet or a number.
fn bullet(text: &str) -> Option<&str> {
    let rest = match text.strip_prefix(['-', '*', '+']) {
        Some(rest) => rest,
        None => {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            if rest.len() == text.len() {
                return None;
            }
            rest.strip_prefix(['.', ')'])?
        }
    };
    rest.starts_with([' ', '\t']).then_some(rest)
}

/// Without the signs that make an id bold, code or a label, and whether it is struck through.
fn undecorated(text: &str) -> (&str, bool) {
    let bare = text.trim_start_matches([' ', '\t', '*', '_', '`', '[', '~']);
    (bare, text[..text.len() - bare.len()].contains("~~"))
}

fn is_sample(text: &str) -> bool {
    text.strip_prefix('T').is_some_and(|rest| {
        let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        !word.is_empty() && word.chars().all(|c| matches!(c, 'X' | 'x' | '#' | 'N'))
    })
}

/// The id at the beginning: `T012`, `T-012`, `T012a`, `T012.5`.
pub(crate) fn id(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('T')?;
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count = digits(rest);
    if count < 2 {
        return None;
    }
    let mut end = text.len() - rest.len() + count;
    if let Some(fraction) = text[end..].strip_prefix('.') {
        let count = digits(fraction);
        end += if count > 0 { 1 + count } else { 0 };
    }
    let letter = text[end..].chars().next().filter(char::is_ascii_lowercase);
    let next = text[end + letter.map_or(0, char::len_utf8)..].chars().next();
    let is_free = |next: Option<char>| !next.is_some_and(|next| next.is_alphanumeric() || next == '_');
    match letter {
        Some(letter) if is_free(next) => Some(&text[..end + letter.len_utf8()]),
        Some(_) => None,
        None => is_free(text[end..].chars().next()).then(|| &text[..end]),
    }
}

/// The labels at the beginning, bold or not, and what is behind them.
fn labels(mut text: &str) -> (Vec<&str>, &str) {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start();
        let bare = text.trim_start_matches(['*', '_', '`']);
        let Some((label, behind)) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            return (labels, text);
        };
        // A link is no label.
        if label.is_empty() || label.contains('[') || behind.starts_with('(') {
            return (labels, text);
        }
        labels.push(label);
        text = if bare.len() < text.len() { behind.trim_start_matches(['*', '_', '`']) } else { behind };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> TaskLine<'_> {
        match boxed(line) {
            Some(Boxed::Task(task)) => task,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn ids_have_many_forms() {
        for (line, id) in [
            ("- [ ] T001 a", "T001"),
            ("* [ ] T1000 a", "T1000"),
            ("+ [ ] T012a a", "T012a"),
            ("1. [ ] T012.5 a", "T012.5"),
            ("- [ ] T020.0 a", "T020.0"),
            ("- [ ] T-001 a", "T-001"),
            ("- [ ] **T001** a", "T001"),
            ("- [ ] **T001**: a", "T001"),
            ("- [ ] **T001:** a", "T001"),
            ("- [ ] [T001] a", "T001"),
            ("- [ ] `T001` a", "T001"),
            ("- [ ] T001: a", "T001"),
            ("- [ ] T001. a", "T001"),
            ("\t- [ ] T001 — a", "T001"),
            ("- [ ] ~~T001 a~~", "T001"),
            ("- [ ] T001", "T001"),
        ] {
            assert_eq!(task(line).id, id, "{line}");
        }
    }

    #[test]
    fn labels_stand_behind_the_id_in_any_order_and_links_are_none() {
        let labels = |line| task(line).labels;
        assert_eq!(labels("- [ ] T001 [P] [US1.5] a [x]"), ["P", "US1.5"]);
        assert_eq!(labels("- [ ] T001 **[US0]** **[P]** a"), ["US0", "P"]);
        assert_eq!(
            labels("- [ ] T001 [PRD: 3.1] [Journey: buy] [M0][P] a"),
            ["PRD: 3.1", "Journey: buy", "M0", "P"]
        );
        assert_eq!(labels("- [ ] T001 [docs](docs/a.md) a"), [""; 0]);
        assert_eq!(task("- [ ] T001 [P] [docs](docs/a.md) a").text, "[docs](docs/a.md) a");
    }

    #[test]
    fn the_sign_in_the_box_is_found_where_it_stands() {
        let line = "  - [✅] T001 a";
        assert_eq!(task(line).sign, Some(('✅', 5)));
        assert_eq!(line[5..].chars().next(), Some('✅'));
        assert_eq!(task("  - [~] T001 a").indent, 2);
    }

    #[test]
    fn samples_and_boxes_without_an_id_are_told_apart() {
        assert_eq!(boxed("- [ ] TXXX [P] a"), Some(Boxed::Sample));
        assert_eq!(boxed("- [ ] a"), Some(Boxed::Nameless { indent: 0 }));
        assert_eq!(boxed("- [] T001 a"), Some(Boxed::Hollow { indent: 0 }));
        assert_eq!(boxed("- [ ] T1 a"), Some(Boxed::Nameless { indent: 0 }));
        assert_eq!(boxed("- [ ] T001x2 a"), Some(Boxed::Nameless { indent: 0 }));
        assert_eq!(boxed("- T001 a"), None);
        assert_eq!(boxed("- [P] tasks are quick"), None);
        assert_eq!(boxed("- [docs](a.md) T001"), None);
    }

    #[test]
    fn a_heading_may_be_a_task() {
        let task = titled("T010: Title [P] [US2]").expect("a task");
        assert_eq!((task.id, task.text, task.labels), ("T010", "Title", vec!["US2", "P"]));
        assert_eq!(titled("Tests"), None);
        assert_eq!(titled("T010xy: a"), None);
    }
}
