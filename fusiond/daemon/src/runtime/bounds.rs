//! What all agents of one user may use together: held by the user's slice, so by systemd alone. Elsewhere an agent of a
//! user who is bounded does not start. Not here: limits of a single agent (`backend`).

use std::collections::BTreeSet;

use fusion_core::agent::AgentLimits;
use fusion_core::{Reject, Uid};
use fusion_shim::cgroup::{Ground, Kind};

use super::{Runtime, Shared};
use crate::config::Bounds;

impl Runtime {
    /// New bounds are in force; those of `owners`, whose agents live, at once. Returns what could not be done.
    pub async fn bind(&self, bounds: Bounds, owners: &BTreeSet<Uid>) -> Vec<String> {
        let before = self.shared.bounds.send_replace(bounds.clone());
        let Some(scopes) = &self.shared.config.scopes else { return Vec::new() };
        let mut notes = Vec::new();
        for owner in owners.iter().filter(|owner| bounds.of(**owner) != before.of(**owner)) {
            if let Err(error) = scopes.bind(*owner, bounds.of(*owner), before.of(*owner)).await {
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

#[cfg(test)]
mod tests {
    use super::*;

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
