//! What a template speaks about: nodes, inputs, the item of a `foreach`, the run.
//!
//! Not for: whether it may (`check`).

use crate::template::{self, Fault, place, tags};

/// One thing that a template uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The names from the outermost on: `nodes`, `plan`, `output`.
    pub path: Vec<String>,
    /// Line and column of its first letter, from 1.
    pub at: (usize, usize),
    /// How many letters it has.
    pub length: usize,
}

impl Reference {
    /// The node that is meant, if one is.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self.path.as_slice() {
            [first, node, ..] if first == "nodes" => Some(node),
            _ => None,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// Everything that a template uses, and filters that do not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// What it uses.
    pub used: Vec<Reference>,
    /// Filters that do not exist.
    pub unknown_filters: Vec<Reference>,
}

/// Finds everything that a template uses.
///
/// # Errors
/// Where it is no template.
pub fn find(text: &str) -> Result<References, Fault> {
    if !template::is_template(text) {
        return Ok(References::default());
    }
    let mut found = References::default();
    for name in template::names(text)? {
        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
        if path == ["nodes"] {
            found.used.extend(subscripts(text));
        }
        let at = locate(text, &path);
        found.used.push(Reference { length: name.len(), at, path });
    }
    // A subscript names what the bare word does not.
    if found.used.iter().any(|each| each.node().is_some()) {
        found.used.retain(|each| each.path != ["nodes"]);
    }
    found.unknown_filters = unknown_filters(text);
    Ok(found)
}

/// `nodes["a-b"].output`: names that cannot stand behind a point.
fn subscripts(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for tag in tags(text) {
        for (offset, _) in tag.text.match_indices("nodes[") {
            let rest = &tag.text[offset + "nodes[".len()..];
            let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
                continue;
            };
            let Some((id, behind)) = rest[1..].split_once(quote) else { continue };
            let mut path = vec!["nodes".to_owned(), id.to_owned()];
            let behind = behind.strip_prefix(']').unwrap_or(behind).strip_prefix('.').unwrap_or_default();
            let word: String = behind
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                .collect();
            path.extend(Some(word).filter(|word| !word.is_empty()));
            let length = "nodes['']".len() + id.len();
            found.push(Reference { path, at: place(text, tag.at + offset), length });
        }
    }
    found
}

/// Where a name first stands inside the braces.
fn locate(text: &str, path: &[String]) -> (usize, usize) {
    let first = path.first().map_or("", String::as_str);
    let mut best = None;
    for tag in tags(text) {
        for (offset, _) in tag.text.match_indices(first) {
            let before = tag.text[..offset].chars().next_back();
            let behind = &tag.text[offset + first.len()..];
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            if before.is_some_and(|letter| is_word(letter) || letter == '.') || behind.starts_with(is_word) {
                continue;
            }
            let written: String = path[1..].iter().map(|word| format!(".{word}")).collect();
            let goes_on = behind[written.len().min(behind.len())..].starts_with(is_word);
            if behind.starts_with(&written) && !goes_on {
                return place(text, tag.at + offset);
            }
            best.get_or_insert(tag.at + offset);
        }
    }
    place(text, best.unwrap_or(0))
}

fn unknown_filters(text: &str) -> Vec<Reference> {
    if text.contains("{% raw") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for tag in tags(text) {
        for (offset, name) in filters(tag.text) {
            if !template::has_filter(name) {
                let at = place(text, tag.at + offset);
                found.push(Reference { path: vec![name.to_owned()], at, length: name.len() });
            }
        }
    }
    found
}

/// The words behind a bar, outside of quotes.
fn filters(tag: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in tag.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if letter == '|' => {
                let rest = &tag[at + 1..];
                let start = rest.len() - rest.trim_start().len();
                let word = &rest[start..];
                let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let word = &word[..end.unwrap_or(word.len())];
                if !word.is_empty() {
                    found.push((at + 1 + start, word));
                }
            }
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_subscripts_are_found() {
        let found = find("a\n{{ nodes['x-y'].output }} {{ inputs.b }} {{ item | uper }}").unwrap();
        let named: Vec<(String, (usize, usize))> =
            found.used.iter().map(|each| (each.name(), each.at)).collect();
        assert_eq!(
            named,
            [
                ("inputs.b".to_owned(), (2, 30)),
                ("item".to_owned(), (2, 45)),
                ("nodes.x-y.output".to_owned(), (2, 4)),
            ]
        );
        assert_eq!(found.unknown_filters[0].at, (2, 52));
    }
}
