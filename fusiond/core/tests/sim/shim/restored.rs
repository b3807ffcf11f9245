//! What is left of the world when an older state takes the place of the present one.
//!
//! Not for: what the state makes of it.

use super::{Shims, Who};
use fusion_core::task::Exit;
use fusion_core::{AgentId, AgentLife, State, Task};
use std::collections::BTreeSet;

impl Shims {
    /// An older state takes the place of the present one: shims that it does not know end, and of what the dead ones did
    /// it hears what their records say. What runs on for no lease of it is nobody's.
    pub(crate) fn outlive(&mut self, state: &State) {
        self.is_restored = true;
        let is_known = |(agent, incarnation): (AgentId, u32)| {
            state.agent(agent).is_some_and(|agent| agent.incarnation >= incarnation)
        };
        let is_present = |who: &Who| state.agent(who.0).is_some_and(|agent| agent.incarnation == who.1);
        let is_new = |who: &Who| {
            state.agent(who.0).is_some_and(|agent| matches!(agent.life, AgentLife::Starting { .. }))
        };
        self.alive.retain(|who, _| is_present(who));
        let alive = &self.alive;
        self.graves.retain(|who, _| is_known(*who) && (alive.contains_key(who) || !is_new(who)));
        let (alive, graves) = (&self.alive, &self.graves);
        let told = |(agent, incarnation, serial): &(AgentId, u32, u32)| {
            let shim = alive.get(&(*agent, *incarnation)).map(|shim| (&shim.started, &shim.exits));
            let grave = graves.get(&(*agent, *incarnation)).map(|grave| (&grave.started, &grave.exits));
            let tells = |(started, exits): (&Vec<u32>, &Vec<(u32, Exit)>)| {
                started.contains(serial) || exits.iter().any(|(other, _)| other == serial)
            };
            is_known((*agent, *incarnation)) && shim.into_iter().chain(grave).any(tells)
        };
        self.began.retain(told);
        let seeds = &self.seeds;
        // How a seeding ended is found out from what came after it.
        self.truth.retain(|lease, _| told(lease) || seeds.contains(lease));
        let has_worked_since = |(agent, incarnation, serial): &(AgentId, u32, u32)| {
            let grave = graves.get(&(*agent, *incarnation));
            grave.is_some_and(|grave| grave.started.iter().any(|started| started > serial))
        };
        self.seeds.retain(|lease| {
            told(lease) || has_worked_since(lease) || alive.contains_key(&(lease.0, lease.1))
        });
        let leases = state.tasks().filter_map(Task::lease);
        let leases: BTreeSet<_> =
            leases.map(|lease| ((lease.agent, lease.incarnation), lease.serial)).collect();
        let runs = self.alive.iter().filter_map(|(who, shim)| Some((*who, shim.running.as_ref()?.serial)));
        self.orphans = runs.filter(|run| !leases.contains(run)).collect();
    }
}
