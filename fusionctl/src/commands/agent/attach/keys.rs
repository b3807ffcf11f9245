//! The keys that detach, and a terminal that hands them over at once.
//!
//! The terminal stays one that edits lines: it gets the last of the keys as one more character that ends a
//! line (termios(3), VEOL2), so that nothing else changes for whoever types. Not for: what is sent.

use std::io::IsTerminal;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The keys, as the bytes that a terminal sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys(Vec<u8>);

impl Keys {
    /// Reads `ctrl-p,ctrl-q`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} are not keys; write letters or ctrl-LETTER with commas between");
        let key = |word: &str| {
            let name = word.strip_prefix("ctrl-");
            match (name.unwrap_or(word).as_bytes(), name.is_some()) {
                ([letter], true) if letter.is_ascii_alphabetic() || b"@[\\]^_".contains(letter) => {
                    Ok(letter.to_ascii_uppercase() & 0x1f)
                }
                ([letter], false) if letter.is_ascii_graphic() => Ok(*letter),
                _ => Err(wrong()),
            }
        };
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }

    /// What of `typed` comes before the keys, and whether they came. `held` keeps the beginning of keys that
    /// may go on.
    pub(crate) fn scan(&self, held: &mut Vec<u8>, typed: &[u8]) -> (Vec<u8>, bool) {
        held.extend_from_slice(typed);
        let found = held.windows(self.0.len()).position(|window| window == self.0);
        if let Some(at) = found {
            let before = held[..at].to_vec();
            held.clear();
            return (before, true);
        }
        let kept = (1..self.0.len()).rev().find(|count| held.ends_with(&self.0[..*count])).unwrap_or(0);
        let rest = held.split_off(held.len() - kept);
        (std::mem::replace(held, rest), false)
    }
}

/// A terminal with one more character that ends a line. Dropped, it is as before.
pub(crate) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Prepares the terminal on standard input; `None` when there is none.
    pub(crate) fn open(keys: &Keys) -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        now.special_codes[SpecialCodeIndex::VEOL2] = *keys.0.last()?;
        now.local_modes.insert(LocalModes::IEXTEN);
        // Otherwise ctrl-q goes on with what ctrl-s stopped, and is never seen.
        now.input_modes.remove(InputModes::IXON);
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        Some(Self { before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that has gone needs no settings.
        let _gone = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_or_control_letters() {
        assert_eq!(Keys::parse("ctrl-p,ctrl-q"), Ok(Keys(vec![16, 17])));
        assert_eq!(Keys::parse("a,ctrl-["), Ok(Keys(vec![b'a', 27])));
        for wrong in ["", "ctrl-", "ctrl-pp", "alt-x", "a,,b"] {
            assert!(Keys::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn keys_are_found_across_reads_and_their_beginning_alone_is_text() {
        let keys = Keys::parse("ctrl-p,ctrl-q").unwrap();
        let mut held = Vec::new();
        assert_eq!(keys.scan(&mut held, b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.scan(&mut held, b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.scan(&mut held, b"d\x10"), (b"d".to_vec(), false));
        assert_eq!(keys.scan(&mut held, b"\x11rest"), (Vec::new(), true));
    }
}
