//! An event as JSON, as a row and as the line that `tail` prints.
//!
//! Not for: the meaning of `data`; it is passed on as the daemon wrote it.

use fusion_proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::word::{short_id, time};
use crate::output::Listed;
use crate::table::{Cell, printable};

/// A durable fact.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    actor: String,
    subject: String,
    data: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    /// The sequence number as text: what `-q` prints.
    #[serde(skip)]
    number: String,
}

impl From<v1::Event> for Event {
    fn from(event: v1::Event) -> Self {
        let data = match serde_json::from_str(&event.data) {
            Ok(data) => data,
            Err(_) if event.data.is_empty() => Value::Object(serde_json::Map::new()),
            Err(_) => Value::String(event.data),
        };
        Self {
            seq: event.seq,
            time: time(event.time),
            kind: event.r#type,
            actor: event.actor,
            subject: event.subject,
            data,
            user: event.user,
            number: event.seq.to_string(),
        }
    }
}

impl Event {
    /// One line for people, with columns that need no look ahead.
    pub(crate) fn line(&self) -> String {
        let time = self.time.as_deref().unwrap_or_default();
        let (subject, actor) = (short_id(&self.subject), short_id(&self.actor));
        printable(&format!(
            "{:>6}  {time:27}  {:22}  {subject:12}  {actor:12}  {}",
            self.seq,
            self.kind,
            self.words()
        ))
    }

    /// The data as `key=value` words.
    fn words(&self) -> String {
        let Value::Object(data) = &self.data else { return self.data.to_string() };
        let words: Vec<String> = data
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => format!("{key}={text}"),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    format!("{key}={value}")
                }
            })
            .collect();
        words.join(" ")
    }
}

impl Listed for Event {
    const HEADER: &'static [&'static str] = &["SEQ", "TIME", "TYPE", "SUBJECT", "ACTOR", "DATA"];
    const LEAST: &'static [&'static str] = &["ACTOR", "TIME", "SUBJECT"];
    const NONE: &'static str = "events";

    fn id(&self) -> &str {
        &self.number
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            self.number.as_str().into(),
            self.time.as_deref().unwrap_or_default().into(),
            self.kind.as_str().into(),
            short_id(&self.subject).into(),
            short_id(&self.actor).into(),
            self.words().into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    fn event(data: &str) -> Event {
        Event::from(v1::Event {
            seq: 41,
            time: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
            r#type: "task.succeeded".to_owned(),
            actor: "user:1000".to_owned(),
            subject: "tsk_01".to_owned(),
            data: data.to_owned(),
            user: String::new(),
        })
    }

    #[test]
    fn an_event_as_json() {
        assert_eq!(
            json_line(&event("")),
            r#"{"seq":41,"time":"2030-03-17T17:46:40.000Z","type":"task.succeeded","actor":"user:1000","subject":"tsk_01","data":{}}"#
        );
        assert!(json_line(&event(r#"{"attempt": 1}"#)).ends_with(r#""data":{"attempt":1}}"#));
    }

    #[test]
    fn data_is_words_for_people() {
        assert_eq!(event(r#"{"attempt": 1, "agent": "a"}"#).words(), "agent=a attempt=1");
        assert_eq!(event("{}").row().len(), Event::HEADER.len());
    }
}
