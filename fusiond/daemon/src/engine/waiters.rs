//! Those who wait for a change of one entity: asked whenever a batch touched it.
//!
//! Not for: streams of events; they read the store behind the last sequence number.

use fusion_core::{Key, State};
use std::collections::{BTreeSet, HashMap};
use tokio::sync::oneshot;

/// Somebody who waits.
pub trait Watch: Send {
    /// Looks at the committed state; true when the wait is over. Must not block.
    fn check(&mut self, state: &State) -> bool;
    /// Whether nobody listens any more.
    fn is_dead(&self) -> bool;
}

/// Waits for one answer.
pub(crate) struct Once<T, F> {
    check: F,
    sender: Option<oneshot::Sender<T>>,
}

pub(crate) fn once<T, F: FnMut(&State) -> Option<T>>(check: F) -> (Once<T, F>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    (Once { check, sender: Some(sender) }, receiver)
}

impl<T: Send, F: FnMut(&State) -> Option<T> + Send> Watch for Once<T, F> {
    fn check(&mut self, state: &State) -> bool {
        let Some(answer) = (self.check)(state) else { return false };
        if let Some(sender) = self.sender.take() {
            // Whoever waited may have hung up.
            drop(sender.send(answer));
        }
        true
    }

    fn is_dead(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// All who wait.
#[derive(Default)]
pub(crate) struct Waiters {
    by_key: HashMap<Key, Vec<Box<dyn Watch>>>,
    count: usize,
    /// Count at which the dead are swept; doubles, so that sweeping costs O(1) per waiter.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 1024;

impl Waiters {
    /// Asks at once, and keeps whoever is not done.
    pub(crate) fn add(&mut self, state: &State, key: Key, mut watch: Box<dyn Watch>) {
        if watch.check(state) {
            return;
        }
        self.by_key.entry(key).or_default().push(watch);
        self.count += 1;
        if self.count > self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
    }

    /// Asks everybody whose entity changed.
    pub(crate) fn wake(&mut self, state: &State, touched: &BTreeSet<Key>) {
        if self.count == 0 {
            return;
        }
        for key in touched {
            let Some(waiting) = self.by_key.get_mut(key) else { continue };
            let before = waiting.len();
            waiting.retain_mut(|watch| !watch.is_dead() && !watch.check(state));
            self.count -= before - waiting.len();
            if waiting.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    fn sweep(&mut self) {
        self.by_key.retain(|_, waiting| {
            waiting.retain(|watch| !watch.is_dead());
            !waiting.is_empty()
        });
        self.count = self.by_key.values().map(Vec::len).sum();
        self.sweep_at = self.count * 2;
    }
}
