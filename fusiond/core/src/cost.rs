//! What models cost, as programs say it of themselves: US dollars and tokens.
//!
//! Not for: reading it out of what a program writes, nor for what a program does not say; that is not known, and counts
//! as nothing.

use serde::{Deserialize, Serialize};

/// Millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Usd(pub u64);

/// What was said, or, as a limit, what may be used. `None`: nothing was said, there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Money.
    pub usd: Option<Usd>,
    /// Tokens of models, those that went in and those that came out.
    pub tokens: Option<u64>,
}

impl Usd {
    /// The nearest amount; `None` for what is none: below zero, or no number.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let millionths = (dollars * 1e6).round();
        // From 2^53 on not every whole number is an f64.
        (0.0..=9_007_199_254_740_992.0).contains(&millionths).then_some(Self(millionths as u64))
    }

    /// As a number of dollars.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl std::fmt::Display for Usd {
    /// `2 USD`, `0.0042 USD`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1_000_000, self.0 % 1_000_000) {
            (whole, 0) => write!(f, "{whole} USD"),
            (whole, part) => write!(f, "{whole}.{} USD", format!("{part:06}").trim_end_matches('0')),
        }
    }
}

impl Cost {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, other) => one.or(other),
        };
        let millionths = |cost: Self| cost.usd.map(|usd| usd.0);
        Self {
            usd: both(millionths(self), millionths(other)).map(Usd),
            tokens: both(self.tokens, other.tokens),
        }
    }

    /// What is left of it, as a limit, after this was used.
    #[must_use]
    pub fn less(self, used: Self) -> Self {
        let left = |limit: u64, used: Option<u64>| limit.saturating_sub(used.unwrap_or(0));
        Self {
            usd: self.usd.map(|limit| Usd(left(limit.0, used.usd.map(|usd| usd.0)))),
            tokens: self.tokens.map(|limit| left(limit, used.tokens)),
        }
    }

    /// The tighter of two limits.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        Self {
            usd: self.usd.into_iter().chain(other.usd).min(),
            tokens: self.tokens.into_iter().chain(other.tokens).min(),
        }
    }

    /// Which limit this has reached, and by how much, in words: `a budget of 2 USD: attempts cost 2.1 USD`.
    #[must_use]
    pub fn reached(self, limit: Self) -> Option<String> {
        if let Some((limit, usd)) = limit.usd.zip(self.usd).filter(|(limit, usd)| usd >= limit) {
            return Some(format!("{limit}: attempts cost {usd}"));
        }
        let (limit, tokens) = limit.tokens.zip(self.tokens).filter(|(limit, tokens)| tokens >= limit)?;
        Some(format!("{limit} tokens: attempts used {tokens}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn cost(usd: Option<u64>, tokens: Option<u64>) -> Cost {
        Cost { usd: if let Some(usd) = usd { Some(Usd(usd)) } else { None }, tokens }
    }

    #[test]
    fn dollars_are_kept_to_the_millionth() {
        for (dollars, said) in
            [(2.0, "2 USD"), (0.0042, "0.0042 USD"), (0.1 + 0.2, "0.3 USD"), (0.0, "0 USD")]
        {
            let usd = Usd::from_dollars(dollars).unwrap();
            assert_eq!(usd.to_string(), said);
            assert_eq!(Usd::from_dollars(usd.dollars()), Some(usd));
        }
        for dollars in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Usd::from_dollars(dollars), None, "{dollars}");
        }
    }

    #[test]
    fn what_was_not_said_is_not_known() {
        let some = cost(Some(5), None).and(cost(None, Some(7)));
        assert_eq!(some, cost(Some(5), Some(7)));
        assert_eq!(some.and(some), cost(Some(10), Some(14)));
        assert!(Cost::default().and(Cost::default()).is_empty());
        assert_eq!(Cost::default().reached(cost(Some(0), Some(0))), None);
    }

    #[test]
    fn a_limit_is_reached_told_and_tightened() {
        let limit = cost(Some(2_000_000), Some(100));
        assert_eq!(cost(Some(1_999_999), Some(99)).reached(limit), None);
        let told = |used: Cost| used.reached(limit).unwrap();
        assert_eq!(told(cost(Some(2_100_000), None)), "2 USD: attempts cost 2.1 USD");
        assert_eq!(told(cost(None, Some(120))), "100 tokens: attempts used 120");
        assert_eq!(limit.less(cost(Some(500_000), Some(300))), cost(Some(1_500_000), Some(0)));
        assert_eq!(limit.tighter(cost(Some(1), None)), cost(Some(1), Some(100)));
    }
}
