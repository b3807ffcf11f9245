//! Workflows in the language of sessions: nodes in one word each, and what the engine finds out about them.
//!
//! ```text
//! plan  fix<plan  both<plan,fix    a task, and what it needs
//! fix*2   gate?  gate?5s  pause~5s  sub@   items, two at once; a person, with a timeout; time; a run of `x` and `y<x`
//! ear~task.succeeded  ear~agent.*~5s       an event, with a timeout
//! fix!continue  fix!skip  clean!always  fix!kept  fix!retry  ok!success  ko!failure     what else a node says
//! ```
//!
//! Not for: acts of people (`parse`).

use super::{Session, millis, number};
use crate::clients;
use crate::flows;
use fusion_core::workflow::plan::{Lapse, Rejection, ResultUse};
use fusion_core::workflow::{
    AskWatch, Budget, Graph, NodeKind, NodePlan, Occasion, OnFailure, Output, Place, Plan, Prepared, Want,
};
use fusion_core::{Cost, Failure, FailureCode, Input, RunId, TaskId, Usd};
use std::collections::BTreeMap;

/// What is found out about nodes, by their names.
#[derive(Default)]
pub(super) struct Desk {
    /// Nobody answers.
    pub(super) is_closed: bool,
    said: BTreeMap<String, Found>,
    made: u128,
}

#[derive(Clone, Copy)]
enum Found {
    Items(u32),
    Skip,
    Fault,
    /// The result is not what it should be.
    Bad,
    Good,
}

impl Session {
    /// `node fix items 3`, `node fix skips`, `node fix fails`, `node fix is bad`, `node fix is good`.
    pub(super) fn find_out(&mut self, node: &str, words: &[&str]) -> Result<(), String> {
        let found = match words {
            ["items", count] => Found::Items(number(count)),
            ["skips"] => Found::Skip,
            ["fails"] => Found::Fault,
            ["is", "bad"] => Found::Bad,
            ["is", "good"] => Found::Good,
            _ => return Err("not a line of the language".to_owned()),
        };
        self.desk.said.insert(node.to_owned(), found);
        Ok(())
    }

    /// Answers the oldest want of a run; whether there was one.
    pub(super) fn answer_want(&mut self) -> Result<bool, String> {
        if self.desk.is_closed || self.world.wants.is_empty() {
            return Ok(false);
        }
        let input = match self.world.wants.remove(0) {
            Want::Prepare { run, place, ticket } => {
                let what = Box::new(self.prepare(run, place));
                Input::Prepared { run, place, ticket, what }
            }
            Want::Collect { run, place, task } => {
                let node = &self.world.state.run(run).ok_or("no such run")?.plan.node(place.node).id;
                let what = match self.desk.said.get(&**node) {
                    Some(Found::Bad) => Err(Failure::new(FailureCode::OutputInvalid, "it is not JSON")),
                    Some(Found::Items(_) | Found::Skip | Found::Fault | Found::Good) | None => {
                        Ok(Output::Kept { bytes: 2 })
                    }
                };
                Input::Collected { run, place, task, what }
            }
            Want::Keep { .. } => return Err("an event is kept at once".to_owned()),
        };
        self.world.take(input)?.map_err(|reject| reject.to_string())?;
        Ok(true)
    }

    fn prepare(&mut self, id: RunId, place: Place) -> Prepared {
        let run = self.world.state.run(id).expect("a run wants something");
        let (owner, node) = (run.owner, run.plan.node(place.node).clone());
        let name = node.id.to_string();
        match (node.kind, self.desk.said.get(&name).filter(|_| place.item.is_none())) {
            (_, Some(Found::Skip)) => return Prepared::Skip,
            (_, Some(Found::Fault)) => {
                return Prepared::Failed(Failure::new(FailureCode::TemplateFailed, "no such word"));
            }
            (NodeKind::Task | NodeKind::Workflow, Some(Found::Items(count))) => {
                return Prepared::Items(*count);
            }
            (_, Some(Found::Items(_) | Found::Bad | Found::Good) | None) => {}
        }
        self.desk.made += 1;
        let made = (4 << 80) + self.desk.made;
        match node.kind {
            NodeKind::Approval { .. } => Prepared::Gate,
            NodeKind::Wait => match self.watches.get(&name) {
                Some(watch) => Prepared::Watch(Box::new(watch.clone())),
                None => Prepared::Sleep(self.world.now.plus(self.spans[&name])),
            },
            NodeKind::Workflow => {
                let mut inner = flows::start(RunId(made), owner, self.parse_plan(&["x", "y<x"]));
                inner.parent = Some((id, place));
                let name = place.item.map_or(name.clone(), |item| format!("{name}[{item}]"));
                self.telling.name(inner.id.to_string(), &name);
                self.runs.insert(name, inner.id);
                Prepared::Inner(Box::new(inner))
            }
            NodeKind::Task => {
                let mut task = clients::submit(TaskId(made), owner);
                task.retries = node.retries;
                let name = place.item.map_or(name.clone(), |item| format!("{name}[{item}]"));
                let tries = self.tasks.keys().filter(|known| known.trim_end_matches('\'') == name).count();
                let name = format!("{name}{}", "'".repeat(tries));
                self.telling.name(task.id.to_string(), &name);
                self.tasks.insert(name, task.id);
                Prepared::Task(Box::new(task))
            }
        }
    }

