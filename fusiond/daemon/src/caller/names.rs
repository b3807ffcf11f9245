//! Users by id and by name, remembered for a minute: the name service may ask the network. Not here: who may call.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fusion_sys::account::Account;

/// One user, as the name service tells.
pub type User = Account;

/// The users that were asked for lately. Every question may block: ask on a thread that may.
#[derive(Debug, Default)]
pub struct Names {
    by_uid: Mutex<BTreeMap<u32, (Instant, Option<User>)>>,
}

/// A change of groups or shell is seen after this long at the latest.
const FRESH: Duration = Duration::from_secs(60);
/// A machine with more users than this at once asks again instead of growing without end.
const USERS_MAX: usize = 4096;

impl Names {
    /// The user with this id; `None` if there is none.
    ///
    /// # Errors
    /// Those of getpwuid_r(3).
    pub fn user(&self, uid: u32) -> io::Result<Option<User>> {
        let now = Instant::now();
        if let Some((at, user)) = self.lock().get(&uid)
            && now.duration_since(*at) < FRESH
        {
            return Ok(user.clone());
        }
        // Not under the lock: one slow answer must not hold up the others.
        let user = Account::by_uid(uid)?;
        let mut known = self.lock();
        if known.len() >= USERS_MAX {
            known.clear();
        }
        known.insert(uid, (now, user.clone()));
        Ok(user)
    }

    /// The user's login name; the number where there is none or the name service does not answer.
    #[must_use]
    pub fn name(&self, uid: u32) -> String {
        self.user(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
    }

    /// The id of a user named by name or number; `None` if there is none.
    ///
    /// # Errors
    /// Those of getpwnam_r(3).
    pub fn uid(&self, name: &str) -> io::Result<Option<u32>> {
        if let Ok(uid) = name.parse() {
            return Ok(Some(uid));
        }
        Ok(Account::by_name(name)?.map(|user| user.uid))
    }

    /// The user's home folder, if there is such a user.
    #[must_use]
    pub fn home(&self, uid: u32) -> Option<PathBuf> {
        self.user(uid).ok().flatten().map(|user| user.home)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, (Instant, Option<User>)>> {
        // A map of copies is whole whatever a panicking thread did.
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_id_and_name() {
        let names = Names::default();
        for _ in 0..2 {
            assert_eq!(names.name(0), "root");
            assert_eq!(names.name(3_999_999_999), "3999999999");
        }
        assert_eq!(names.uid("root").unwrap(), Some(0));
        assert_eq!(names.uid("1234").unwrap(), Some(1234));
        assert_eq!(names.uid("no-such-user-here").unwrap(), None);
        assert!(names.home(0).is_some());
    }
}
