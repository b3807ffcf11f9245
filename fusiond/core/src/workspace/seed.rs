//! `agent spawn --from`: what a workspace is filled with before its agent takes work.
//!
//! ```text
//!   Starting ── ShimUp ──► Seeding ── exit 0 ──► Idle
//!                             │ any other exit, or its time is over
//!                             └──────────────────────► Stopping ──► Terminated(Seed)
//! ```
//!
//! The shim runs the seeding as it runs attempts: with the agent's serials, as its user, in its tree. So it goes on while
//! the daemon is away, and no end of it is missed. The program empties the workspace before it begins: a seeding that a
//! shim took along is made again by the next incarnation.
//!
//! A shim that lives keeps the record of an end until a state that knows the end is on disk. So one that has begun the
//! seeding, runs it no more and has no record of it told its end to a state that is lost (a backup was restored). If it
//! has begun work since, the seeding went well, and the workspace is not emptied; if not, it is made again.
//!
//! Not for: how files get there (`fusion-shim seed`), what the hands need for it.

use crate::agent::{AfterStop, AgentLife, life, terminate};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::task::{Exit, ExitKind, StopWhy, ending};
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// What a workspace is filled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// A URL of git, or the absolute path of a folder or a repository.
    pub source: String,
    /// A branch, tag or commit; empty: what the repository has checked out.
    pub reference: String,
    /// How a repository gets there.
    pub how: SeedHow,
}

/// How a repository gets into a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeedHow {
    /// As a clone of its own.
    Clone,
    /// As a worktree of the repository that it is.
    Worktree,
}

/// How far the seeding of a workspace has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seeded {
    /// Nothing was asked for.
    #[default]
    Nothing,
    /// It is to be done, or under way.
    Due,
    /// It is done.
    Done {
        /// In which life.
        incarnation: u32,
        /// Its number there; its standard output lists what was copied.
        serial: u32,
    },
    /// It failed, and the agent with it.
    Failed,
}

/// The shim is up: the seeding is its first work, under this serial; [`adopt`] orders it.
pub(crate) fn begin(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, serial: u32) {
    let limit = state.config.seed_timeout;
    let owner = state.alter_agent(out, id, |agent| {
        agent.next_serial = agent.next_serial.max(serial + 1);
        agent.life = AgentLife::Seeding { since: turn.now, serial, deadline: Some(turn.now.plus(limit)) };
        agent.owner
    });
    if owner.is_some() {
        state.tell(out, turn.now, Actor::Daemon, owner, EventKind::WorkspaceSeeding { agent: id });
    }
}

/// Compares a seeding with what the shim says that it has begun: it begins, goes on, or has ended.
pub(crate) fn adopt(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    highest: u32,
    running: Option<u32>,
) {
    let Some(agent) = state.agent(id) else { return };
    let incarnation = agent.incarnation;
    let AgentLife::Seeding { serial, deadline, .. } = agent.life else { return };
    if running == Some(serial) {
        if deadline.is_none() {
            stop(state, out, id);
        }
    } else if highest > serial {
        done(state, out, turn, id);
    } else if highest == serial {
        let serial = agent.next_serial.max(highest + 1);
        begin(state, out, turn, id, serial);
        out.order(Effect::Seed { agent: id, incarnation, serial });
    } else {
        out.order(Effect::Seed { agent: id, incarnation, serial });
    }
}

/// Its time is over.
pub(crate) fn strike(state: &mut State, out: &mut Out, id: AgentId) {
    state.alter_agent(out, id, |agent| {
        if let AgentLife::Seeding { deadline, .. } = &mut agent.life {
            *deadline = None;
        }
    });
    stop(state, out, id);
}

fn stop(state: &State, out: &mut Out, id: AgentId) {
    let Some(agent) = state.agent(id) else { return };
    if let AgentLife::Seeding { serial, .. } = agent.life {
        let (incarnation, grace) = (agent.incarnation, state.config.grace);
        out.order(Effect::Stop { agent: id, incarnation, serial, grace, why: StopWhy::TimedOut });
    }
}

