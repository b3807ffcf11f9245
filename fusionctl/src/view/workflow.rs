//! Workflows and runs as JSON, as rows and as a tree of nodes.
//!
//! Not for: reading definitions (`fusion-workflow`).

use std::collections::BTreeMap;

use fusion_proto::v1;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::budget::{Budget, Usage, cost_words};
use super::task::Failure;
use super::word::{age, instant, short_id, time, tone, with_age, word};
use crate::output::{Listed, Shown};
use crate::table::{self, Cell, printable};
use crate::units::{format_duration, format_size};

/// One version of a definition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workflow {
    /// Of this version; people and arguments use the name.
    #[serde(rename = "id")]
    version_id: String,
    name: String,
    version: u32,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    apply_time: Option<String>,
    node_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Value>,
}

impl From<v1::Workflow> for Workflow {
    fn from(workflow: v1::Workflow) -> Self {
        Self {
            version_id: workflow.id,
            name: workflow.name,
            version: workflow.version,
            user: workflow.user,
            apply_time: time(workflow.apply_time),
            node_count: workflow.nodes,
            definition: serde_json::from_str(&workflow.definition).ok(),
        }
    }
}

impl Listed for Workflow {
    const HEADER: &'static [&'static str] = &["NAME", "VERSION", "NODES", "USER", "APPLIED"];
    const LEAST: &'static [&'static str] = &["USER"];
    const NONE: &'static str = "workflows";

    fn id(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            self.name.as_str().into(),
            self.version.to_string().into(),
            self.node_count.to_string().into(),
            self.user.as_str().into(),
            age(self.apply_time.as_deref()).into(),
        ]
    }
}

impl Shown for Workflow {
    fn id(&self) -> &str {
        &self.name
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("Name", self.name.as_str().into()),
            ("Version", self.version.to_string().into()),
            ("Nodes", self.node_count.to_string().into()),
            ("User", self.user.as_str().into()),
            ("Applied", with_age(self.apply_time.as_deref()).into()),
        ]
    }
}

impl Workflow {
    /// `fix-and-review version 3`.
    pub(crate) fn words(&self) -> String {
        format!("{} version {}", self.name, self.version)
    }
}

/// One execution of a definition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) id: String,
    workflow: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    pub(crate) state: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    generation: u32,
    pub(crate) revision: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    frozen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    usage: Usage,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asking: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Value>,
    node_count: u32,
    ended_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<Node>,
}

/// One node, or an item of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    output_preview: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_count: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// How long it took, or has taken so far.
    #[serde(skip)]
    took: String,
}

impl From<v1::Node> for Node {
    fn from(node: v1::Node) -> Self {
        let end = || instant(node.end_time).unwrap_or_else(Timestamp::now);
        let took = instant(node.start_time).map(|start| {
            let span = end().duration_since(start);
            let span = std::time::Duration::try_from(span).unwrap_or_default();
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            format_duration(std::time::Duration::from_millis(if millis > 10_000 {
                millis / 1000 * 1000
            } else {
                millis
            }))
        });
        Self {
            took: took.unwrap_or_default(),
            id: node.id,
            state: word::<v1::NodeState>(node.state),
            task: node.task,
            run: node.run,
            output: node.output.and_then(|text| serde_json::from_str(&text).ok()),
            output_bytes: node.output_bytes,
            output_preview: node.output_preview,
            failure: node.failure.map(Failure::from),
            reason: node.reason,
            start_time: time(node.start_time),
            end_time: time(node.end_time),
            until: time(node.until),
            needs: node.needs,
            item_count: node.item_count,
            items: node.items.into_iter().map(Self::from).collect(),
            usage: node.usage.map(Usage::from),
        }
    }
}

impl From<v1::Run> for Run {
    fn from(run: v1::Run) -> Self {
        Self {
            id: run.id,
            workflow: run.workflow,
            version: (run.version > 0).then_some(run.version),
            state: word::<v1::RunState>(run.state),
            user: run.user,
            key: run.key,
            labels: run.labels.into_iter().collect(),
            create_time: time(run.create_time),
            end_time: time(run.end_time),
            failure: run.failure.map(Failure::from),
            parent: run.parent,
            generation: run.generation,
            revision: run.revision,
            frozen: run.frozen,
            budget: run.budget.map(Budget::from),
            usage: Usage::from(run.usage.unwrap_or_default()),
            asking: run.asking,
            inputs: serde_json::from_str(&run.inputs).ok(),
            node_count: run.node_count,
            ended_count: run.ended_count,
            nodes: run.nodes.into_iter().map(Node::from).collect(),
        }
    }
}

impl Listed for Run {
    const HEADER: &'static [&'static str] = &["ID", "WORKFLOW", "VERSION", "STATE", "NODES", "USER", "AGE"];
    const LEAST: &'static [&'static str] = &["USER", "VERSION"];
    const NONE: &'static str = "runs";

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            short_id(&self.id).into(),
            self.workflow.as_str().into(),
            self.version.map(|version| version.to_string()).unwrap_or_default().into(),
            Cell::toned(self.shown_state(), tone(&self.state)),
            format!("{}/{}", self.ended_count, self.node_count).into(),
            self.user.as_str().into(),
            age(self.create_time.as_deref()).into(),
        ]
    }
}

