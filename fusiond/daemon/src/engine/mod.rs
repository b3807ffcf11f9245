//! The one writer: takes inputs in batches, asks the core, commits, and only then lets effects out
//! and answers callers.
//!
//! ```text
//!   asks ─┐                 ┌─ orders ─► runtime
//!   looks ├─► turn: step*, commit ─┼─ answers ─► doors
//!   outcomes ┘              └─ waiters, last seq ─► streams
//! ```
//!
//! Not for: rules (`fusion-core`), bytes of logs, the wire.

mod clock;
mod ids;
pub(crate) mod input;
mod keys;
mod load;
mod migrate;
mod orders;
pub(crate) mod particulars;
mod prune;
mod record;
mod secrets;
mod stored;
mod tell;
mod turn;
mod unread;
mod waiters;
pub mod workflow;

pub(crate) use input::{COMMAND_BYTES_MAX, input_bytes, plan_input, title, title_of};
pub use keys::{KeysError, keep_keys};
pub use load::{LoadError, load};
pub use migrate::MIGRATIONS;
pub use record::{
    SCHEMA, attempts_by, attempts_of, decode_event, decode_task, event_key, input_key, stored_task, task_key,
};
pub use secrets::{ResealError, Resealed, Unsealed, given_to, mask_of, reseal, sealed_elsewhere};
pub use stored::{Keep, Kept, PIECE_BYTES, Stored, read_stored};

use crate::runtime::{InputId, Runtime, TaskInput};
use crate::store::{Reader, Store};
use crate::vault::Vault;
use fusion_core::workflow::Changes;
use fusion_core::{AgentId, Caller, Command, Done, Input, Key, Millis, Outcome, Reject, State, Time};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for the engine before doors have to wait themselves.
const ASKS_MAX: usize = 8192;

/// Called with the committed state and what became of a command.
pub type Answer = Box<dyn FnOnce(&State, Time, Result<Done, Reject>) + Send>;

/// Reads the committed state, once.
pub(crate) type Look = Box<dyn FnOnce(&State, Time) + Send>;

/// Called with what became of a step of storing a prompt.
pub(crate) type KeptAnswer = oneshot::Sender<Result<Kept, Reject>>;

/// A message to the engine.
pub(crate) enum Message {
    /// A command, with the bytes that are stored beside what it makes.
    Ask { caller: Caller, command: Command, beside: Option<Beside>, answer: Answer },
    /// One step of storing a prompt.
    Keep { id: InputId, step: Keep, answer: KeptAnswer },
    /// Reads the committed state.
    Look(Look),
    /// Reads the committed state now and whenever the entity changes, until it says that it is done.
    Wait(Key, Box<dyn Watch>),
    /// Something about a run that was found out aside.
    Run(Box<workflow::News>),
    /// The daemon's own inputs: settings.
    Own(Input),
    /// How long history is kept from now on.
    History(Millis),
    /// Leave the loop after the present turn.
    Stop(oneshot::Sender<Store>),
}

/// Bytes that the core does not see, stored in the same batch as the entity they belong to.
pub enum Beside {
    /// Of a task.
    Task(TaskInput),
    /// Of a secret: its sealed value.
    Sealed(Vec<u8>),
    /// Of a version of a workflow: its definition, as JSON.
    Definition(String),
    /// Of a run: its definition and its inputs.
    Run(Arc<workflow::Script>),
    /// Of an edit of a run: its next definition, and how much of it is different.
    Edit(Arc<workflow::Script>, Changes),
}

/// A door to the engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    asks: mpsc::Sender<Message>,
    seq: watch::Receiver<u64>,
    /// Whether it waits for room on the disk.
    is_cramped: watch::Receiver<bool>,
    reader: Reader,
}

#[cfg(test)]
impl Engine {
    /// One that does nothing by itself: what is asked of it is in the hands of the test.
    pub(crate) fn unattended(reader: Reader) -> (Self, mpsc::Receiver<Message>, watch::Sender<bool>) {
        let (asks, inbox) = mpsc::channel(1);
        let (cramped, is_cramped) = watch::channel(false);
        (Self { asks, seq: watch::channel(0).1, is_cramped, reader }, inbox, cramped)
    }
}

/// The engine has stopped; the daemon is on its way out.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the engine has stopped")]
pub struct Stopped;

/// What the engine thread is made of.
pub struct Parts {
    /// The state as loaded.
    pub state: State,
    /// Where it is kept.
    pub store: Store,
    /// Outcomes of the hands.
    pub outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// The hands.
    pub runtime: Runtime,
    /// How long history is kept.
    pub history: Millis,
    /// Opens sealed values.
    pub vault: Vault,
    /// Where the lanes of the hands run.
    pub handle: tokio::runtime::Handle,
}

/// Starts the engine thread; the first turn is the boot of `epoch`.
///
/// # Errors
/// When no thread can be made.
pub fn start(parts: Parts, epoch: u64) -> std::io::Result<Engine> {
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let (seq_sender, seq) = watch::channel(parts.state.seq);
    let reader = parts.store.reader();
    let (cramped, is_cramped) = watch::channel(false);
    let engine = turn::Loop::new(parts, inbox, asks.downgrade(), turn::Told { seq: seq_sender, cramped });
    std::thread::Builder::new().name("engine".to_owned()).spawn(move || engine.run(epoch))?;
    Ok(Engine { asks, seq, is_cramped, reader })
}

