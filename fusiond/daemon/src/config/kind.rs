//! The kinds of values that settings take: reading one, writing it back, saying what was expected. Not here: which
//! setting takes which kind (`table`).

use std::path::PathBuf;

use fusion_core::Millis;
use toml::de::{DeTable, DeValue};

use super::units;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number within bounds.
    Count(u64, u64),
    /// A duration within bounds.
    Span(Millis, Millis),
    /// A size in bytes within bounds.
    Bytes(u64, u64),
    /// A number of processors, also a fraction.
    Cpus,
    /// Yes or no.
    Switch,
    /// One of these.
    Word(&'static [&'static str]),
    /// Permission bits, none outside these.
    Mode(u32),
    /// An absolute path.
    Path,
    /// `sled://` and an absolute path.
    SledUrl,
    /// `http://` or `https://` and more.
    Url,
    /// `redis://`, `rediss://` or `unix://` and more; empty for the embedded bus.
    RedisUrl,
    /// Any text.
    Text,
    /// A name for a group.
    Name,
    /// Where a secret is: `{credential = "…"}`, `{file = "…"}` or `{env = "…"}`.
    Secret,
}

/// A value that fits its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Count(u64),
    Span(Millis),
    Bytes(u64),
    /// In thousandths.
    Cpus(u32),
    Switch(bool),
    Word(&'static str),
    Mode(u32),
    Path(PathBuf),
    Text(String),
    /// The kind of place and its name, never the secret.
    Secret(&'static str, String),
}

impl Kind {
    /// Reads a word of the environment or of the table of settings.
    pub(super) fn parse_word(self, word: &str) -> Option<Value> {
        let text = |is_valid: bool| is_valid.then(|| Value::Text(word.to_owned()));
        match self {
            Self::Count(min, max) => {
                Some(Value::Count(word.trim().parse().ok().filter(|count| (min..=max).contains(count))?))
            }
            Self::Span(min, max) => {
                Some(Value::Span(units::parse_duration(word).filter(|span| (min..=max).contains(span))?))
            }
            Self::Bytes(min, max) => {
                Some(Value::Bytes(units::parse_bytes(word).filter(|bytes| (min..=max).contains(bytes))?))
            }
            Self::Cpus => Some(Value::Cpus(units::parse_cpus(word)?)),
            Self::Switch => match word.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(Value::Switch(true)),
                "false" | "0" | "no" | "off" => Some(Value::Switch(false)),
                _ => None,
            },
            Self::Word(words) => {
                Some(Value::Word(words.iter().find(|known| known.eq_ignore_ascii_case(word.trim()))?))
            }
            Self::Mode(most) => Some(Value::Mode(units::parse_mode(word).filter(|mode| mode & !most == 0)?)),
            Self::Path => absolute(word),
            Self::SledUrl => absolute(word.strip_prefix("sled://")?),
            Self::Url => text(is_url(word, &["http://", "https://"])),
            Self::RedisUrl => text(word.is_empty() || is_url(word, &["redis://", "rediss://", "unix://"])),
            Self::Text => text(true),
            Self::Name => text(is_name(word)),
            Self::Secret => None,
        }
    }

    /// Reads a value of a file: with the type that TOML has for it, or as text.
    pub(super) fn parse_toml(self, value: &DeValue<'_>) -> Option<Value> {
        match (self, value) {
            (Self::Count(..) | Self::Bytes(..), DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
                self.parse_word(&u64::try_from(number).ok()?.to_string())
            }
            (Self::Cpus, DeValue::Integer(number)) => self.parse_word(number.as_str()),
            (Self::Cpus, DeValue::Float(number)) => self.parse_word(number.as_str()),
            (Self::Mode(_), DeValue::Integer(number)) if number.radix() == 8 => {
                self.parse_word(&format!("{:0>3}", number.as_str()))
            }
            (Self::Switch, DeValue::Boolean(is_on)) => Some(Value::Switch(*is_on)),
            (Self::Secret, DeValue::Table(table)) => secret(table),
            (Self::Count(..) | Self::Switch | Self::Secret, _) => None,
            (_, DeValue::String(text)) => self.parse_word(text),
            _ => None,
        }
    }

    /// Whether a word is understood, but asks for more than may be.
    pub(super) fn is_too_loose(self, word: &str) -> bool {
        matches!(self, Self::Mode(most) if units::parse_mode(word).is_some_and(|mode| mode & !most != 0))
    }

    /// What is expected, as the end of a sentence.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Span(min, max) => format!(
                "a duration from {} to {}, such as \"1.5s\" or \"10m\"",
                units::duration_text(min),
                units::duration_text(max)
            ),
            Self::Bytes(min, max) => format!(
                "a size from {} to {}, such as \"64MiB\"",
                units::bytes_text(min),
                units::bytes_text(max)
            ),
            Self::Cpus => "a number of processors from 0.01 to 1000, such as 1.5".into(),
            Self::Switch => "true or false".into(),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Mode(most) => format!("permissions no looser than \"{most:#05o}\""),
            Self::Path => "an absolute path".into(),
            Self::SledUrl => "\"sled://\" and an absolute path".into(),
            Self::Url => "an address that begins with \"http://\" or \"https://\"".into(),
            Self::RedisUrl => {
                "\"\", or an address that begins with \"redis://\", \"rediss://\" or \"unix://\"".into()
            }
            Self::Text => "a text".into(),
            Self::Name => "the name of a group".into(),
            Self::Secret => {
                "where the secret is: {credential = \"NAME\"}, {file = \"/PATH\"} or {env = \"NAME\"}".into()
            }
        }
    }

    /// One or two words for the reference.
    pub(super) fn label(self) -> String {
        match self {
            Self::Count(..) => "number".into(),
            Self::Span(..) => "duration".into(),
            Self::Bytes(..) => "size".into(),
            Self::Cpus => "processors".into(),
            Self::Switch => "`true` or `false`".into(),
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Mode(_) => "permissions".into(),
            Self::Path => "absolute path".into(),
            Self::SledUrl => "`sled:///path`".into(),
            Self::Url | Self::RedisUrl => "address".into(),
            Self::Text => "text".into(),
            Self::Name => "group".into(),
            Self::Secret => "place of a secret".into(),
        }
    }
}

