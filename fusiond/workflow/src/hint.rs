//! What to write instead of a value or a word that is wrong: an example that could stand there.
//!
//! Not for: finding what is wrong (`shape`), the words of other tools (`elsewhere`).

use crate::elsewhere;
use crate::near::meant;
use crate::shape::{Object, Shape};
use crate::tree::{Kind, Tree};
use crate::words;

/// The longest text that is written out in a hint.
const QUOTED_BYTES_MAX: usize = 60;

/// How a value of this form is written below its name, for who wrote `found`.
pub(crate) fn written(name: &str, shape: &Shape, found: &Tree) -> String {
    match (name, shape, &found.kind) {
        ("", Shape::Object(object), _) => format!("begin with {}", object.example),
        ("run", Shape::List(..), Kind::Text(text)) => command(&text.text),
        ("nodes", Shape::List(..), Kind::Map(named)) => {
            let first = named.first().map_or("build", |(key, _)| key.name.as_str());
            format!("write a list, each node with its id: - {{id: {first}, …}}")
        }
        (_, Shape::Text | Shape::Template, Kind::List(_) | Kind::Map(_)) => {
            "write one text, in quotes; `|` begins one of several lines".to_owned()
        }
        (_, Shape::List(..), Kind::Text(text)) if text.text.len() <= QUOTED_BYTES_MAX => {
            format!("write {name}: [{}]", quoted(&text.text))
        }
        (_, Shape::Bool | Shape::Count(..) | Shape::Amount(..), Kind::Text(text)) => {
            let said = match (shape, text.text.as_str()) {
                (Shape::Bool, "no" | "No" | "off" | "false") => "false".to_owned(),
                (Shape::Count(..) | Shape::Amount(..), digits) if digits.parse::<u64>().is_ok() => {
                    format!("{digits}, without quotes")
                }
                (..) => example(shape),
            };
            format!("write {name}: {said}")
        }
        // An entry of a list has no name of its own.
        (_, Shape::Name, _) if name.contains('[') => "write one name, such as build".to_owned(),
        (_, Shape::Text | Shape::Template, _) if name.contains('[') => "write one text".to_owned(),
        _ if name.contains('[') => format!("write {}", example(shape)),
        (_, Shape::Either(shapes), _) => all(name, shapes.iter().map(|shape| example(shape))),
        (_, Shape::Words(words), _) => all(name, words.iter().map(|word| (*word).to_owned())),
        (..) => format!("write {name}: {}", example(shape)),
    }
}

/// `write output: text or output: json`
fn all(name: &str, values: impl Iterator<Item = String>) -> String {
    let ways: Vec<String> = values.map(|value| format!("{name}: {value}")).collect();
    format!("write {}", ways.join(" or "))
}

/// A value of this form.
pub(crate) fn example(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Template => "\"{{ … }}\"".to_owned(),
        Shape::Name => "build".to_owned(),
        Shape::Bool => "true".to_owned(),
        Shape::Count(least, most) => 3.clamp(*least, *most).to_string(),
        Shape::Amount(least, most) => 2.5_f64.clamp(*least, *most).to_string(),
        Shape::Duration | Shape::Timeout => "10m".to_owned(),
        Shape::Words(words) => words.first().copied().unwrap_or_default().to_owned(),
        Shape::List(of, _) => match of {
            Shape::Object(object) => format!("[{}]", object.example),
            Shape::Template => "[make, test]".to_owned(),
            Shape::Text
            | Shape::Name
            | Shape::Bool
            | Shape::Count(..)
            | Shape::Amount(..)
            | Shape::Duration
            | Shape::Timeout
            | Shape::Words(_)
            | Shape::List(..)
            | Shape::Map(_)
            | Shape::Either(_)
            | Shape::Any => "[a, b]".to_owned(),
        },
        Shape::Map(of) => match of {
            Shape::Object(object) => format!("{{NAME: {}}}", object.example),
            Shape::Text
            | Shape::Template
            | Shape::Name
            | Shape::Bool
            | Shape::Count(..)
            | Shape::Amount(..)
            | Shape::Duration
            | Shape::Timeout
            | Shape::Words(_)
            | Shape::List(..)
            | Shape::Map(_)
            | Shape::Either(_)
            | Shape::Any => "{NAME: value}".to_owned(),
        },
        Shape::Object(object) => object.example.to_owned(),
        Shape::Either(shapes) => shapes.first().map(|shape| example(shape)).unwrap_or_default(),
        Shape::Any => "value".to_owned(),
    }
}

