//! Tasks, phases and stories that prose names, and what it says of their order: `depends on T012, T013`,
//! `T005-T013 depend on Setup`, `T008 blocks T009`, `T001 → T002`.
//!
//! Not for: whether what is named exists (`refs`).

use crate::heading::{number_at, story_at};
use crate::task_line::id;

/// Something that prose names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// A task by its id.
    Task(String),
    /// All tasks from one to another.
    Range(String, String),
    /// A phase by its number.
    Phase(String),
    /// A user story by its number.
    Story(String),
    /// A phase by a word of its heading; its place among the phases.
    Titled(usize),
}

/// A word of headings, and the phase that it stands for.
pub(crate) type Titles<'a> = [(&'a str, usize)];

/// That some come after others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    /// What comes later; empty: the task whose text this is.
    pub(crate) later: Vec<Mention>,
    /// What comes before.
    pub(crate) earlier: Vec<Mention>,
}

struct Group {
    start: usize,
    end: usize,
    members: Vec<Mention>,
}

/// What the text of a task says that it comes after.
pub(crate) fn of_task(text: &str) -> Vec<Mention> {
    let mut earlier = Vec::new();
    let mut from = 0;
    for group in groups(text, &[]) {
        if demands(&text[from..group.start]) {
            earlier.extend(group.members);
        }
        from = group.end;
    }
    earlier
}

/// Whether a heading or a text begins to say it: then what follows are the tasks.
fn demands(before: &str) -> bool {
    let lower = clause(before).to_lowercase();
    let bare = lower.trim_end_matches(|c: char| !c.is_alphanumeric());
    let mut words: Vec<&str> = bare.split(|c: char| !(c.is_alphanumeric() || c == '\'')).collect();
    words.retain(|word| !word.is_empty());
    while words.last().is_some_and(|word| FILLERS.contains(word)) {
        words.pop();
    }
    let Some(last) = words.last() else { return false };
    let two = if words.len() > 1 { words[words.len() - 2] } else { "" };
    let is_pair = matches!((two, *last), ("depends" | "depend" | "depending" | "dependent", "on"))
        || matches!((two, *last), ("blocked", "by" | "until" | "on") | ("waits" | "wait", "for"));
    let is_word = matches!(
        *last,
        "depends"
            | "dependency"
            | "dependencies"
            | "deps"
            | "dep"
            | "requires"
            | "after"
            | "prerequisite"
            | "prerequisites"
    );
    (is_pair || is_word) && !is_denied(&words)
}

/// Words between the one that says it and the tasks.
const FILLERS: [&str; 10] =
    ["the", "task", "tasks", "all", "both", "of", "completion", "completing", "phase", "and"];

fn is_denied(words: &[&str]) -> bool {
    words.iter().any(|word| {
        matches!(*word, "no" | "not" | "without" | "independent" | "none") || word.ends_with("n't")
    })
}

/// The last clause of what stands before something.
fn clause(before: &str) -> &str {
    let at = [". ", "; ", " - ", " – ", " — ", "(", ", "]
        .iter()
        .filter_map(|end| Some(before.rfind(end)? + end.len()));
    at.max().map_or(before, |at| &before[at..])
}

/// What a line of the section about dependencies says.
pub(crate) fn of_line(line: &str, titles: &Titles<'_>) -> Vec<Relation> {
    let mut relations = Vec::new();
    for sentence in line.split(". ") {
        let groups = groups(sentence, titles);
        for pair in groups.windows(2) {
            let (left, right) = (&pair[0], &pair[1]);
            let (one, other) = (left.members.clone(), right.members.clone());
            match order(&sentence[left.end..right.start]) {
                Some(Order::After) => relations.push(Relation { later: one, earlier: other }),
                Some(Order::Before) => relations.push(Relation { later: other, earlier: one }),
                None => {}
            }
        }
    }
    relations
}

enum Order {
    Before,
    After,
}

