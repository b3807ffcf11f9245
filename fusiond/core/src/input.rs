//! What comes in: commands, which may be refused, and outcomes, which may not.
//!
//! Not for: what an input does; each has a file of its own in its room.

use crate::agent::{AgentChange, Keep, SpawnAgent};
use crate::failure::Failure;
use crate::ids::{AgentId, RunId, TaskId, Uid};
use crate::pool::AllPools;
use crate::profile::ProfileText;
use crate::secret::SetSecret;
use crate::state::Config;
use crate::task::{Answer, AskTask, Exit, Resolution, RunTask, SubmitTask, Task, UpdateTask};
use crate::time::{Millis, Time};
use crate::workflow::{ApplyWorkflow, ApproveNode, EditRun, Output, Place, Prepared, Run, StartRun};
use crate::workspace::Removal;
use crate::workspace::quota::Found;
use serde::{Deserialize, Serialize};

/// Everything that can happen to the state.
#[derive(Clone, Debug)]
pub enum Input {
    /// The daemon has started: plan the difference between what is wanted and what is seen.
    Boot {
        /// The number of this start; higher than every one before.
        epoch: u64,
    },
    /// New settings are in force.
    Configure(Box<Config>),
    /// Other profiles are in force: these are their pools.
    SetPools(Box<AllPools>),
    /// Somebody asks for something.
    Command {
        /// Who, proven by the kernel.
        caller: Caller,
        /// What.
        command: Command,
    },
    /// Something happened in the world.
    Outcome(Outcome),
    /// What a place of a run will be ([`crate::workflow::Want::Prepare`]).
    Prepared {
        /// The run.
        run: RunId,
        /// The node, and the item of it.
        place: Place,
        /// The number of the order.
        ticket: u64,
        /// What.
        what: Box<Prepared>,
    },
    /// The result of a node's task was looked at ([`crate::workflow::Want::Collect`]).
    Collected {
        /// The run.
        run: RunId,
        /// The node, and the item of it.
        place: Place,
        /// The task.
        task: TaskId,
        /// Where it is kept, or why it is not what it should be.
        what: Result<Output, Failure>,
    },
    /// The instant of [`crate::wake::next_wake`] has come.
    Tick,
}

/// Who caused something; every event names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// The daemon itself: a timer, a policy, an outcome.
    Daemon,
    /// A Unix user.
    User(Uid),
    /// An agent, through its own socket or from its own cgroup.
    Agent(AgentId),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Daemon => f.write_str("fusiond"),
            Self::User(uid) => write!(f, "user:{}", uid.0),
            Self::Agent(id) => write!(f, "agent:{id}"),
        }
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Manages everything.
    Admin,
    /// Sees and manages what it owns.
    User,
    /// An agent: its own task and what that task submitted.
    Agent(AgentId),
}

/// A proven caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The uid of the peer; for an agent, of its owner.
    pub uid: Uid,
    /// What it may do.
    pub rights: Rights,
}

impl Caller {
    /// As named in events.
    #[must_use]
    pub fn actor(self) -> Actor {
        match self.rights {
            Rights::Admin | Rights::User => Actor::User(self.uid),
            Rights::Agent(id) => Actor::Agent(id),
        }
    }
}

/// How `pause` treats a running task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseHow {
    /// Stops the whole tree where it is.
    Freeze,
    /// Lets the running task end first.
    Drain,
}

/// Whether new attempts may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intake {
    /// As usual.
    Open,
    /// Running attempts go on, no new one begins (`system drain`).
    Closed,
}

