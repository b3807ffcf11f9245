//! Agents: what one is, and its life.
//!
//! ```text
//!            ShimUp, seeded        lease
//!  Starting ───────► Idle ◄──────────────────► Busy ── pause --drain ──► Draining
//!     │  ▲             │ pause                  │ ▲ │ pause                 │ task ends
//!     │  │             │                    ask ▼ │ │                       │
//!     │  │             │                    Waiting │                       │
//!     │  │ until       └────────► Paused ◄──────┴───┴───────────────────────┘
//!     ▼  │                          │ resume: back to Idle, Busy or Waiting
//!  Backoff ── N failures in a window ──► Quarantined ── restart ──► Starting
//!  any of them ── terminate, restart, stop ──► Stopping ──► Terminated | Starting(n+1)
//! ```
//!
//! An agent of an `exec` profile is alive when its shim is up; a task's exit code never concerns its
//! restart. Not for: which task it gets (`delegate`), how its processes are made (the daemon's hands).

pub(crate) mod crash;
pub(crate) mod gone;
pub mod life;
pub mod pause;
mod prompt;
pub mod remove;
pub mod restart;
pub mod resume;
pub mod scale;
pub mod spawn;
pub mod terminate;
pub mod update;

pub use prompt::prompt_place;
pub use remove::Keep;
pub use spawn::SpawnAgent;
pub use update::AgentChange;

use crate::ids::{AgentId, Capabilities, Nonce, RunId, TaskId, Uid};
use crate::secret::SecretUse;
use crate::task::QuestionKind;
use crate::time::{Millis, Time};
use crate::workspace::{Disk, Seed, Seeded};
use serde::{Deserialize, Serialize};

/// A supervised worker owned by one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Whose it is.
    pub owner: Uid,
    /// When it was spawned.
    pub created_at: Time,
    /// What was asked for; never changes.
    pub spec: AgentSpec,
    /// The number of its present life, from 1; fences news of older ones.
    pub incarnation: u32,
    /// Known to daemon and shim of this incarnation alone.
    pub nonce: Nonce,
    /// The number of the next attempt within this incarnation, from 1.
    pub next_serial: u32,
    /// What it is doing.
    pub life: AgentLife,
    /// Recent unexpected ends of its shim, within the quarantine window.
    pub crashes: Vec<Time>,
    /// Tasks that succeeded on it.
    pub succeeded: u64,
    /// Attempts that ended otherwise.
    pub failed: u64,
    /// The last thing that went wrong with its shim or with the removal of what it left, for people.
    pub trouble: Option<String>,
    /// What its owner wants of it, also across incarnations.
    pub wish: Wish,
    /// The run for which it stands still, when nobody wants that of the agent itself.
    pub frozen_for: Option<RunId>,
    /// Hash of the request that made it, 0 for none: a repeated request is the same agent.
    pub request: u64,
    /// How far the seeding of its workspace has come.
    pub seeded: Seeded,
    /// What is known of the room that its workspace takes.
    pub disk: Disk,
}

/// What the owner wants of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Work.
    Run,
    /// Standstill.
    Pause,
    /// The end, when its task has ended.
    End,
}

/// What was asked for at the spawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Unique per owner among agents that are not terminated.
    pub name: String,
    /// The profile's name.
    pub profile: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Whether a dead shim is started again.
    pub restart: RestartPolicy,
    /// Upper limits of the whole tree.
    pub limits: AgentLimits,
    /// Idle timeout of tasks that name none.
    pub idle_timeout: Option<Millis>,
    /// The group it belongs to, by the name that its members' names begin with.
    pub group: Option<String>,
    /// When it ends without being asked.
    pub stay: Stay,
    /// How long workspace and logs are kept after its end; `None`: as configured.
    pub retention: Option<Millis>,
    /// The part that only the hands read.
    pub recipe: Recipe,
    /// Secrets that each of its attempts is given.
    pub secrets: Vec<SecretUse>,
    /// What its workspace is filled with first.
    pub seed: Option<Seed>,
    /// How much its workspace may take on the disk before a next attempt; `None`: as much as there is.
    pub disk_bytes: Option<u64>,
}

/// How long an agent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stay {
    /// Until it is terminated.
    #[default]
    Terminated,
    /// Until this task, which it was made for, has ended.
    Task(TaskId),
    /// As long as the pool of its profile needs it.
    Pool,
}

