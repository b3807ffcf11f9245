//! Draws ids: 48 bits of milliseconds, 80 bits that are random and ascend within a millisecond, so
//! that ids sort by the order of acceptance.
//!
//! Not for: secrets. An id may be guessed; a nonce may not.

use fusion_core::Time;

const TAIL_BITS: u32 = 80;
const TAIL: u128 = (1 << TAIL_BITS) - 1;

/// Draws ids for one daemon.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    last: u128,
}

impl Ids {
    /// The next id; `high` and `low` are fresh entropy.
    pub(crate) fn next(&mut self, now: Time, high: u64, low: u64) -> u128 {
        let random = (u128::from(high) << 64 | u128::from(low)) & TAIL;
        let fresh = u128::from(now.0) << TAIL_BITS | random;
        // Within a millisecond: a random step forward keeps the order and the tails apart.
        let step = u128::from(low >> 24) + 1;
        self.last = if fresh > self.last && fresh >> TAIL_BITS > self.last >> TAIL_BITS {
            fresh
        } else {
            self.last + step
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_also_within_a_millisecond_and_when_time_stands() {
        let mut ids = Ids::default();
        let mut last = 0;
        for draw in 0..10_000u64 {
            let id = ids.next(
                Time(1_700_000_000_000 + draw / 1000),
                draw.wrapping_mul(0x9E37_79B9_7F4A_7C15),
                draw,
            );
            assert!(id > last);
            last = id;
        }
    }
}
