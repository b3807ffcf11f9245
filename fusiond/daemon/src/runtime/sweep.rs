//! The start of the daemon: ends incarnations that nobody wants any more, and removes what dead ones have left.
//!
//! A state that was restored or lost, or a crash between the end of an incarnation and the removal of its folders,
//! leaves such strays. Logs stay: they go with their agent. Not here: incarnations that are wanted (`lane`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fusion_core::AgentId;

use super::order::Order;
use super::places::{self, Life};
use super::{Lanes, Shared, lane};

/// Does it in the background. Each end is the first order of its agent's lane: a life of the same number may be launched
/// behind it.
pub(super) fn begin(shared: &Arc<Shared>, lanes: &Arc<Lanes>, known: &[(AgentId, u32)]) {
    let known: BTreeMap<AgentId, u32> = known.iter().copied().collect();
    let is_known = |life: &Life| known.get(&life.agent) == Some(&life.incarnation);
    for life in list(shared.places.lives()).into_iter().filter(|life| !is_known(life)) {
        let Life { agent, incarnation } = life;
        lane::deliver(shared, lanes, agent, vec![Order::EndStray { agent, incarnation }]);
    }
    for life in list(shared.places.dead()).into_iter().filter(|life| !is_known(life)) {
        forget(shared, life);
    }
}

fn list(found: io::Result<Vec<Life>>) -> Vec<Life> {
    found.unwrap_or_else(|error| {
        tracing::error!("cannot list the run folder: {error}");
        Vec::new()
    })
}

/// Removes the folder of a dead life.
pub(super) fn forget(shared: &Shared, life: Life) {
    if let Err(error) = places::remove(&shared.places.gone(life)) {
        tracing::warn!(agent = %life.agent, "the folder of a dead incarnation stays: {error}");
    }
}
