//! Why a text is no YAML, in the words of whoever wrote it: what is still open, what needs quotes, what stands askew.
//!
//! The parser says what it did not expect, which is often far behind the mistake. Not for: reading.

use crate::problem::{Problem, Span};

/// The longest text that is written out in a hint.
const QUOTED_BYTES_MAX: usize = 200;

/// What the parser says, and what to do about it.
pub(super) fn explain(text: &str, at: Span, info: &str) -> Problem {
    let lines: Vec<&str> = text.lines().collect();
    let found = scan(&lines, at);
    let near = found.template.filter(|span| span.line + 1 >= at.line);
    if let Some((problem, _)) = near.and_then(|span| template(&lines, span)) {
        return problem;
    }
    if let Some((quote, span)) = found.quote.filter(|_| is_unclosed(info)) {
        let message = format!("this is not YAML: the quote that begins with {quote} is not closed");
        let inner = if quote == '"' { "\\\"" } else { "''" };
        return Problem::error(
            Some(span),
            message,
            format!("end it with {quote}, and write {inner} for one within it"),
        );
    }
    if let Some(open) = found.open.filter(|(_, span)| span.line < at.line) {
        return bracket(&lines, open, at, info);
    }
    if info.contains("mapping values")
        && let Some(problem) = colon(&lines, at)
    {
        return problem;
    }
    if info.contains("trailing content") {
        let message = "this is not YAML: the text goes on behind its closing quote";
        let hint = "write \\\" for a quote within double quotes, and '' for one within single quotes";
        return Problem::error(Some(at), message, hint);
    }
    Problem::error(Some(at), format!("this is not YAML: {info}"), advice(info))
}

/// What is the matter behind a bracket that is open.
fn bracket(lines: &[&str], (bracket, span): (char, Span), at: Span, info: &str) -> Problem {
    let close = if bracket == '[' { ']' } else { '}' };
    let is_last = lines.iter().skip(at.line - 1).all(|line| line.trim().is_empty());
    if is_last || is_unclosed(info) {
        let message = format!("this is not YAML: the {bracket} is not closed");
        return Problem::error(Some(span), message, format!("write the {close} that belongs to it"));
    }
    let line = span.line;
    let hint = format!(
        "the {bracket} of line {line} is open here: close it with {close}, or write a comma before this"
    );
    Problem::error(Some(at), format!("this is not YAML: {info}"), hint)
}

/// What is the matter with a colon where no name can stand.
fn colon(lines: &[&str], at: Span) -> Option<Problem> {
    let own = |line: &str| line.trim_start_matches([' ', '-']).to_owned();
    let line = lines.get(at.line.checked_sub(1)?)?;
    let before: String = line.chars().take(at.column - 1).collect();
    let before = own(&before);
    if let Some((name, _)) = before.split_once(": ") {
        let whole = own(line).split_once(": ").map(|(_, text)| text.trim().to_owned())?;
        let quoted = if whole.contains('"') {
            format!("'{}'", whole.replace('\'', "''"))
        } else {
            format!("\"{whole}\"")
        };
        let message = "this is not YAML: a text with a colon and a space in it stands without quotes";
        let hint = if quoted.len() > QUOTED_BYTES_MAX {
            format!("put the text of `{name}` into quotes")
        } else {
            format!("write {name}: {quoted}")
        };
        return Some(Problem::error(Some(at), message, hint));
    }
    let above = lines[..at.line - 1].iter().enumerate().rev().find(|(_, line)| !line.trim().is_empty());
    let (number, above) = above?;
    let text = own(above);
    if let Some((name, value)) = text.split_once(':').filter(|_| !text.contains(": "))
        && !value.is_empty()
        && crate::shape::is_name(name)
    {
        let column = above.chars().count() - value.chars().count();
        let span = Span { line: number + 1, column, length: 1 };
        let message = "this is not YAML: a space is missing behind the colon";
        return Some(Problem::error(Some(span), message, format!("write {name}: {value}")));
    }
    if before.is_empty() {
        return None;
    }
    let column = line.chars().count() - line.trim_start().chars().count() + 1;
    let span = Span { column, length: before.chars().count().max(1), ..at };
    let message = format!("this is not YAML: `{before}` stands in a column where no name can");
    let hint = "let the names of one map stand in one column: those of a node below its `id`";
    Some(Problem::error(Some(span), message, hint))
}

/// Whether the parser found the end, or what cannot stand in quotes or brackets.
fn is_unclosed(info: &str) -> bool {
    const ALL: [&str; 9] = [
        "illegal placement of ':'",
        "mapping values",
        "unexpected eof",
        "end of stream",
        "document indicator",
        "next token",
        "node content",
        "indentation in flow",
        "indentation in quoted",
    ];
    ALL.iter().any(|words| info.contains(words))
}

