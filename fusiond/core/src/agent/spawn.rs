//! `agent spawn`: accepts an agent and orders its first incarnation.
//!
//! Not for: what the profile says (the door has read it into the recipe).

use crate::agent::{Agent, AgentLife, AgentSpec, Wish};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::{AgentId, Capabilities, PROFILE_PREFIX, Uid};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::secret::check_uses;
use crate::state::{RootAgents, State};
use crate::step::{Done, Out, Turn};
use crate::workspace::{Disk, Seeded};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct SpawnAgent {
    /// The id it will have.
    pub id: AgentId,
    /// Who will own it.
    pub owner: Uid,
    /// The owner's name, for messages.
    pub owner_name: String,
    /// Everything else.
    pub spec: AgentSpec,
    /// Hash of the request id, 0 for none.
    pub request: u64,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: SpawnAgent,
) -> Result<Done, Reject> {
    check_caller(state, caller, &ask)?;
    if let Some(same) = find_same(state, &ask) {
        return Ok(Done::Agent(same));
    }
    check(state, &ask)?;
    Ok(Done::Agent(accept(state, out, turn, caller.actor(), ask)))
}

/// Whether such an agent may be made now.
pub(crate) fn check(state: &State, ask: &SpawnAgent) -> Result<(), Reject> {
    check_spec(&ask.spec)?;
    check_uses(state, ask.owner, &ask.spec.secrets)?;
    check_limits(state, ask.owner, ask.owner_name.clone(), 1)?;
    check_name(state, ask.owner, &ask.spec.name)
}

/// Whether this is a name that nobody of the owner's has.
pub(crate) fn check_name(state: &State, owner: Uid, name: &str) -> Result<(), Reject> {
    if !is_name(name) {
        return Err(Reject::NameInvalid { name: name.to_owned() });
    }
    match state.index.names.get(&(owner, name.to_owned())) {
        Some(taken) => Err(Reject::NameTaken { name: name.to_owned(), agent: taken.to_string() }),
        None => Ok(()),
    }
}

/// Makes an agent that was checked, and orders its first incarnation.
pub(crate) fn accept(state: &mut State, out: &mut Out, turn: Turn, actor: Actor, ask: SpawnAgent) -> AgentId {
    let (id, owner) = (ask.id, ask.owner);
    state.learn_name(owner, &ask.owner_name);
    let kind =
        EventKind::AgentSpawned { agent: id, name: ask.spec.name.clone(), profile: ask.spec.profile.clone() };
    let seeded = if ask.spec.seed.is_some() { Seeded::Due } else { Seeded::Nothing };
    let disk_bytes = ask.spec.disk_bytes.or(state.config.disk_bytes);
    let capabilities = ask.spec.capabilities.of_profile(&ask.spec.profile);
    let agent = Agent {
        id,
        owner,
        created_at: turn.now,
        spec: AgentSpec { disk_bytes, capabilities, ..ask.spec },
        incarnation: 1,
        nonce: turn.nonce(id),
        next_serial: 1,
        life: AgentLife::Starting { since: turn.now },
        crashes: Vec::new(),
        succeeded: 0,
        failed: 0,
        trouble: None,
        wish: Wish::Run,
        frozen_for: None,
        request: ask.request,
        seeded,
        disk: Disk::default(),
    };
    state.add_agent(out, agent);
    state.tell(out, turn.now, actor, Some(owner), kind);
    out.order(Effect::Launch { agent: id, incarnation: 1 });
    id
}

pub(crate) fn find_same(state: &State, ask: &SpawnAgent) -> Option<AgentId> {
    if ask.request == 0 {
        return None;
    }
    state
        .agents()
        .find(|agent| agent.request == ask.request && agent.owner == ask.owner)
        .map(|agent| agent.id)
}

pub(crate) fn check_caller(state: &State, caller: Caller, ask: &SpawnAgent) -> Result<(), Reject> {
    match caller.rights {
        Rights::Admin => {}
        Rights::User if caller.uid == ask.owner => {}
        Rights::User => {
            return Err(Reject::NotPermitted {
                who: caller.actor().to_string(),
                what: "spawning agents for others",
            });
        }
        Rights::Agent(_) => {
            return Err(Reject::NotPermitted { who: caller.actor().to_string(), what: "spawning agents" });
        }
    }
    if ask.owner == Uid(0) && state.config.root_agents == RootAgents::Refused {
        return Err(Reject::RootAgents);
    }
    Ok(())
}

/// Whether there is room for so many more agents of a user.
pub(crate) fn check_limits(state: &State, owner: Uid, user: String, more: u32) -> Result<(), Reject> {
    let limit = state.config.limits_of(owner).agents_max;
    if state.index.users.get(&owner).map_or(0, |user| user.agents).saturating_add(more) > limit {
        return Err(Reject::UserAgentLimit { limit, user });
    }
    let limit = state.config.agents_max;
    if state.index.agents.saturating_add(more) > limit {
        return Err(Reject::AgentLimit { limit });
    }
    Ok(())
}

pub(crate) fn check_spec(spec: &AgentSpec) -> Result<(), Reject> {
    if !is_name(&spec.name) {
        return Err(Reject::NameInvalid { name: spec.name.clone() });
    }
    check_capabilities(&spec.capabilities)
}

/// The longest name of an agent.
pub const NAME_BYTES_MAX: usize = 63;

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && !name.starts_with(AgentId::PREFIX)
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Checks number and names, for agents and tasks alike.
pub(crate) fn check_capabilities(names: &Capabilities) -> Result<(), Reject> {
    if names.len() > Capabilities::COUNT_MAX {
        return Err(Reject::CapabilityLimit { count: names.len() });
    }
    let valid = |name: &str| {
        let said = name.strip_prefix(PROFILE_PREFIX).unwrap_or(name);
        (1..=Capabilities::NAME_BYTES_MAX).contains(&said.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/+".contains(&byte))
    };
    match names.iter().find(|name| !valid(name)) {
        Some(name) => Err(Reject::CapabilityInvalid { name: name.to_owned() }),
        None => Ok(()),
    }
}