/// What somebody asks for. References are texts: a full id, a unique part of one, or a name.
#[derive(Clone, Debug)]
pub enum Command {
    /// `agent spawn`.
    SpawnAgent(Box<SpawnAgent>),
    /// `agent spawn --replicas`.
    SpawnGroup {
        /// What they are; its name is the group's.
        agent: Box<SpawnAgent>,
        /// How many.
        replicas: u32,
    },
    /// `agent scale`.
    ScaleAgents {
        /// Which group, by the name that its members' names begin with.
        group: String,
        /// How many there should be.
        count: u32,
    },
    /// `agent update`.
    UpdateAgent {
        /// Which.
        agent: String,
        /// What.
        change: Box<AgentChange>,
    },
    /// `agent pause`.
    PauseAgent {
        /// Which.
        agent: String,
        /// Freeze or drain.
        how: PauseHow,
    },
    /// `agent resume`.
    ResumeAgent {
        /// Which.
        agent: String,
    },
    /// `agent restart`.
    RestartAgent {
        /// Which.
        agent: String,
    },
    /// `agent terminate`.
    TerminateAgent {
        /// Which.
        agent: String,
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
    /// `agent remove`.
    RemoveAgent {
        /// Which.
        agent: String,
        /// What of it stays.
        keep: Keep,
    },
    /// `workspace remove`.
    RemoveWorkspace {
        /// Whose.
        agent: String,
    },
    /// `task submit`.
    SubmitTask(Box<SubmitTask>),
    /// `run`.
    RunTask(Box<RunTask>),
    /// `task cancel`.
    CancelTask {
        /// Which.
        task: String,
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
    /// `task retry`.
    RetryTask {
        /// Which.
        task: String,
        /// The task as it is stored, with its attempts, when it ended and left the memory.
        recalled: Option<Box<Task>>,
    },
    /// `task resolve`.
    ResolveTask {
        /// Which.
        task: String,
        /// How.
        resolution: Resolution,
    },
    /// `task ask`, by the agent that works on the task.
    AskTask(AskTask),
    /// Whoever asked under this request has gone.
    WithdrawQuestion {
        /// Hash of the request id.
        request: u64,
    },
    /// `task answer`, `task approve`.
    AnswerTask {
        /// Which.
        task: String,
        /// What.
        answer: Answer,
    },
    /// `task hold`.
    HoldTask {
        /// Which.
        task: String,
    },
    /// `task release`.
    ReleaseTask {
        /// Which.
        task: String,
    },
    /// `task update`.
    UpdateTask(Box<UpdateTask>),
    /// `secret set`.
    SetSecret(SetSecret),
    /// `secret remove`.
    RemoveSecret {
        /// Whose.
        owner: Uid,
        /// Which.
        name: String,
    },
    /// `profile apply`.
    ApplyProfiles {
        /// Whose.
        owner: Uid,
        /// Names and texts.
        profiles: Vec<ProfileText>,
    },
    /// `profile apply --remove`.
    RemoveProfile {
        /// Whose.
        owner: Uid,
        /// Which.
        name: String,
    },
    /// `workflow apply`.
    ApplyWorkflow(ApplyWorkflow),
    /// `workflow run`.
    StartRun(Box<StartRun>),
    /// `workflow pause`.
    PauseRun {
        /// Which.
        run: String,
        /// Freeze or drain.
        how: PauseHow,
    },
    /// `workflow resume`.
    ResumeRun {
        /// Which.
        run: String,
    },
    /// `workflow cancel`.
    CancelRun {
        /// Which.
        run: String,
    },
    /// `workflow approve`.
    ApproveNode(ApproveNode),
    /// `workflow rerun`.
    RerunRun {
        /// Which.
        run: String,
        /// The node to begin with; empty: whatever did not go well.
        from: String,
        /// The run as it is stored, when it ended and left the memory.
        recalled: Option<Box<Run>>,
    },
    /// `workflow edit`.
    EditRun(Box<EditRun>),
    /// `system drain`.
    SetIntake(Intake),
    /// `system shutdown --agents stop`: ends every incarnation; agents start again at the next boot.
    StopAll {
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
}

/// What a hand saw in the world. All name the incarnation: news of an older one is recorded and
/// ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The shim of an incarnation answers, new or adopted.
    ShimUp {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The highest attempt it ever started.
        highest_started: u32,
        /// The attempt that runs now, and since when.
        running: Option<(u32, Time)>,
        /// Ends of attempts that were not acknowledged yet.
        exits: Vec<(u32, Exit)>,
        /// Whether the tree stands still.
        frozen: bool,
    },
    /// No shim could be started.
    ShimFailed {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// One sentence.
        reason: String,
    },
    /// The shim of an incarnation is gone, and so is every process of it.
    ShimGone {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// What it left behind.
        witness: Witness,
    },
    /// The program of an attempt runs.
    AttemptStarted {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt of it.
        serial: u32,
        /// When, by the shim's clock.
        at: Time,
    },
    /// The shim declined a start: it never ran.
    AttemptRefused {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt of it.
        serial: u32,
        /// One sentence.
        reason: String,
    },
    /// The shim declined a start because it began that attempt once; it does not run, and there is no record of its end.
    AttemptForgotten {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt of it.
        serial: u32,
    },
    /// An attempt has ended and nothing of it is left.
    AttemptExited {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt of it.
        serial: u32,
        /// How.
        exit: Exit,
    },
    /// The whole tree stands still.
    Frozen {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// The answer to [`crate::Effect::Observe`].
    Observed {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt; `None` when none runs.
        serial: Option<u32>,
        /// How long ago it last wrote something.
        quiet: Millis,
        /// Processor time of the tree so far.
        cpu: Millis,
    },
    /// A workspace was counted, for [`crate::Effect::Measure`] or because somebody asked.
    WorkspaceMeasured {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the next attempt when the count began.
        serial: u32,
        /// How much.
        found: Found,
    },
    /// What an agent left is gone, as far as was ordered.
    WorkspaceRemoved {
        /// Whose.
        agent: AgentId,
        /// How much.
        what: Removal,
    },
    /// It could not be removed.
    WorkspaceKept {
        /// Whose.
        agent: AgentId,
        /// How much should have been.
        what: Removal,
        /// One sentence.
        reason: String,
    },
}

/// What is known of the attempts of a dead shim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// Ends that were recorded.
    pub exits: Vec<(u32, Exit)>,
    /// Attempts that were started, by their records in the run folder.
    pub started: Vec<u32>,
    /// Whether the machine was booted since: then an absent record proves nothing.
    pub rebooted: bool,
    /// Whether the end was asked for, by the daemon or by somebody past it.
    pub stopped: bool,
}
