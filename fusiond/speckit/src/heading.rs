//! What a heading is: a phase, a part of one, or something else. Not for: what stands below it.

/// A heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading<'a> {
    /// How many `#` it has.
    pub(crate) level: usize,
    /// Its words, without signs for bold.
    pub(crate) text: &'a str,
}

/// What a heading announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announces {
    /// A phase by its number.
    Phase(String),
    /// Samples, not tasks.
    Samples,
    /// Which tasks come after which.
    Dependencies,
    /// Something else, such as a phase by another word.
    Other,
}

/// The heading, if the line is one.
pub(crate) fn heading(line: &str) -> Option<Heading<'_>> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let text = rest.trim().trim_end_matches('#').trim_end();
    let text = text.strip_prefix("**").and_then(|text| text.strip_suffix("**")).unwrap_or(text);
    Some(Heading { level, text })
}

/// How languages begin the heading of such a section.
const DEPENDENCIES: [&str; 12] = [
    "dependenc",
    "dependencias",
    "execution order",
    "task dependencies",
    "abhängigkeiten",
    "dépendances",
    "зависимости",
    "依赖",
    "依賴",
    "依存",
    "의존",
    "dipendenze",
];

/// What it announces.
pub(crate) fn announces(text: &str) -> Announces {
    let lower = text.to_lowercase();
    if lower.starts_with("format") || lower.contains("[id]") {
        return Announces::Samples;
    }
    let bare = lower.trim_start_matches(|c: char| !c.is_alphanumeric());
    if DEPENDENCIES.iter().any(|word| bare.starts_with(word)) {
        return Announces::Dependencies;
    }
    phase_number(text).map_or(Announces::Other, Announces::Phase)
}

/// The number behind `Phase` or `Stage`: `3`, `3.1`, `A0`, `N`.
fn phase_number(text: &str) -> Option<String> {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let rest =
        ["Phase", "phase", "PHASE", "Stage", "stage"].iter().find_map(|word| text.strip_prefix(word))?;
    number_at(rest.strip_prefix([' ', '\t'])?.trim_start()).map(str::to_owned)
}

/// `3`, `3.1`, `A0`, `N` at the beginning, and then no letter.
pub(crate) fn number_at(text: &str) -> Option<&str> {
    let letter = text.chars().next().filter(char::is_ascii_uppercase);
    let after = letter.map_or(0, char::len_utf8);
    let digits = count_digits(&text[after..]);
    if letter.is_none() && digits == 0 {
        return None;
    }
    let mut end = after + digits;
    if letter.is_none()
        && let Some(fraction) = text[end..].strip_prefix('.')
    {
        let digits = count_digits(fraction);
        end += if digits > 0 { 1 + digits } else { 0 };
    }
    (!text[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_')).then(|| &text[..end])
}

fn count_digits(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()
}

/// The user story that a text is about: of `User Story 2 - …`, `US2`, `[US1.5]` the number.
pub(crate) fn story_in(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(['U', 'u']) {
        let is_free = !rest[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        if is_free && let Some((number, _)) = story_at(&rest[at..]) {
            return Some(number.to_owned());
        }
        rest = &rest[at + 1..];
    }
    None
}

/// The number of a story named at the beginning, and how many bytes name it.
pub(crate) fn story_at(text: &str) -> Option<(&str, usize)> {
    let words = ["User Story ", "User story ", "user story ", "USER STORY ", "US-", "US ", "US"];
    let rest = words.iter().find_map(|word| text.strip_prefix(word))?;
    let digits = count_digits(rest);
    let number = number_at(rest).filter(|_| digits > 0)?;
    Some((number, text.len() - rest.len() + number.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Announces {
        announces(heading(line).expect("a heading").text)
    }

    #[test]
    fn phases_are_numbered_in_many_ways() {
        let phase = |number: &str| Announces::Phase(number.to_owned());
        assert_eq!(said("## Phase 1: Setup (Shared Infrastructure)"), phase("1"));
        assert_eq!(said("## Phase 3.1: Setup"), phase("3.1"));
        assert_eq!(said("### Phase A0: x"), phase("A0"));
        assert_eq!(said("## Phase 1 — Foundations (blocks every story)"), phase("1"));
        assert_eq!(said("## **Stage 2: Build**"), phase("2"));
        assert_eq!(said("## 🚧 Phase N: Polish"), phase("N"));
        assert_eq!(said("## Phase Dependencies"), Announces::Other);
        assert_eq!(said("## US1 - title"), Announces::Other);
        assert_eq!(heading("#hashtag"), None);
    }

    #[test]
    fn sections_that_are_no_phases_are_known() {
        assert_eq!(said("## Format: `[ID] [P?] [Story] Description`"), Announces::Samples);
        assert_eq!(said("## 格式：`[ID] [P?]`"), Announces::Samples);
        assert_eq!(said("## Dependencies & Execution Order"), Announces::Dependencies);
        assert_eq!(said("## 依赖关系"), Announces::Dependencies);
    }

    #[test]
    fn stories_have_numbers() {
        assert_eq!(story_in("Phase 3: User Story 1 - Log in (Priority: P1)").as_deref(), Some("1"));
        assert_eq!(story_in("US1.5").as_deref(), Some("1.5"));
        assert_eq!(story_in("Focus2, status US-4").as_deref(), Some("4"));
        assert_eq!(story_in("用户故事 US2 登录").as_deref(), Some("2"));
        assert_eq!(story_in("User Stories"), None);
    }
}
