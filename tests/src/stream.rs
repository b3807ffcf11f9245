//! Output whose every byte can be foretold: both the fake agent and the story compute it from a seed.

/// The first `length` bytes of the stream that `seed` begins: printable lines of 64 characters.
#[must_use]
pub fn stream(seed: u64, length: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        if bytes.len() % 64 == 63 {
            bytes.push(b'\n');
            continue;
        }
        // splitmix64 (Steele, Lea, Flood 2014): one addition and two multiplications, no state to share.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.push(ALPHABET[usize::from((mixed >> 58) as u8)]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::stream;

    #[test]
    fn a_stream_is_the_beginning_of_a_longer_one() {
        assert_eq!(stream(7, 1000), stream(7, 2000)[..1000]);
        assert_ne!(stream(7, 1000), stream(8, 1000));
    }
}
