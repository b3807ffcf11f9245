//! Who an agent is to the kernel: its owner, looked up once for each incarnation.
//!
//! The name service may ask the network: only on blocking threads. Not here: who may own agents (the doors).

use std::path::PathBuf;

use crate::caller::unfitness;
use crate::config::NologinUsers;
use fusion_core::Uid;
use fusion_shim::wire::Identity;
use fusion_sys::account::{self, Account};

/// The owner of an agent.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
    pub(super) shell: PathBuf,
    /// The identity that the shim takes on for attempts; `None` where the daemon runs as the owner itself.
    pub(super) identity: Option<Identity>,
}

/// Groups that give power over the daemon: an agent never has them.
const OWN_GROUP_PREFIX: &str = "fusion";

impl Owner {
    /// Asks the name service. The reason of a failure is one sentence for people.
    pub(super) fn look_up(uid: Uid) -> Result<Self, String> {
        let account = Account::by_uid(uid.0)
            .map_err(|error| format!("the name service does not answer for user {}: {error}", uid.0))?
            .ok_or_else(|| format!("there is no user {} on this machine any more", uid.0))?;
        let is_self = rustix::process::geteuid().as_raw() == uid.0;
        let identity = (!is_self).then(|| identity(&account, &own_groups()));
        let Account { gid, name, home, shell, .. } = account;
        Ok(Self { name, gid, home, shell, identity })
    }
}

/// Whether this user's account may still own agents: a pool starts them unasked, and an account may expire. The reason
/// of a refusal is one sentence for people.
pub(super) fn check(uid: Uid, nologin: Option<NologinUsers>) -> Result<(), String> {
    let Some(nologin) = nologin.filter(|_| rustix::process::geteuid().as_raw() != uid.0) else {
        return Ok(());
    };
    let account = Account::by_uid(uid.0)
        .map_err(|error| format!("the name service does not answer for user {}: {error}", uid.0))?;
    match unfitness(uid.0, account.as_ref(), nologin) {
        Some(reason) => Err(format!("user {} may not own agents: {reason}", uid.0)),
        None => Ok(()),
    }
}

fn identity(account: &Account, forbidden: &[u32]) -> Identity {
    let groups = account.groups.iter().copied().filter(|group| !forbidden.contains(group)).collect();
    Identity { uid: account.uid, gid: account.gid, groups }
}

/// The ids of the daemon's own groups: those that every installation has, by the name service, and any other of that
/// prefix in the group file.
fn own_groups() -> Vec<u32> {
    let known =
        ["fusion", "fusion-admin"].into_iter().filter_map(|name| account::group_id(name).ok().flatten());
    let file = std::fs::read_to_string("/etc/group").unwrap_or_default();
    known.chain(groups_in(&file)).collect()
}

fn groups_in(file: &str) -> Vec<u32> {
    let group = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        name.starts_with(OWN_GROUP_PREFIX).then(|| fields.nth(1)?.parse().ok())?
    };
    file.lines().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_daemon_are_taken_away() {
        let file = "root:x:0:\nfusion:x:900:ada\nfusion-admin:x:901:ada\nusers:x:100:ada\n";
        assert_eq!(groups_in(file), [900, 901]);
        let account = Account {
            uid: 1000,
            gid: 1000,
            groups: vec![1000, 900, 100, 901],
            name: "ada".to_owned(),
            home: "/home/ada".into(),
            shell: "/bin/sh".into(),
        };
        assert_eq!(identity(&account, &groups_in(file)).groups, [1000, 100]);
    }
}
