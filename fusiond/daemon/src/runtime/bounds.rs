//! What all agents of one user may use together: held by the user's slice, so by systemd alone. Elsewhere an agent of a
//! user who is bounded does not start. Not here: limits of a single agent (`backend`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fusion_core::agent::AgentLimits;
use fusion_core::{Reject, Uid};
use fusion_shim::cgroup::{Ground, Kind};

use super::{Runtime, Shared};
use crate::config::Bounds;

impl Runtime {
    /// New bounds are in force: at once for `owners`, whose agents live, and for whoever is bounded until now, also by a
    /// daemon that ended meanwhile; for others with their next agent. Returns what could not be done.
    pub async fn bind(&self, bounds: Bounds, owners: &BTreeSet<Uid>) -> Vec<String> {
        self.shared.bounds.send_replace(bounds.clone());
        let Some(scopes) = &self.shared.config.scopes else { return Vec::new() };
        let held = held_below(&scopes.control);
        let mut notes = Vec::new();
        for owner in owners.union(&held.keys().copied().collect()) {
            let (now, before) = (bounds.of(*owner), held.get(owner).copied().unwrap_or_default());
            if now == before {
                continue;
            }
            if let Err(error) = scopes.bind(*owner, now, before).await {
                notes.push(format!("the limits of user {} are the old ones: {}", owner.0, error.sentence()));
            }
        }
        notes
    }
}

impl Shared {
    pub(super) fn check_bounds(&self, owner: Uid, kind: Kind) -> Result<(), Reject> {
        check(&self.ground, kind, self.bounds.borrow().of(owner))
    }
}

fn check(ground: &Ground, kind: Kind, bounds: AgentLimits) -> Result<(), Reject> {
    let held = |name: &str| match kind {
        Kind::Systemd => ground.systemd.iter().flatten().any(|controller| controller == name),
        Kind::V2 | Kind::V1 | Kind::None => false,
    };
    let asked = [
        ("memory", bounds.memory_bytes.is_some(), "limits.per_user.memory"),
        ("cpu", bounds.cpu_millis.is_some(), "limits.per_user.cpu"),
        ("pids", bounds.pids.is_some(), "limits.per_user.pids"),
    ];
    let missing = asked.into_iter().find(|(controller, asked, _)| *asked && !held(controller));
    missing.map_or(Ok(()), |(_, _, limit)| Err(Reject::LimitUnenforceable { limit }))
}

/// What the slices of users are held to until the machine is started anew, by what the service manager keeps of it.
fn held_below(control: &Path) -> BTreeMap<Uid, AgentLimits> {
    let uid = |name: &str| name.strip_prefix("fusion-u")?.strip_suffix(".slice.d")?.parse().ok().map(Uid);
    let folders = names_in(control).into_iter();
    folders.filter_map(|name| Some((uid(&name)?, held_in(&control.join(&name))))).collect()
}

fn held_in(folder: &Path) -> AgentLimits {
    let mut limits = AgentLimits::default();
    for name in names_in(folder) {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().for_each(|line| take_line(&mut limits, line));
    }
    limits
}

/// In the order in which the manager reads them.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What is in other words than ours is a bound all the same: one that differs from any of ours.
fn take_line(limits: &mut AgentLimits, line: &str) {
    let Some((key, value)) = line.split_once('=') else { return };
    let bound = match value {
        "" | "infinity" => None,
        words => Some(words.trim_end_matches('%').parse().unwrap_or(0)),
    };
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    match key {
        "MemoryMax" => limits.memory_bytes = bound,
        "CPUQuota" => limits.cpu_millis = bound.map(|percent| small(percent.saturating_mul(10))),
        "TasksMax" => limits.pids = bound.map(small),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn bounds_of_an_earlier_daemon_are_found_where_systemd_keeps_them() {
        let control = tempfile::tempdir().unwrap();
        let keep = |unit: &str, name: &str, text: &str| {
            let folder = control.path().join(format!("{unit}.d"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), format!("# Do not edit.\n[Slice]\n{text}\n")).unwrap();
        };
        keep("fusion-u7.slice", "50-MemoryMax.conf", "MemoryMax=209715200");
        keep("fusion-u7.slice", "50-CPUQuota.conf", "CPUQuota=150%");
        keep("fusion-u7.slice", "50-TasksMax.conf", "TasksMax=400");
        keep("fusion-u8.slice", "50-MemoryMax.conf", "MemoryMax=infinity");
        keep("fusion-u8.slice", "50-CPUQuota.conf", "CPUQuota=");
        keep("fusion-u9.slice", "50-MemoryMax.conf", "MemoryMax=50%foo");
        keep("fusion.slice", "50-TasksMax.conf", "TasksMax=5");
        let none = AgentLimits::default();
        let seven =
            AgentLimits { memory_bytes: Some(209_715_200), cpu_millis: Some(1500), pids: Some(400), ..none };
        let nine = AgentLimits { memory_bytes: Some(0), ..none };
        let found = BTreeMap::from([(Uid(7), seven), (Uid(8), none), (Uid(9), nine)]);
        assert_eq!(held_below(control.path()), found);
        assert!(held_below(&control.path().join("none")).is_empty());
    }

    #[test]
    fn only_a_slice_with_the_controller_holds_what_agents_use_together() {
        let ground = Ground { systemd: Some(vec!["pids".to_owned()]), ..Ground::default() };
        let none = AgentLimits::default();
        let (pids, memory) =
            (AgentLimits { pids: Some(9), ..none }, AgentLimits { memory_bytes: Some(1 << 30), ..none });
        let refused = |limit| Err(Reject::LimitUnenforceable { limit });
        assert_eq!(check(&ground, Kind::Systemd, pids), Ok(()));
        assert_eq!(check(&ground, Kind::Systemd, memory), refused("limits.per_user.memory"));
        assert_eq!(check(&ground, Kind::V1, pids), refused("limits.per_user.pids"));
        assert_eq!(check(&ground, Kind::None, none), Ok(()));
    }
}
