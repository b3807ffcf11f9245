//! The forms that values of a definition may have, and reading a [`Tree`] by them.
//!
//! Everything that is wrong is found in one walk. The published JSON schema (`schema`) is written from the same forms.
//! Not for: which words there are (`words`), what they have to do with one another (`check`).

use crate::elsewhere;
use crate::hint;
use crate::near::meant;
use crate::problem::{Problem, Span};
use crate::tree::{Kind, Tree};
use serde_json::Value;

/// The form of a value.
#[derive(Debug)]
pub enum Shape {
    /// A text; numbers and words that stand for one are taken as they are written.
    Text,
    /// A text in which templates are filled in.
    Template,
    /// A name: letters, digits, `_`, `-`.
    Name,
    /// True or false.
    Bool,
    /// A whole number between two.
    Count(u64, u64),
    /// A number between two.
    Amount(f64, f64),
    /// `10m`.
    Duration,
    /// `10m`, and more than nothing.
    Timeout,
    /// One of some words.
    Words(&'static [&'static str]),
    /// A list of no more than so many.
    List(&'static Shape, usize),
    /// Names and values of one form.
    Map(&'static Shape),
    /// Names that are known.
    Object(&'static Object),
    /// One of several, told apart by what it is.
    Either(&'static [&'static Shape]),
    /// Anything.
    Any,
}

/// A map whose names are known.
#[derive(Debug)]
pub struct Object {
    /// What it is, for messages: "a node".
    pub what: &'static str,
    /// A short one, for messages.
    pub example: &'static str,
    /// The names of which exactly one must be there; none: nothing is asked.
    pub one_of: &'static [&'static str],
    /// What other tools call its names.
    pub elsewhere: elsewhere::Table,
    /// The names.
    pub fields: &'static [Field],
}

/// A name in a map.
#[derive(Debug)]
pub struct Field {
    /// The name.
    pub name: &'static str,
    /// The form of its value.
    pub shape: Shape,
    /// Whether it must be there.
    pub need: Need,
    /// What it is, in one sentence.
    pub about: &'static str,
}

/// Whether something must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Always,
    /// It need not.
    Optional,
}

/// The longest name.
pub const NAME_BYTES_MAX: usize = 63;

/// Whether a text is a name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Reads a tree by an object: the value in its plain form, and everything that is wrong.
pub fn read(tree: &Tree, object: &'static Object, problems: &mut Vec<Problem>) -> Value {
    Walk { problems, path: String::new() }.object(tree, object)
}

struct Walk<'a> {
    problems: &'a mut Vec<Problem>,
    path: String,
}

