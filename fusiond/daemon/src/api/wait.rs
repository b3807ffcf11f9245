//! Waiting for the ends of tasks: each is told once, whether it ends now, has ended, or left the memory
//! long ago.
//!
//! Not for: events, which tell everything that happens.

use super::{Door, view};
use crate::engine::Watch;
use fusion_core::{Caller, Key, State, TaskId, TaskState};
use fusion_proto::v1;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// What a watch tells its stream.
enum Word {
    /// It ended, or, for progress, its state is another one.
    Task(Box<v1::Task>),
    /// It is not in memory any more.
    Gone(TaskId),
}

/// Words on the way to one client: as many as tasks are waited for, and [`WORDS_MAX`] besides. When those are there, a
/// newer word of a task takes the place of its last one that nobody has read.
#[derive(Default)]
struct Words {
    /// Whose word comes next; as often as there are words of it.
    order: VecDeque<TaskId>,
    of_task: HashMap<TaskId, VecDeque<Word>>,
}

/// Words that wait for a client before newer ones take the place of older ones.
const WORDS_MAX: usize = 1024;

impl Words {
    fn put(&mut self, id: TaskId, word: Word) {
        let own = self.of_task.entry(id).or_default();
        if self.order.len() >= WORDS_MAX
            && let Some(last) = own.back_mut()
        {
            *last = word;
            return;
        }
        own.push_back(word);
        self.order.push_back(id);
    }

    fn take(&mut self) -> Option<Word> {
        let id = self.order.pop_front()?;
        let own = self.of_task.get_mut(&id)?;
        let word = own.pop_front();
        if own.is_empty() {
            self.of_task.remove(&id);
        }
        word
    }
}

/// The way to one client. The lock is held for a few map accesses alone, never across an await.
#[derive(Clone)]
struct Mouth {
    words: Arc<Mutex<Words>>,
    /// Says that there is something to read; one such word is enough.
    bell: mpsc::Sender<()>,
}

impl Mouth {
    fn say(&self, id: TaskId, word: Word) {
        lock(&self.words).put(id, word);
        // Full: the reader will look. Closed: the client is gone.
        let _rung = self.bell.try_send(());
    }
}

/// What the client reads.
struct Ear {
    words: Arc<Mutex<Words>>,
    bell: mpsc::Receiver<()>,
}

impl Stream for Ear {
    type Item = Word;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Word>> {
        loop {
            let word = lock(&self.words).take();
            if word.is_some() {
                return Poll::Ready(word);
            }
            match ready!(self.bell.poll_recv(context)) {
                Some(()) => {}
                // Nobody says anything more; the last word may have come just before.
                None => return Poll::Ready(lock(&self.words).take()),
            }
        }
    }
}

fn lock(words: &Mutex<Words>) -> MutexGuard<'_, Words> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}

fn way() -> (Mouth, Ear) {
    let (sender, receiver) = mpsc::channel(1);
    let words = Arc::<Mutex<Words>>::default();
    (Mouth { words: Arc::clone(&words), bell: sender }, Ear { words, bell: receiver })
}

/// Tells a stream once when a task has ended.
struct EndWatch {
    id: TaskId,
    found: Mouth,
    /// With progress: the state that was told last.
    told: Option<v1::TaskState>,
    progress: bool,
    /// Whether an unknown outcome is an end, too.
    or_lost: bool,
}

impl Watch for EndWatch {
    fn check(&mut self, state: &State) -> bool {
        let Some(task) = state.task(self.id) else {
            self.found.say(self.id, Word::Gone(self.id));
            return true;
        };
        if task.state.ended_at().is_some() || (self.or_lost && matches!(task.state, TaskState::Lost { .. })) {
            self.found.say(self.id, Word::Task(Box::new(view::task::task(task))));
            return true;
        }
        let now = view::task::state(&task.state);
        if self.progress && self.told.replace(now) != Some(now) {
            self.found.say(self.id, Word::Task(Box::new(view::task::brief(task))));
        }
        false
    }

    fn is_dead(&self) -> bool {
        self.found.bell.is_closed()
    }
}

impl Door {
    /// The tasks that are meant, each when it has ended.
    pub(crate) async fn wait_all(
        &self,
        caller: Caller,
        ask: v1::WaitTasksRequest,
    ) -> Result<impl Stream<Item = Result<v1::Task, Status>> + use<>, Status> {
        let (progress, or_lost, results) = (ask.progress, ask.or_lost, ask.results);
        let ids = match ask.tasks.is_empty() {
            true => self.list_ids(self.filter(caller, ask.filter.unwrap_or_default()).await?).await?,
            false => self.find_ids(caller, ask.tasks).await?,
        };
        let (found, words) = way();
        let door = self.clone();
        // Apart, so that the first answers are on their way while the last watches are set.
        tokio::spawn(async move {
            for id in ids {
                let watch = EndWatch { id, found: found.clone(), told: None, progress, or_lost };
                if found.bell.is_closed() || door.engine.watch(Key::Task(id), watch).await.is_err() {
                    return;
                }
            }
        });
        let door = self.clone();
        let tasks = words.then(move |word| {
            let door = door.clone();
            async move {
                match door.show_ended(word).await? {
                    Some(ended) if results && ended.state() == v1::TaskState::Succeeded => {
                        Ok(Some(door.with_result(caller, ended).await))
                    }
                    shown => Ok(shown),
                }
            }
        });
        Ok(tasks.filter_map(Result::transpose))
    }

    /// One that was removed or begun anew meanwhile, or of which something cannot be read, stays as it was told.
    async fn with_result(&self, caller: Caller, ended: v1::Task) -> v1::Task {
        let found = self.find_task(caller, ended.id.clone()).await;
        match found.ok().filter(|task| matches!(task.state, TaskState::Succeeded { .. })) {
            Some(task) => v1::Task { result: self.shown_result(&task).await, ..ended },
            None => ended,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn word(uid: u32) -> Word {
        Word::Task(Box::new(v1::Task { user: uid.to_string(), ..v1::Task::default() }))
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_a_bounded_number_of_words_and_hears_the_latest() {
        let (mouth, ear) = way();
        for round in 0..3_000 {
            for task in 1..=3 {
                mouth.say(TaskId(task), word(round));
            }
        }
        assert_eq!(lock(&mouth.words).order.len(), WORDS_MAX);
        for task in 4..=2_000 {
            mouth.say(TaskId(task), Word::Gone(TaskId(task)));
        }
        assert_eq!(lock(&mouth.words).order.len(), WORDS_MAX + 1_997);
        mouth.say(TaskId(1), Word::Gone(TaskId(1)));
        drop(mouth);
        let heard: Vec<Word> = ear.collect().await;
        let ends: Vec<u128> = heard
            .iter()
            .filter_map(|word| if let Word::Gone(id) = word { Some(id.0) } else { None })
            .collect();
        assert_eq!(ends.len(), 1_998, "no end is lost");
        let last = heard
            .iter()
            .rev()
            .find_map(|word| if let Word::Task(task) = word { Some(&task.user) } else { None });
        assert_eq!(last.map(String::as_str), Some("2999"));
    }
}
