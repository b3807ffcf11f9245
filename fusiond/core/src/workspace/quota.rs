//! How much may lie in a workspace, and who is kept from work by it.
//!
//! ```text
//!            Idle, with a limit            WorkspaceMeasured
//!   Unknown ────────────────────► Due ──────────────────────► Counted | Partly
//!      ▲                                                             │
//!      └──── a lease, a new incarnation, another limit ──────────────┘
//! ```
//!
//! What an agent has is counted when something of it has ended, not by a clock: between two counts it may have more.
//! What cannot be counted whole keeps an agent from work, too: else a folder that nobody may read would hide all.
//! Not for: counting (`fusion-shim du`); agents without a limit, which are counted when somebody asks.

use crate::agent::{Agent, AgentLife};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::ids::AgentId;
use crate::input::Actor;
use crate::state::State;
use crate::step::{Out, Turn};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// What is known of the room that a workspace takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The last count, perhaps of before the last attempt.
    pub last: Option<Count>,
    /// Whether it still holds.
    pub standing: Standing,
}

/// A count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What files and folders take on the disk, at least.
    pub bytes: u64,
    /// When.
    pub at: Time,
}

/// Whether the last count still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Something may have changed since.
    #[default]
    Unknown,
    /// It is being counted.
    Due,
    /// Nothing of the agent ran since.
    Counted,
    /// So does this one, but there is more than was counted.
    Partly {
        /// Why, one sentence.
        reason: String,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What files and folders take on the disk, at least.
    pub bytes: u64,
    /// Why that is not all, one sentence.
    pub missing: Option<String>,
}

/// What keeps an agent with a limit from the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It is being counted.
    Uncounted,
    /// It has more than it may.
    Over {
        /// What it has at least.
        bytes: u64,
        /// What it may have.
        limit: u64,
    },
    /// It cannot be counted whole.
    Hidden {
        /// Why, one sentence.
        reason: String,
    },
}

impl Agent {
    /// What keeps it from the next attempt for the sake of its disk limit.
    #[must_use]
    pub fn excess(&self) -> Option<Excess> {
        let limit = self.spec.disk_bytes?;
        let over = self.disk.last.as_ref().filter(|last| last.bytes > limit);
        let over = over.map(|last| Excess::Over { bytes: last.bytes, limit });
        match &self.disk.standing {
            Standing::Unknown | Standing::Due => Some(Excess::Uncounted),
            Standing::Counted => over,
            Standing::Partly { reason } => Some(over.unwrap_or(Excess::Hidden { reason: reason.clone() })),
        }
    }

    /// Whether it is to be counted before it can work.
    pub(crate) fn wants_count(&self) -> bool {
        self.spec.disk_bytes.is_some()
            && matches!(self.life, AgentLife::Idle { .. })
            && self.disk.standing == Standing::Unknown
    }

    /// What was counted may have changed.
    pub(crate) fn forget_count(&mut self) {
        self.disk.standing = Standing::Unknown;
    }
}

impl Excess {
    /// The word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Uncounted => "disk_count",
            Self::Over { .. } | Self::Hidden { .. } => "disk_quota",
        }
    }

    /// One clause for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Uncounted => "its workspace is being counted".to_owned(),
            Self::Over { bytes, limit } => {
                format!("its workspace takes {} of the {} that it may", size(*bytes), size(*limit))
            }
            Self::Hidden { reason } => format!("its workspace has a limit and cannot be counted: {reason}"),
        }
    }

    /// What to do about it; empty where only time is needed.
    #[must_use]
    pub fn remedy(&self, agent: &Agent) -> String {
        let name = &agent.spec.name;
        match self {
            Self::Uncounted => String::new(),
            Self::Over { .. } => format!(
                "remove files from {}, then `fusionctl workspace du {name}`; or `fusionctl agent update {name} --disk SIZE`",
                agent.spec.recipe.workspace
            ),
            Self::Hidden { .. } => format!(
                "mend that in {}, then `fusionctl workspace du {name}`; or `fusionctl agent update {name} --disk none`",
                agent.spec.recipe.workspace
            ),
        }
    }
}

/// Bytes for people, as `fusionctl` writes them: `1.5 GiB`.
fn size(bytes: u64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().zip((0..).step_by(10));
    let fitting = units.by_ref().find(|(_, shift)| bytes >> shift < 1024);
    match fitting.unwrap_or(("PiB", 50)) {
        (unit, 0) => format!("{bytes} {unit}"),
        (unit, shift) => {
            let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Orders the counts that are due.
pub(crate) fn plan(state: &mut State, out: &mut Out) {
    while let Some(id) = state.index.uncounted.first().copied() {
        let ordered = state.alter_agent(out, id, |agent| {
            agent.disk.standing = Standing::Due;
            (agent.incarnation, agent.next_serial)
        });
        let Some((incarnation, serial)) = ordered else { return };
        out.order(Effect::Measure { agent: id, incarnation, serial });
    }
}

/// Counts that were ordered before the daemon ended are ordered again.
pub(crate) fn resume(state: &mut State, out: &mut Out) {
    let due: Vec<AgentId> =
        state.agents().filter(|agent| agent.disk.standing == Standing::Due).map(|agent| agent.id).collect();
    for id in due {
        state.alter_agent(out, id, Agent::forget_count);
    }
}

/// A workspace was counted, ordered or because somebody asked. `serial` is that of the next attempt at its beginning: what
/// was counted before or during another one says nothing.
pub(crate) fn measured(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    id: AgentId,
    incarnation: u32,
    serial: u32,
    found: Found,
) {
    let Some(agent) = state.agent(id) else { return };
    let holds = agent.incarnation == incarnation && agent.next_serial == serial;
    if !holds || agent.life.work().is_some() {
        return;
    }
    let told = state.alter_agent(out, id, |agent| {
        let before = agent.excess().is_some_and(|excess| excess.code() == "disk_quota");
        agent.disk.last = Some(Count { bytes: found.bytes, at: turn.now });
        agent.disk.standing = match found.missing {
            None => Standing::Counted,
            Some(reason) => Standing::Partly { reason },
        };
        (agent.owner, before, agent.excess(), agent.spec.disk_bytes)
    });
    let Some((owner, was_over, excess, Some(limit))) = told else { return };
    let kind = match excess {
        Some(excess) if !was_over => {
            EventKind::WorkspaceOverQuota { agent: id, bytes: found.bytes, limit, reason: excess.words() }
        }
        None if was_over => EventKind::WorkspaceWithinQuota { agent: id, bytes: found.bytes, limit },
        Some(_) | None => return,
    };
    state.tell(out, turn.now, Actor::Daemon, Some(owner), kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_on_the_command_line() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 30, "10.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