impl Shown for Run {
    fn id(&self) -> &str {
        &self.id
    }

    fn fields(&self) -> Vec<(&'static str, Cell)> {
        let version = self.version.map(|version| format!(" version {version}")).unwrap_or_default();
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            ("Run", self.id.as_str().into()),
            ("Workflow", format!("{}{version}{}", self.workflow, self.edited()).into()),
            ("State", Cell::toned(self.shown_state(), tone(&self.state))),
            ("Failure", self.why_failed().into()),
            ("User", self.user.as_str().into()),
            ("Key", self.key.clone().unwrap_or_default().into()),
            ("Labels", labels.join(", ").into()),
            ("Started", with_age(self.create_time.as_deref()).into()),
            ("Ended", with_age(self.end_time.as_deref()).into()),
            (
                "Budget",
                self.budget.as_ref().map(|budget| budget.words(&self.usage)).unwrap_or_default().into(),
            ),
            ("Cost", cost_words(self.usage.usd, self.usage.tokens).into()),
            ("Part of", self.parent.clone().unwrap_or_default().into()),
        ]
    }
}

impl Run {
    /// Id, state and, for a run that ended badly, why.
    pub(crate) fn state_line(&self) -> String {
        match &self.failure {
            Some(failure) => printable(&format!("{} {} {}", self.id, self.state, failure.message())),
            None => format!("{} {}", self.id, self.state),
        }
    }

    /// `paused, what runs stands still`; `running, failing`.
    fn shown_state(&self) -> String {
        let frozen = if self.frozen { ", what runs stands still" } else { "" };
        let failing = if self.failure.is_some() && self.end_time.is_none() { ", failing" } else { "" };
        let asking = match self.asking.as_slice() {
            [] => String::new(),
            [node] => format!(", {node} waits for a person"),
            nodes => format!(", {} nodes wait for a person", nodes.len()),
        };
        format!("{}{failing}{frozen}{asking}", self.state)
    }

    /// For a run that does not do what it began with.
    fn edited(&self) -> String {
        if self.revision > 1 { format!(", edited: revision {}", self.revision) } else { String::new() }
    }

    fn why_failed(&self) -> String {
        self.failure.as_ref().map(Failure::words).unwrap_or_default()
    }

    /// The nodes, each a line, items below theirs.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for node in &self.nodes {
            rows.push(node.row("", &self.id));
            rows.extend(node.items.iter().map(|item| item.row("  item ", &self.id)));
        }
        if rows.is_empty() {
            Vec::new()
        } else {
            table::lines(&["NODE", "STATE", "TOOK", "TASK", "NOTE"], rows)
        }
    }
}

impl Node {
    fn row(&self, before: &str, run: &str) -> Vec<Cell> {
        let work = self.task.as_deref().or(self.run.as_deref()).map(short_id).unwrap_or_default();
        vec![
            format!("{before}{}", self.id).into(),
            Cell::toned(self.state.as_str(), tone(&self.state)),
            self.took.as_str().into(),
            work.into(),
            self.note(run).into(),
        ]
    }

    fn note(&self, run: &str) -> String {
        if let Some(failure) = &self.failure {
            return failure.message().to_owned();
        }
        match (self.state.as_str(), &self.until, self.item_count) {
            ("waiting_approval", _, _) => {
                let asks = if self.reason.is_empty() { String::new() } else { format!("{} ", self.reason) };
                format!("{asks}→ fusionctl workflow approve {} {}", short_id(run), self.id)
            }
            (_, Some(until), _) if self.reason.is_empty() => format!("until {until}"),
            (_, Some(until), _) => format!("{} until {until}", self.reason),
            ("running", None, Some(count)) => {
                let ended = self.items.iter().filter(|item| item.end_time.is_some()).count();
                format!("{ended} of {count} items")
            }
            ("succeeded", None, None) if self.output_bytes.is_some() => {
                let size = format_size(self.output_bytes.unwrap_or_default());
                format!("{size} → fusionctl workflow show {} --result {}", short_id(run), self.id)
            }
            (_, None, Some(count)) if self.items.is_empty() => format!("{count} items"),
            (_, None, _) => self.reason.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn a_run_as_json() {
        let node = v1::Node {
            id: "plan".to_owned(),
            state: v1::NodeState::Succeeded.into(),
            task: Some("tsk_1".to_owned()),
            output: Some("{}".to_owned()),
            ..v1::Node::default()
        };
        let run = v1::Run {
            id: "run_1".to_owned(),
            workflow: "fix-and-review".to_owned(),
            version: 3,
            state: v1::RunState::Running.into(),
            nodes: vec![node],
            node_count: 1,
            ended_count: 1,
            generation: 1,
            revision: 1,
            budget: Some(v1::RunBudget { attempts: Some(4), ..v1::RunBudget::default() }),
            usage: None,
            user: "ada".to_owned(),
            ..v1::Run::default()
        };
        assert_eq!(
            json_line(&Run::from(run)),
            r#"{"id":"run_1","workflow":"fix-and-review","version":3,"state":"running","user":"ada","generation":1,"revision":1,"budget":{"attempts":4},"usage":{"time":"0s","attempts":0},"nodeCount":1,"endedCount":1,"nodes":[{"id":"plan","state":"succeeded","task":"tsk_1","output":{}}]}"#
        );
    }
}
