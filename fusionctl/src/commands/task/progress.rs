//! What happens meanwhile, on a terminal's stderr and nowhere else: how far a file has got, and where the
//! tasks are that are waited for.
//!
//! Not for: results; they go to stdout.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_proto::v1::{Task, TaskState};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::Notify;

use crate::view::word::{short_id, word};

/// How often a terminal sees that time goes on.
const TICK: Duration = Duration::from_millis(200);

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is valid").progress_chars("=> ");
    bar.with_style(style)
}

/// How far a file has got.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    begin: Instant,
}

impl Progress {
    /// A bar over `bytes`, or a spinner when nobody knows how many come.
    pub(super) fn start(bytes: Option<u64>) -> Self {
        let bar = match bytes {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(bytes) => styled(ProgressBar::new(bytes), "{bar:30} {percent:>3}%  {msg}, {eta} left"),
            None => styled(ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        Self { bar, begin: Instant::now() }
    }

    /// Everything up to this byte has its answer.
    pub(super) fn reached(&self, byte: u64) {
        self.bar.set_position(byte);
    }

    /// The counts and the rate beside the bar.
    pub(super) fn tell(&self, accepted: u64, refused: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let rate = (accepted as f64 / self.begin.elapsed().as_secs_f64().max(0.001)).round() as u64;
        let [accepted, refused, rate] = [accepted, refused, rate].map(HumanCount);
        self.bar.set_message(format!("{accepted} accepted, {refused} refused, {rate}/s"));
    }

    /// Prints something else while the bar is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Where the tasks are that are waited for: a line for one, a bar with counts for several.
#[derive(Debug)]
pub(crate) struct Board {
    bar: ProgressBar,
    named: usize,
    states: HashMap<String, TaskState>,
    counts: Counts,
    /// How many states there are to know, and who hears when all are.
    awaited: usize,
    known: Option<Arc<Notify>>,
}

/// How many tasks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    succeeded: u64,
    failed: u64,
    running: u64,
    lost: u64,
    queued: u64,
}

impl Board {
    /// A board for `named` tasks.
    pub(super) fn start(named: usize) -> Self {
        let bar = match named {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            1 => styled(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})"),
            _ => styled(ProgressBar::new(0), "{bar:30} {pos}/{len}  {msg}  ({elapsed})"),
        };
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self::over(bar, named)
    }

    /// A board that nobody sees.
    pub(crate) fn none() -> Self {
        Self::over(ProgressBar::hidden(), 0)
    }

    fn over(bar: ProgressBar, named: usize) -> Self {
        let (states, counts) = (HashMap::new(), Counts::default());
        Self { bar, named, states, counts, awaited: named, known: None }
    }

    /// From now on `known` hears when the state of each is known.
    pub(super) fn tells_once_known(&mut self, known: Arc<Notify>) {
        self.known = Some(known);
    }

    /// The states of this many are to be known: of those named, some may not be there.
    pub(super) const fn awaits(&mut self, count: usize) {
        self.awaited = count;
    }

    /// Whether anybody wants to know of a state that is no end.
    pub(super) fn wants_progress(&self) -> bool {
        !self.bar.is_hidden() || self.known.is_some()
    }

    /// A task is in a state.
    pub(super) fn tell(&mut self, task: &Task) {
        if !self.wants_progress() {
            return;
        }
        let state = task.state();
        if let Some(before) = self.states.insert(task.id.clone(), state) {
            *self.counts.of(before) -= 1;
        }
        *self.counts.of(state) += 1;
        if self.states.len() >= self.awaited {
            self.known.take().inspect(|known| known.notify_one());
        }
        if self.named == 1 {
            let word = word::<TaskState>(task.state);
            self.bar.set_message(format!("{} is {word}", short_id(&task.id)));
            return;
        }
        self.bar.set_length(self.named.max(self.states.len()) as u64);
        self.bar.set_position(self.counts.succeeded + self.counts.failed);
        self.bar.set_message(self.counts.words());
    }

    /// Prints something else while the board is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Counts {
    fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed | TaskState::Cancelled | TaskState::TimedOut => &mut self.failed,
            TaskState::Dispatched
            | TaskState::Running
            | TaskState::WaitingApproval
            | TaskState::WaitingInput => &mut self.running,
            TaskState::Lost => &mut self.lost,
            TaskState::Unspecified
            | TaskState::Blocked
            | TaskState::Deferred
            | TaskState::Queued
            | TaskState::Held => &mut self.queued,
        }
    }

    /// What there is none of is not said, but for successes.
    fn words(self) -> String {
        let named = [
            (self.failed, "failed"),
            (self.lost, "lost"),
            (self.running, "running"),
            (self.queued, "queued"),
        ];
        let others = named.into_iter().filter(|(count, _)| *count > 0);
        let others = others.map(|(count, word)| format!(", {} {word}", HumanCount(count)));
        format!("{} succeeded{}", HumanCount(self.succeeded), others.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_by_what_they_mean_to_who_waits() {
        let mut counts = Counts::default();
        for state in [TaskState::Succeeded, TaskState::TimedOut, TaskState::Cancelled, TaskState::Held] {
            *counts.of(state) += 1;
        }
        *counts.of(TaskState::Running) += 1_200;
        assert_eq!(counts.words(), "1 succeeded, 2 failed, 1,200 running, 1 queued");
        assert_eq!(Counts::default().words(), "0 succeeded");
    }
}
