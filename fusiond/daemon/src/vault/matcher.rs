//! How much of the end of a text may be the beginning of a word: what a masker must hold back.
//!
//! The prefix function of Knuth, Morris and Pratt, so that the time is linear whatever word and text are. Not for:
//! finding whole words (`aho-corasick`).

/// One word, with how it overlaps itself.
pub(super) struct Word {
    bytes: Box<[u8]>,
    /// For each beginning of the word: the longest shorter beginning that it ends with.
    borders: Box<[usize]>,
}

impl Word {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut borders = vec![0; bytes.len()];
        let mut length = 0;
        for place in 1..bytes.len() {
            while length > 0 && bytes[place] != bytes[length] {
                length = borders[length - 1];
            }
            if bytes[place] == bytes[length] {
                length += 1;
            }
            borders[place] = length;
        }
        Self { bytes: bytes.into(), borders: borders.into() }
    }

    /// The length of the longest end of `text` that is a beginning of this word, and not all of it.
    pub(super) fn longest_beginning(&self, text: &[u8]) -> usize {
        let tail = &text[text.len().saturating_sub(self.bytes.len() - 1)..];
        tail.iter().fold(0, |mut length, byte| {
            while length > 0 && (length == self.bytes.len() || *byte != self.bytes[length]) {
                length = self.borders[length - 1];
            }
            if *byte == self.bytes[length] { length + 1 } else { length }
        })
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut *self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_looking(word: &[u8], text: &[u8]) -> usize {
        (0..word.len()).rev().find(|length| text.ends_with(&word[..*length])).unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_longest_beginning_is_that_of_the_definition(
            word in proptest::collection::vec(0_u8..3, 1..9),
            text in proptest::collection::vec(0_u8..3, 0..20),
        ) {
            prop_assert_eq!(Word::new(&word).longest_beginning(&text), by_looking(&word, &text));
        }
    }
}
