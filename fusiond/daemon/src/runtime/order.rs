//! What the hands are told: one order for each effect of the core, with what carrying it out takes.
//!
//! The engine adds setups and inputs that the core does not carry. Not here: how an order is carried out (`lane`).

use std::sync::Arc;

use super::stored::StoredPrompt;
use fusion_core::agent::{AgentLimits, Recipe};
use fusion_core::task::{Lease, Stdin, StopWhy, TaskKind};
use fusion_core::workspace::{Removal, Seed};
use fusion_core::{AgentId, Millis, Nonce, TaskId, Uid};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::vault::Value;

/// One order; the variants and their answers are those of [`fusion_core::Effect`].
#[derive(Clone, Debug)]
pub enum Order {
    /// Makes what the incarnation needs and starts its shim, or adopts it. Answered by `ShimUp` or `ShimFailed`.
    Launch {
        /// Who.
        setup: Arc<Setup>,
    },
    /// Finds the shim. Answered by `ShimUp` or `ShimGone`.
    Adopt {
        /// Who.
        setup: Arc<Setup>,
    },
    /// Starts an attempt. Answered by `AttemptStarted`, `AttemptExited`, `AttemptRefused`, `AttemptForgotten` or `ShimGone`.
    Start {
        /// By whom.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the attempt within the incarnation.
        serial: u32,
        /// What.
        task: TaskId,
        /// The number of the attempt within the task.
        number: u32,
        /// What standard input is behind its first content, whatever the agent's profile says.
        stdin: Stdin,
        /// The bytes of the task.
        input: Arc<TaskInput>,
        /// Variables that hold secrets.
        secrets: Vec<(String, Value)>,
    },
    /// Fills the workspace, as an attempt. Answered by `AttemptStarted`, `AttemptExited` or `AttemptRefused`.
    Seed {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// The number of the seeding within the incarnation.
        serial: u32,
    },
    /// Ends an attempt. Answered by `AttemptExited`.
    Stop {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt.
        serial: u32,
        /// Between SIGTERM and the kill.
        grace: Millis,
        /// Why.
        why: StopWhy,
    },
    /// The end of this attempt is in the journal. No answer.
    Ack {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Which attempt.
        serial: u32,
    },
    /// Freezes the tree. Answered by `Frozen`.
    Freeze {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Lets the tree go on. No answer.
    Thaw {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Lets the present settings reach what lives of the incarnation. No answer.
    Refresh {
        /// Who.
        setup: Arc<Setup>,
    },
    /// Writes to the standard input of an attempt. Answered on `taken`, which is dropped when nobody can tell.
    Input {
        /// Which attempt.
        lease: Lease,
        /// What.
        piece: InputPiece,
        /// Who is told.
        taken: mpsc::Sender<InputNews>,
    },
    /// Reads the present use of resources. Answered by `Observed`.
    Observe {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Ends the incarnation with everything in it. Answered by `ShimGone`.
    StopShim {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
    /// Ends an incarnation that nobody knows, and forgets it. No answer.
    EndStray {
        /// Whose.
        agent: AgentId,
        /// Which life.
        incarnation: u32,
    },
    /// Counts what is in the workspace. Answered by `WorkspaceMeasured`.
    Measure {
        /// Who.
        setup: Arc<Setup>,
        /// The number of the next attempt.
        serial: u32,
    },
    /// Removes the workspace, the logs and the folders, or a part of them. Answered by `WorkspaceRemoved` or
    /// `WorkspaceKept`.
    RemoveWorkspace {
        /// Who.
        setup: Arc<Setup>,
        /// How much.
        what: Removal,
    },
}

impl Order {
    /// Whom it concerns: orders for one agent are carried out in their order.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        match self {
            Self::Launch { setup }
            | Self::Adopt { setup }
            | Self::Refresh { setup }
            | Self::Measure { setup, .. }
            | Self::RemoveWorkspace { setup, .. } => setup.agent,
            Self::Input { lease, .. } => lease.agent,
            Self::Start { agent, .. }
            | Self::Seed { agent, .. }
            | Self::Stop { agent, .. }
            | Self::Ack { agent, .. }
            | Self::Freeze { agent, .. }
            | Self::Thaw { agent, .. }
            | Self::Observe { agent, .. }
            | Self::StopShim { agent, .. }
            | Self::EndStray { agent, .. } => *agent,
        }
    }
}

/// A piece of standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPiece {
    /// Who writes; drawn by the client.
    pub writer: u64,
    /// The bytes of this writer before these.
    pub offset: u64,
    /// At most [`INPUT_PIECE_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Whether the input is closed behind them.
    pub is_last: bool,
}

/// What has become of a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputNews {
    /// The program's pipe has it.
    Taken,
    /// It was not taken, for this reason.
    Refused(&'static str),
}

pub use fusion_shim::wire::INPUT_PIECE_BYTES_MAX;

/// One incarnation of an agent, as the hands see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The agent.
    pub agent: AgentId,
    /// Its life.
    pub incarnation: u32,
    /// Proves to daemon and shim that both mean this life.
    pub nonce: Nonce,
    /// Whose the agent is.
    pub owner: Uid,
    /// The agent's name.
    pub name: String,
    /// The profile's name.
    pub profile: String,
    /// How attempts are made.
    pub recipe: Recipe,
    /// Upper limits of the whole tree.
    pub limits: AgentLimits,
    /// What the workspace is filled with first.
    pub seed: Option<Seed>,
}

