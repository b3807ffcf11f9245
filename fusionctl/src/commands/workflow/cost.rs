//! What a run is likely to cost, and whether its budget can be held: a part of `workflow plan`.
//!
//! Not for: holding it; the daemon does.

use std::collections::{BTreeMap, BTreeSet};

use fusion_proto::v1::{Agent, Profile};
use fusion_workflow::definition::{Budget, Definition, Node, Terms, Work};
use fusion_workflow::template::is_template;
use serde::Serialize;

use super::past::Past;
use crate::view::budget::cost_words;

/// What nodes cost together before, and what is to be known of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Costs {
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    /// Nodes for which no run said what they cost.
    #[serde(skip)]
    unknown: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Costs {
    /// Sums up what is known of a run in which all goes well, and holds it against its budget.
    pub(super) fn new(definition: &Definition, past: &BTreeMap<String, Past>) -> Self {
        let (mut costs, mut usd) = (Self::default(), None);
        for node in definition.all_nodes().iter().filter(|node| is_counted(node)) {
            let past = past.get(&node.id);
            let (its_usd, its_tokens) = past.map_or((None, None), |past| (past.usd, past.tokens));
            costs.unknown += usize::from(its_usd.is_none() && its_tokens.is_none());
            usd = both(usd, its_usd.map(millionths));
            costs.tokens = both(costs.tokens, its_tokens);
        }
        costs.usd = usd.map(dollars);
        let over = |known: Option<u64>, limit: Option<u64>, words: fn(u64) -> String, unit: &str| {
            let (known, limit) = known.zip(limit).filter(|(known, limit)| known > limit)?;
            Some(format!("earlier runs cost {} {unit}, and the budget is {}", words(known), words(limit)))
        };
        let Budget { usd: limit, tokens, .. } = definition.budget;
        costs.warnings.extend(over(usd, limit.map(millionths), |usd| dollars(usd).to_string(), "USD"));
        costs.warnings.extend(over(costs.tokens, tokens, |tokens| tokens.to_string(), "tokens"));
        costs
    }

    /// Where money or tokens are limited, looks for nodes whose agents do not say what they use.
    pub(super) fn look(&mut self, definition: &Definition, agents: &[Agent], profiles: &[Profile]) {
        let mut budgets =
            std::iter::once(definition.budget).chain(definition.nodes.iter().map(|node| node.budget));
        if !budgets.any(|budget| Unit::ALL.iter().any(|unit| unit.is_limited(budget))) {
            return;
        }
        self.warnings.extend(silent(definition, agents, profiles));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let known = cost_words(self.usd, self.tokens);
        let cost = match (known.is_empty(), self.unknown) {
            (true, _) => "what it costs is not known: no agent has reported a cost".to_owned(),
            (false, 0) => format!("by earlier runs this costs {known}"),
            (false, 1) => format!("by earlier runs this costs {known}, and what one node does not tell"),
            (false, unknown) => {
                format!("by earlier runs this costs {known}, and what {unknown} nodes do not tell")
            }
        };
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        std::iter::once(cost).chain(warnings).collect()
    }
}

const fn is_task(work: Option<Work<'_>>) -> bool {
    matches!(work, Some(Work::Prompt(_) | Work::Run(_)))
}

/// Whether a node may cost something in a run in which all goes well: of the two hooks, only one is done.
fn is_counted(node: &Node) -> bool {
    node.id != "on_failure" && (is_task(node.work()) || matches!(node.work(), Some(Work::Workflow(_))))
}

/// Dollars as what they are counted in: fractions of them do not add up.
fn millionths(dollars: f64) -> u64 {
    (dollars * 1e6).round() as u64
}

fn dollars(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

fn both(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one.saturating_add(other)).or(one).or(other)
}

/// What a cost is counted in.
#[derive(Clone, Copy)]
enum Unit {
    Usd,
    Tokens,
}

impl Unit {
    const ALL: [Self; 2] = [Self::Usd, Self::Tokens];

    const fn is_limited(self, budget: Budget) -> bool {
        match self {
            Self::Usd => budget.usd.is_some(),
            Self::Tokens => budget.tokens.is_some(),
        }
    }

    fn is_told(self, profile: &Profile) -> bool {
        match self {
            Self::Usd => !profile.usage.is_empty(),
            Self::Tokens => !profile.tokens.is_empty(),
        }
    }

    fn warning(self, node: &str, profile: &str) -> String {
        let (unit, key) = match self {
            Self::Usd => ("usd", "usage"),
            Self::Tokens => ("tokens", "tokens"),
        };
        format!(
            "`{unit}` of the budget does not hold {node}: profile {profile} has no `{key}`, which would say what it cost"
        )
    }
}

