//! What is wrong with a definition, where, and what to do about it. Not for: finding it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How much of a line is shown with a problem, in characters, and how much of that stands before its place.
const SHOWN: (usize, usize) = (240, 120);

/// A place in a text; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters are meant; at least one.
    pub length: usize,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// The definition may be used, and perhaps does not do what was meant.
    Warning,
}

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` when the definition did not come as a text.
    pub span: Option<Span>,
    /// Where in the definition: `nodes.plan.prompt`; empty when the message says it.
    pub path: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Problem {
    /// Something wrong.
    pub fn error(span: Option<Span>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { span, path: String::new(), severity: Severity::Error, message, hint }
    }

    /// Something doubtful.
    pub fn warning(span: Option<Span>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message, hint) }
    }

    /// The same at this place of the definition.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// As people read it, with the one that is meant of the text's lines, or the part of it that is, and a caret below
    /// the place.
    #[must_use]
    pub fn render(&self, file: &str, lines: &[&str]) -> String {
        let mut out = String::from(file);
        if let Some(span) = self.span {
            push(&mut out, format_args!(":{}:{}", span.line, span.column));
        }
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        push(&mut out, format_args!(": {word}: {}", self.message));
        if let Some(span) = self.span
            && let Some(line) = lines.get(span.line - 1)
        {
            let (line, column) = shown(line, span.column);
            let before: String = line.chars().take(column - 1).map(blank).collect();
            let rest = line.chars().count().saturating_sub(column - 1).max(1);
            let carets = "^".repeat(span.length.clamp(1, rest));
            let number = span.line.to_string();
            let gutter = " ".repeat(number.len());
            push(&mut out, format_args!("\n  {number} | {line}\n  {gutter} | {before}{carets}"));
        }
        if !self.hint.is_empty() {
            push(&mut out, format_args!("\n  hint: {}", self.hint));
        }
        out
    }
}

/// A line, or what stands around a column of a long one, and where the column is in that.
fn shown(line: &str, column: usize) -> (Cow<'_, str>, usize) {
    let (most, before) = SHOWN;
    let letters = line.chars().count();
    if letters <= most {
        return (Cow::Borrowed(line), column);
    }
    let left = (column - 1).saturating_sub(before);
    let part: String = line.chars().skip(left).take(most).collect();
    let start = if left > 0 { "… " } else { "" };
    let end = if left + most < letters { " …" } else { "" };
    (Cow::Owned(format!("{start}{part}{end}")), column - left + start.chars().count())
}

/// A tab keeps its width below itself.
const fn blank(letter: char) -> char {
    if letter == '\t' { '\t' } else { ' ' }
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("a String takes all");
}

impl std::fmt::Display for Problem {
    /// On one line, for where there is no text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_what_stands_around_the_place_is_shown() {
        let line = format!("{}wrong{}", "a".repeat(1000), "b".repeat(1000));
        let span = Span { line: 1, column: 1001, length: 5 };
        let shown = Problem::error(Some(span), "m", "").render("f", &[&line]);
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[2].chars().position(|letter| letter == '^').unwrap();
        let meant: String = lines[1].chars().skip(at).take(5).collect();
        assert_eq!((meant.as_str(), lines[2].ends_with(" ^^^^^")), ("wrong", true), "{shown}");
        assert!(lines[1].chars().count() < 300, "{shown}");
    }
}
