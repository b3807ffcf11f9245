//! What runs may use and have used, and what that cost, for people and as JSON.
//!
//! Not for: counting; the daemon does.

use fusion_proto::v1;
use serde::Serialize;

use super::word::duration;

/// What a run may use.
#[derive(Debug, Serialize)]
pub(super) struct Budget {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
}

/// What attempts have used.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    time: String,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<u64>,
}

impl From<v1::RunBudget> for Budget {
    fn from(budget: v1::RunBudget) -> Self {
        let v1::RunBudget { time, attempts, usd, tokens } = budget;
        Self { time: duration(time), attempts, usd, tokens }
    }
}

impl From<v1::RunUsage> for Usage {
    fn from(usage: v1::RunUsage) -> Self {
        let v1::RunUsage { time, attempts, usd, tokens } = usage;
        Self { time: duration(time).unwrap_or_else(|| "0s".to_owned()), attempts, usd, tokens }
    }
}

impl Budget {
    /// `1m of 2h, 3 of 40 attempts, 0.42 of 2 USD`.
    pub(super) fn words(&self, used: &Usage) -> String {
        let time = self.time.as_ref().map(|limit| format!("{} of {limit}", used.time));
        let attempts = self.attempts.map(|limit| format!("{} of {limit} attempts", used.attempts));
        let usd = self.usd.map(|limit| format!("{} of {limit} USD", used.usd.unwrap_or_default()));
        let tokens =
            self.tokens.map(|limit| format!("{} of {limit} tokens", used.tokens.unwrap_or_default()));
        time.into_iter().chain(attempts).chain(usd).chain(tokens).collect::<Vec<_>>().join(", ")
    }
}

/// `0.42 USD, 1234 tokens`; nothing where no program said what it cost.
pub(crate) fn cost_words(usd: Option<f64>, tokens: Option<u64>) -> String {
    let usd = usd.map(|usd| format!("{usd} USD"));
    let tokens = tokens.map(|tokens| format!("{tokens} tokens"));
    usd.into_iter().chain(tokens).collect::<Vec<_>>().join(", ")
}