impl Walk<'_> {
    fn fault(&mut self, span: Option<Span>, message: String, hint: &str) -> Value {
        self.problems.push(Problem::error(span, message, hint).at(self.path.clone()));
        Value::Null
    }

    fn expected(&mut self, tree: &Tree, shape: &Shape, what: &str) -> Value {
        let message = match self.name() {
            "" => format!("the definition must be {what}, found {}", tree.word()),
            name => format!("`{name}` must be {what}, found {}", tree.word()),
        };
        let hint = hint::written(self.name(), shape, tree);
        self.fault(tree.span, message, &hint)
    }

    /// The last step of the way to what is read now; empty at the top.
    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    fn below<T>(&mut self, step: &str, walk: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let result = walk(self);
        self.path.truncate(length);
        result
    }

    fn value(&mut self, tree: &Tree, shape: &'static Shape) -> Value {
        match shape {
            Shape::Any => tree.to_json(),
            Shape::Text | Shape::Template => self.text(tree, shape),
            Shape::Name => self.named(tree, shape),
            Shape::Bool => match &tree.kind {
                Kind::Bool(value) => Value::Bool(*value),
                Kind::Null | Kind::Number(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                    self.expected(tree, shape, "true or false")
                }
            },
            Shape::Count(least, most) => self.count(tree, shape, *least, *most),
            Shape::Amount(least, most) => self.amount(tree, shape, *least, *most),
            Shape::Duration | Shape::Timeout => self.duration(tree, shape),
            Shape::Words(words) => self.word(tree, shape, words),
            Shape::List(of, most) => self.list(tree, shape, of, *most),
            Shape::Map(of) => self.map(tree, shape, of),
            Shape::Object(object) => self.object(tree, object),
            Shape::Either(shapes) => self.either(tree, shape, shapes),
        }
    }

    fn text(&mut self, tree: &Tree, shape: &Shape) -> Value {
        match &tree.kind {
            Kind::Text(text) => Value::String(text.text.clone()),
            Kind::Number(_, letters) => Value::String(letters.clone()),
            Kind::Bool(value) => Value::String(value.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => self.expected(tree, shape, "a text"),
        }
    }

    fn named(&mut self, tree: &Tree, shape: &Shape) -> Value {
        let Value::String(text) = self.text(tree, shape) else { return Value::Null };
        if !is_name(&text) {
            let message = format!("{text:?} is not a name");
            let hint = "use 1 to 63 of a-z, A-Z, 0-9, '_', '-', beginning with a letter or '_'";
            return self.fault(tree.span, message, hint);
        }
        Value::String(text)
    }

    fn count(&mut self, tree: &Tree, shape: &Shape, least: u64, most: u64) -> Value {
        if let Kind::Number(number, _) = &tree.kind
            && number.as_u64().is_some_and(|value| (least..=most).contains(&value))
        {
            return Value::Number(number.clone());
        }
        let what = format!("a whole number from {least} to {most}");
        if let Kind::Number(number, letters) = &tree.kind {
            let message = format!("`{}` must be {what}, found {letters}", self.name());
            let hint = hint::within(self.name(), number, least, most);
            return self.fault(tree.span, message, &hint);
        }
        self.expected(tree, shape, &what)
    }

    fn amount(&mut self, tree: &Tree, shape: &Shape, least: f64, most: f64) -> Value {
        let what = format!("a number from {least} to {most}");
        let Kind::Number(number, letters) = &tree.kind else { return self.expected(tree, shape, &what) };
        if number.as_f64().is_some_and(|value| (least..=most).contains(&value)) {
            return Value::Number(number.clone());
        }
        let message = format!("`{}` must be {what}, found {letters}", self.name());
        let hint = hint::between(self.name(), number, least, most);
        self.fault(tree.span, message, &hint)
    }

    fn duration(&mut self, tree: &Tree, shape: &Shape) -> Value {
        let text = match &tree.kind {
            Kind::Text(text) => text.text.as_str(),
            Kind::Number(_, letters) => letters,
            Kind::Null | Kind::Bool(_) | Kind::List(_) | Kind::Map(_) => {
                return self.expected(tree, shape, "a duration such as 30s, 10m or 1h30m");
            }
        };
        match crate::duration::parse(text) {
            None => {
                let hint = "write a number and a unit: 500ms, 30s, 10m, 2h, 1d, 1h30m; at most ten years";
                return self.fault(tree.span, format!("{text:?} is not a duration"), hint);
            }
            Some(0) if matches!(shape, Shape::Timeout) => {
                let message = format!("`{}` would be over before anything begins", self.name());
                return self.fault(
                    tree.span,
                    message,
                    "write 1ms or more, or leave it out: then there is no limit",
                );
            }
            Some(_) => {}
        }
        Value::String(text.to_owned())
    }

    fn word(&mut self, tree: &Tree, shape: &Shape, words: &[&str]) -> Value {
        let Kind::Text(text) = &tree.kind else {
            return self.expected(tree, shape, &format!("one of {}", words.join(", ")));
        };
        if words.contains(&text.text.as_str()) {
            return Value::String(text.text.clone());
        }
        let message = format!("`{}` must be one of {}, found {:?}", self.name(), words.join(", "), text.text);
        let hint = meant(&text.text, words.iter().copied(), &hint::written(self.name(), shape, tree));
        self.fault(tree.span, message, &hint)
    }

    fn list(&mut self, tree: &Tree, shape: &Shape, of: &'static Shape, most: usize) -> Value {
        let Kind::List(items) = &tree.kind else { return self.expected(tree, shape, "a list") };
        if items.len() > most {
            let message = format!("{} entries are too many: at most {most}", items.len());
            return self.fault(tree.span, message, "make several of it");
        }
        let mut read = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let value = self.below(&format!("[{at}]"), |walk| walk.value(item, of));
            // What was wrong keeps its place, so that the others keep theirs.
            read.push(if value.is_null() { of.nothing() } else { value });
        }
        Value::Array(read)
    }

    fn map(&mut self, tree: &Tree, shape: &Shape, of: &'static Shape) -> Value {
        let Kind::Map(named) = &tree.kind else { return self.expected(tree, shape, "a map") };
        let mut read = serde_json::Map::new();
        for (key, value) in named {
            let value = self.below(&key.name, |walk| walk.value(value, of));
            read.insert(key.name.clone(), value);
        }
        Value::Object(read)
    }

    fn object(&mut self, tree: &Tree, object: &'static Object) -> Value {
        let Kind::Map(named) = &tree.kind else {
            return self.expected(tree, &Shape::Object(object), "a map");
        };
        let mut read = serde_json::Map::new();
        for (key, value) in named {
            let Some(field) = object.fields.iter().find(|field| field.name == key.name) else {
                let hint = hint::unknown_key(&key.name, object);
                self.fault(key.span, format!("unknown key \"{}\" in {}", key.name, object.what), &hint);
                continue;
            };
            if matches!(value.kind, Kind::Null) && !matches!(field.shape, Shape::Any) {
                self.fault(key.span, format!("`{}` has no value", key.name), "give one, or remove the key");
                continue;
            }
            let value = self.below(field.name, |walk| walk.value(value, &field.shape));
            read.insert(key.name.clone(), value);
        }
        let is_there = |field: &&Field| named.iter().any(|(key, _)| key.name == field.name);
        let needed = object.fields.iter().filter(|field| field.need == Need::Always);
        for field in needed.filter(|field| !is_there(field)) {
            let hint = format!("write {}: {}", field.name, hint::example(&field.shape));
            self.fault(tree.span, format!("{} needs `{}`", object.what, field.name), &hint);
        }
        Value::Object(read)
    }

    fn either(&mut self, tree: &Tree, shape: &Shape, shapes: &'static [&'static Shape]) -> Value {
        match shapes.iter().find(|shape| shape.takes(tree)) {
            Some(shape) => self.value(tree, shape),
            None => {
                let words: Vec<&str> = shapes.iter().map(|shape| shape.what()).collect();
                self.expected(tree, shape, &words.join(" or "))
            }
        }
    }
}

