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

/// Writes the enum and its tables from one list, so that a refusal is said in one place.
macro_rules! rejects {
    ($($name:ident $({ $($field:ident: $type:ty),* })?: $class:ident $code:literal $message:tt => $hint:expr;)*) => {
        /// A refused command.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        #[expect(
            missing_docs,
            reason = "each variant's message is its description, and its fields are the words in it"
        )]
        pub enum Reject {
            $(#[error($message)] $name $({ $($field: $type),* })?,)*
        }

        impl Reject {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$name { .. } => $code,)* }
            }

            /// The class.
            #[must_use]
            pub const fn class(&self) -> Class {
                match self { $(Self::$name { .. } => Class::$class,)* }
            }

            /// What to do about it.
            #[must_use]
            #[expect(unused_variables, reason = "few hints name every word of their refusal")]
            pub fn hint(&self) -> String {
                match self { $(Self::$name { $($($field),*)? } => String::from($hint),)* }
            }
        }
    };
}

// Name, words: class and code; the message; what to do about it.
rejects! {
    AgentNotFound { agent: String }: NotFound "agent_not_found"
        "no agent {agent:?}"
        => "`fusionctl agent list --all` shows yours";
    TaskNotFound { task: String }: NotFound "task_not_found"
        "no task {task:?}"
        => "`fusionctl task list` shows yours";
    SubjectNotFound { subject: String }: NotFound "subject_not_found"
        "no task, agent or run {subject:?}"
        => "`fusionctl task list` and `fusionctl agent list --all` show yours";
    AmbiguousId { kind: &'static str, part: String, count: usize }: Invalid "ambiguous_id"
        "\"{part}\" names {count} {kind}s"
        => "give more characters of the id";
    NotPermitted { who: String, what: &'static str }: Permission "not_permitted"
        "{what} is not permitted to {who}"
        => "ask an admin: root or a member of the group fusion-admin";
    AskedOutside: Permission "asked_outside"
        "only a program that works on a task can ask, and the task waits"
        => "call it in the program of a task, such as `fusionctl task submit 'fusionctl task ask TEXT'`";
    NameTaken { name: String, agent: String }: Exists "name_taken"
        "the name \"{name}\" is taken by agent {agent}"
        => "choose another name, or terminate that agent first";
    NameInvalid { name: String }: Invalid "name_invalid"
        "{name:?} is not a name for an agent"
        => "use 1 to 63 of a-z, A-Z, 0-9, '.', '_', '-', beginning with a letter or digit, not with agt_";
    AgentLimit { limit: u32 }: Limit "agent_limit"
        "the limit of {limit} agents is reached"
        => "terminate agents, or raise limits.max_concurrent_agents";
    UserAgentLimit { limit: u32, user: String }: Limit "user_agent_limit"
        "the limit of {limit} agents for {user} is reached"
        => "terminate agents, or raise limits.per_user.max_concurrent_agents";
    QueueFull { limit: u32, user: String }: Limit "queue_full"
        "the limit of {limit} unfinished tasks for {user} is reached"
        => "wait for tasks to end, or raise limits.per_user.max_queued_tasks";
    SubtaskLimit { limit: u32 }: Limit "subtask_limit"
        "a task may submit at most {limit} tasks that have not ended"
        => "wait for some of them first";
    RootAgents: Permission "root_agents"
        "agents of root are switched off"
        => "run as another user, or set allow_root_agents = true";
    PriorityInvalid { priority: u32 }: Invalid "priority_invalid"
        "priority {priority} is out of range"
        => "use 0 to 9; 9 comes first, 5 is the default";
    CapabilityInvalid { name: String }: Invalid "capability_invalid"
        "{name:?} is not a capability"
        => "use 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-', ':', '/', '+'";
    CapabilityLimit { count: usize }: Invalid "capability_limit"
        "{count} capabilities are too many"
        => "use at most 64";
    LabelInvalid { label: String }: Invalid "label_invalid"
        "label {label:?} is not valid"
        => "use KEY=VALUE: a key of 1 to 63 characters without spaces, a value of at most 255";
    LabelLimit { count: usize }: Invalid "label_limit"
        "{count} labels are too many"
        => "use at most 64";
    KeyInvalid { key: String }: Invalid "key_invalid"
        "key {key:?} is not valid"
        => "use 1 to 255 characters without control characters";
    KeyConflict { key: String, task: String }: Exists "key_conflict"
        "key {key:?} belongs to task {task}, which asks for something else"
        => "use a new key for new work";
    DependencyLimit { count: usize }: Invalid "dependency_limit"
        "{count} dependencies are too many"
        => "use at most 1000; put a task in between that gathers them";
    AgentState { agent: String, state: &'static str, verb: &'static str }: State "agent_state"
        "agent {agent} is {state}: it cannot be {verb}"
        => format!("`fusionctl why {agent}` tells what it waits for");
    AgentAlive { agent: String, state: &'static str }: State "agent_alive"
        "agent {agent} is {state}: only what a terminated agent left can be removed"
        => format!("end it first: `fusionctl agent terminate {agent}`");
    RemovalFailed { agent: String, reason: String }: State "removal_failed"
        "what agent {agent} left cannot be removed: {reason}"
        => "mend what the message names and ask again; what is left costs no more than its room";
    TaskState { task: String, state: &'static str, verb: &'static str }: State "task_state"
        "task {task} is {state}: it cannot be {verb}"
        => hint_task_state(task, state);
    DependencyEnded { task: String }: State "dependency_ended"
        "task {task} has ended without success: nothing can come after it"
        => "retry that task first, or leave it out of `after`";
    QuestionOpen { task: String }: State "question_open"
        "task {task} asks something already"
        => "wait for the reply to that question first";
    QuestionKind { task: String, kind: &'static str }: State "question_kind"
        "task {task} asks for {kind}"
        => match *kind {
            "approval" => format!("`fusionctl task approve {task} [--reject]`"),
            _ => format!("`fusionctl task answer {task} TEXT`"),
        };
    RetryLimit { retries: u32 }: Invalid "retry_limit"
        "{retries} retries are too many"
        => "use at most 1000";
    // Below: refused at the door, before the core is asked.
    ProfileLimit { count: usize, limit: usize }: Limit "profile_limit"
        "{count} profiles of one user are too many"
        => format!("keep at most {limit}: `fusionctl profile apply --remove NAME` forgets one");
    ProfileInvalid { file: String, problems: String }: Invalid "profile_invalid"
        "{file} is no file of profiles"
        => "docs/reference/profiles.md lists every key";
    ConfigInvalid { problems: String }: State "config_invalid"
        "the configuration has problems; what was in force stays in force"
        => "mend the file, see that `fusiond --check-config` is content, and reload again";
    ProfileNotFound { profile: String, nearest: Option<String> }: NotFound "profile_not_found"
        "no profile {profile:?}"
        => hint_profile(nearest.as_deref());
    CommandMissing { profile: String }: Invalid "command_missing"
        "profile \"{profile}\" needs a command"
        => "put it behind `--`, as in `fusionctl agent spawn --profile command -- wc -l`";
    CommandUnexpected { profile: String }: Invalid "command_unexpected"
        "profile \"{profile}\" takes no command"
        => "leave out what stands behind `--`, or use the profile `command`";
    ProfileKind { profile: String, kind: String }: Invalid "profile_kind"
        "profile \"{profile}\" is of kind \"{kind}\", which this version does not run"
        => "use a profile of kind \"exec\"";
    SandboxUnavailable { sandbox: String }: State "sandbox_unavailable"
        "sandbox \"{sandbox}\" cannot be enforced here"
        => "give `--sandbox user`: this version enforces that one alone";
    LimitUnenforceable { limit: &'static str }: State "limit_unenforceable"
        "a limit on {limit} cannot be enforced here"
        => "`fusionctl system doctor` tells what is missing; or spawn without the limit";
    LimitFixed { agent: String, limit: &'static str }: State "limit_fixed"
        "agent {agent} was started without a limit on {limit}, and cannot be put under one while it lives"
        => format!("spawn another one with --{limit}, then terminate this one");
    StdinClosed { agent: String, task: String }: State "stdin_closed"
        "task {task} on agent {agent} has no open standard input"
        => "submit tasks with --interactive, run them with `fusionctl run -i`, or use a profile with stdin = \"open\"";
    InputRefused { task: String, reason: &'static str }: State "input_refused"
        "task {task} does not take input: {reason}"
        => format!("`fusionctl task show {task}` tells how it stands");
    TooLarge { what: &'static str, bytes: usize, limit: usize }: Invalid "too_large"
        "{what} of {bytes} bytes is larger than {limit}"
        => "put the bulk in a file that the agent reads";
    NulByte { what: String }: Invalid "nul_byte"
        "{what} holds a NUL byte"
        => "remove it: programs cannot be given NUL bytes";
    FieldMissing { field: &'static str }: Invalid "field_missing"
        "{field} is missing"
        => format!("give the {field}; an empty one counts as none");
    FieldInvalid { field: &'static str, value: String, expected: &'static str }: Invalid "field_invalid"
        "{field} {value:?} is not valid"
        => format!("give {expected}");
    PatternInvalid { pattern: String, reason: String }: Invalid "pattern_invalid"
        "{pattern:?} is no regular expression that can be used: {reason}"
        => "write one of at most 4 KiB as docs.rs/regex has them; `\\(` is the character itself";
    UserNotFound { user: String }: NotFound "user_not_found"
        "no user {user:?} on this machine"
        => "use a login name of this machine";
    UserUnfit { user: String, reason: String }: Permission "user_unfit"
        "user \"{user}\" cannot own agents: {reason}"
        => "use another user";
    Stopping: Unavailable "stopping"
        "the daemon is stopping"
        => "try again when it is up";
    NoSpace: Limit "no_space"
        "there is no room on the disk of the state"
        => "free some space; what was accepted before is safe";
    SpawnFailed { agent: String, reason: String }: State "spawn_failed"
        "agent {agent} did not come up: {reason}"
        => format!("`fusionctl why {agent}` tells more; it is tried again by its restart policy");
    SeedFailed { agent: String, reason: String }: State "seed_failed"
        "agent {agent} did not come up: {reason}"
        => "mend what the message names and spawn it again: its name is free";
    WorkspaceGone { agent: String }: NotFound "workspace_gone"
        "the workspace of agent {agent} is gone"
        => "`fusionctl workspace list` shows those there are";
    WorkspaceUnreadable { agent: String, reason: String }: State "workspace_unreadable"
        "the workspace of agent {agent} cannot be looked into: {reason}"
        => "mend what the message names and ask again";
    LogsGone { task: String }: NotFound "logs_gone"
        "no logs of task {task} are left"
        => "they are removed with the agent when its retention ends";
    StoreUnreadable { what: &'static str }: Unavailable "store_unreadable"
        "{what} could not be read from the store"
        => "the daemon's log has the cause; a start of the daemon builds a damaged database anew";
    ResultIncomplete { task: String, left: u64, bytes: u64 }: State "result_incomplete"
        "only {left} of the {bytes} bytes of the result of {task} are left"
        => format!("`fusionctl task result {task}` prints them");
    NoResult { task: String, state: &'static str }: State "no_result"
        "task {task} has no result: it is {state}"
        => match *state {
            "failed" | "cancelled" | "timed_out" => format!("`fusionctl why {task}` tells why"),
            _ => format!("`fusionctl task wait {task}` waits for its end"),
        };
    InputNotFound { input: String }: NotFound "input_not_found"
        "no stored prompt {input:?}"
        => "send it again: one that no task names is kept for an hour";
    SecretNotFound { name: String }: NotFound "secret_not_found"
        "no secret {name:?}"
        => format!("`fusionctl secret list` shows yours; `fusionctl secret set {name}` makes it");
    SecretLimit { limit: usize, user: String }: Limit "secret_limit"
        "the limit of {limit} values of secrets for {user} is reached"
        => "remove secrets, and agents that were given older values: those are kept for masking";
    TooManySecrets { count: usize }: Invalid "too_many_secrets"
        "{count} secrets are too many"
        => "use at most 32 for one agent or task";
    SecretTooShort { bytes: usize }: Invalid "secret_too_short"
        "a value of {bytes} bytes is too short for a secret"
        => "use at least 4 bytes: shorter values cannot be masked in output";
    SecretsUnavailable { reason: String }: State "secrets_unavailable"
        "secrets cannot be used: {reason}"
        => "an admin must mend or bring back the host key";
    RunNotFound { run: String }: NotFound "run_not_found"
        "no run {run:?}"
        => "`fusionctl workflow list` shows yours";
    NodeNotFound { run: String, node: String }: NotFound "node_not_found"
        "run {run} has no node {node:?}"
        => format!("`fusionctl workflow show {run}` shows its nodes");
    WorkflowNotFound { name: String }: NotFound "workflow_not_found"
        "no workflow {name:?}"
        => "`fusionctl workflow list --definitions` shows yours; `fusionctl workflow apply FILE` keeps one";
    WorkflowInvalid { name: String, problems: String }: Invalid "workflow_invalid"
        "the definition of workflow \"{name}\" is not valid"
        => "`fusionctl workflow validate FILE` shows each place";
    InputsInvalid { workflow: String, problems: String }: Invalid "inputs_invalid"
        "the inputs of workflow \"{workflow}\" are not valid"
        => "give them with --input NAME=VALUE";
    RunState { run: String, state: &'static str, verb: &'static str }: State "run_state"
        "run {run} is {state}: it cannot be {verb}"
        => format!("`fusionctl workflow show {run}` tells how it stands");
    NodeState { run: String, node: String, state: &'static str }: State "node_state"
        "node {node:?} of run {run} does not wait for a person: it is {state}"
        => format!("`fusionctl workflow show {run}` tells which do");
    RunKeyConflict { key: String, run: String }: Exists "run_key_conflict"
        "key {key:?} belongs to run {run}, which asks for something else"
        => "use a new key for new work";
    RunLimit { limit: u32, user: String }: Limit "run_limit"
        "the limit of {limit} runs of {user} that have not ended is reached"
        => "wait for some to end, or cancel them";
    NodeLimit { count: usize }: Invalid "node_limit"
        "a run with {count} nodes is not possible"
        => "use 1 to 20000 nodes; `foreach` does one node for each item of a list";
    WorkflowLimit { limit: usize, user: String }: Limit "workflow_limit"
        "the limit of {limit} workflows of {user} is reached"
        => "use a name again: it gets a new version";
    WorkflowTooDeep { limit: u8 }: Limit "workflow_too_deep"
        "workflows stand more than {limit} deep within one another"
        => "look for workflows that run one another";
    RunWithin { run: String, parent: String }: State "run_within"
        "run {run} is the work of a node of run {parent}"
        => format!("run that node again: `fusionctl workflow rerun {parent} --from NODE`");
    NodeNoResult { run: String, node: String, state: &'static str }: State "node_no_result"
        "node {node:?} of run {run} has no result: it is {state}"
        => match *state {
            "failed" | "cancelled" | "skipped" => format!("`fusionctl why {run}/{node}` tells why"),
            _ => format!("`fusionctl workflow show {run} --wait` waits for the end of the run"),
        };
    NodeBegun { run: String, node: String, state: &'static str, act: &'static str, others: String }: State "node_begun"
        "node {node:?} of run {run} is {state}: it cannot be {act}"
        => format!("leave it as `fusionctl workflow show {run} --definition` has it; `fusionctl workflow rerun {run} --from {node}` does it again as it is");
    EditConflict { run: String, revision: u32, base: u32 }: State "edit_conflict"
        "run {run} has revision {revision}, and the new definition was made from revision {base}"
        => format!("make the change in what `fusionctl workflow show {run} --definition` prints");
    EditFixed { run: String, what: &'static str }: State "edit_fixed"
        "{what} of run {run} cannot be changed: that stands since the run began"
        => "begin another run for that: `fusionctl workflow run FILE`";
    ConnectionLimit { limit: usize }: Limit "connection_limit"
        "{limit} connections are open already, the most of one user or agent"
        => "end some of the commands that wait or follow, then repeat this one";
    ReadLimit { what: &'static str, limit: usize }: Limit "read_limit"
        "{limit} {what} of this user are being read already"
        => "wait until some of them have been answered, then ask again";
    FollowLimit { limit: usize }: Limit "follow_limit"
        "{limit} outputs are followed already, the most of one user or agent"
        => "end some of those that follow: `task logs --follow`, `run`, `agent logs --follow`";
    RevisionLimit { run: String, limit: u32 }: Limit "revision_limit"
        "the limit of {limit} definitions of run {run} is reached"
        => "begin another run: `fusionctl workflow run FILE`";
    RevisionNotFound { run: String, revision: u32 }: NotFound "revision_not_found"
        "run {run} has no revision {revision}"
        => format!("`fusionctl workflow show {run} --history` lists those there are");
    TaskOfRun { task: String, run: String }: State "task_of_run"
        "task {task} was done for a node of run {run}"
        => format!("run the node again: `fusionctl workflow rerun {run} --from NODE`");
    CallerUnknown { reason: String }: Permission "caller_unknown"
        "the caller cannot be identified: {reason}"
        => "connect to the socket directly";
}

impl Reject {
    /// More than fits into one sentence; empty where there is no more.
    #[must_use]
    pub fn detail(&self) -> &str {
        if let Self::ProfileInvalid { problems, .. }
        | Self::ConfigInvalid { problems }
        | Self::WorkflowInvalid { problems, .. }
        | Self::InputsInvalid { problems, .. } = self
        {
            return problems;
        }
        if let Self::NodeBegun { others, .. } = self {
            return others;
        }
        ""
    }
}

/// What has ended waits for nothing.
fn hint_task_state(task: &str, state: &str) -> String {
    match state {
        "succeeded" | "failed" | "cancelled" | "timed_out" => {
            format!("`fusionctl task show {task}` tells how it ended")
        }
        _ => format!("`fusionctl why {task}` tells what it waits for"),
    }
}

fn hint_profile(nearest: Option<&str>) -> String {
    let list = "`fusionctl profile list` shows those there are";
    nearest.map_or_else(|| list.to_owned(), |nearest| format!("is \"{nearest}\" meant? {list}"))
}