/// What the words between two groups say of the order of the first one.
fn order(between: &str) -> Option<Order> {
    let lower = between.to_lowercase();
    let lower = [" - ", ", "]
        .iter()
        .filter_map(|end| Some(lower.rfind(end)? + end.len()))
        .max()
        .map_or(&*lower, |at| &lower[at..]);
    if ["→", "->", "=>", "⇒"].iter().any(|arrow| lower.contains(arrow)) {
        return Some(Order::Before);
    }
    let words: Vec<&str> =
        lower.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty()).collect();
    let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
    let is_denied = is_denied(&words) || has(&["cannot"]);
    if has(&["until"]) || (is_denied && has(&["before"])) {
        return Some(Order::After);
    }
    if is_denied {
        return None;
    }
    if has(&["depends", "depend", "after", "requires", "require", "needs", "blocked"]) {
        return Some(Order::After);
    }
    has(&["before", "blocks", "block", "precedes"]).then_some(Order::Before)
}

/// What a text names, in groups such as `T002, T003, and T004`.
fn groups(text: &str, titles: &Titles<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let Some((member, length)) = mention_at(text, at, titles) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let (start, end) = (at, at + length);
        match groups.last_mut().filter(|group| joins(&text[group.end..start])) {
            Some(group) => {
                group.members.push(member);
                group.end = end;
            }
            None => groups.push(Group { start, end, members: vec![member] }),
        }
        at = end;
    }
    groups
}

/// Whether the words between two mentions only join them: few, and at their end a sign that joins.
fn joins(between: &str) -> bool {
    let lower = between.to_lowercase();
    let bare = lower.trim_end_matches([' ', '*', '_', '`', '[']);
    let rest = ["and", "or"].iter().find_map(|word| {
        bare.strip_suffix(word).filter(|rest| rest.is_empty() || rest.ends_with([' ', ',']))
    });
    let rest = rest.or_else(|| bare.strip_suffix([',', ';', '&', '+', '/']));
    let Some(rest) = rest else { return false };
    let words: Vec<&str> =
        rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let verbs = ["after", "before", "depends", "depend", "blocks", "requires", "until", "on", "by"];
    words.len() <= 4 && !words.iter().any(|word| verbs.contains(word)) && !rest.contains(['(', ')', '.', ':'])
}

/// What is named at this place, and how long its name is.
fn mention_at(text: &str, at: usize, titles: &Titles<'_>) -> Option<(Mention, usize)> {
    let is_within = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if text[..at].chars().next_back().is_some_and(is_within) {
        return None;
    }
    let here = &text[at..];
    if let Some(first) = id(here) {
        return Some(match range_end(&here[first.len()..]) {
            Some((last, length)) => (Mention::Range(first.to_owned(), last), first.len() + length),
            None => (Mention::Task(first.to_owned()), first.len()),
        });
    }
    if let Some((number, length)) = story_at(here) {
        return Some((Mention::Story(number.to_owned()), length));
    }
    if let Some(rest) = here.strip_prefix("Phase ").or_else(|| here.strip_prefix("phase ")) {
        let number = number_at(rest)?;
        return Some((Mention::Phase(number.to_owned()), here.len() - rest.len() + number.len()));
    }
    titles.iter().find_map(|(title, phase)| {
        let behind = here.strip_prefix(title)?;
        (!behind.starts_with(char::is_alphanumeric)).then_some((Mention::Titled(*phase), title.len()))
    })
}