impl Shape {
    /// What stands in a list for an entry that was wrong.
    fn nothing(&self) -> Value {
        match self {
            Self::Object(_) | Self::Map(_) => Value::Object(serde_json::Map::new()),
            Self::Text | Self::Template | Self::Name => Value::String(String::new()),
            Self::Bool
            | Self::Count(..)
            | Self::Amount(..)
            | Self::Duration
            | Self::Timeout
            | Self::Words(_)
            | Self::List(..)
            | Self::Either(_)
            | Self::Any => Value::Null,
        }
    }

    /// Whether a value is of the kind that this form describes.
    fn takes(&self, tree: &Tree) -> bool {
        match self {
            Self::Any => true,
            Self::Text | Self::Template | Self::Name => tree.is_word(),
            Self::Duration | Self::Timeout | Self::Words(_) => {
                matches!(tree.kind, Kind::Text(_) | Kind::Number(..))
            }
            Self::Bool => matches!(tree.kind, Kind::Bool(_)),
            Self::Count(..) | Self::Amount(..) => matches!(tree.kind, Kind::Number(..)),
            Self::List(..) => matches!(tree.kind, Kind::List(_)),
            Self::Map(_) | Self::Object(_) => matches!(tree.kind, Kind::Map(_)),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.takes(tree)),
        }
    }

    const fn what(&self) -> &'static str {
        match self {
            Self::Text | Self::Template => "a text",
            Self::Name => "a name",
            Self::Bool => "true or false",
            Self::Count(..) | Self::Amount(..) => "a number",
            Self::Duration | Self::Timeout => "a duration",
            Self::Words(_) => "a word",
            Self::List(..) => "a list",
            Self::Map(_) | Self::Object(_) => "a map",
            Self::Either(_) | Self::Any => "a value",
        }
    }
}
