//! What the written events promise, compared with what really happened in the world.
//!
//! Only committed events come here: what a crash forgot was never promised. Not for: the state's own
//! invariants (`State::check`).

use crate::runs::Runs;
use crate::shim::Shims;
use crate::store::Store;
use fusion_core::event::Subject;
use fusion_core::task::{Exit, ExitKind, Lease};
use fusion_core::workspace::Removal;
use fusion_core::{Actor, AgentId, Event, EventKind, TaskId, Uid};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default)]
pub(crate) struct History {
    tasks: BTreeMap<TaskId, Story>,
    runs: Runs,
    /// Idempotency keys: each names one task for ever.
    keys: BTreeMap<(Uid, Box<str>), TaskId>,
    /// Leases of which the daemon said that they never began.
    never: BTreeSet<(AgentId, u32, u32)>,
    /// How often each kind of event came.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Default)]
struct Story {
    ended: bool,
    /// A cancel was accepted while it ran.
    cancelling: bool,
    /// The last attempt ended well.
    exited_well: bool,
}

impl History {
    /// One more event.
    pub(crate) fn record(&mut self, event: &Event, shims: &Shims, store: &Store) -> Result<(), String> {
        *self.counts.entry(event.kind.word()).or_default() += 1;
        self.record_attempt(event, shims, store)?;
        if let EventKind::AgentTerminated { agent } = &event.kind
            && let Some(who) = shims.alive.keys().find(|who| who.0 == *agent)
        {
            return Err(format!("{agent} is terminated while incarnation {} lives", who.1));
        }
        self.record_removal(event, shims)?;
        record_seed(event, shims)?;
        self.runs.record(event, store)?;
        if let EventKind::TaskSubmitted { task } = &event.kind
            && self.tasks.insert(*task, Story::default()).is_some()
        {
            return Err(format!("{task} was submitted twice"));
        }
        if let EventKind::TaskSubmitted { task } = &event.kind
            && let Some(stored) = store.task(*task)
            && let Some(key) = stored.spec.key
            && let Some(other) = self.keys.insert((stored.owner, key), *task)
        {
            return Err(format!("{task} has the key of {other}"));
        }
        let told = self.record_task(event);
        told.map_err(|broken| format!("{broken}: {}", event.kind.subject()))
    }

    /// Nothing is said to be gone that the hands have not removed.
    fn record_removal(&self, event: &Event, shims: &Shims) -> Result<(), String> {
        let gone = |agent: &AgentId, ways: [Removal; 2]| {
            let is_gone = ways.iter().any(|what| shims.removed.contains(&(*agent, *what)));
            if is_gone { Ok(()) } else { Err(format!("{} of {agent} was told too early", event.kind.word())) }
        };
        if let EventKind::WorkspaceRemoved { agent } = &event.kind {
            gone(agent, [Removal::All, Removal::WorkspaceAlone])
        } else if let EventKind::AgentRemoved { agent } = &event.kind {
            gone(agent, [Removal::All, Removal::AllButWorkspace])
        } else {
            Ok(())
        }
    }

    fn record_attempt(&mut self, event: &Event, shims: &Shims, store: &Store) -> Result<(), String> {
        if let EventKind::AttemptExited { task, number, exit, .. } = &event.kind {
            if !shims.truth.get(&lease(store, *task, *number)?).is_some_and(|truth| is_told(truth, exit)) {
                return Err(format!("an end of {task} was told that never was"));
            }
            let well = exit.stop.is_none() && exit.kind == ExitKind::Exited { code: 0 };
            self.story(*task)?.exited_well = well;
        } else if let EventKind::AttemptLost { task, number, .. } = &event.kind {
            if shims.reboots == 0 && shims.truth.contains_key(&lease(store, *task, *number)?) {
                return Err(format!("attempt {number} of {task} is lost although its end was recorded"));
            }
            self.story(*task)?.exited_well = false;
        } else if let EventKind::AttemptNotStarted { task, number, .. } = &event.kind {
            let lease = lease(store, *task, *number)?;
            if shims.began.contains(&lease) {
                return Err(format!("attempt {number} of {task} began and was said not to"));
            }
            self.never.insert(lease);
        }
        Ok(())
    }

