//! YAML 1.2, core schema, as a [`Tree`]: `no` is a text, names stand once, one document.
//!
//! The size of what comes out is bounded also where aliases repeat parts. Not for: what the words mean.

use crate::problem::{Problem, Span};
use crate::tree::{Key, Kind, Start, Text, Tree};
use saphyr_parser::{Event, Parser, ScalarStyle, Span as Mark};
use std::collections::HashMap;

mod fault;

/// The most values of one document, repeated parts counted as often as they stand.
const VALUES_MAX: usize = 1_000_000;
/// The most letters of one document, in bytes, repeated parts counted as often as they stand: twice the longest definition.
const BYTES_MAX: usize = 8 << 20;
/// After how many mistakes in the form of a document nothing more is read.
const FAULTS_MAX: usize = 100;
/// How deep values may stand within one another.
const DEPTH_MAX: usize = 64;

/// Reads a definition: what it says, as far as it is YAML, and everything that is wrong.
#[must_use]
pub fn read(text: &str) -> (Option<Tree>, Vec<Problem>) {
    let (tree, mut problems) = all(text);
    if tree.is_none() && problems.is_empty() {
        let hint = "a definition has at least `name` and `nodes`";
        problems.push(Problem::error(None, "the definition is empty", hint));
    }
    (tree, problems)
}

/// Reads one document, whatever it is about; `None`: there is nothing in it.
///
/// # Errors
/// The first thing that is no YAML, or too much of it.
pub fn document(text: &str) -> Result<Option<Tree>, Problem> {
    let (tree, problems) = all(text);
    problems.into_iter().next().map_or(Ok(tree), Err)
}

/// After what is no YAML nothing is read; what is only written wrong is told, and the rest is read.
fn all(text: &str) -> (Option<Tree>, Vec<Problem>) {
    let mut reader = Reader {
        lines: text.lines().collect(),
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        size: Size::default(),
        problems: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, mark)) => reader.take(event, mark),
            Err(error) => {
                let at = error.marker();
                let span = Span { line: at.line().max(1), column: at.col() + 1, length: 1 };
                Err(fault::explain(text, span, error.info()))
            }
        };
        let taken = taken.and_then(|()| reader.go_on());
        if let Err(problem) = taken {
            if !reader.problems.contains(&problem) {
                reader.problems.push(problem);
            }
            return (None, reader.problems);
        }
    }
    (reader.root, reader.problems)
}

/// How much something is.
#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

impl Size {
    const fn of(text: &str) -> Self {
        Self { values: 1, bytes: text.len() }
    }

    fn of_tree(tree: &Tree) -> Self {
        match &tree.kind {
            Kind::Null | Kind::Bool(_) => Self::of(""),
            Kind::Number(_, letters) => Self::of(letters),
            Kind::Text(text) => Self::of(&text.text),
            Kind::List(items) => items.iter().map(Self::of_tree).fold(Self::of(""), Self::and),
            Kind::Map(named) => {
                let parts = named.iter().map(|(key, value)| Self::of(&key.name).and(Self::of_tree(value)));
                parts.fold(Self::of(""), Self::and)
            }
        }
    }

    const fn and(self, other: Self) -> Self {
        Self { values: self.values + other.values, bytes: self.bytes + other.bytes }
    }
}

/// A list or a map that is not closed yet.
struct Open {
    anchor: usize,
    span: Span,
    kind: Partly,
}

enum Partly {
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>, Next),
    /// `{{ inputs.x }}` without quotes: a map in a map to YAML, and a template to whoever wrote it.
    Template,
}

/// What comes next in a map.
enum Next {
    Name,
    Value(Key),
    /// The value of a name that is wrong.
    Nothing,
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Tree, Size)>,
    root: Option<Tree>,
    size: Size,
    /// What is wrong and does not stop the reading.
    problems: Vec<Problem>,
}

