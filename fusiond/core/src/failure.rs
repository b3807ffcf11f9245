//! Failure codes: why an attempt or a task ended badly. One table, also the source of
//! `docs/reference/failures.md`.
//!
//! Not for: refusals of a command ([`crate::Reject`]); a failure is something that happened.

use crate::ids::{RunId, TaskId};
use serde::{Deserialize, Serialize};

/// Why something ended badly, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// One sentence with the particulars.
    pub message: String,
}

impl Failure {
    /// A failure with its particulars.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Whether another attempt follows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetriedBy {
    /// Only as often as `--retries` asks.
    Request,
    /// Also without being asked, at most [`TRANSIENT_RETRIES`] times, with full jitter.
    Default,
    /// Always, without being counted.
    Always,
    /// Never: another attempt would end the same way, or nobody wants one.
    Never,
}

/// How often a transient failure is retried when nobody asked.
pub const TRANSIENT_RETRIES: u32 = 3;

macro_rules! failures {
    ($($name:ident, $code:literal, $retried:ident, $meaning:literal, $hint:literal;)*) => {
        /// A stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FailureCode {
            $(#[doc = $meaning] $name,)*
        }

        impl FailureCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as users see it.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do; `TASK`, `RUN` and `NODE` stand for what has failed.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }

            /// What to do about this task.
            #[must_use]
            pub fn hint_for(self, task: TaskId) -> String {
                self.hint().replace("TASK", &task.to_string())
            }

            /// What to do about a run, as far as it is known which of its nodes and which task made it fail. The tasks of a
            /// run are not tried again without it.
            #[must_use]
            pub fn hint_in(self, run: RunId, node: Option<&str>, task: Option<TaskId>) -> String {
                let from = node.map_or_else(String::new, |node| format!(" --from {node}"));
                let again = format!("`fusionctl workflow rerun {run}{from}`");
                let hint = self
                    .hint()
                    .replace("`fusionctl task retry TASK`", &again)
                    .replace("`fusionctl workflow rerun RUN --from NODE`", &again)
                    .replace("RUN", &run.to_string());
                match task {
                    Some(task) => hint.replace("TASK", &task.to_string()),
                    // What ran was a workflow within.
                    None if hint.contains("TASK") => {
                        format!("`fusionctl workflow show {run}` has what it ran; {again} does it again")
                    }
                    None => hint,
                }
            }

            /// Whether another attempt follows by itself.
            #[must_use]
            pub const fn retried(self) -> RetriedBy {
                match self { $(Self::$name => RetriedBy::$retried,)* }
            }
        }
    };
}