/// Warnings of nodes that a limit of money or tokens cannot hold.
fn silent(definition: &Definition, agents: &[Agent], profiles: &[Profile]) -> Vec<String> {
    let mut found = Vec::new();
    for unit in Unit::ALL {
        let telling = profiles.iter().filter(|profile| unit.is_told(profile));
        let telling: BTreeSet<&str> = telling.map(|profile| profile.name.as_str()).collect();
        // A program that a node names itself is nobody who is paid.
        for node in definition.nodes.iter().filter(|node| matches!(node.work(), Some(Work::Prompt(_)))) {
            if unit.is_limited(definition.budget) || unit.is_limited(node.budget) {
                let used = profiles_of(&node.terms.or(&definition.defaults), agents);
                let is_known = |name: &&String| profiles.iter().any(|profile| profile.name == **name);
                let mute = used.iter().filter(is_known).find(|name| !telling.contains(name.as_str()));
                found.extend(mute.map(|profile| unit.warning(&node.id, profile)));
            }
        }
    }
    found
}

/// The profiles of the agents that could take such a task.
fn profiles_of(terms: &Terms, agents: &[Agent]) -> BTreeSet<String> {
    if let Some(profile) = &terms.profile {
        return BTreeSet::from_iter((!is_template(profile)).then(|| profile.clone()));
    }
    let has_all = |agent: &&Agent| {
        terms.capabilities.iter().flatten().all(|name| agent.capabilities.iter().any(|have| have == name))
    };
    let named = terms.agent.as_deref();
    let is_named = |agent: &&Agent| named.is_none_or(|name| agent.name == name || agent.id == name);
    agents.iter().filter(is_named).filter(has_all).map(|agent| agent.profile.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn definition(text: &str) -> Definition {
        fusion_workflow::read_yaml(text).definition.unwrap()
    }

    #[test]
    fn costs_are_summed_and_held_against_the_budget() {
        let definition = definition(
            "name: p\nbudget: {usd: 0.5}\nnodes:\n- {id: a, prompt: x}\n- {id: b, prompt: y}\n\
             - {id: c, prompt: z}\n- {id: d, approval: {}}\n",
        );
        let past = |usd, tokens| Past { span: Duration::ZERO, usd, tokens };
        let past =
            [("a", past(Some(0.25), Some(100))), ("b", past(Some(0.5), None)), ("d", past(None, None))];
        let past = past.into_iter().map(|(id, past)| (id.to_owned(), past)).collect();
        assert_eq!(
            Costs::new(&definition, &past).lines(),
            [
                "by earlier runs this costs 0.75 USD, 100 tokens, and what one node does not tell",
                "warning: earlier runs cost 0.75 USD, and the budget is 0.5",
            ]
        );
        assert_eq!(
            Costs::new(&definition, &BTreeMap::new()).lines(),
            ["what it costs is not known: no agent has reported a cost"]
        );
    }

    #[test]
    fn workflows_within_and_what_is_done_at_a_good_end_are_counted() {
        let definition = definition(
            "name: p\nbudget: {usd: 0.3, tokens: 10}\nnodes:\n- {id: a, prompt: x}\n- {id: b, workflow: q}\n\
             - {id: c, workflow: r}\n- {id: d, wait: 1s}\n\
             on_success: {prompt: x}\non_failure: {prompt: x}\n",
        );
        let past = |usd, tokens| Past { span: Duration::ZERO, usd: Some(usd), tokens: Some(tokens) };
        let mut known: BTreeMap<String, Past> =
            [("a", past(0.1, 1)), ("b", past(0.2, 2))].map(|(id, past)| (id.to_owned(), past)).into();
        let costs = Costs::new(&definition, &known);
        assert_eq!((costs.usd, costs.tokens, costs.unknown), (Some(0.3), Some(3), 2));
        assert!(costs.warnings.is_empty(), "{:?}", costs.warnings);
        known.insert("on_success".to_owned(), past(0.000_001, 8));
        known.insert("on_failure".to_owned(), past(5.0, 500));
        let costs = Costs::new(&definition, &known);
        assert_eq!((costs.usd, costs.tokens, costs.unknown), (Some(0.300_001), Some(11), 1));
        let warnings = [
            "earlier runs cost 0.300001 USD, and the budget is 0.3",
            "earlier runs cost 11 tokens, and the budget is 10",
        ];
        assert_eq!(costs.warnings, warnings);
    }

    #[test]
    fn a_limit_that_nothing_holds_to_is_told() {
        let definition = definition(
            "name: p\nbudget: {usd: 1}\nnodes:\n- {id: a, prompt: x, profile: mute}\n\
             - {id: b, prompt: x, profile: telling}\n- {id: c, prompt: x, capabilities: [sh]}\n\
             - {id: d, prompt: x, profile: '{{ item }}', foreach: [mute]}\n\
             - {id: e, run: [make], profile: mute}\n- {id: f, prompt: x, profile: nosuch}\n",
        );
        let profile = |name: &str, usage: &str| Profile {
            name: name.to_owned(),
            usage: usage.to_owned(),
            ..Profile::default()
        };
        let shell =
            Agent { profile: "shell".to_owned(), capabilities: vec!["sh".to_owned()], ..Agent::default() };
        let profiles = [profile("mute", ""), profile("telling", "json:.usd"), profile("shell", "")];
        assert_eq!(
            silent(&definition, &[shell], &profiles),
            [
                "`usd` of the budget does not hold a: profile mute has no `usage`, which would say what it cost",
                "`usd` of the budget does not hold c: profile shell has no `usage`, which would say what it cost",
            ]
        );
    }
}