/// Whether this serial is that of the seeding under way.
pub(crate) fn is_under_way(state: &State, id: AgentId, incarnation: u32, serial: u32) -> bool {
    let agent = state.agent(id).filter(|agent| agent.incarnation == incarnation);
    agent.is_some_and(|agent| matches!(agent.life, AgentLife::Seeding { serial: own, .. } if own == serial))
}

/// The seeding has ended: the agent takes work, or ends with the reason.
pub(crate) fn ended(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, exit: &Exit) {
    if !ending::is_success(exit) {
        let limit = state.config.seed_timeout;
        failed(state, out, turn, id, &reason(exit, limit));
    } else {
        done(state, out, turn, id);
    }
}

/// The shim is dead, and `highest` was the last of which its records tell: work that it began later is a seeding's good end.
pub(crate) fn outlived(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, highest: u32) {
    let Some(agent) = state.agent(id) else { return };
    let (owner, incarnation) = (agent.owner, agent.incarnation);
    let AgentLife::Seeding { serial, since, .. } = agent.life else { return };
    if highest > serial {
        state.alter_agent(out, id, |agent| agent.seeded = Seeded::Done { incarnation, serial });
        let kind = EventKind::WorkspaceSeeded { agent: id, took: turn.now.since(since) };
        state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    }
}

fn done(state: &mut State, out: &mut Out, turn: Turn, id: AgentId) {
    let done = state.alter_agent(out, id, |agent| {
        if let AgentLife::Seeding { serial, since, .. } = agent.life {
            agent.seeded = Seeded::Done { incarnation: agent.incarnation, serial };
            agent.life = AgentLife::Idle { since: turn.now };
            agent.trouble = None;
            Some((agent.owner, agent.incarnation, agent.wish, since))
        } else {
            None
        }
    });
    let Some(Some((owner, incarnation, wish, since))) = done else { return };
    let took = turn.now.since(since);
    state.tell(out, turn.now, Actor::Daemon, Some(owner), EventKind::WorkspaceSeeded { agent: id, took });
    life::tell_ready(state, out, turn, id, incarnation, owner);
    life::rest_as_wished(state, out, turn, id, wish);
}

/// Another try would end the same way: the agent ends, and its name is free again.
pub(crate) fn failed(state: &mut State, out: &mut Out, turn: Turn, id: AgentId, reason: &str) {
    let told = state.alter_agent(out, id, |agent| {
        let source = agent.spec.seed.as_ref().map_or("nothing", |seed| seed.source.as_str());
        let reason = format!("the workspace could not be seeded from {source}: {reason}");
        agent.seeded = Seeded::Failed;
        agent.trouble = Some(reason.clone());
        (agent.owner, reason)
    });
    let Some((owner, reason)) = told else { return };
    let kind = EventKind::WorkspaceSeedFailed { agent: id, reason };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
    let (actor, grace) = (Actor::Daemon, Millis(0));
    terminate::stop_tree(state, out, turn, actor, id, AfterStop::Terminate, grace, StopWhy::Terminated);
}

/// What is kept of the last words of a seeding.
const WORDS_CHARS_MAX: usize = 500;

fn reason(exit: &Exit, limit: Millis) -> String {
    match (&exit.kind, exit.stop) {
        (_, Some(StopWhy::TimedOut)) => format!("it took longer than {limit}"),
        (ExitKind::StartFailed { message, .. } | ExitKind::OutputInvalid { message }, _) => message.clone(),
        (_, _) if exit.oom_kills > 0 => "the kernel killed it for want of memory".to_owned(),
        (ExitKind::Signaled { signal }, _) => format!("signal {signal} ended it"),
        (ExitKind::Exited { code }, _) => {
            let words: Vec<&str> = exit.tail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let words = words.join("; ");
            if words.is_empty() { format!("it ended with exit code {code}") } else { last_chars(&words) }
        }
    }
}

fn last_chars(words: &str) -> String {
    let skipped = words.chars().count().saturating_sub(WORDS_CHARS_MAX);
    words.chars().skip(skipped).collect()
}
