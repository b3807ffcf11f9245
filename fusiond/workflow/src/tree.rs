//! A definition before anybody knows what its words mean: values with their places.
//!
//! One checker walks it, whether it came as YAML or as JSON. Not for: what is allowed (`shape`).

use crate::problem::Span;
use serde_json::Value;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where it stands; `None` when it did not come as a text.
    pub span: Option<Span>,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, with its letters as they were written.
    Number(serde_json::Number, String),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// Names and values, in the order of the text.
    Map(Vec<(Key, Tree)>),
}

/// A text, with where its first letter stands.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Line and column of its first letter, and what stands before each line of it.
    pub start: Option<Start>,
}

/// Where a text begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The line of its first letter.
    pub line: usize,
    /// The column of its first letter.
    pub column: usize,
    /// The column of the first letter of its other lines.
    pub indent: usize,
}

impl Text {
    /// Where the letter at this line (from 1) and column (from 1) of the text stands.
    #[must_use]
    pub fn locate(&self, line: usize, column: usize, length: usize) -> Option<Span> {
        let start = self.start?;
        let first = if line <= 1 { start.column } else { start.indent };
        Some(Span { line: start.line + line.saturating_sub(1), column: first + column - 1, length })
    }
}

/// A name in a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Option<Span>,
}

impl Tree {
    /// The same without places.
    #[must_use]
    pub fn from_json(value: Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(value),
            Value::Number(number) => {
                let letters = number.to_string();
                Kind::Number(number, letters)
            }
            Value::String(text) => Kind::Text(Text { text, start: None }),
            Value::Array(items) => Kind::List(items.into_iter().map(Self::from_json).collect()),
            Value::Object(map) => {
                let named =
                    map.into_iter().map(|(name, value)| (Key { name, span: None }, Self::from_json(value)));
                Kind::Map(named.collect())
            }
        };
        Self { span: None, kind }
    }

    /// The value as it is.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number, _) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(named) => {
                Value::Object(named.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect())
            }
        }
    }

    /// What stands under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(named) => named.iter().find(|(key, _)| key.name == name).map(|(_, value)| value),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// Where a name stands.
    #[must_use]
    pub fn key_span(&self, name: &str) -> Option<Span> {
        match &self.kind {
            Kind::Map(named) => named.iter().find(|(key, _)| key.name == name).and_then(|(key, _)| key.span),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The items of a list; a single value counts as a list of one.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::Map(_) => {
                std::slice::from_ref(self)
            }
        }
    }

    /// Whether it is one word or text, neither nothing nor made of parts.
    #[must_use]
    pub const fn is_word(&self) -> bool {
        match &self.kind {
            Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) => true,
            Kind::Null | Kind::List(_) | Kind::Map(_) => false,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub const fn text(&self) -> Option<&Text> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The word for what it is.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(..) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}
