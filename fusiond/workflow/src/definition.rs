//! A definition whose words are known to make sense one by one.
//!
//! Its JSON form is what crosses the socket and what is stored with a run. Not for: whether the parts fit together
//! (`check`).

mod budget;
mod one_or_many;
mod wait;

pub use wait::Wait;

pub use budget::Budget;

use crate::duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What says nothing is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What a run is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Input>,
    /// What holds for every node.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Terms,
    /// Tasks of one run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Milliseconds that a whole run may take.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Labels of runs and their tasks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What a run may use.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// The task file of spec-kit whose boxes are ticked as nodes succeed, an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_file: Option<String>,
    /// The steps.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Done when everything else has ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Hook>,
    /// Done when everything else has ended, and not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Hook>,
}

/// What a run is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub kind: InputKind,
    /// Whether a run must be given it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub required: bool,
    /// What it is otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values it may have.
    #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Value>>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What an input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Json,
}

impl InputKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }
}

/// On which terms the task of a node is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What the agent must be able to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// The agent, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The profile of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// 9 comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Milliseconds that one attempt may take.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Milliseconds without output and without CPU use.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u64>,
    /// Milliseconds of waiting for an agent.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<u64>,
    /// Further attempts after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// What happens when the outcome of an attempt cannot be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lost: Option<String>,
    /// Variables of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The folder that attempts begin in, an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
}

/// A step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    #[serde(default)]
    pub id: String,
    /// What must have ended before.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Words for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// A person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// A run of another workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Inner>,
    /// Lets time pass, or waits for an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Nothing is left to do: it was done before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// On which terms its task is done.
    #[serde(flatten)]
    pub terms: Terms,
    /// Of the owner's tasks with the same one, at most one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
    /// Secrets that each attempt is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Skipped unless this is true: a template, or true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Value>,
    /// Done once for each item: a list, or a template that is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreach: Option<Value>,
    /// Items at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// What the result is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What all its attempts together may use, those of its items too.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// What a failure means for the run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// Done also when things did not go well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always: bool,
}

/// What is done when everything else has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Words for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// On which terms its task is done.
    #[serde(flatten)]
    pub terms: Terms,
}

impl Hook {
    /// The same as a step.
    #[must_use]
    pub fn node(&self, id: &str) -> Node {
        let (prompt, run, terms) = (self.prompt.clone(), self.run.clone(), self.terms.clone());
        Node { id: id.to_owned(), prompt, run, terms, ..Node::default() }
    }
}

/// A person decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What the person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Milliseconds to wait.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// What holds when the time is over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default: Lapse,
}

/// What holds when nobody decided in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lapse {
    /// As if somebody had approved.
    Approve,
    /// As if somebody had rejected.
    #[default]
    Reject,
}

/// A run of another workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "InnerForm")]
pub struct Inner {
    /// Which.
    pub name: String,
    /// What it is given; texts in it are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum InnerForm {
    Name(String),
    Whole {
        #[serde(default)]
        name: String,
        #[serde(default)]
        inputs: BTreeMap<String, Value>,
    },
}

impl From<InnerForm> for Inner {
    fn from(form: InnerForm) -> Self {
        match form {
            InnerForm::Name(name) => Self { name, inputs: BTreeMap::new() },
            InnerForm::Whole { name, inputs } => Self { name, inputs },
        }
    }
}

/// What a result is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "OutputForm")]
pub struct Output {
    /// Text or JSON.
    pub format: Format,
    /// The JSON Schema that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// Text or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A text.
    #[default]
    Text,
    /// JSON, which is parsed.
    Json,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OutputForm {
    Word(Format),
    Whole {
        #[serde(default)]
        format: Option<Format>,
        #[serde(default)]
        schema: Option<Value>,
    },
}

impl From<OutputForm> for Output {
    fn from(form: OutputForm) -> Self {
        match form {
            OutputForm::Word(format) => Self { format, schema: None },
            OutputForm::Whole { format, schema } => {
                let otherwise = if schema.is_some() { Format::Json } else { Format::Text };
                Self { format: format.unwrap_or(otherwise), schema }
            }
        }
    }
}

/// What a failure of a node means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run fails: nothing new is started.
    #[default]
    Fail,
    /// As if the node had gone well.
    Continue,
    /// What needs the node is skipped; the rest goes on.
    SkipDependents,
}

