//! What attempts cost, read from their output before their end is told: so a cost is stored with the end, or neither is.
//!
//! Only for agents whose profile says where the figures stand. An output that cannot be read says nothing; one that says
//! more than can be counted costs the most that can, so that nonsense ends a budget and does not evade it. Not here: how
//! figures look (`profile::figure`), what may be used (`fusion_core::workflow::budget`).

use std::ops::ControlFlow;
use std::sync::Arc;

use fusion_core::agent::Recipe;
use fusion_core::task::Exit;
use fusion_core::{AgentId, Cost, Outcome, Usd};

use super::Shared;
use super::logs::{Log, LogError};
use super::order::Setup;
use crate::profile::figure::{Figure, Sum};

/// The most that one attempt counts as, US dollars.
const DOLLARS_MAX: f64 = 1e6;
/// The most that one attempt counts as, 2^53: above, not every whole number is an f64.
const TOKENS_MAX: f64 = 9_007_199_254_740_992.0;

/// Puts into an outcome what those attempts cost whose ends it tells.
pub(super) async fn price(shared: &Arc<Shared>, setup: &Setup, mut outcome: Outcome) -> Outcome {
    let recipe = &setup.recipe;
    if recipe.usage.is_empty() && recipe.tokens.is_empty() {
        return outcome;
    }
    let figures = Figures::of(recipe);
    for (agent, incarnation, serial, exit) in ends(&mut outcome) {
        if exit.out_bytes == 0 {
            continue;
        }
        let figures = figures.clone();
        let read = shared.in_turn(&shared.turns.prices, setup.owner, move |shared| {
            let log = Log::open(&shared.watches, &shared.config.state_dir, agent, incarnation, serial)?;
            figures.read(log)
        });
        match read.await {
            Ok(said) => exit.cost = said.cost(agent, serial),
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
        | Outcome::AttemptForgotten { .. }
        | Outcome::Frozen { .. }
        | Outcome::Observed { .. }
        | Outcome::WorkspaceRemoved { .. }
        | Outcome::WorkspaceMeasured { .. }
        | Outcome::WorkspaceKept { .. } => Vec::new(),
    }
}

/// Where the numbers stand.
#[derive(Clone)]
struct Figures {
    usd: Option<Figure>,
    tokens: Vec<Figure>,
}

/// What an output said.
#[derive(Debug, Default, PartialEq)]
struct Said {
    dollars: Option<f64>,
    tokens: Option<f64>,
    /// Bytes of it that were dropped: they may have said more.
    missing_bytes: u64,
}

impl Figures {
    /// They were read when the profile was: one that is none any more says nothing.
    fn of(recipe: &Recipe) -> Self {
        let read = |word: &String| Figure::parse(word).ok();
        Self { usd: read(&recipe.usage), tokens: recipe.tokens.iter().filter_map(read).collect() }
    }

    /// Blocks.
    fn read(&self, log: Log) -> Result<Said, LogError> {
        let mut sum = Sum::new(self.usd.iter().chain(&self.tokens).cloned().collect());
        let mut missing_bytes = 0;
        log.pass_output(|bytes, missing| {
            if missing > 0 {
                missing_bytes += missing;
                sum.gap();
            }
            sum.pass(&bytes);
            if sum.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let found = sum.end();
        let (usd, tokens) = found.split_at(usize::from(self.usd.is_some()));
        let (dollars, tokens) = (usd.first().copied().flatten(), tokens.iter().flatten().copied());
        Ok(Said { dollars, tokens: tokens.reduce(|a, b| a + b), missing_bytes })
    }
}

impl Said {
    /// What it counts as, with a word in the log where that is not all that is to be said.
    fn cost(&self, agent: AgentId, serial: u32) -> Cost {
        if self.missing_bytes > 0 {
            let dropped = self.missing_bytes;
            tracing::warn!(%agent, serial, dropped, "an attempt may have cost more than is known: output was dropped");
        }
        let most = |said: Option<f64>, most: f64, unit: &str| {
            let said = said?;
            if said > most {
                tracing::warn!(%agent, serial, "an attempt says that it cost {said:e} {unit}: it counts as {most}");
            }
            Some(said.min(most))
        };
        Cost {
            usd: most(self.dollars, DOLLARS_MAX, "USD").and_then(Usd::from_dollars),
            tokens: most(self.tokens, TOKENS_MAX, "tokens").map(|tokens| tokens.round() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_can_be_counted_counts_as_the_most_that_can() {
        let cost = |dollars, tokens| {
            let said = Said { dollars, tokens, missing_bytes: 0 };
            let cost = said.cost(AgentId(1), 1);
            (cost.usd.map(Usd::dollars), cost.tokens)
        };
        assert_eq!(cost(Some(0.25), Some(7.4)), (Some(0.25), Some(7)));
        assert_eq!(cost(None, None), (None, None));
        for nonsense in [1e20, 1e300, f64::INFINITY] {
            assert_eq!(cost(Some(nonsense), Some(nonsense)), (Some(1e6), Some(1 << 53)), "{nonsense}");
        }
    }
}