impl Value {
    /// As TOML, for people: secrets within an address are hidden.
    pub(super) fn toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Self::Count(count) => count.to_string(),
            Self::Span(span) => quoted(&units::duration_text(*span)),
            Self::Bytes(bytes) => quoted(&units::bytes_text(*bytes)),
            Self::Cpus(millis) => (f64::from(*millis) / 1000.0).to_string(),
            Self::Switch(is_on) => is_on.to_string(),
            Self::Word(word) => quoted(word),
            Self::Mode(mode) => quoted(&format!("{mode:#05o}")),
            Self::Path(path) => quoted(&path.to_string_lossy()),
            Self::Text(text) => quoted(&without_secrets(text)),
            Self::Secret(place, name) => format!("{{{place} = {}}}", quoted(name)),
        }
    }
}

/// An address without what may be a secret in it: whoever logs in (RFC 3986, section 3.2.1), also where that holds what
/// should be escaped, and the values of its query. Any other text as it is.
fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let host = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
    let place = host.split_once('?').map_or_else(|| host.clone(), |(place, _)| format!("{place}?***"));
    format!("{scheme}://{place}")
}

/// What stands in a file instead of what was expected; texts only where they are short and no secret.
pub(super) fn found(kind: Kind, value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if matches!(kind, Kind::Url | Kind::RedisUrl) && text.contains("://") => {
            format!("found \"{}\"", without_secrets(text))
        }
        _ if matches!(kind, Kind::Secret | Kind::Url | Kind::RedisUrl) => {
            format!("found {}", type_name(value))
        }
        DeValue::String(text) if text.len() <= 60 => format!("found \"{text}\""),
        DeValue::Integer(number) if number.radix() == 8 => format!("found 0o{}", number.as_str()),
        DeValue::Integer(number) => format!("found {}", number.as_str()),
        DeValue::Boolean(is_on) => format!("found {is_on}"),
        DeValue::Float(number) => format!("found {}", number.as_str()),
        DeValue::String(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            format!("found {}", type_name(value))
        }
    }
}

/// A TOML type with its article.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn absolute(text: &str) -> Option<Value> {
    let path = PathBuf::from(text);
    let is_plain = path
        .components()
        .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    (path.is_absolute() && path.parent().is_some() && is_plain && !text.contains('\0'))
        .then_some(Value::Path(path))
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// As useradd(8) accepts them.
fn is_name(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn secret(table: &DeTable<'_>) -> Option<Value> {
    let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
    let place = ["credential", "file", "env"].into_iter().find(|place| *place == key.get_ref().as_ref())?;
    let name = value.get_ref().as_str().filter(|name| !name.is_empty())?;
    (place != "file" || name.starts_with('/')).then(|| Value::Secret(place, name.to_owned()))
}