/// What to do about a number that is too small or too large.
pub(crate) fn within(name: &str, found: &serde_json::Number, least: u64, most: u64) -> String {
    match found.as_f64() {
        Some(value) if value > most as f64 => format!("the most is {name}: {most}"),
        Some(value) if value < least as f64 => format!("the least is {name}: {least}"),
        Some(_) | None => format!("write it without a fraction: {name}: {}", 3.clamp(least, most)),
    }
}

/// The same of a number that may have a fraction.
pub(crate) fn between(name: &str, found: &serde_json::Number, least: f64, most: f64) -> String {
    match found.as_f64() {
        Some(value) if value < least => format!("the least is {name}: {least}; without a limit, remove it"),
        Some(_) | None => format!("the most is {name}: {most}; without a limit, remove it"),
    }
}

/// What to do about a word that an object does not have.
pub(crate) fn unknown_key(word: &str, object: &'static Object) -> String {
    if let Some(said) = elsewhere::ours(word, object) {
        return said.to_owned();
    }
    let has = |other: &Object| other.fields.iter().any(|field| field.name == word);
    let is = |other: &Object| std::ptr::eq(object, other);
    if is(&words::DEFINITION) && has(&words::DEFAULTS) {
        return format!(
            "write `{word}` below `defaults`, for every node, or at the node that it is meant for"
        );
    }
    if is(&words::DEFINITION) && has(&words::NODE) {
        return format!("write `{word}` at the node that it is meant for");
    }
    if is(&words::NODE) && has(&words::DEFINITION) {
        return format!("write `{word}` at the top, beside `nodes`: it is of the whole workflow");
    }
    let known = object.fields.iter().map(|field| field.name);
    let all: Vec<&str> = known.clone().collect();
    meant(word, known, &format!("{} has: {}", object.what, all.join(", ")))
}

/// A command that was written as one text, as it is run: plain words alone, anything else by a shell.
fn command(text: &str) -> String {
    let text = text.trim();
    let is_plain = |letter: char| letter.is_alphanumeric() || " -_./=:@+".contains(letter);
    if text.is_empty() {
        return "write run: [make, test]".to_owned();
    }
    if text.len() > QUOTED_BYTES_MAX || text.contains('\n') {
        return "write run: [sh, -c, \"…\"]: a command is not read by a shell unless it says so".to_owned();
    }
    if text.chars().all(is_plain) {
        let words: Vec<String> = text.split_whitespace().map(quoted).collect();
        return format!("write run: [{}], or for a script run: [sh, -c, \"…\"]", words.join(", "));
    }
    let quote = if text.contains('\'') { format!("{text:?}") } else { format!("'{text}'") };
    format!("write run: [sh, -c, {quote}]: a command is not read by a shell unless it says so")
}

/// A text as an entry of a list in brackets: in quotes where YAML would read it as something else.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=+@".contains(letter);
    let is_word = text.starts_with(|first: char| first.is_alphabetic() || "-_./".contains(first));
    let is_special = matches!(text, "true" | "false" | "null" | "-");
    if is_word && !is_special && text.chars().all(is_plain) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Field, read};

    #[test]
    fn a_command_as_one_text_becomes_its_words_or_a_script() {
        assert!(command("make test").starts_with("write run: [make, test],"));
        assert!(command("true").starts_with("write run: [\"true\"],"));
        assert!(command("make && echo ok").starts_with("write run: [sh, -c, 'make && echo ok']"));
        assert!(command("echo 'a'; b").starts_with("write run: [sh, -c, \"echo 'a'; b\"]"));
    }

    /// Every example is read without a fault by the form that it is an example of.
    #[test]
    fn examples_are_what_they_are_examples_of() {
        fn check(object: &'static Object) {
            for Field { name, shape, .. } in object.fields {
                let text = format!("{name}: {}", example(shape));
                let tree = crate::yaml::document(&text).unwrap().unwrap();
                let mut problems = Vec::new();
                read(&tree, object, &mut problems);
                problems.retain(|problem| !problem.message.contains("needs `"));
                assert!(problems.is_empty(), "{text}: {problems:?}");
            }
        }
        for object in words::tables(&words::DEFINITION) {
            check(object);
        }
    }
}
