//! What is wrong with a definition, where, and what to do about it. Not for: finding it.

use std::fmt::Write as _;

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

    /// As people read it, with the line that is meant and a caret below the place.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
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
            && let Some(line) = text.lines().nth(span.line - 1)
        {
            let before: String = line.chars().take(span.column - 1).map(blank).collect();
            let rest = line.chars().count().saturating_sub(span.column - 1).max(1);
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