failures! {
    ExitNonzero, "exit_nonzero", Request,
        "the program ended with an exit code other than 0",
        "read `fusionctl task logs TASK`; --retries of a task, or `retries` of a node, tries again by itself";
    Signaled, "signaled", Request,
        "a signal that fusiond did not send ended the program",
        "read `fusionctl task logs TASK`; SIGSEGV and SIGABRT come of a bug in the program, others from somebody";
    OomKilled, "oom_killed", Request,
        "the kernel killed a process of the attempt for want of memory",
        "raise the agent's --memory, or give the task less to hold at once";
    ProgramNotFound, "program_not_found", Never,
        "the program does not exist or cannot be executed by the agent's user",
        "install it where the agent looks, or name it by its whole path in the profile";
    StartFailed, "start_failed", Never,
        "the kernel refused a step between the fork and the program",
        "the message names the step; `fusionctl system doctor` shows what this machine can enforce";
    StartResources, "start_resources", Default,
        "there were not enough processes, memory or file descriptors to start the program",
        "lower the load or raise the limit that the message names";
    TryAgainLater, "try_again_later", Always,
        "the program ended with exit code 75 (EX_TEMPFAIL): it asked to be run again later",
        "nothing: it is tried again, at most 100 times";
    TimeoutRun, "timeout_run", Request,
        "the attempt ran longer than its timeout",
        "raise --timeout of the task, or `timeout` of the node, or split the work";
    TimeoutIdle, "timeout_idle", Request,
        "the attempt wrote nothing and used no CPU for longer than --idle-timeout",
        "look for a prompt that waits for input in `fusionctl task logs TASK`, or raise --idle-timeout (`idle_timeout` of a node)";
    TimeoutQueue, "timeout_queue", Never,
        "the task did not start within --queue-timeout",
        "ask `fusionctl why` while it waits; spawn an agent with the capabilities it needs";
    Cancelled, "cancelled", Never,
        "somebody cancelled the task",
        "`fusionctl task retry TASK` queues it again";
    AgentTerminated, "agent_terminated", Always,
        "the agent was terminated or restarted while it worked on the task",
        "nothing: the task is queued again and the attempt is not counted";
    DependencyFailed, "dependency_failed", Never,
        "a task that this one comes after did not succeed",
        "mend and retry that task, then `fusionctl task retry TASK` this one";
    LostShim, "lost_shim", Never,
        "the agent's shim died, so the outcome of the attempt cannot be known",
        "look at what the attempt did, then `fusionctl task resolve TASK --retry|--fail|--succeed`";
    LostReboot, "lost_reboot", Never,
        "the machine was restarted during the attempt, so its outcome cannot be known",
        "look at what the attempt did, then `fusionctl task resolve TASK --retry|--fail|--succeed`";
    Poison, "poison", Never,
        "attempt after attempt of this task took its agent's shim along",
        "run the task by hand under supervision before trying it again";
    TryAgainExhausted, "try_again_exhausted", Never,
        "the program asked to be run again later 100 times",
        "mend what it waits for, then `fusionctl task retry TASK`";
    InputUnreadable, "input_unreadable", Never,
        "the stored prompt of the task could not be read back",
        "submit the task again, and run `fusionctl system doctor`";
    ResolvedFailed, "resolved_failed", Never,
        "somebody decided that the lost attempt failed",
        "`fusionctl task retry TASK` queues it again";
    OutputInvalid, "output_invalid", Request,
        "the program succeeded, but its result is not what it should be",
        "the message says what was expected: a file of at most 1 MiB at FUSION_OUTPUT, JSON where the profile or the node says so, the schema of the node";
    AgentGone, "agent_gone", Never,
        "the agent that was started for this task ended before it",
        "read what kept it from coming up in the message, then run it again";
    SecretMissing, "secret_missing", Never,
        "a secret that the agent or the task is given was removed, or cannot be opened with this host's key",
        "`fusionctl secret set` it again, then `fusionctl task retry TASK`";
    Rejected, "rejected", Never,
        "a person rejected a node of a workflow, or nobody approved it in time",
        "`fusionctl workflow show RUN` has who and why; `fusionctl workflow rerun RUN --from NODE` asks again";
    ItemsFailed, "items_failed", Never,
        "items of a node with `foreach` failed",
        "`fusionctl workflow show RUN` has each item; `fusionctl workflow rerun RUN --from NODE` does them again";
    TimeoutWorkflow, "timeout_workflow", Never,
        "a run of a workflow took longer than its timeout",
        "raise `timeout` in the definition, then `fusionctl workflow rerun RUN`";
    TemplateFailed, "template_failed", Never,
        "a template of a node could not be filled in",
        "the message names the place: mend the definition, or what the node uses";
    BudgetExhausted, "budget_exhausted", Never,
        "the budget of a run or of a node was used up before everything was done",
        "raise `budget` with `fusionctl workflow edit RUN`, then `fusionctl workflow rerun RUN`";
    NodeRefused, "node_refused", Never,
        "the task of a node was not accepted",
        "the message says why: mend it, then `fusionctl workflow rerun RUN --from NODE`";
    TimeoutEvent, "timeout_event", Never,
        "the event that a node waits for did not come within the `timeout` of its `wait`",
        "raise that `timeout`, or let `on_failure` of the node say that the run goes on; then `fusionctl workflow rerun RUN --from NODE`";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        let (run, task) = (RunId(1), TaskId(1));
        for code in FailureCode::ALL {
            for (node, task) in [(None, None), (Some("n"), None), (None, Some(task)), (Some("n"), Some(task))]
            {
                let hint = code.hint_in(run, node, task);
                let is_whole = ["TASK", "RUN", "NODE", "task retry"].iter().all(|word| !hint.contains(word));
                assert!(is_whole, "{hint}");
            }
            assert!(seen.insert(code.code()));
            assert!(code.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(!code.hint().is_empty() && !code.meaning().is_empty());
        }
    }
}
