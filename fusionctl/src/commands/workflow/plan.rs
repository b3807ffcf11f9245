//! `workflow plan`: what a run would do, before it does anything.
//!
//! Waves, the agents that could take each node, files that two nodes of one wave name, and how long it took before. Not
//! for: the choice of the agent; that is made when a node begins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusion_proto::v1::{Agent, AgentState, GetAgentRequest, ListAgentsRequest, ListProfilesRequest, Profile};
use fusion_workflow::definition::{Definition, Node, Terms, Work};
use fusion_workflow::order::Order;
use fusion_workflow::template::is_template;
use serde::Serialize;

use super::applied;
use super::cost::Costs;
use super::file::{File, is_file};
use super::past::{Past, past};
use crate::client::Link;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::table;
use crate::units::format_duration;
use crate::view::word::instant;

const AFTER: &str = "\
Nothing is begun. Nodes of one wave can go on side by side. How long a node took and what it cost
is the mean of the last runs of a workflow of the same name; without one, nothing is estimated. The
agent that is named is the one that would take the node if it began now. What a node costs is known
where the profile of its agent says where to look for it (`usage`, `tokens`). All together is what a
run costs in which all goes well: with workflows within it and on_success, without on_failure.

Examples:
  fusionctl workflow plan review.yaml
  fusionctl workflow plan review@2";

/// Arguments of `workflow plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// A definition in YAML (`-`: stdin), or the name of one that was applied, NAME or NAME@VERSION
    #[arg(id = "workflow", value_name = "FILE|NAME")]
    file: String,
}

/// What a run would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    workflow: String,
    node_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    /// The longest way from the first wave to the last, where every node on it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<String>,
    /// What nodes cost together, as far as it is known.
    #[serde(flatten)]
    costs: Costs,
    waves: Vec<Vec<Step>>,
    overlaps: Vec<Overlap>,
}

/// A node within its wave.
#[derive(Debug, Serialize)]
struct Step {
    id: String,
    kind: &'static str,
    needs: Vec<String>,
    /// Who could take it now.
    agents: Vec<String>,
    /// Who would take it, if it began now.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// Why that one, or why nobody would at once.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// Why nobody could, or what else is to be known.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(skip)]
    span: Option<Duration>,
}

/// A file that nodes of one wave name.
#[derive(Debug, Serialize)]
struct Overlap {
    file: String,
    nodes: Vec<String>,
}

/// Reads the definition here, and asks for agents and earlier runs.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let read = if is_file(&args.file) { Some(File::read(&args.file)?.definition()?.clone()) } else { None };
    let link = session.link().await?;
    let definition = match read {
        Some(definition) => definition,
        None => applied::find(&link, &args.file).await?,
    };
    let (agents, profiles) = (agents(&link).await?, profiles(&link).await?);
    let staff = Staff { agents, profiles, named: named(&link, &definition).await? };
    let past = past(&link, &definition.name).await?;
    let mut plan = plan(&definition, &staff, &past);
    plan.costs.look(&definition, &staff.agents, &staff.profiles);
    session.out.document(&plan, |out| plan.lines().iter().try_for_each(|line| out.line(line)))?;
    Ok(Exit::Done)
}

/// Who works: the agents there are, and of what others could be made.
struct Staff {
    agents: Vec<Agent>,
    profiles: Vec<Profile>,
    /// What the daemon knows by the names that nodes give, or why it knows nothing.
    named: BTreeMap<String, Result<Agent, String>>,
}

/// Looks for each agent that a node names, as the start of a run does: by a name, an id, or a part of one.
async fn named(
    link: &Link,
    definition: &Definition,
) -> Result<BTreeMap<String, Result<Agent, String>>, Stop> {
    let names =
        definition.all_nodes().into_iter().filter_map(|node| node.terms.or(&definition.defaults).agent);
    let names: BTreeSet<String> = names.filter(|name| !is_template(name)).collect();
    let mut found = BTreeMap::new();
    for name in names {
        let request = GetAgentRequest { agent: name.clone() };
        let agent = match link.repeat(async || link.agents().get_agent(request.clone()).await).await {
            Ok(agent) => Ok(agent),
            Err(stop) => match stop.into_complaint()? {
                Complaint { exit: Exit::NotFound, .. } => Err(format!("there is no agent {name}")),
                Complaint { exit: Exit::Usage, message, .. } => Err(message),
                complaint => return Err(complaint.into()),
            },
        };
        found.insert(name, agent);
    }
    Ok(found)
}