    /// A run that is asked for: `start w [--concurrency N | --timeout D | --attempts N | --time D | --usd CENTS | --tokens N] NODE…`.
    pub(super) fn parse_plan(&mut self, words: &[&str]) -> Plan {
        let (flags, nodes): (Vec<&str>, Vec<&str>) = match words {
            [flag, value, rest @ ..] if flag.starts_with("--") => (vec![flag, value], rest.to_vec()),
            rest => (Vec::new(), rest.to_vec()),
        };
        let parts: Vec<(NodePlan, Vec<&str>)> = nodes.iter().map(|word| self.parse_node(word)).collect();
        let place = |id: &str| parts.iter().position(|(node, _)| &*node.id == id).expect("a node above");
        let place = |id: &str| u32::try_from(place(id)).expect("few");
        let edges = parts.iter().flat_map(|(node, needs)| {
            needs.iter().map(|need| (place(need), place(&node.id))).collect::<Vec<_>>()
        });
        let edges: Vec<(u32, u32)> = edges.collect();
        Plan {
            graph: Graph::new(u32::try_from(parts.len()).expect("few"), &edges).expect("no cycle"),
            nodes: parts.into_iter().map(|(node, _)| node).collect(),
            order: Box::default(),
            concurrency: super::value(&flags, "--concurrency").map_or(0, number),
            timeout: super::value(&flags, "--timeout").map(millis),
            budget: Budget {
                time: super::value(&flags, "--time").map(millis),
                attempts: super::value(&flags, "--attempts").map(number),
                cost: Cost {
                    usd: super::value(&flags, "--usd").map(|cents| Usd(u64::from(number(cents)) * 10_000)),
                    tokens: super::value(&flags, "--tokens").map(|count| number(count).into()),
                },
            },
        }
    }

    fn parse_node<'a>(&mut self, word: &'a str) -> (NodePlan, Vec<&'a str>) {
        let (rest, needs) = word.split_once('<').unwrap_or((word, ""));
        let (rest, says) = rest.split_once('!').unwrap_or((rest, ""));
        let says: Vec<&str> = says.split('!').collect();
        let end = rest.find(['*', '?', '~', '@']).unwrap_or(rest.len());
        let (id, how) = rest.split_at(end);
        let kind = match how.chars().next() {
            Some('?') => NodeKind::Approval {
                timeout: how.get(1..).filter(|span| !span.is_empty()).map(millis),
                lapse: if says.contains(&"approved") { Lapse::Approve } else { Lapse::Reject },
                rejection: if says.contains(&"seen") { Rejection::Result } else { Rejection::Failure },
            },
            Some('~') => NodeKind::Wait,
            Some('@') => NodeKind::Workflow,
            Some(_) | None => NodeKind::Task,
        };
        if kind == NodeKind::Wait {
            let (first, timeout) = how[1..].split_once('~').map_or((&how[1..], None), |(a, b)| (a, Some(b)));
            if first.contains('.') {
                let said = |name: &str| value_of(&says, name).to_owned();
                let kinds = vec![first.to_owned()];
                let (task, agent, node) = (said("task="), said("agent="), said("node="));
                let task = self.tasks.get(&task).map_or(task, TaskId::to_string);
                let timeout = timeout.map(millis);
                let watch = AskWatch { kinds, task, agent, node, timeout, ..AskWatch::default() };
                self.watches.insert(id.to_owned(), watch);
            } else {
                self.spans.insert(id.to_owned(), millis(first));
            }
        }
        let plan = NodePlan {
            id: id.into(),
            kind,
            on_failure: match () {
                () if says.contains(&"continue") => OnFailure::Continue,
                () if says.contains(&"skip") => OnFailure::SkipDependents,
                () => OnFailure::Fail,
            },
            occasion: match () {
                () if says.contains(&"always") => Occasion::Always,
                () if says.contains(&"success") => Occasion::Success,
                () if says.contains(&"failure") => Occasion::Failure,
                () => Occasion::Needs,
            },
            fan: how.trim_start_matches('@').strip_prefix('*').map(number),
            result: if says.contains(&"kept") { ResultUse::Kept } else { ResultUse::Left },
            retries: u32::from(says.contains(&"retry")),
            budget: Budget { attempts: says.contains(&"once").then_some(1), ..Budget::default() },
        };
        (plan, needs.split(',').filter(|need| !need.is_empty()).collect())
    }
}

/// What stands behind `task=` among the words of a node.
fn value_of<'a>(says: &[&'a str], name: &str) -> &'a str {
    says.iter().find_map(|word| word.strip_prefix(name)).unwrap_or_default()
}