/// What mostly is the matter where the parser says this.
fn advice(info: &str) -> &'static str {
    const ALL: [(&[&str], &str); 7] = [
        (&["tab"], "write spaces: a tab does not indent"),
        (
            &["unknown anchor"],
            "write &NAME before the first one, or put a text that begins with * into quotes",
        ),
        (
            &["mapping values", "placement of ':'"],
            "put a text with a colon and a space in it into quotes, and let the names of one map stand in one column",
        ),
        (&["escape"], "write \\\\ for one backslash, or use single quotes"),
        (
            &[
                "simple key",
                "expected key",
                "'-' indicator",
                "indentation",
                "<document start>",
                "block sequence",
            ],
            "write `name: value`, and let the names of one map, and the dashes of one list, stand in one column",
        ),
        (&["expected ',' or"], "write a comma between what stands in brackets, and close them"),
        (
            &[
                "unexpected character",
                "directive",
                "tag",
                "anchor",
                "plain scalar",
                "block scalar",
                "node content",
            ],
            "put a text that begins with one of % @ ` ! & * | > [ { ] } into quotes",
        ),
    ];
    let said = ALL.iter().find(|(words, _)| words.iter().any(|word| info.contains(word)));
    said.map_or("put texts into quotes, and let the names of one map stand in one column", |(_, said)| said)
}

/// The template without quotes that begins in this place, and what is wrong with it; `None`: none does.
pub(super) fn template<'a>(lines: &[&'a str], span: Span) -> Option<(Problem, &'a str)> {
    let line = lines.get(span.line.checked_sub(1)?)?;
    let (start, _) = line.char_indices().nth(span.column - 1)?;
    let rest = line.get(start..).filter(|rest| rest.starts_with("{{"))?;
    let text = rest.find("}}").map_or(rest, |end| &rest[..end + 2]).trim_end();
    let length = text.chars().count();
    let behind = rest[text.len()..].trim_start();
    let whole = if behind.starts_with([',', ']', '}', '#']) { text } else { rest.trim_end() };
    let hint = match (whole.contains('"'), whole.contains('\'')) {
        _ if whole.len() > QUOTED_BYTES_MAX => "put the whole text into quotes".to_owned(),
        (false, _) => format!("put the whole text into quotes: \"{whole}\""),
        (true, false) => format!("put the whole text into quotes: '{whole}'"),
        (true, true) => {
            "put the whole text into double quotes, and write \\\" for each of them within it".to_owned()
        }
    };
    let message = "this template stands without quotes: to YAML its braces are a map";
    Some((Problem::error(Some(Span { length, ..span }), message, hint), text))
}

/// What is open where the parser stopped.
#[derive(Default)]
struct Found {
    /// The innermost bracket.
    open: Option<(char, Span)>,
    /// The quote.
    quote: Option<(char, Span)>,
    /// The last template without quotes.
    template: Option<Span>,
}

/// How far a scan has come.
#[derive(Default)]
struct Scan {
    open: Vec<(char, Span)>,
    quote: Option<(char, Span)>,
    template: Option<Span>,
}

fn scan(lines: &[&str], until: Span) -> Found {
    let mut scan = Scan::default();
    // The column behind which lines belong to a text that `|` or `>` began.
    let mut block = None;
    for (at, line) in lines.iter().enumerate().take(until.line) {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if block.is_some_and(|column| spaces > column || line.trim().is_empty()) {
            continue;
        }
        block = None;
        scan.line(at + 1, line, until);
        let last = line.split_whitespace().next_back().unwrap_or_default();
        let is_block =
            last.strip_prefix(['|', '>']).is_some_and(|rest| rest.trim_matches(['+', '-']).len() <= 1);
        if is_block && scan.open.is_empty() && scan.quote.is_none() {
            block = Some(indent);
        }
    }
    let is_before = |(_, span): &(char, Span)| (span.line, span.column) < (until.line, until.column);
    Found { open: scan.open.into_iter().rfind(is_before), quote: scan.quote, template: scan.template }
}

impl Scan {
    fn line(&mut self, number: usize, line: &str, until: Span) {
        let letters: Vec<char> = line.chars().collect();
        // Whether a value may begin here.
        let mut begins = true;
        let mut at = 0;
        while at < letters.len() && (number, at) < (until.line, until.column) {
            let letter = letters[at];
            let before = at.checked_sub(1).map_or(' ', |before| letters[before]);
            let span = Span { line: number, column: at + 1, length: 1 };
            at += 1;
            if let Some((quote, _)) = self.quote {
                if letter == '\\' && quote == '"' {
                    at += 1;
                } else if letter == quote {
                    self.quote = None;
                }
                continue;
            }
            match letter {
                '#' if before.is_whitespace() => return,
                '"' | '\'' if begins => self.quote = Some((letter, span)),
                '{' if begins && letters.get(at) == Some(&'{') => {
                    self.template = Some(span);
                    at = end_of_template(&letters, at);
                }
                '[' | '{' if begins => self.open.push((letter, span)),
                ']' | '}' => drop(self.open.pop()),
                _ => {}
            }
            begins = match letter {
                '[' | '{' | ',' => !self.open.is_empty() || begins,
                ' ' | '\t' => begins || matches!(before, ':' | '?'),
                '-' => begins,
                _ => false,
            };
        }
    }
}

/// Behind the braces that end it, or the line.
fn end_of_template(letters: &[char], from: usize) -> usize {
    let ends = letters.windows(2).enumerate().skip(from).find(|(_, pair)| *pair == ['}', '}']);
    ends.map_or(letters.len(), |(at, _)| at + 2)
}
