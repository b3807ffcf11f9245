//! Refusals: a command that was not carried out, and why. Each has a stable code with a page in
//! `docs/reference/errors/`.
//!
//! Not for: failures of attempts ([`crate::failure`]) and bugs (a panic that restarts the daemon).

use thiserror::Error;

/// The class of a refusal; decides gRPC status and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request itself makes no sense.
    Invalid,
    /// What it names does not exist, or not for this caller.
    NotFound,
    /// Not in this state.
    State,
    /// Not for this caller.
    Permission,
    /// A limit is reached.
    Limit,
    /// Something of the same name exists.
    Exists,
    /// The machine cannot do it now.
    Unavailable,
}

/// A refused command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(
    missing_docs,
    reason = "each variant's message is its description, and its fields are the words in it"
)]
pub enum Reject {
    #[error("no agent \"{agent}\"")]
    AgentNotFound { agent: String },
    #[error("no task \"{task}\"")]
    TaskNotFound { task: String },
    #[error("\"{part}\" names {count} {kind}s")]
    AmbiguousId { kind: &'static str, part: String, count: usize },
    #[error("{what} is not permitted to {who}")]
    NotPermitted { who: String, what: &'static str },
    #[error("the name \"{name}\" is taken by agent {agent}")]
    NameTaken { name: String, agent: String },
    #[error("\"{name}\" is not a name for an agent")]
    NameInvalid { name: String },
    #[error("the limit of {limit} agents is reached")]
    AgentLimit { limit: u32 },
    #[error("the limit of {limit} agents for {user} is reached")]
    UserAgentLimit { limit: u32, user: String },
    #[error("the limit of {limit} unfinished tasks for {user} is reached")]
    QueueFull { limit: u32, user: String },
    #[error("a task may submit at most {limit} tasks that have not ended")]
    SubtaskLimit { limit: u32 },
    #[error("agents of root are switched off")]
    RootAgents,
    #[error("priority {priority} is out of range")]
    PriorityInvalid { priority: u32 },
    #[error("\"{name}\" is not a capability")]
    CapabilityInvalid { name: String },
    #[error("{count} capabilities are too many")]
    CapabilityLimit { count: usize },
    #[error("label \"{label}\" is not valid")]
    LabelInvalid { label: String },
    #[error("{count} labels are too many")]
    LabelLimit { count: usize },
    #[error("key \"{key}\" is not valid")]
    KeyInvalid { key: String },
    #[error("key \"{key}\" belongs to task {task}, which asks for something else")]
    KeyConflict { key: String, task: String },
    #[error("{count} dependencies are too many")]
    DependencyLimit { count: usize },
    #[error("agent {agent} is {state}: it cannot be {verb}")]
    AgentState { agent: String, state: &'static str, verb: &'static str },
    #[error("task {task} is {state}: it cannot be {verb}")]
    TaskState { task: String, state: &'static str, verb: &'static str },
    #[error("task {task} has ended without success: nothing can come after it")]
    DependencyEnded { task: String },
    #[error("task {task} asks something already")]
    QuestionOpen { task: String },
    #[error("task {task} asks for {kind}")]
    QuestionKind { task: String, kind: &'static str },
    #[error("{retries} retries are too many")]
    RetryLimit { retries: u32 },
    // Below: refused at the door, before the core is asked.
    #[error("no profile \"{profile}\"")]
    ProfileNotFound { profile: String, nearest: Option<String> },
    #[error("profile \"{profile}\" needs a command")]
    CommandMissing { profile: String },
    #[error("profile \"{profile}\" takes no command")]
    CommandUnexpected { profile: String },
    #[error("profile \"{profile}\" is of kind \"{kind}\", which this version does not run")]
    ProfileKind { profile: String, kind: String },
    #[error("sandbox \"{sandbox}\" cannot be enforced here")]
    SandboxUnavailable { sandbox: String },
    #[error("a limit on {limit} cannot be enforced here")]
    LimitUnenforceable { limit: &'static str },
    #[error("{what} of {bytes} bytes is larger than {limit}")]
    TooLarge { what: &'static str, bytes: usize, limit: usize },
    #[error("{what} holds a NUL byte")]
    NulByte { what: String },
    #[error("{field} is missing")]
    FieldMissing { field: &'static str },
    #[error("{field} \"{value}\" is not valid: {expected}")]
    FieldInvalid { field: &'static str, value: String, expected: &'static str },
    #[error("no user \"{user}\" on this machine")]
    UserNotFound { user: String },
    #[error("user \"{user}\" cannot own agents: {reason}")]
    UserUnfit { user: String, reason: String },
    #[error("the daemon is stopping")]
    Stopping,
    #[error("there is no room on the disk of the state")]
    NoSpace,
    #[error("agent {agent} did not come up: {reason}")]
    SpawnFailed { agent: String, reason: String },
    #[error("no logs of task {task} are left")]
    LogsGone { task: String },
    #[error("task {task} has no result: it is {state}")]
    NoResult { task: String, state: &'static str },
    #[error("the caller cannot be identified: {reason}")]
    CallerUnknown { reason: String },
}

impl Reject {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AgentNotFound { .. } => "agent_not_found",
            Self::TaskNotFound { .. } => "task_not_found",
            Self::AmbiguousId { .. } => "ambiguous_id",
            Self::NotPermitted { .. } => "not_permitted",
            Self::NameTaken { .. } => "name_taken",
            Self::NameInvalid { .. } => "name_invalid",
            Self::AgentLimit { .. } => "agent_limit",
            Self::UserAgentLimit { .. } => "user_agent_limit",
            Self::QueueFull { .. } => "queue_full",
            Self::SubtaskLimit { .. } => "subtask_limit",
            Self::RootAgents => "root_agents",
            Self::PriorityInvalid { .. } => "priority_invalid",
            Self::CapabilityInvalid { .. } => "capability_invalid",
            Self::CapabilityLimit { .. } => "capability_limit",
            Self::LabelInvalid { .. } => "label_invalid",
            Self::LabelLimit { .. } => "label_limit",
            Self::KeyInvalid { .. } => "key_invalid",
            Self::KeyConflict { .. } => "key_conflict",
            Self::DependencyLimit { .. } => "dependency_limit",
            Self::AgentState { .. } => "agent_state",
            Self::TaskState { .. } => "task_state",
            Self::DependencyEnded { .. } => "dependency_ended",
            Self::QuestionOpen { .. } => "question_open",
            Self::QuestionKind { .. } => "question_kind",
            Self::RetryLimit { .. } => "retry_limit",
            Self::ProfileNotFound { .. } => "profile_not_found",
            Self::CommandMissing { .. } => "command_missing",
            Self::CommandUnexpected { .. } => "command_unexpected",
            Self::ProfileKind { .. } => "profile_kind",
            Self::SandboxUnavailable { .. } => "sandbox_unavailable",
            Self::LimitUnenforceable { .. } => "limit_unenforceable",
            Self::TooLarge { .. } => "too_large",
            Self::NulByte { .. } => "nul_byte",
            Self::FieldMissing { .. } => "field_missing",
            Self::FieldInvalid { .. } => "field_invalid",
            Self::UserNotFound { .. } => "user_not_found",
            Self::UserUnfit { .. } => "user_unfit",
            Self::Stopping => "stopping",
            Self::NoSpace => "no_space",
            Self::SpawnFailed { .. } => "spawn_failed",
            Self::LogsGone { .. } => "logs_gone",
            Self::NoResult { .. } => "no_result",
            Self::CallerUnknown { .. } => "caller_unknown",
        }
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::AgentNotFound { .. }
            | Self::TaskNotFound { .. }
            | Self::ProfileNotFound { .. }
            | Self::UserNotFound { .. }
            | Self::LogsGone { .. } => Class::NotFound,
            Self::NotPermitted { .. }
            | Self::RootAgents
            | Self::UserUnfit { .. }
            | Self::CallerUnknown { .. } => Class::Permission,
            Self::NameTaken { .. } | Self::KeyConflict { .. } => Class::Exists,
            Self::AgentLimit { .. }
            | Self::UserAgentLimit { .. }
            | Self::QueueFull { .. }
            | Self::SubtaskLimit { .. }
            | Self::NoSpace => Class::Limit,
            Self::AgentState { .. }
            | Self::TaskState { .. }
            | Self::DependencyEnded { .. }
            | Self::QuestionOpen { .. }
            | Self::QuestionKind { .. }
            | Self::SandboxUnavailable { .. }
            | Self::LimitUnenforceable { .. }
            | Self::SpawnFailed { .. }
            | Self::NoResult { .. } => Class::State,
            Self::Stopping => Class::Unavailable,
            Self::AmbiguousId { .. }
            | Self::NameInvalid { .. }
            | Self::PriorityInvalid { .. }
            | Self::CapabilityInvalid { .. }
            | Self::CapabilityLimit { .. }
            | Self::LabelInvalid { .. }
            | Self::LabelLimit { .. }
            | Self::KeyInvalid { .. }
            | Self::DependencyLimit { .. }
            | Self::RetryLimit { .. }
            | Self::CommandMissing { .. }
            | Self::CommandUnexpected { .. }
            | Self::ProfileKind { .. }
            | Self::TooLarge { .. }
            | Self::NulByte { .. }
            | Self::FieldMissing { .. }
            | Self::FieldInvalid { .. } => Class::Invalid,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::AgentNotFound { .. } => "`fusionctl agent list --all` shows yours".into(),
            Self::TaskNotFound { .. } => "`fusionctl task list` shows yours".into(),
            Self::AmbiguousId { .. } => "give more characters of the id".into(),
            Self::NotPermitted { .. } => "ask an admin: root or a member of the group fusion-admin".into(),
            Self::NameTaken { .. } => "choose another name, or terminate that agent first".into(),
            Self::NameInvalid { .. } => {
                "use 1 to 63 of a-z, A-Z, 0-9, '.', '_', '-', beginning with a letter or digit, not with agt_"
                    .into()
            }
            Self::AgentLimit { .. } => "terminate agents, or raise limits.max_concurrent_agents".into(),
            Self::UserAgentLimit { .. } => {
                "terminate agents, or raise limits.per_user.max_concurrent_agents".into()
            }
            Self::QueueFull { .. } => {
                "wait for tasks to end, or raise limits.per_user.max_queued_tasks".into()
            }
            Self::SubtaskLimit { .. } => "wait for some of them first".into(),
            Self::RootAgents => "run as another user, or set allow_root_agents = true".into(),
            Self::PriorityInvalid { .. } => "use 0 to 9; 9 comes first, 5 is the default".into(),
            Self::CapabilityInvalid { .. } => {
                "use 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-', ':', '/', '+'".into()
            }
            Self::CapabilityLimit { .. } | Self::LabelLimit { .. } => "use at most 64".into(),
            Self::LabelInvalid { .. } => {
                "use KEY=VALUE: a key of 1 to 63 characters without spaces, a value of at most 255".into()
            }
            Self::KeyInvalid { .. } => "use 1 to 255 characters without control characters".into(),
            Self::KeyConflict { .. } => "use a new key for new work".into(),
            Self::DependencyLimit { .. } => {
                "use at most 1000; put a task in between that gathers them".into()
            }
            Self::AgentState { agent: id, .. } | Self::TaskState { task: id, .. } => {
                format!("`fusionctl why {id}` tells what it waits for")
            }
            Self::DependencyEnded { .. } => "retry that task first, or leave it out of `after`".into(),
            Self::QuestionOpen { .. } => "wait for the reply to that question first".into(),
            Self::QuestionKind { task, kind } => match *kind {
                "approval" => format!("`fusionctl task approve {task} [--reject]`"),
                _ => format!("`fusionctl task answer {task} TEXT`"),
            },
            Self::RetryLimit { .. } => "use at most 1000".into(),
            Self::ProfileNotFound { nearest, .. } => hint_profile(nearest.as_deref()),
            Self::CommandMissing { .. } => {
                "put it behind `--`, as in `fusionctl agent spawn --profile command -- wc -l`".into()
            }
            Self::CommandUnexpected { .. } => {
                "leave out what stands behind `--`, or use the profile `command`".into()
            }
            Self::ProfileKind { .. } => "use a profile of kind \"exec\"".into(),
            Self::SandboxUnavailable { .. } => {
                "`fusionctl system doctor` shows what this machine can enforce".into()
            }
            Self::LimitUnenforceable { .. } => {
                "`fusionctl system doctor` tells what is missing; or spawn without the limit".into()
            }
            Self::TooLarge { .. } => "put the bulk in a file that the agent reads".into(),
            Self::NulByte { .. } => "remove it: programs cannot be given NUL bytes".into(),
            Self::FieldMissing { .. } | Self::FieldInvalid { .. } => "see `fusionctl help`".into(),
            Self::UserNotFound { .. } => "use a login name of this machine".into(),
            Self::UserUnfit { .. } => "use another user".into(),
            Self::Stopping => "try again when it is up".into(),
            Self::NoSpace => "free some space; what was accepted before is safe".into(),
            Self::SpawnFailed { agent, .. } => {
                format!("`fusionctl why {agent}` tells more; it is tried again by its restart policy")
            }
            Self::LogsGone { .. } => "they are removed with the agent when its retention ends".into(),
            Self::NoResult { task, .. } => format!("`fusionctl task wait {task}` waits for its end"),
            Self::CallerUnknown { .. } => "connect to the socket directly".into(),
        }
    }
}

fn hint_profile(nearest: Option<&str>) -> String {
    let list = "`fusionctl profile list` shows those there are";
    nearest.map_or_else(|| list.to_owned(), |nearest| format!("is \"{nearest}\" meant? {list}"))
}