/// How attempts are made: carried for the hands, never looked into here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The argv of a prompt task, may hold `{{ prompt }}`.
    pub command: Vec<String>,
    /// How the prompt reaches the program: `stdin`, `argv` or `file`.
    pub prompt: String,
    /// `workspace` or `user`.
    pub home: String,
    /// `user`.
    pub sandbox: String,
    /// `text`, `json[:PATH]`, `jsonl[:PATH]`, `file`.
    pub result: String,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// The caller's PATH at the spawn.
    pub path: String,
    /// The caller's LANG at the spawn.
    pub lang: String,
    /// How its tree is held together: `cgroup-v2`, `cgroup-v1`, `none`.
    pub backend: String,
    /// Absolute path of the workspace.
    pub workspace: String,
    /// What standard input is after the prompt: `closed` or `open`.
    pub stdin: String,
    /// Where in its output a program says what it cost in US dollars: `json:PATH`, `jsonl:PATH`; empty: nowhere.
    pub usage: String,
    /// Where it says how many tokens models used: places whose numbers are added up.
    pub tokens: Vec<String>,
}

impl Recipe {
    /// Whether words reach every program of the agent while it runs.
    #[must_use]
    pub fn keeps_stdin_open(&self) -> bool {
        self.stdin == "open"
    }
}

/// Upper limits of one agent's tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLimits {
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Thousandths of one core.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Bytes a second from the disk of the workspaces.
    pub io_read_bytes: Option<u64>,
    /// Bytes a second to it.
    pub io_write_bytes: Option<u64>,
}

/// Whether a dead shim is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// It stays terminated.
    Never,
    /// Started again after an end that nobody asked for, and after a restart of the machine.
    #[default]
    OnFailure,
    /// Started again after every end but `terminate`.
    Always,
}

/// The attempt an agent works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Of which task.
    pub task: TaskId,
    /// The number of the attempt within the incarnation.
    pub serial: u32,
}

/// What an agent is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentLife {
    /// Its shim is being started.
    Starting {
        /// Since when.
        since: Time,
    },
    /// It waits for a task.
    Idle {
        /// Since when; the longest idle is asked first.
        since: Time,
    },
    /// It works.
    Busy {
        /// Since when.
        since: Time,
        /// On what.
        work: Work,
    },
    /// It is paused when the running task has ended.
    Draining {
        /// Since when.
        since: Time,
        /// On what it still works.
        work: Work,
    },
    /// It stands still.
    Paused {
        /// Since when.
        since: Time,
        /// Whether the tree is known to stand.
        freeze: Freeze,
        /// The frozen attempt, if any.
        work: Option<Work>,
    },
    /// Its shim ended unexpectedly; the next one is started later.
    Backoff {
        /// Since when.
        since: Time,
        /// When.
        until: Time,
    },
    /// Its shims ended too often; `agent restart` lifts this.
    Quarantined {
        /// Since when.
        since: Time,
    },
    /// Its tree is being ended.
    Stopping {
        /// Since when.
        since: Time,
        /// When the kill comes, also after a restart of the daemon.
        kill_at: Time,
        /// What comes after.
        then: AfterStop,
        /// What it worked on.
        work: Option<Work>,
    },
    /// It is over.
    Terminated {
        /// Since when.
        since: Time,
        /// Why.
        cause: Cause,
        /// What became of its leftovers.
        leftovers: Leftovers,
    },
    /// Its running task asked a person something.
    Waiting {
        /// Since when.
        since: Time,
        /// On what it works.
        work: Work,
        /// What it waits for.
        reason: QuestionKind,
    },
    /// Its shim is up and fills its workspace.
    Seeding {
        /// Since when.
        since: Time,
        /// The number of the seeding within the incarnation.
        serial: u32,
        /// When it is stopped; `None` once that was ordered.
        deadline: Option<Time>,
    },
}

/// Whether a paused tree is known to stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freeze {
    /// It was asked for.
    Asked,
    /// The shim said so.
    Done,
}

/// What comes after the end of an incarnation that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterStop {
    /// Nothing.
    Terminate,
    /// The next incarnation, at once.
    Restart,
    /// The next incarnation, at the next start of the daemon.
    Rest,
}

/// Why an agent is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Its shim ended, and its restart policy says to leave it.
    Policy,
    /// Its workspace could not be seeded.
    Seed,
}

/// What became of workspace, logs and folders of a terminated agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// They are kept until the retention ends.
    Kept,
    /// Their removal was ordered.
    Removing,
    /// The removal of all but the workspace was ordered.
    Sparing,
    /// The removal of the workspace alone was ordered.
    Clearing,
    /// The workspace is gone; logs and record are kept until the retention ends.
    Bare,
}