/// The bytes of a task, stored by the engine beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInput {
    /// Prompt or command.
    pub kind: TaskKind,
    /// The words, for a prompt.
    pub prompt: String,
    /// The argv, for a command.
    pub run: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// A prompt that is too long to stand here; `prompt` is empty then.
    pub stored: Option<StoredPrompt>,
}

/// The stored form of version 1.
#[derive(Deserialize)]
struct InputV1 {
    kind: TaskKind,
    prompt: String,
    run: Vec<String>,
    env: Vec<(String, String)>,
}

impl From<InputV1> for TaskInput {
    fn from(InputV1 { kind, prompt, run, env }: InputV1) -> Self {
        Self { kind, prompt, run, env, stored: None }
    }
}

/// Stored bytes that are no task input of this version.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Another version wrote them.
    #[error("the input of a task has version {found}, expected {INPUT_VERSION}")]
    Version {
        /// Its first byte; 0 if there is none.
        found: u8,
    },
    /// The bytes are cut or changed.
    #[error("the input of a task cannot be read")]
    Malformed(#[source] postcard::Error),
}

/// The first byte of a stored [`TaskInput`].
pub const INPUT_VERSION: u8 = 2;

/// The variable of a task's environment that names the folder in which its attempts begin. No user can set it: the door takes
/// none of this prefix.
pub const WORKDIR: &str = "FUSION_WORKDIR";

impl TaskInput {
    /// The folder in which its attempts begin, if it is not the agent's workspace.
    #[must_use]
    pub fn workdir(&self) -> Option<&str> {
        self.env.iter().find(|(name, _)| name == WORKDIR).map(|(_, path)| path.as_str())
    }

    /// About how long its stored form is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let run = self.run.iter().map(String::len);
        let env = self.env.iter().map(|(name, value)| name.len() + value.len());
        self.prompt.len() + run.chain(env).sum::<usize>() + 8 * (self.run.len() + self.env.len() + 1)
    }

    /// The stored form: a version byte, then postcard.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![INPUT_VERSION]).expect("a vector takes all bytes of plain data")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`InputError`] for bytes that [`TaskInput::encode`] of this version or one before did not make.
    pub fn decode(bytes: &[u8]) -> Result<Self, InputError> {
        match bytes.split_first() {
            Some((&INPUT_VERSION, body)) => postcard::from_bytes(body).map_err(InputError::Malformed),
            Some((&1, body)) => {
                postcard::from_bytes::<InputV1>(body).map(Self::from).map_err(InputError::Malformed)
            }
            other => Err(InputError::Version { found: other.map_or(0, |(version, _)| *version) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_input_reads_back_and_another_version_is_named() {
        let input = TaskInput {
            kind: TaskKind::Prompt,
            prompt: "say \u{e4}".to_owned(),
            run: Vec::new(),
            env: vec![("A".to_owned(), "b".to_owned())],
            stored: None,
        };
        let first = postcard::to_extend(&(input.kind, &input.prompt, &input.run, &input.env), vec![1]);
        assert_eq!(TaskInput::decode(&first.expect("plain data")).expect("those of version 1"), input);
        let mut bytes = input.encode();
        assert_eq!(TaskInput::decode(&bytes).expect("own bytes"), input);
        bytes[0] = 9;
        assert!(matches!(TaskInput::decode(&bytes), Err(InputError::Version { found: 9 })));
        assert!(matches!(TaskInput::decode(&bytes[..0]), Err(InputError::Version { found: 0 })));
    }
}
