//! `wait`: a span, an instant, or an event.
//!
//! Not for: which of them is meant (`check`), which events there are ([`crate::events`]).

use super::one_or_many;
use crate::duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lets time pass, or waits for an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct Wait {
    /// Milliseconds.
    #[serde(default, rename = "for", with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub span: Option<u64>,
    /// The instant, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// For which event: its word, or `agent.*`; one of several.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<String>,
    /// What the event must be about; texts are templates.
    #[serde(flatten)]
    pub about: About,
    /// Milliseconds to wait for the event.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// What an event must be about: all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A task: an id, or `key:K`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// An agent, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A run: an id, or `key:K`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// A node of a run, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// A workflow, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Labels of the task or the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Span(#[serde(with = "duration::text")] Option<u64>),
    Whole(Box<Whole>),
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default, rename = "for", with = "duration::text")]
    span: Option<u64>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default, with = "one_or_many")]
    event: Vec<String>,
    #[serde(flatten)]
    about: About,
    #[serde(default, with = "duration::text")]
    timeout: Option<u64>,
}

impl From<Form> for Wait {
    fn from(form: Form) -> Self {
        match form {
            Form::Span(span) => Self { span, ..Self::default() },
            Form::Whole(whole) => {
                let Whole { span, until, event, about, timeout } = *whole;
                Self { span, until, event, about, timeout }
            }
        }
    }
}

impl Wait {
    /// Its texts in which something may be filled in.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let About { task, agent, run, node, workflow, labels } = &self.about;
        let named = [&self.until, task, agent, run, node, workflow].into_iter().flatten();
        named.chain(labels.values()).map(String::as_str)
    }
}