impl Engine {
    /// Asks for something; `view` makes the answer from the committed state.
    ///
    /// # Errors
    /// The refusal; [`Reject::Stopping`] when the engine has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        caller: Caller,
        command: Command,
        beside: Option<Beside>,
        view: impl FnOnce(&State, Time, Done) -> T + Send + 'static,
    ) -> Result<T, Reject> {
        let (sender, answered) = oneshot::channel();
        let answer: Answer = Box::new(move |state, now, result| {
            // The caller may have hung up; the change stands all the same.
            drop(sender.send(result.map(|done| view(state, now, done))));
        });
        self.send(Message::Ask { caller, command, beside, answer }).await?;
        answered.await.map_err(|_| Reject::Stopping)?
    }

    /// As [`Engine::ask`], without waiting for the answer: `answer` is called on the engine thread
    /// and must not block.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn ask_later(
        &self,
        caller: Caller,
        command: Command,
        beside: Option<Beside>,
        answer: Answer,
    ) -> Result<(), Reject> {
        self.send(Message::Ask { caller, command, beside, answer }).await
    }

    /// One step of storing a prompt; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Reject::NoSpace`]; [`Reject::Stopping`].
    pub async fn keep(&self, id: InputId, step: Keep) -> Result<Kept, Reject> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Keep { id, step, answer }).await?;
        answered.await.map_err(|_| Reject::Stopping)?
    }

    /// What is known of a stored prompt. Whether a task may still name it is asked again when it does.
    #[must_use]
    pub fn stored(&self, id: InputId) -> Option<Stored> {
        stored::find(&self.reader, id).unwrap_or_else(|error| {
            tracing::error!(%id, "a stored prompt could not be looked for: {error}");
            None
        })
    }

    /// Reads the committed state. `look` runs on the engine thread: it must be short.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, Time) -> T + Send + 'static,
    ) -> Result<T, Reject> {
        let (sender, answered) = oneshot::channel();
        let look = Box::new(move |state: &State, now| drop(sender.send(look(state, now))));
        self.send(Message::Look(look)).await?;
        answered.await.map_err(|_| Reject::Stopping)
    }

    /// Waits until `check` says something, asked now and at every change of the entity.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn wait<T: Send + 'static>(
        &self,
        key: Key,
        check: impl FnMut(&State) -> Option<T> + Send + 'static,
    ) -> Result<T, Reject> {
        let (watch, answered) = waiters::once(check);
        self.send(Message::Wait(key, Box::new(watch))).await?;
        answered.await.map_err(|_| Reject::Stopping)
    }

    /// As [`Engine::wait`], handing what `check` says to `found`, which must not block.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn watch(&self, key: Key, watch: impl Watch + 'static) -> Result<(), Reject> {
        self.send(Message::Wait(key, Box::new(watch))).await
    }

    /// Gives the core one of the daemon's own inputs.
    ///
    /// # Errors
    /// [`Reject::Stopping`].
    pub async fn tell(&self, input: Input) -> Result<(), Reject> {
        self.send(Message::Own(input)).await
    }

    /// Keeps history for this long from now on.
    ///
    /// # Errors
    /// [`Reject::Stopping`] when it has stopped.
    pub async fn keep_history(&self, history: Millis) -> Result<(), Reject> {
        self.send(Message::History(history)).await
    }

    /// Ends the loop after the present turn and hands the store back.
    ///
    /// # Errors
    /// [`Stopped`] when it has ended already.
    pub async fn stop(&self) -> Result<Store, Stopped> {
        let (sender, stopped) = oneshot::channel();
        self.asks.send(Message::Stop(sender)).await.map_err(|_| Stopped)?;
        stopped.await.map_err(|_| Stopped)
    }

    /// The sequence number of the last committed event, and its changes.
    #[must_use]
    pub fn seq(&self) -> watch::Receiver<u64> {
        self.seq.clone()
    }

    /// Returns while it waits for room on the disk, which it tries again and again: no turn ends meanwhile.
    pub async fn cramped(&self) {
        let mut is_cramped = self.is_cramped.clone();
        if is_cramped.wait_for(|is_cramped| *is_cramped).await.is_err() {
            // It has ended, which others tell.
            std::future::pending::<()>().await;
        }
    }

    /// History on disk.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    async fn send(&self, message: Message) -> Result<(), Reject> {
        self.asks.send(message).await.map_err(|_| Reject::Stopping)
    }
}

pub use waiters::Watch;

/// Which agent an outcome is about, and its name for the log. What an agent wrote never gets there.
pub(crate) fn name_of(outcome: &Outcome) -> (AgentId, &'static str) {
    match outcome {
        Outcome::ShimUp { agent, .. } => (*agent, "shim up"),
        Outcome::ShimFailed { agent, .. } => (*agent, "shim failed"),
        Outcome::ShimGone { agent, .. } => (*agent, "shim gone"),
        Outcome::AttemptStarted { agent, .. } => (*agent, "attempt started"),
        Outcome::AttemptRefused { agent, .. } => (*agent, "attempt refused"),
        Outcome::AttemptForgotten { agent, .. } => (*agent, "attempt forgotten"),
        Outcome::AttemptExited { agent, .. } => (*agent, "attempt exited"),
        Outcome::Frozen { agent, .. } => (*agent, "frozen"),
        Outcome::Observed { agent, .. } => (*agent, "observed"),
        Outcome::WorkspaceRemoved { agent, .. } => (*agent, "workspace removed"),
        Outcome::WorkspaceMeasured { agent, .. } => (*agent, "workspace measured"),
        Outcome::WorkspaceKept { agent, .. } => (*agent, "workspace kept"),
    }
}