impl AgentLife {
    /// The state's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting { .. } | Self::Seeding { .. } => "starting",
            Self::Idle { .. } => "idle",
            Self::Busy { .. } => "busy",
            Self::Waiting { .. } => "waiting",
            Self::Draining { .. } => "draining",
            Self::Paused { .. } => "paused",
            Self::Backoff { .. } => "backoff",
            Self::Quarantined { .. } => "quarantined",
            Self::Stopping { .. } => "stopping",
            Self::Terminated { .. } => "terminated",
        }
    }

    /// When this state was entered.
    #[must_use]
    pub const fn since(&self) -> Time {
        match self {
            Self::Starting { since }
            | Self::Seeding { since, .. }
            | Self::Idle { since }
            | Self::Busy { since, .. }
            | Self::Waiting { since, .. }
            | Self::Draining { since, .. }
            | Self::Paused { since, .. }
            | Self::Backoff { since, .. }
            | Self::Quarantined { since }
            | Self::Stopping { since, .. }
            | Self::Terminated { since, .. } => *since,
        }
    }

    /// The attempt that it holds a lease for.
    #[must_use]
    pub const fn work(&self) -> Option<Work> {
        match self {
            Self::Busy { work, .. } | Self::Waiting { work, .. } | Self::Draining { work, .. } => Some(*work),
            Self::Paused { work, .. } | Self::Stopping { work, .. } => *work,
            Self::Starting { .. }
            | Self::Seeding { .. }
            | Self::Idle { .. }
            | Self::Backoff { .. }
            | Self::Quarantined { .. }
            | Self::Terminated { .. } => None,
        }
    }

    /// Whether a shim of the present incarnation should be up or coming up.
    #[must_use]
    pub const fn wants_shim(&self) -> bool {
        match self {
            Self::Starting { .. }
            | Self::Seeding { .. }
            | Self::Idle { .. }
            | Self::Busy { .. }
            | Self::Waiting { .. }
            | Self::Draining { .. }
            | Self::Paused { .. }
            | Self::Stopping { .. } => true,
            Self::Backoff { .. } | Self::Quarantined { .. } | Self::Terminated { .. } => false,
        }
    }
}

impl Agent {
    /// For a run stands still only who stands still.
    pub(crate) fn forget_run_unless_paused(&mut self) {
        if !matches!(self.life, AgentLife::Paused { .. }) {
            self.frozen_for = None;
        }
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.life, AgentLife::Terminated { .. })
    }

    /// Whether it is over or will be.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(
            self.life,
            AgentLife::Terminated { .. } | AgentLife::Stopping { then: AfterStop::Terminate, .. }
        )
    }

    /// The task that it was made for, if it ends with one.
    #[must_use]
    pub const fn errand(&self) -> Option<TaskId> {
        match self.spec.stay {
            Stay::Task(task) => Some(task),
            Stay::Terminated | Stay::Pool => None,
        }
    }

    /// What became of what it left; `None` while it lives.
    #[must_use]
    pub const fn leftovers(&self) -> Option<Leftovers> {
        if let AgentLife::Terminated { leftovers, .. } = self.life { Some(leftovers) } else { None }
    }

    /// The instant at which time alone changes its life; `retention` is the one configured.
    #[must_use]
    pub fn due(&self, retention: Millis) -> Option<Time> {
        match &self.life {
            AgentLife::Backoff { until, .. } => Some(*until),
            AgentLife::Seeding { deadline, .. } => *deadline,
            AgentLife::Terminated { since, leftovers: Leftovers::Kept | Leftovers::Bare, .. } => {
                Some(since.plus(self.spec.retention.unwrap_or(retention)))
            }
            AgentLife::Starting { .. }
            | AgentLife::Idle { .. }
            | AgentLife::Busy { .. }
            | AgentLife::Waiting { .. }
            | AgentLife::Draining { .. }
            | AgentLife::Paused { .. }
            | AgentLife::Quarantined { .. }
            | AgentLife::Stopping { .. }
            | AgentLife::Terminated {
                leftovers: Leftovers::Removing | Leftovers::Sparing | Leftovers::Clearing,
                ..
            } => None,
        }
    }
}

/// The agent that `text` names, if this caller may manage it.
pub(crate) fn manage<'a>(
    state: &'a crate::State,
    caller: crate::Caller,
    text: &str,
    what: &'static str,
) -> Result<&'a Agent, crate::Reject> {
    let agent = state.find_agent(caller, text)?;
    match caller.rights {
        crate::Rights::Admin | crate::Rights::User => Ok(agent),
        crate::Rights::Agent(_) => Err(crate::Reject::NotPermitted { who: caller.actor().to_string(), what }),
    }
}

pub(crate) fn wrong_state(id: AgentId, life: &AgentLife, verb: &'static str) -> crate::Reject {
    crate::Reject::AgentState { agent: id.to_string(), state: life.word(), verb }
}
