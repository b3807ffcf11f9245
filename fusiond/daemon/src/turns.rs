//! What one user may have under way at once, so that nobody's load holds up the others: [`Turns`] are waited for, of
//! [`Seats`] one more is refused.
//!
//! Not here: how many of what (where it is done), limits on what is stored (`fusion_core`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use fusion_core::Uid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many of each user at once; the others of theirs wait, in their order.
#[derive(Debug)]
pub struct Turns {
    each: usize,
    /// The lock is held for a map access alone, never across an await.
    users: Mutex<BTreeMap<Uid, Arc<Semaphore>>>,
}

/// Users without anything under way are forgotten when there are so many.
const USERS_MAX: usize = 256;

impl Turns {
    /// `each` at once of every user.
    #[must_use]
    pub const fn new(each: usize) -> Self {
        Self { each, users: Mutex::new(BTreeMap::new()) }
    }

    /// Waits until it is the turn of this user. It is over when the permit is dropped.
    pub async fn take(&self, user: Uid) -> OwnedSemaphorePermit {
        self.of(user).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn of(&self, user: Uid) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS_MAX {
            // Permits and those who wait hold it, too; under this lock nobody begins to.
            users.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

/// Counts what each of many holds.
#[derive(Debug)]
pub struct Seats<K>(Mutex<BTreeMap<K, usize>>);

/// One of them; free again when it is dropped.
#[derive(Debug)]
pub struct Seat<K: Ord + 'static> {
    key: K,
    seats: &'static Seats<K>,
}

impl<K: Ord + Copy> Seats<K> {
    /// Nobody holds anything.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// One more for `key`, unless it has `most`.
    pub fn take(&'static self, key: K, most: usize) -> Option<Seat<K>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { key, seats: self })
    }
}

impl<K: Ord + Copy> Default for Seats<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + 'static> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut held = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_user_who_has_all_turns_keeps_nobody_else_waiting_and_is_forgotten_when_done() {
        let turns = Turns::new(2);
        let first = [turns.take(Uid(1)).await, turns.take(Uid(1)).await];
        let mut third = Box::pin(turns.take(Uid(1)));
        assert!(futures_poll(&mut third).await.is_none(), "it waits");
        for user in 2..=400 {
            drop(turns.take(Uid(user)).await);
        }
        assert!(futures_poll(&mut third).await.is_none(), "it still waits for its own");
        drop(first);
        drop(third.await);
        drop(turns.take(Uid(500)).await);
        assert!(turns.users.lock().unwrap().len() <= USERS_MAX);
    }

    /// Its outcome, if it is there.
    async fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }

    #[test]
    fn a_seat_is_free_again_when_it_is_left() {
        static SEATS: Seats<u8> = Seats::new();
        let first = SEATS.take(1, 2).expect("a seat");
        let _second = SEATS.take(1, 2).expect("a seat");
        assert!(SEATS.take(1, 2).is_none());
        assert!(SEATS.take(2, 2).is_some(), "others have their own");
        drop(first);
        assert!(SEATS.take(1, 2).is_some());
        assert_eq!(SEATS.0.lock().unwrap().get(&1), Some(&1));
    }
}
