//! `agent spawn --replicas` and `agent scale`: several agents of one kind, named NAME-1, NAME-2 …; more
//! of them, or fewer: idle ones end first, busy ones when their task has ended.
//!
//! Not for: pools, which grow by themselves (`pool`).

use crate::agent::{Agent, AgentLife, AgentSpec, SpawnAgent, Stay, Wish, spawn, terminate};
use crate::event::EventKind;
use crate::ids::{AgentId, Uid};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};

/// The most agents of one group.
pub const REPLICAS_MAX: u32 = 1000;

/// `agent spawn --replicas`: all of them or none.
pub(crate) fn decide_spawn(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: SpawnAgent,
    replicas: u32,
) -> Result<Done, Reject> {
    spawn::check_caller(state, caller, &ask)?;
    if let Some(same) = spawn::find_same(state, &ask) {
        return Ok(Done::Agent(same));
    }
    check_count(replicas)?;
    spawn::check_spec(&ask.spec)?;
    if let Some(member) = members(state, ask.owner, &ask.spec.name).first() {
        let agent = member.id.to_string();
        return Err(Reject::NameTaken { name: ask.spec.name, agent });
    }
    spawn::check_limits(state, ask.owner, ask.owner_name.clone(), replicas)?;
    let mut spec = ask.spec;
    spec.group = Some(spec.name.clone());
    let SpawnAgent { owner, owner_name, request, .. } = ask;
    let kind = Kind { owner, owner_name, request, spec };
    let first = add(state, out, turn, caller.actor(), &kind, replicas)?;
    Ok(Done::Agent(first))
}

/// What all members have in common.
struct Kind {
    owner: Uid,
    owner_name: String,
    request: u64,
    spec: AgentSpec,
}

/// `agent scale`.
pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    group: &str,
    count: u32,
) -> Result<Done, Reject> {
    if let Rights::Agent(_) = caller.rights {
        return Err(Reject::NotPermitted { who: caller.actor().to_string(), what: "scaling agents" });
    }
    let owner = find_owner(state, caller, group)?;
    let staying: Vec<&Agent> =
        members(state, owner, group).into_iter().filter(|agent| agent.wish != Wish::End).collect();
    let model = *staying.first().ok_or_else(|| Reject::AgentNotFound { agent: group.to_owned() })?;
    let (id, present) = (model.id, u32::try_from(staying.len()).unwrap_or(u32::MAX));
    if count > present {
        check_count(count)?;
        let owner_name = crate::pool::supply::name_of(state, owner);
        let mut spec = model.spec.clone();
        spec.name = group.to_owned();
        spec.group = Some(group.to_owned());
        let workspace = spec.recipe.workspace.rsplit_once('/');
        spec.recipe.workspace = workspace.map_or_else(String::new, |(above, _)| above.to_owned());
        let kind = Kind { owner, owner_name, request: 0, spec };
        spawn::check_limits(state, owner, kind.owner_name.clone(), count - present)?;
        add(state, out, turn, caller.actor(), &kind, count - present)?;
    } else {
        let leaving = choose_leaving(&staying, present - count);
        leaving.into_iter().for_each(|id| let_go(state, out, turn, caller.actor(), id));
    }
    Ok(Done::Agent(id))
}

fn check_count(count: u32) -> Result<(), Reject> {
    if (1..=REPLICAS_MAX).contains(&count) {
        return Ok(());
    }
    Err(Reject::FieldInvalid { field: "replicas", value: count.to_string(), expected: "1 to 1000" })
}

/// Whose group is meant: the caller's own before any other that an admin sees.
fn find_owner(state: &State, caller: Caller, group: &str) -> Result<Uid, Reject> {
    if !members(state, caller.uid, group).is_empty() {
        return Ok(caller.uid);
    }
    let seen = state.agents().filter(|agent| State::sees_agent(caller, agent) && is_member(agent, group));
    let owners: std::collections::BTreeSet<Uid> = seen.map(|agent| agent.owner).collect();
    match owners.len() {
        0 => Err(Reject::AgentNotFound { agent: group.to_owned() }),
        1 => Ok(*owners.first().expect("there is one")),
        count => Err(Reject::AmbiguousId { kind: "group", part: group.to_owned(), count }),
    }
}

/// The members of a group that are not over or ending, oldest first.
#[must_use]
pub fn members<'a>(state: &'a State, owner: Uid, group: &str) -> Vec<&'a Agent> {
    state.agents().filter(|agent| agent.owner == owner && is_member(agent, group)).collect()
}

fn is_member(agent: &Agent, group: &str) -> bool {
    (agent.spec.group.as_deref() == Some(group) || agent.spec.name == group)
        && agent.spec.stay == Stay::Terminated
        && !agent.is_ending()
}

/// Makes `count` more, with the first numbers that are free. Checks the names before it makes any.
fn add(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    actor: Actor,
    kind: &Kind,
    count: u32,
) -> Result<AgentId, Reject> {
    let names = free_names(state, kind.owner, &kind.spec.name, count);
    if let Some(long) = names.last().filter(|name| name.len() > spawn::NAME_BYTES_MAX) {
        return Err(Reject::NameInvalid { name: long.clone() });
    }
    let mut first = None;
    for (nth, name) in (0..).zip(names) {
        let id = AgentId(turn.id(nth));
        let mut spec = kind.spec.clone();
        spec.name = name;
        spec.recipe.workspace = format!("{}/{id}", spec.recipe.workspace);
        let (owner, owner_name) = (kind.owner, kind.owner_name.clone());
        let ask = SpawnAgent { id, owner, owner_name, spec, request: kind.request };
        let made = spawn::accept(state, out, turn, actor, ask);
        first.get_or_insert(made);
    }
    Ok(first.expect("at least one was asked for"))
}

fn free_names(state: &State, owner: Uid, stem: &str, count: u32) -> Vec<String> {
    let names = (1u32..).map(|number| format!("{stem}-{number}"));
    let free = names.filter(|name| !state.index.names.contains_key(&(owner, name.clone())));
    free.take(count as usize).collect()
}

/// Who works on nothing goes first, then who came last.
fn choose_leaving(members: &[&Agent], count: u32) -> Vec<AgentId> {
    let mut order: Vec<(bool, std::cmp::Reverse<AgentId>)> =
        members.iter().map(|agent| (agent.life.work().is_some(), std::cmp::Reverse(agent.id))).collect();
    order.sort_unstable();
    order.into_iter().take(count as usize).map(|(_, id)| id.0).collect()
}

/// Ends an agent, but lets its task end first.
fn let_go(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, id: AgentId) {
    let Some(agent) = state.agent(id) else { return };
    let owner = agent.owner;
    match agent.life {
        AgentLife::Busy { work, .. } | AgentLife::Waiting { work, .. } | AgentLife::Draining { work, .. } => {
            state.alter_agent(out, id, |agent| {
                agent.wish = Wish::End;
                agent.life = AgentLife::Draining { since: turn.now, work };
            });
            state.tell(out, turn.now, actor, Some(owner), EventKind::AgentDraining { agent: id });
        }
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Idle { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. } => {
            let grace = state.config.grace;
            terminate::finish(state, out, turn, actor, id, grace);
        }
    }
}