/// What a node does.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// Words for an agent.
    Prompt(&'a str),
    /// A command.
    Run(&'a [String]),
    /// A person decides.
    Approval(&'a Approval),
    /// A run of another workflow.
    Workflow(&'a Inner),
    /// Time passes, or an event comes.
    Wait(&'a Wait),
    /// Nothing: it was done before.
    Done,
}

impl Node {
    /// What it does; `None` when it says nothing, or more than one thing.
    #[must_use]
    pub fn work(&self) -> Option<Work<'_>> {
        let all = [
            self.prompt.as_deref().map(Work::Prompt),
            self.run.as_deref().map(Work::Run),
            self.approval.as_ref().map(Work::Approval),
            self.workflow.as_ref().map(Work::Workflow),
            self.wait.as_ref().map(Work::Wait),
            self.done.then_some(Work::Done),
        ];
        let mut said = all.into_iter().flatten();
        let first = said.next();
        first.filter(|_| said.next().is_none())
    }

    /// All its texts in which something is to be filled in.
    #[must_use]
    pub fn templates(&self) -> Vec<&str> {
        let mut texts = self.item_templates();
        let mut first = Vec::new();
        for value in self.when.iter().chain(&self.foreach) {
            texts_in(value, &mut first);
        }
        first.retain(|text| crate::template::is_template(text));
        texts.extend(first);
        texts
    }

    /// Those that are filled in for each item.
    #[must_use]
    pub fn item_templates(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = Vec::new();
        texts.extend(self.prompt.as_deref());
        texts.extend(self.run.iter().flatten().map(String::as_str));
        texts.extend(self.approval.as_ref().and_then(|approval| approval.message.as_deref()));
        texts.extend(self.wait.iter().flat_map(Wait::texts));
        texts.extend(self.terms.agent.as_deref());
        texts.extend(self.terms.profile.as_deref());
        texts.extend(self.terms.env.values().map(String::as_str));
        texts.extend(self.concurrency_key.as_deref());
        for value in self.workflow.iter().flat_map(|inner| inner.inputs.values()) {
            texts_in(value, &mut texts);
        }
        texts.retain(|text| crate::template::is_template(text));
        texts
    }

    /// Whether an agent works on it.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.prompt.is_some() || self.run.is_some()
    }

    /// What the result is.
    #[must_use]
    pub fn format(&self) -> Format {
        self.output.as_ref().map(|output| output.format).unwrap_or_default()
    }
}

impl Terms {
    /// These, and where they say nothing, those. Who names an agent needs no profile, and the other way round.
    #[must_use]
    pub fn or(&self, those: &Self) -> Self {
        let mut env = those.env.clone();
        env.extend(self.env.clone());
        Self {
            capabilities: self.capabilities.clone().or_else(|| those.capabilities.clone()),
            agent: self.agent.clone().or_else(|| those.agent.clone().filter(|_| self.profile.is_none())),
            profile: self.profile.clone().or_else(|| those.profile.clone().filter(|_| self.agent.is_none())),
            priority: self.priority.or(those.priority),
            timeout: self.timeout.or(those.timeout),
            idle_timeout: self.idle_timeout.or(those.idle_timeout),
            queue_timeout: self.queue_timeout.or(those.queue_timeout),
            retries: self.retries.or(those.retries),
            on_lost: self.on_lost.clone().or_else(|| those.on_lost.clone()),
            env,
            workdir: self.workdir.clone().or_else(|| those.workdir.clone()),
        }
    }
}

/// Names of hooks among the nodes of a run.
pub const HOOK_IDS: [&str; 2] = ["on_success", "on_failure"];

impl Definition {
    /// All nodes of a run: the steps, then the hooks.
    #[must_use]
    pub fn all_nodes(&self) -> Vec<Node> {
        let hooks = [&self.on_success, &self.on_failure].into_iter().zip(HOOK_IDS);
        let hooks = hooks.filter_map(|(hook, id)| hook.as_ref().map(|hook| hook.node(id)));
        self.nodes.iter().cloned().chain(hooks).collect()
    }
}

fn texts_in<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts_in(item, texts)),
        Value::Object(map) => map.values().for_each(|value| texts_in(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
