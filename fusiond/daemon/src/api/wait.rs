//! Waiting for the ends of tasks: each is told once, whether it ends now, has ended, or left the memory
//! long ago.
//!
//! Not for: events, which tell everything that happens.

use super::{Door, view};
use crate::engine::Watch;
use fusion_core::{Caller, Key, State, TaskId, TaskState};
use fusion_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// What a watch tells its stream.
enum Word {
    /// It ended, or, for progress, its state is another one.
    Task(Box<v1::Task>),
    /// It is not in memory any more.
    Gone(TaskId),
}

/// Tells a stream once when a task has ended.
struct EndWatch {
    id: TaskId,
    found: mpsc::UnboundedSender<Word>,
    /// With progress: the state that was told last.
    told: Option<v1::TaskState>,
    progress: bool,
    /// Whether an unknown outcome is an end, too.
    or_lost: bool,
}

impl Watch for EndWatch {
    fn check(&mut self, state: &State) -> bool {
        let Some(task) = state.task(self.id) else {
            // The stream may have been dropped by its client, here and below.
            drop(self.found.send(Word::Gone(self.id)));
            return true;
        };
        if task.state.ended_at().is_some() || (self.or_lost && matches!(task.state, TaskState::Lost { .. })) {
            drop(self.found.send(Word::Task(Box::new(view::task::task(task)))));
            return true;
        }
        let now = view::task::state(&task.state);
        if self.progress && self.told.replace(now) != Some(now) {
            drop(self.found.send(Word::Task(Box::new(view::task::brief(task)))));
        }
        false
    }

    fn is_dead(&self) -> bool {
        self.found.is_closed()
    }
}

impl Door {
    /// The tasks that are meant, each when it has ended.
    pub(crate) async fn wait_all(
        &self,
        caller: Caller,
        ask: v1::WaitTasksRequest,
    ) -> Result<impl Stream<Item = Result<v1::Task, Status>> + use<>, Status> {
        let (progress, or_lost) = (ask.progress, ask.or_lost);
        let ids = match ask.tasks.is_empty() {
            true => self.list_ids(self.filter(caller, ask.filter.unwrap_or_default()).await?).await?,
            false => self.find_ids(caller, ask.tasks).await?,
        };
        #[expect(clippy::disallowed_methods, reason = "bounded by the number of tasks that are waited for")]
        let (found, words) = mpsc::unbounded_channel();
        let door = self.clone();
        // Apart, so that the first answers are on their way while the last watches are set.
        tokio::spawn(async move {
            for id in ids {
                let watch = EndWatch { id, found: found.clone(), told: None, progress, or_lost };
                if found.is_closed() || door.engine.watch(Key::Task(id), watch).await.is_err() {
                    return;
                }
            }
        });
        let door = self.clone();
        let tasks = UnboundedReceiverStream::new(words).then(move |word| {
            let door = door.clone();
            async move { door.show_ended(word).await }
        });
        Ok(tasks.filter_map(Result::transpose))
    }

    /// A task that is in memory no more is read from disk; one that is not there either was removed with
    /// its history.
    async fn show_ended(&self, word: Word) -> Result<Option<v1::Task>, Status> {
        let task = match word {
            Word::Task(task) => Some(*task),
            Word::Gone(id) => self.find_old(id).await?.map(|task| view::task::task(&task)),
        };
        Ok(task.map(|task| self.named_task(task)))
    }
}