fn span_of(mark: &Mark) -> Span {
    let length = if mark.start.line() == mark.end.line() {
        mark.end.col().saturating_sub(mark.start.col())
    } else {
        1
    };
    Span { line: mark.start.line(), column: mark.start.col() + 1, length: length.max(1) }
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Problem> {
        let span = span_of(&mark);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(Problem::error(
                Some(span),
                "a second document begins here",
                "one file holds one workflow",
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => {
                let Some((tree, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(Problem::error(
                        Some(span),
                        "this alias names nothing that stands before it",
                        "write &NAME before the first one, or put a text that begins with * into quotes",
                    ));
                };
                self.grow(size, span)?;
                self.place(tree)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size::of(&text);
                self.grow(size, span)?;
                let core = tag.as_ref().map(|tag| (tag.handle.as_str(), tag.suffix.as_str()));
                let kind = match (style, core) {
                    (_, Some(("tag:yaml.org,2002:", "str"))) => None,
                    (ScalarStyle::Plain, _) => plain(&text),
                    (
                        ScalarStyle::SingleQuoted
                        | ScalarStyle::DoubleQuoted
                        | ScalarStyle::Literal
                        | ScalarStyle::Folded,
                        _,
                    ) => None,
                };
                let kind = kind.unwrap_or_else(|| {
                    Kind::Text(Text { start: Some(self.start(&mark, style)), text: text.into_owned() })
                });
                let tree = Tree { span: Some(span), kind };
                self.keep(anchor, &tree, size);
                self.place(tree)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, span, Partly::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, span, Partly::Map(Vec::new(), Next::Name)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    /// More than so much that is written wrong is no definition.
    fn go_on(&self) -> Result<(), Problem> {
        if self.problems.len() < FAULTS_MAX {
            return Ok(());
        }
        let span = self.problems.last().and_then(|problem| problem.span);
        let message = format!("{FAULTS_MAX} mistakes in the form are too many: the rest is not read");
        Err(Problem::error(span, message, "mend these first"))
    }

    fn grow(&mut self, by: Size, span: Span) -> Result<(), Problem> {
        self.size = self.size.and(by);
        let message = if self.size.values > VALUES_MAX {
            format!("there are more than {VALUES_MAX} values")
        } else if self.size.bytes > BYTES_MAX {
            format!("the texts have more than {BYTES_MAX} bytes")
        } else {
            return Ok(());
        };
        Err(Problem::error(Some(span), message, "aliases count as often as they stand"))
    }

    fn begin(&mut self, anchor: usize, span: Span, kind: Partly) -> Result<(), Problem> {
        self.grow(Size::of(""), span)?;
        if self.open.len() >= DEPTH_MAX {
            let message = format!("lists and maps stand more than {DEPTH_MAX} deep within one another");
            return Err(Problem::error(Some(span), message, "put less into one another"));
        }
        self.open.push(Open { anchor, span, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.kind {
            Partly::List(items) => Kind::List(items),
            Partly::Map(named, _) => Kind::Map(named),
            Partly::Template => self.template(open.span),
        };
        let tree = Tree { span: Some(open.span), kind };
        if open.anchor != 0 {
            let size = Size::of_tree(&tree);
            self.keep(open.anchor, &tree, size);
        }
        self.place(tree)
    }

    fn keep(&mut self, anchor: usize, tree: &Tree, size: Size) {
        if anchor != 0 {
            self.anchors.insert(anchor, (tree.clone(), size));
        }
    }

    fn place(&mut self, tree: Tree) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(tree),
            Some(Partly::List(items)) => items.push(tree),
            Some(Partly::Template) => {}
            Some(Partly::Map(named, next)) => match std::mem::replace(next, Next::Name) {
                Next::Value(key) => named.push((key, tree)),
                Next::Nothing => {}
                Next::Name => self.name(tree),
            },
        }
        Ok(())
    }

    /// The name of what comes next in the map that is open.
    fn name(&mut self, tree: Tree) {
        let Some(open) = self.open.last_mut() else { return };
        let Partly::Map(named, next) = &mut open.kind else { return };
        *next = Next::Nothing;
        if matches!(tree.kind, Kind::Map(_))
            && let Some((problem, _)) = fault::template(&self.lines, open.span)
        {
            open.kind = Partly::Template;
            self.problems.push(problem);
            return;
        }
        match key(tree) {
            Err(problem) => self.problems.push(problem),
            Ok(key) => match named.iter().find(|(other, _)| other.name == key.name) {
                Some((first, _)) => {
                    let line = first.span.map_or(0, |span| span.line);
                    let message = format!("\"{}\" stands twice, first in line {line}", key.name);
                    self.problems.push(Problem::error(key.span, message, "remove one of the two"));
                }
                None => *next = Next::Value(key),
            },
        }
    }

    /// The template that begins here.
    fn template(&self, span: Span) -> Kind {
        let text = fault::template(&self.lines, span).map(|(_, text)| text.to_owned()).unwrap_or_default();
        let start = Start { line: span.line, column: span.column, indent: span.column };
        Kind::Text(Text { text, start: Some(start) })
    }

    /// Where the first letter of a text stands, and its other lines begin.
    fn start(&self, mark: &Mark, style: ScalarStyle) -> Start {
        let (line, column) = (mark.start.line(), mark.start.col() + 1);
        match style {
            ScalarStyle::Plain => Start { line, column, indent: column },
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                Start { line, column: column + 1, indent: column }
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let first = (line - 1..self.lines.len())
                    .find(|at| !self.lines[*at].trim().is_empty())
                    .unwrap_or(line - 1);
                let text = self.lines.get(first).copied().unwrap_or_default();
                let indent = text.chars().take_while(|letter| *letter == ' ').count() + 1;
                Start { line: first + 1, column: indent, indent }
            }
        }
    }
}

/// A name: a text, or what would be read as a number or a word if it stood elsewhere.
fn key(tree: Tree) -> Result<Key, Problem> {
    let name = match tree.kind {
        Kind::Text(text) => text.text,
        Kind::Number(_, letters) => letters,
        Kind::Bool(value) => value.to_string(),
        Kind::Null | Kind::List(_) | Kind::Map(_) => {
            let message = format!("a name is expected here, found {}", tree.word());
            return Err(Problem::error(tree.span, message, "write \"name: value\""));
        }
    };
    Ok(Key { name, span: tree.span })
}

/// What an unquoted word is by the core schema of YAML 1.2; `None`: a text.
fn plain(text: &str) -> Option<Kind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Kind::Null),
        "true" | "True" | "TRUE" => return Some(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Kind::Bool(false)),
        _ => {}
    }
    let number = |number: serde_json::Number| Some(Kind::Number(number, text.to_owned()));
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().and_then(|value| number(value.into()));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().and_then(|value| number(value.into()));
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_number {
        return None;
    }
    let positive = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = positive.parse::<i64>() {
        return number(value.into());
    }
    positive.parse::<f64>().ok().and_then(serde_json::Number::from_f64).and_then(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        read(text).0.unwrap().to_json().to_string()
    }

    #[test]
    fn words_mean_what_the_core_schema_says() {
        assert_eq!(
            json("[no, yes, on, true, 'true', ~, null, 12, 0x1f, 1.5, 1_000, 08, 1.2.3]"),
            r#"["no","yes","on",true,"true",null,null,12,31,1.5,"1_000",8,"1.2.3"]"#
        );
    }

    #[test]
    fn places_are_those_of_the_first_letters() {
        let tree = read("a: one\nb: \"two\"\nc: |\n  three\n  four\n").0.unwrap();
        let at = |name: &str, line| {
            tree.get(name).unwrap().text().unwrap().locate(line, 1, 1).map(|span| (span.line, span.column))
        };
        assert_eq!(
            [at("a", 1), at("b", 1), at("c", 1), at("c", 2)],
            [Some((1, 4)), Some((2, 5)), Some((4, 3)), Some((5, 3))]
        );
    }

    #[test]
    fn aliases_cannot_grow_without_end_and_names_stand_once() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..8 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
        }
        assert!(document(&text).unwrap_err().message.contains("values"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100_000));
        assert!(document(&long).unwrap_err().message.contains("bytes"));
        assert!(document("a: 1\nb: 2\na: 3\n").unwrap_err().message.contains("twice"));
        assert!(document(&"[".repeat(100)).is_err());
        assert!(document("# nothing\n").unwrap().is_none() && read("").1.len() == 1);
    }

    #[test]
    fn what_is_only_written_wrong_does_not_stop_the_reading() {
        let (tree, problems) = read("a: {{ x.y }}\nb: [1, {{ z }}, 2]\na: 2\nc: 3\n");
        assert_eq!(tree.unwrap().to_json().to_string(), r#"{"a":"{{ x.y }}","b":[1,"{{ z }}",2],"c":3}"#);
        assert_eq!(problems.len(), 3, "{problems:?}");
        let (tree, problems) = read(&format!("[{}]", "{{ x }},".repeat(100_000)));
        assert_eq!((tree.is_none(), problems.len()), (true, FAULTS_MAX + 1));
    }
}
