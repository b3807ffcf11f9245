//! What attempts cost, read from their output before their end is told: so a cost is stored with the end, or neither is.
//!
//! Only for agents whose profile says where the figures stand. An output that cannot be read says nothing. Not here: how
//! figures look (`profile::figure`), what may be used (`fusion_core::workflow::budget`).

use fusion_core::agent::Recipe;
use fusion_core::task::Exit;
use fusion_core::{AgentId, Cost, Outcome, Usd};

use super::Shared;
use super::logs::{Log, LogError, Stream};
use crate::profile::figure::{Figure, Sum};

/// Puts into an outcome what those attempts cost whose ends it tells.
pub(super) async fn price(shared: &Shared, recipe: &Recipe, mut outcome: Outcome) -> Outcome {
    if recipe.usage.is_empty() && recipe.tokens.is_empty() {
        return outcome;
    }
    for (agent, incarnation, serial, exit) in ends(&mut outcome) {
        if exit.out_bytes == 0 {
            continue;
        }
        match read(shared, recipe, agent, incarnation, serial).await {
            Ok(cost) => exit.cost = cost,
            Err(error) => {
                tracing::warn!(%agent, serial, "it is not known what an attempt cost: {error}");
            }
        }
    }
    outcome
}

fn ends(outcome: &mut Outcome) -> Vec<(AgentId, u32, u32, &mut Exit)> {
    match outcome {
        Outcome::AttemptExited { agent, incarnation, serial, exit } => {
            vec![(*agent, *incarnation, *serial, exit)]
        }
        Outcome::ShimUp { agent, incarnation, exits, .. } => {
            exits.iter_mut().map(|(serial, exit)| (*agent, *incarnation, *serial, exit)).collect()
        }
        Outcome::ShimGone { agent, incarnation, witness } => {
            witness.exits.iter_mut().map(|(serial, exit)| (*agent, *incarnation, *serial, exit)).collect()
        }
        Outcome::ShimFailed { .. }
        | Outcome::AttemptStarted { .. }
        | Outcome::AttemptRefused { .. }
        | Outcome::Frozen { .. }
        | Outcome::Observed { .. }
        | Outcome::WorkspaceRemoved { .. }
        | Outcome::WorkspaceMeasured { .. }
        | Outcome::WorkspaceKept { .. } => Vec::new(),
    }
}

async fn read(
    shared: &Shared,
    recipe: &Recipe,
    agent: AgentId,
    incarnation: u32,
    serial: u32,
) -> Result<Cost, LogError> {
    // They were read when the profile was: one that is none any more says nothing.
    let figures = |words: &[String]| -> Vec<Figure> {
        words.iter().filter_map(|word| Figure::parse(word).ok()).collect()
    };
    let usd = figures(std::slice::from_ref(&recipe.usage));
    let usd_count = usd.len();
    let mut sum = Sum::new(usd.into_iter().chain(figures(&recipe.tokens)).collect());
    let mut log = Log::open(&shared.config.state_dir, agent, incarnation, serial)?;
    while let Some(chunk) = log.next().await? {
        if chunk.stream == Stream::Out {
            sum.pass(&chunk.bytes);
        }
    }
    let found = sum.end();
    let (usd, tokens) = found.split_at(usd_count);
    let tokens = tokens.iter().flatten().copied().reduce(|a, b| a + b);
    Ok(Cost {
        usd: usd.iter().flatten().copied().next().and_then(Usd::from_dollars),
        tokens: tokens.map(|tokens| tokens.round() as u64),
    })
}
