//! The start of the daemon: ends incarnations that nobody wants any more, and removes what dead ones have left.
//!
//! A state that was restored or lost, or a crash between the end of an incarnation and the removal of its folders,
//! leaves such strays. Logs stay: they go with their agent. Not here: incarnations that are wanted (`lane`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fusion_core::AgentId;

use super::Shared;
use super::death::strike_and_bury;
use super::places::{self, Life};

/// Does it in the background.
pub(super) fn begin(shared: &Arc<Shared>, known: &[(AgentId, u32)]) {
    let known: BTreeMap<AgentId, u32> = known.iter().copied().collect();
    let is_known = |life: &Life| known.get(&life.agent) == Some(&life.incarnation);
    let strays = list(shared.places.lives()).into_iter().filter(|life| !is_known(life));
    for life in strays {
        tracing::warn!(agent = %life.agent, "ending an incarnation that is not known here");
        let shared = Arc::clone(shared);
        let handle = shared.handle.clone();
        handle.spawn(async move { end(&shared, life).await });
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

async fn end(shared: &Arc<Shared>, life: Life) {
    match shared.blocking(move |shared| strike_and_bury(shared, life, None, None)).await {
        Ok(_witness) => forget(shared, life),
        Err(error) => {
            tracing::error!(agent = %life.agent, "an incarnation cannot be ended: {error}")
        }
    }
}

fn forget(shared: &Shared, life: Life) {
    if let Err(error) = places::remove(&shared.places.gone(life)) {
        tracing::warn!(agent = %life.agent, "the folder of a dead incarnation stays: {error}");
    }
}
