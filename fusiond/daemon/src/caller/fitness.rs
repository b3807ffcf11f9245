//! Whether an account may own agents. Not here: whether this caller may ask for it (the core).

use std::time::SystemTime;

use fusion_sys::account::{self, Account};

use crate::config::NologinUsers;

/// The kernel's stand-in for ids that a user namespace does not map (`/proc/sys/kernel/overflowuid`).
const OVERFLOW_UID: u32 = 65_534;
const SECONDS_PER_DAY: u64 = 86_400;

/// Why the account of `uid` may not own agents; `None` if it may. May block: the name service is asked.
#[must_use]
pub fn unfitness(uid: u32, user: Option<&Account>, nologin: NologinUsers) -> Option<String> {
    if uid == OVERFLOW_UID || uid == u32::MAX {
        return Some("its uid stands for nobody".to_owned());
    }
    let Some(user) = user else { return Some("there is no such account".to_owned()) };
    if nologin == NologinUsers::Refused && is_closed(user) {
        let shell = user.shell.display();
        return Some(format!("its shell is {shell}, and allow_nologin_users is off"));
    }
    match account::expiry_day(&user.name) {
        Ok(Some(day)) if day <= today() => Some("the account has expired".to_owned()),
        Ok(_) => None,
        Err(error) => Some(format!("the name service does not tell whether it has expired: {error}")),
    }
}

fn is_closed(user: &Account) -> bool {
    user.shell.file_name().is_some_and(|name| name == "nologin" || name == "false")
}

fn today() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / SECONDS_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(shell: &str) -> Account {
        Account {
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            name: "nobody-of-that-name".to_owned(),
            home: "/".into(),
            shell: shell.into(),
        }
    }

    #[test]
    fn nobody_strangers_and_closed_accounts_are_unfit() {
        let shell = user("/bin/sh");
        assert_eq!(unfitness(1000, Some(&shell), NologinUsers::Refused), None);
        assert!(unfitness(OVERFLOW_UID, Some(&shell), NologinUsers::Allowed).is_some());
        assert!(unfitness(1000, None, NologinUsers::Allowed).is_some());
        for closed in ["/usr/sbin/nologin", "/bin/false"] {
            assert!(unfitness(1000, Some(&user(closed)), NologinUsers::Refused).is_some());
            assert_eq!(unfitness(1000, Some(&user(closed)), NologinUsers::Allowed), None);
        }
    }
}