/// A user has a hundred of them at most.
async fn profiles(link: &Link) -> Result<Vec<Profile>, Stop> {
    let request = ListProfilesRequest { page_size: 1000, page_token: String::new() };
    Ok(link.repeat(async || link.profiles().list_profiles(request.clone()).await).await?.profiles)
}

async fn agents(link: &Link) -> Result<Vec<Agent>, Stop> {
    let mut found = Vec::new();
    let mut request = ListAgentsRequest { page_size: 1000, ..ListAgentsRequest::default() };
    loop {
        let page = link.repeat(async || link.agents().list_agents(request.clone()).await).await?;
        found.extend(page.agents);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

fn plan(definition: &Definition, staff: &Staff, past: &BTreeMap<String, Past>) -> Plan {
    let numbers: BTreeMap<&str, u32> =
        definition.nodes.iter().map(|node| node.id.as_str()).zip(0..).collect();
    let edges = (0..).zip(&definition.nodes).flat_map(|(at, node)| {
        node.needs.iter().filter_map(|need| numbers.get(need.as_str())).map(move |need| (*need, at))
    });
    let waves = Order::new(definition.nodes.len(), edges.collect::<Vec<_>>()).waves().unwrap_or_default();
    let step = |at: &u32| step(&definition.nodes[*at as usize], &definition.defaults, staff, past);
    let overlaps = waves.iter().flat_map(|wave| {
        overlaps(&wave.iter().map(|at| &definition.nodes[*at as usize]).collect::<Vec<_>>())
    });
    let overlaps = overlaps.collect();
    let mut waves: Vec<Vec<Step>> = waves.iter().map(|wave| wave.iter().map(step).collect()).collect();
    let hooks: Vec<Step> =
        hooks(definition).map(|hook| self::step(&hook, &definition.defaults, staff, past)).collect();
    let estimate = estimate(&waves).map(format_duration);
    if !hooks.is_empty() {
        waves.push(hooks);
    }
    Plan {
        workflow: definition.name.clone(),
        node_count: definition.nodes.len(),
        concurrency: definition.concurrency,
        estimate,
        costs: Costs::new(definition, past),
        overlaps,
        waves,
    }
}

/// What is done when everything else has ended.
fn hooks(definition: &Definition) -> impl Iterator<Item = Node> {
    definition.all_nodes().into_iter().skip(definition.nodes.len())
}

/// The longest way through nodes of which every one was done before.
fn estimate(waves: &[Vec<Step>]) -> Option<Duration> {
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    for step in waves.iter().flatten() {
        let begins = step.needs.iter().filter_map(|need| ends.get(need.as_str())).max().copied();
        ends.insert(&step.id, begins.unwrap_or_default() + step.span?);
    }
    ends.into_values().max()
}

fn step(node: &Node, defaults: &Terms, staff: &Staff, past: &BTreeMap<String, Past>) -> Step {
    let (kind, is_task) = match node.work() {
        Some(Work::Prompt(_)) | None => ("prompt", true),
        Some(Work::Run(_)) => ("run", true),
        Some(Work::Approval(_)) => ("approval", false),
        Some(Work::Workflow(_)) => ("workflow", false),
        Some(Work::Wait(_)) => ("wait", false),
        Some(Work::Done) => ("done", false),
    };
    let (agents, mut note) =
        if is_task { takers(&node.terms.or(defaults), staff) } else { (Vec::new(), String::new()) };
    let (agent, why) = choose(&agents);
    let agents = agents.into_iter().map(|agent| agent.name.clone()).collect();
    match node.work() {
        Some(Work::Approval(_)) => "a person decides".clone_into(&mut note),
        Some(Work::Workflow(inner)) => note = format!("a run of {}", inner.name),
        Some(Work::Prompt(_) | Work::Run(_) | Work::Wait(_) | Work::Done) | None => {}
    }
    match node.id.as_str() {
        "on_success" => put(&mut note, "when all went well"),
        "on_failure" => put(&mut note, "when not all went well"),
        _ => {}
    }
    if node.foreach.is_some() {
        put(&mut note, "for each item");
    }
    let past = past.get(&node.id).copied();
    let span = past.map(|past| past.span);
    let (usd, tokens) = past.map_or((None, None), |past| (past.usd, past.tokens));
    let (id, needs, took) = (node.id.clone(), node.needs.clone(), span.map(format_duration));
    Step { id, kind, needs, agents, agent, why, note, took, usd, tokens, span }
}

/// Says something before what a note says already.
fn put(note: &mut String, words: &str) {
    *note = if note.is_empty() { words.to_owned() } else { format!("{words}; {note}") };
}

/// The agents that could take such a task, or why there is none.
fn takers<'a>(terms: &Terms, staff: &'a Staff) -> (Vec<&'a Agent>, String) {
    let agents = &staff.agents;
    let wanted: Vec<&str> = terms.capabilities.iter().flatten().map(String::as_str).collect();
    if let Some(name) = terms.agent.as_deref() {
        return match staff.named.get(name) {
            Some(Ok(agent)) if agent.state() == AgentState::Terminated => {
                (Vec::new(), format!("agent {name} is terminated: the run would be refused"))
            }
            Some(Ok(agent)) => (vec![agent], String::new()),
            Some(Err(cause)) => (Vec::new(), format!("{cause}: the run would be refused")),
            None => (Vec::new(), "its agent is known when it begins".to_owned()),
        };
    }
    let profile = terms.profile.as_deref();
    if profile.is_some_and(is_template) {
        return (Vec::new(), "the profile of its agent is known when it begins".to_owned());
    }
    if let Some(note) = profile.and_then(|name| refused(name, &staff.profiles)) {
        return (Vec::new(), note);
    }
    let is_of = |agent: &&Agent| profile.is_none_or(|profile| agent.profile == profile);
    let has_all =
        |agent: &&Agent| wanted.iter().all(|name| agent.capabilities.iter().any(|have| have == name));
    let lives = |agent: &&Agent| !matches!(agent.state(), AgentState::Stopping | AgentState::Terminated);
    let found: Vec<&Agent> = agents.iter().filter(lives).filter(is_of).filter(has_all).collect();
    let is_idle = found.iter().any(|agent| agent.state() == AgentState::Idle);
    let note = match (profile, found.is_empty(), wanted.is_empty()) {
        (Some(profile), _, _) if !is_idle => format!("an agent of {profile} is started for it"),
        (_, false, _) => String::new(),
        (_, true, true) => "there is no agent".to_owned(),
        (_, true, false) => format!("no agent offers {}", wanted.join(", ")),
    };
    (found, note)
}

/// Why a run would be refused for a profile, as when it begins.
fn refused(name: &str, profiles: &[Profile]) -> Option<String> {
    let Some(profile) = profiles.iter().find(|known| known.name == name) else {
        return Some(format!("there is no profile {name}: the run would be refused"));
    };
    let cause = match (profile.kind.as_str(), profile.command.is_empty(), profile.sandbox.as_str()) {
        ("exec", false, "user") => return None,
        ("exec", false, sandbox) => format!("wants the sandbox {sandbox}, which cannot be enforced here"),
        ("exec", true, _) => "has no command of its own".to_owned(),
        (kind, ..) => format!("is of kind {kind}, which this version does not run"),
    };
    Some(format!("profile {name} {cause}: the run would be refused"))
}

/// Which of those that could would: the one that has been idle longest, as when a task is queued.
fn choose(able: &[&Agent]) -> (Option<String>, String) {
    let idle = able.iter().filter(|agent| agent.state() == AgentState::Idle);
    let since = |agent: &&&Agent| (instant(agent.state_time), agent.id.clone());
    let count = able.len();
    match (idle.min_by_key(since), count) {
        (_, 0) => (None, String::new()),
        (Some(agent), 1) => (Some(agent.name.clone()), "the only one that can".to_owned()),
        (Some(agent), _) => (Some(agent.name.clone()), format!("idle longest of the {count} that can")),
        (None, 1) => (None, "when it is free".to_owned()),
        (None, _) => (None, format!("whichever of the {count} is free first")),
    }
}

/// Files that more than one node of a wave names in its words.
fn overlaps(wave: &[&Node]) -> Vec<Overlap> {
    let mut named: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for node in wave {
        let texts = node.prompt.iter().chain(node.run.iter().flatten().skip(1));
        for file in texts.flat_map(|text| files(text)) {
            named.entry(file.to_owned()).or_default().insert(&node.id);
        }
    }
    let shared = named.into_iter().filter(|(_, nodes)| nodes.len() > 1);
    shared
        .map(|(file, nodes)| Overlap { file, nodes: nodes.into_iter().map(str::to_owned).collect() })
        .collect()
}

/// Words of a text that look like files: `src/main.rs`, `README.md`.
fn files(text: &str) -> impl Iterator<Item = &str> {
    let quotes = ['"', '\'', '`', '(', ')', '[', ']', ',', ';', ':'];
    text.split(move |letter: char| letter.is_whitespace() || quotes.contains(&letter))
        .map(|word| word.trim_end_matches(['.', '!', '?']).trim_start_matches("./"))
        .filter(|word| {
            let name = word.rsplit('/').next().unwrap_or(word);
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            let is_ending =
                (1..=5).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
            plain
                && is_ending
                && name.starts_with(|first: char| first.is_ascii_alphabetic())
                && word.len() > 3
        })
}

impl Plan {
    fn lines(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for (wave, steps) in (1..).zip(&self.waves) {
            for step in steps {
                let named = step
                    .agent
                    .clone()
                    .unwrap_or_else(|| step.agents.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
                let agents = if step.why.is_empty() { named } else { format!("{named} ({})", step.why) };
                let took = step.took.clone().unwrap_or_default();
                let (id, kind) = (step.id.as_str(), step.kind);
                rows.push(vec![
                    wave.to_string().into(),
                    id.into(),
                    kind.into(),
                    agents.into(),
                    took.into(),
                    step.note.as_str().into(),
                ]);
            }
        }
        let mut lines = table::lines_without(
            &["WAVE", "NODE", "KIND", "AGENTS", "TOOK", "NOTE"],
            &["KIND", "TOOK"],
            rows,
        );
        if let Some(most) = self.concurrency {
            lines.push(format!("at most {most} at once"));
        }
        for overlap in &self.overlaps {
            lines.push(format!(
                "warning: {} of the same wave name {}",
                overlap.nodes.join(" and "),
                overlap.file
            ));
        }
        if let Some(estimate) = &self.estimate {
            lines.push(format!("by earlier runs this takes {estimate} or longer"));
        } else {
            lines.push(
                "how long it takes is not known: not every node has succeeded in a run of this name"
                    .to_owned(),
            );
        }
        lines.extend(self.costs.lines());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> Definition {
        fusion_workflow::read_yaml(text).definition.unwrap()
    }

    #[test]
    fn a_plan_has_waves_takers_overlaps_and_an_estimate() {
        let definition = definition(
            "name: p\ndefaults: {capabilities: [code]}\nnodes:\n\
             - {id: a, prompt: 'change src/lib.rs, please.'}\n\
             - {id: b, run: [fmt, ./src/lib.rs], capabilities: [fmt]}\n\
             - {id: c, needs: [a, b], approval: {}}\n\
             - {id: d, needs: [c], profile: nopro, run: [x]}\n\
             - {id: e, needs: [c], agent: nobody, run: [x]}\n\
             - {id: f, needs: [c], profile: command, run: [x]}\n",
        );
        let coder =
            Agent { name: "coder".to_owned(), capabilities: vec!["code".to_owned()], ..Agent::default() };
        let took = |secs| Past { span: Duration::from_secs(secs), usd: None, tokens: None };
        let past = ["a", "b", "c", "d", "e", "f"]
            .into_iter()
            .zip([2, 5, 1, 0, 0, 0])
            .map(|(id, secs)| (id.to_owned(), took(secs)));
        let command = Profile { name: "command".to_owned(), kind: "exec".to_owned(), ..Profile::default() };
        let named = [("nobody".to_owned(), Err("there is no agent nobody".to_owned()))].into();
        let staff = Staff { agents: vec![coder], profiles: vec![command], named };
        let plan = plan(&definition, &staff, &past.collect());
        let waves: Vec<Vec<&str>> =
            plan.waves.iter().map(|wave| wave.iter().map(|step| step.id.as_str()).collect()).collect();
        assert_eq!(waves, [vec!["a", "b"], vec!["c"], vec!["d", "e", "f"]]);
        let causes = [
            "there is no profile nopro",
            "there is no agent nobody",
            "profile command has no command of its own",
        ];
        for (step, cause) in plan.waves[2].iter().zip(causes) {
            assert_eq!(step.note, format!("{cause}: the run would be refused"));
        }
        assert_eq!(
            (plan.waves[0][0].agents.as_slice(), plan.estimate.as_deref()),
            (["coder".to_owned()].as_slice(), Some("6s"))
        );
        assert_eq!(plan.waves[0][1].note, "no agent offers fmt");
        assert_eq!((plan.overlaps[0].file.as_str(), plan.overlaps.len()), ("src/lib.rs", 1));
    }
}