/// The other end of a range: `-T013`, `–013`, ` to T013`.
fn range_end(behind: &str) -> Option<(String, usize)> {
    let bare = behind.trim_start();
    let signs = ["-", "–", "—", "..", "to ", "through ", "thru "];
    let rest = signs.iter().find_map(|sign| bare.strip_prefix(sign))?.trim_start_matches(['.', ' ']);
    let length = |found: &str| behind.len() - rest.len() + found.len();
    if let Some(last) = id(rest) {
        return Some((last.to_owned(), length(last)));
    }
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let is_tight = !behind.starts_with(' ');
    let is_number =
        end >= 2 && is_tight && !rest[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    is_number.then(|| (format!("T{}", &rest[..end]), length(&rest[..end])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(text: &str) -> Vec<String> {
        let word = |mention| match mention {
            Mention::Task(id) => id,
            Mention::Range(from, to) => format!("{from}..{to}"),
            Mention::Phase(number) => format!("phase {number}"),
            Mention::Story(number) => format!("story {number}"),
            Mention::Titled(phase) => format!("titled {phase}"),
        };
        of_task(text).into_iter().map(word).collect()
    }

    #[test]
    fn a_task_says_in_many_ways_what_it_comes_after() {
        assert_eq!(tasks("Implement it (depends on T012, T013)"), ["T012", "T013"]);
        assert_eq!(tasks("a (depends on T003, same file)"), ["T003"]);
        assert_eq!(tasks("a (depends on T007 models)"), ["T007"]);
        assert_eq!(tasks("- **Depends on**: T014."), ["T014"]);
        assert_eq!(tasks("**Dependencies**: T001, T002"), ["T001", "T002"]);
        assert_eq!(tasks("Must run AFTER T010 and T011 completion"), ["T010", "T011"]);
        assert_eq!(tasks("(BLOCKED until T011a approved)"), ["T011a"]);
        assert_eq!(tasks("a (depends on T005 models; T006-T008)"), ["T005", "T006..T008"]);
        assert_eq!(tasks("a; requires T001–T004, T009 & T010"), ["T001..T004", "T009", "T010"]);
        assert_eq!(tasks("[deps: T001,T002] a"), ["T001", "T002"]);
        assert_eq!(tasks("a (depends on **T001** and `T002`)"), ["T001", "T002"]);
        assert_eq!(tasks("a (depends on US1, Phase 2)"), ["story 1", "phase 2"]);
        assert_eq!(tasks("a (depends on T-001 through T-003)"), ["T-001..T-003"]);
    }

    #[test]
    fn a_task_that_only_names_others_does_not_come_after_them() {
        assert_eq!(tasks("Write the same as T012"), [""; 0]);
        assert_eq!(tasks("Test what T012 made, see T013"), [""; 0]);
        assert_eq!(tasks("a (does not depend on T012)"), [""; 0]);
        assert_eq!(tasks("**Dependencies**: None"), [""; 0]);
        assert_eq!(tasks("a (depends on T012). It replaces T001"), ["T012"]);
    }

    #[test]
    fn the_section_about_dependencies_speaks_of_groups() {
        let tasks =
            |ids: &[&str]| -> Vec<Mention> { ids.iter().map(|id| Mention::Task((*id).to_owned())).collect() };
        let said = |line| of_line(line, &[("Setup", 0)]).pop().map(|said| (said.later, said.earlier));
        assert_eq!(
            said("- T002, T003, and T004 can run in parallel after T001"),
            Some((tasks(&["T002", "T003", "T004"]), tasks(&["T001"])))
        );
        let range = |a: &str, b: &str| vec![Mention::Range(a.to_owned(), b.to_owned())];
        assert_eq!(
            said("- T005-T013 depend on Setup"),
            Some((range("T005", "T013"), vec![Mention::Titled(0)]))
        );
        assert_eq!(
            said("- Tests (T004-T007) before implementation (T008-T014)"),
            Some((range("T008", "T014"), range("T004", "T007")))
        );
        assert_eq!(said("- T008 blocks T009, T015"), Some((tasks(&["T009", "T015"]), tasks(&["T008"]))));
        assert_eq!(said("T001 → T002"), Some((tasks(&["T002"]), tasks(&["T001"]))));
        assert_eq!(said("T014 must not start before T012"), Some((tasks(&["T014"]), tasks(&["T012"]))));
        assert_eq!(said("- T002 and T003 can run in parallel with T004"), None);
        let story = |number: &str| vec![Mention::Story(number.to_owned())];
        assert_eq!(said("- **User Story 2 (P2)**: Depends on US1"), Some((story("2"), story("1"))));
        assert_eq!(said("- **User Story 1 (P1)**: No dependencies on other stories"), None);
    }

    #[test]
    fn chains_are_pairs() {
        assert_eq!(of_line("T001 -> T002 -> T003", &[]).len(), 2);
    }
}