    fn record_task(&mut self, event: &Event) -> Result<(), String> {
        let Subject::Task(id) = event.kind.subject() else { return Ok(()) };
        let story = self.tasks.get_mut(&id).ok_or("it was never submitted")?;
        match event.kind.word() {
            "task.succeeded" if event.actor == Actor::Daemon && !story.exited_well => {
                Err("it succeeded without an attempt that did".to_owned())
            }
            "task.succeeded" | "task.cancelled" => story.end(true),
            "task.failed" | "task.timed_out" => story.end(false),
            "task.started" | "task.held" | "task.released" | "task.updated" => story.goes_on(),
            "task.queued" | "task.deferred" | "task.lost" => story.comes_back(),
            "task.retried" => story.retry(),
            "task.cancelling" => {
                story.cancelling = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the start of a lease may still be carried out.
    pub(crate) fn may_start(&self, lease: (AgentId, u32, u32)) -> Result<(), String> {
        if self.never.contains(&lease) {
            return Err(format!("attempt {} of {} starts after it was written off", lease.2, lease.0));
        }
        Ok(())
    }

    fn story(&mut self, task: TaskId) -> Result<&mut Story, String> {
        self.tasks.get_mut(&task).ok_or_else(|| format!("{task} was never submitted"))
    }

    /// No run waits for an event that has come.
    pub(crate) fn missed(&self, store: &Store) -> Result<(), String> {
        self.runs.miscounted(store)?;
        self.runs.missed(store)
    }

    /// Every accepted task, and whether it ended for good.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskId, bool)> {
        self.tasks.iter().map(|(id, story)| (*id, story.ended))
    }
}

/// A workspace is said to be filled only when a seeding has ended well.
fn record_seed(event: &Event, shims: &Shims) -> Result<(), String> {
    let is_good = |exit: &Exit| exit.stop.is_none() && exit.kind == ExitKind::Exited { code: 0 };
    if let EventKind::WorkspaceSeeded { agent, .. } = &event.kind
        && !shims.seeds.iter().any(|lease| lease.0 == *agent && shims.truth.get(lease).is_some_and(is_good))
    {
        return Err(format!("{agent} was said to be seeded and was not"));
    }
    Ok(())
}

/// The end that was, but for a clock that was ahead.
fn is_told(truth: &Exit, told: &Exit) -> bool {
    let (started_at, ended_at) = (told.started_at, told.ended_at);
    ended_at <= truth.ended_at && Exit { started_at, ended_at, ..truth.clone() } == *told
}

fn lease(store: &Store, task: TaskId, number: u32) -> Result<(AgentId, u32, u32), String> {
    let attempts = store.task(task).map(|task| task.attempts).unwrap_or_default();
    let attempt = attempts.into_iter().find(|attempt| attempt.number == number);
    let Lease { agent, incarnation, serial } =
        attempt.ok_or_else(|| format!("attempt {number} of {task} is not in the store"))?.lease;
    Ok((agent, incarnation, serial))
}

impl Story {
    fn end(&mut self, honours_cancel: bool) -> Result<(), String> {
        if self.ended {
            return Err("it ended twice".to_owned());
        }
        if self.cancelling && !honours_cancel {
            return Err("it failed although it was cancelled".to_owned());
        }
        *self = Self { ended: true, ..Self::default() };
        Ok(())
    }

    fn goes_on(&self) -> Result<(), String> {
        if self.ended {
            return Err("it went on after its end".to_owned());
        }
        Ok(())
    }

    fn comes_back(&self) -> Result<(), String> {
        if self.cancelling {
            return Err("it came back although it was cancelled".to_owned());
        }
        self.goes_on()
    }

    fn retry(&mut self) -> Result<(), String> {
        if !self.ended {
            return Err("it was retried before its end".to_owned());
        }
        self.ended = false;
        Ok(())
    }
}
