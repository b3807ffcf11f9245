//! The lines of a file, and which of them say something: front matter, fenced code, comments and quotations hold samples
//! of task lines that are none.
//!
//! Not for: what a line says.

use std::borrow::Cow;

use crate::Note;

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// Where it begins, in bytes of the file.
    pub(crate) start: usize,
    /// All of it, without its end.
    pub(crate) raw: &'a str,
    /// What counts of it: comments are blanks, bytes keep their places; empty where nothing does.
    pub(crate) seen: Cow<'a, str>,
}

/// What the reader is in the middle of.
enum Within {
    Text,
    FrontMatter,
    Fence { sign: char, length: usize, since: usize },
    Comment { since: usize },
}

const BOM: char = '\u{feff}';

/// All lines of a text.
pub(crate) fn lines<'a>(text: &'a str, notes: &mut Vec<Note>) -> Vec<Line<'a>> {
    let mut within = Within::Text;
    let mut lines = Vec::new();
    let mut start = 0;
    let has_front_matter = has_front_matter(text);
    for (number, whole) in (1..).zip(text.split_inclusive('\n')) {
        let raw = whole.strip_suffix('\n').unwrap_or(whole);
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        let bom = if number == 1 && raw.starts_with(BOM) { BOM.len_utf8() } else { 0 };
        let (start_here, raw) = (start + bom, &raw[bom..]);
        start += whole.len();
        if number == 1 && has_front_matter {
            within = Within::FrontMatter;
            lines.push(Line { number, start: start_here, raw, seen: Cow::Borrowed("") });
            continue;
        }
        let seen = see(raw, number, &mut within);
        lines.push(Line { number, start: start_here, raw, seen });
    }
    match within {
        Within::Fence { since, .. } => {
            notes.push(Note::new(since, "this code block is never closed: nothing behind it is read"));
        }
        Within::Comment { since } => {
            notes.push(Note::new(since, "this comment is never closed: nothing behind it is read"));
        }
        Within::Text | Within::FrontMatter => {}
    }
    lines
}

/// A first line `---`, and another one somewhere below it.
fn has_front_matter(text: &str) -> bool {
    let mut lines = text.trim_start_matches(BOM).lines();
    let opens = lines.next().is_some_and(|line| line.trim_end() == "---");
    opens && lines.take_while(|line| !line.starts_with('#')).any(|line| line.trim_end() == "---")
}

/// What counts of a line, and what follows for those below it.
fn see<'a>(raw: &'a str, number: usize, within: &mut Within) -> Cow<'a, str> {
    match within {
        Within::FrontMatter => {
            if raw.trim_end() == "---" {
                *within = Within::Text;
            }
            Cow::Borrowed("")
        }
        Within::Fence { sign, length, .. } => {
            let closing = fence(raw).filter(|(mark, count)| mark == sign && count >= length);
            if closing.is_some() && raw.trim().trim_start_matches(*sign).is_empty() {
                *within = Within::Text;
            }
            Cow::Borrowed("")
        }
        Within::Text => {
            if let Some((sign, length)) = fence(raw) {
                *within = Within::Fence { sign, length, since: number };
                return Cow::Borrowed("");
            }
            if raw.trim_start().starts_with('>') {
                return Cow::Borrowed("");
            }
            without_comments(raw, number, within)
        }
        Within::Comment { .. } => without_comments(raw, number, within),
    }
}

/// The sign of a fence of code and how often it stands there.
fn fence(raw: &str) -> Option<(char, usize)> {
    let text = raw.trim_start();
    let sign = text.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let rest = text.trim_start_matches(sign);
    let length = text.len() - rest.len();
    let is_inline = sign == '`' && rest.contains('`');
    (length >= 3 && !is_inline).then_some((sign, length))
}

const OPENS: &str = "<!--";
const CLOSES: &str = "-->";

/// The same with blanks where comments are.
fn without_comments<'a>(raw: &'a str, number: usize, within: &mut Within) -> Cow<'a, str> {
    let inside = matches!(within, Within::Comment { .. });
    if !inside && !raw.contains(OPENS) {
        return Cow::Borrowed(raw);
    }
    let mut seen = String::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        if matches!(within, Within::Comment { .. }) {
            let Some(at) = rest.find(CLOSES) else {
                seen.extend(std::iter::repeat_n(' ', rest.len()));
                break;
            };
            let end = at + CLOSES.len();
            seen.extend(std::iter::repeat_n(' ', end));
            rest = &rest[end..];
            *within = Within::Text;
        }
        let Some(at) = rest.find(OPENS) else {
            seen.push_str(rest);
            break;
        };
        seen.push_str(&rest[..at]);
        rest = &rest[at..];
        *within = Within::Comment { since: number };
    }
    Cow::Owned(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<String> {
        lines(text, &mut Vec::new()).iter().map(|line| line.seen.trim().to_owned()).collect()
    }

    #[test]
    fn samples_are_not_seen() {
        assert_eq!(seen("---\na: b\n---\nx"), ["", "", "", "x"]);
        assert_eq!(seen("---\nx\n"), ["---", "x"], "a rule, for nothing closes it");
        assert_eq!(
            seen("a\n```\nb\n````\nc\n~~~\nd\n```\n~~~\ne"),
            ["a", "", "", "", "c", "", "", "", "", "e"]
        );
        assert_eq!(seen("a <!-- b --> c <!-- d\ne\nf --> g"), ["a            c", "", "g"]);
        assert_eq!(seen("> q\nz"), ["", "z"]);
    }

    #[test]
    fn bytes_keep_their_places() {
        let text = "\u{feff}é <!-- ü --> x\r\ny";
        let lines = lines(text, &mut Vec::new());
        let at = lines[0].start + lines[0].seen.find('x').expect("seen");
        assert_eq!(&text[at..=at], "x");
        assert_eq!(&text[lines[1].start..], "y");
    }

    #[test]
    fn what_is_never_closed_is_noted_where_it_opens() {
        let mut notes = Vec::new();
        drop(lines("a\n```\nb", &mut notes));
        drop(lines("a\nb\n<!--", &mut notes));
        assert_eq!(notes.iter().map(|note| note.line).collect::<Vec<_>>(), [2, 3]);
    }
}
