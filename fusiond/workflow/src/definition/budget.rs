//! What runs and nodes may use. Not for: counting it; the daemon does.

use crate::duration;
use serde::{Deserialize, Serialize};

/// What may be used. What is not said has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// US dollars, as programs say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Tokens of models, as programs say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Milliseconds that all attempts take together.
    #[serde(default, with = "duration::text", skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Attempts, first ones and retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

impl Budget {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
