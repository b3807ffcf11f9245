//! One configuration file: from TOML to values, with the line of everything that is wrong. Not here: which files
//! there are (`load`).

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::kind::{self, Value};
use super::problem::{Origin, Problem};
use super::{near, table};

/// What a file says.
pub(super) type Found = Vec<(Vec<String>, Value, Origin)>;

/// Reads the text of a file.
pub(super) fn text(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Found {
    let mut reader = Reader { path, text, found: Vec::new(), problems };
    let (top, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        reader.problems.push(Problem::in_file(path, line, error.message().trim().replace('\n', ", ")));
    }
    // What a broken file seems to say would only add noise.
    if errors.is_empty() {
        reader.table(top.get_ref(), &mut Vec::new());
    }
    reader.found
}

/// The line that a byte is in, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The column that a byte is in, in characters from 1.
pub(crate) fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.chars().rev().take_while(|letter| *letter != '\n').count() + 1
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    found: Found,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &mut Vec<String>) {
        // In the order of the file, so that problems come in the order of lines.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            path.push(key.get_ref().to_string());
            self.entry(path, value.get_ref(), line_of(self.text, key.span().start));
            path.pop();
        }
    }

    fn entry(&mut self, path: &mut Vec<String>, value: &DeValue<'_>, line: usize) {
        let name = dotted(path);
        if let Some(setting) = table::setting(path) {
            match setting.kind.parse_toml(value) {
                Some(value) => {
                    self.found.push((path.clone(), value, Origin::File(self.path.to_owned(), line)));
                }
                None => {
                    let (expected, found) = (setting.kind.expected(), kind::found(setting.kind, value));
                    self.problem(line, format!("`{name}`: expected {expected}, {found}"));
                }
            }
        } else if !table::is_section(path) {
            self.problem(line, format!("unknown key `{name}`{}", suggestion(path)));
        } else if let DeValue::Table(inner) = value {
            self.table(inner, path);
        } else {
            self.problem(line, format!("`{name}`: expected a table, found {}", kind::type_name(value)));
        }
    }

    fn problem(&mut self, line: usize, text: String) {
        self.problems.push(Problem::in_file(self.path, line, text));
    }
}

/// The nearest known key: one of the same table, else one of that name in another table; else what the table knows.
fn suggestion(path: &[String]) -> String {
    let Some((name, above)) = path.split_last() else { return String::new() };
    let siblings = table::names_below(above);
    if let Some(near) = near::nearest(name, siblings.iter().copied()) {
        let mut path = above.to_vec();
        path.push(near.to_owned());
        return format!(", the nearest known key is `{}`", dotted(&path));
    }
    let last = |key: &'static str| key.rsplit_once('.').map_or(key, |(_, last)| last);
    let near = near::nearest(name, table::SETTINGS.iter().map(|setting| last(setting.key)));
    let elsewhere = near.and_then(|near| table::SETTINGS.iter().find(|setting| last(setting.key) == near));
    match elsewhere {
        Some(setting) => format!(", the nearest known key is `{}`", setting.key.replace('*', "NAME")),
        None => format!(
            ", known here are {}",
            siblings.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A path as TOML writes it.
pub(crate) fn dotted(path: &[String]) -> String {
    let is_bare = |part: &String| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let part = |part: &String| match is_bare(part) {
        true => part.clone(),
        false => toml::Value::String(part.clone()).to_string(),
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}
