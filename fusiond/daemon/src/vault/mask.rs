//! Masking: every value that an agent was given is replaced in what it wrote, wherever it is served.
//!
//! Exact bytes are matched, the longest at the leftmost place first; of a value of several lines also each line. What
//! may be the beginning of a value waits for the bytes that decide. A value in another form (encoded, cut by the program
//! itself) is not recognised. Not for: which values there are (the doors and the engine ask the core).

use super::Value;
use super::matcher::Word;
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::Arc;

/// What stands in place of a value.
pub const STARS: &str = "***";

/// The shortest line of a value that is masked by itself: shorter ones are brackets and the like.
const LINE_BYTES_MIN: usize = 8;
/// The shortest part of a value that is masked where bytes are missing before or behind it.
const PART_BYTES_MIN: usize = super::VALUE_BYTES_MIN;

/// The values to mask in one agent's output. Cheap to clone.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<Patterns>>);

struct Patterns {
    whole: AhoCorasick,
    beginnings: Vec<Word>,
    /// The values from back to front: their ends are the beginnings of these.
    endings: Vec<Word>,
}

/// Some output after masking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What is served.
    pub bytes: Vec<u8>,
    /// How many bytes of the program's output it stands for.
    pub raw_bytes: u64,
}

impl Mask {
    /// The mask of these values.
    #[must_use]
    pub fn new(values: &[Value]) -> Self {
        let mut words: Vec<&[u8]> = Vec::new();
        for value in values.iter().map(Value::expose).filter(|value| !value.is_empty()) {
            words.push(value);
            let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            words.extend(lines.filter(|line| line.len() >= LINE_BYTES_MIN && line.len() < value.len()));
        }
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            return Self(None);
        }
        let whole = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&words);
        let backwards = |word: &&[u8]| Word::new(&word.iter().rev().copied().collect::<Vec<_>>());
        let patterns = Patterns {
            whole: whole.expect("a few hundred values of some KiB are far below the automaton's limits"),
            beginnings: words.iter().map(|word| Word::new(word)).collect(),
            endings: words.iter().map(backwards).collect(),
        };
        Self(Some(Arc::new(patterns)))
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// A whole text, masked. `cut` tells that the program's output went on before or behind it.
    #[must_use]
    pub fn text(&self, text: &[u8], cut: Cut) -> Vec<u8> {
        let mut masker = self.masker();
        if matches!(cut, Cut::Front | Cut::Both) {
            masker.skip();
        }
        let mut masked = Vec::with_capacity(text.len());
        masker.push(text, &mut |span| masked.extend_from_slice(&span.bytes));
        let end = if matches!(cut, Cut::Behind | Cut::Both) { End::Cut } else { End::Whole };
        masker.finish(end, &mut |span| masked.extend_from_slice(&span.bytes));
        masked
    }

    /// A masker for one stream of output.
    #[must_use]
    pub fn masker(&self) -> Masker {
        Masker { patterns: self.0.clone(), held: Vec::new(), after_gap: false }
    }
}

/// Where a text was cut out of a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere: it is all there is.
    Nowhere,
    /// Before its first byte.
    Front,
    /// Behind its last byte.
    Behind,
    /// On both sides.
    Both,
}

/// Whether the program itself ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was seen.
    Whole,
    /// Bytes that followed are missing.
    Cut,
}

/// Masks one stream, piece after piece.
pub struct Masker {
    patterns: Option<Arc<Patterns>>,
    /// The end of what came, which may be the beginning of a value.
    held: Vec<u8>,
    /// Whether bytes are missing before what comes next.
    after_gap: bool,
}

impl Masker {
    /// Bytes that came and were not yet handed on.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        u64::try_from(self.held.len()).unwrap_or(u64::MAX)
    }

    /// Bytes are missing before what comes next.
    pub fn skip(&mut self) {
        self.after_gap = true;
    }

    /// Takes the next bytes and hands on what is decided.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(Span)) {
        let Some(patterns) = self.patterns.clone() else {
            if !bytes.is_empty() {
                hand_on(bytes, out);
            }
            return;
        };
        self.held.extend_from_slice(bytes);
        let mut text = std::mem::take(&mut self.held);
        let mut at = self.pass_gap(&patterns, &text, out);
        let mut hold = patterns.hold_from(&text, at);
        while let Some(found) = patterns.whole.find(&text[at..]) {
            let (start, end) = (at + found.start(), at + found.end());
            if start >= hold {
                break;
            }
            hand_on(&text[at..start], out);
            out(stars(end - start));
            at = end;
            if at > hold {
                hold = patterns.hold_from(&text, at);
            }
        }
        hand_on(&text[at..hold], out);
        text.drain(..hold);
        self.held = text;
    }

    /// No more bytes come, or the next ones are missing: what was held back is decided.
    pub fn finish(&mut self, end: End, out: &mut dyn FnMut(Span)) {
        let Some(patterns) = self.patterns.clone() else { return };
        let text = zeroize::Zeroizing::new(std::mem::take(&mut self.held));
        let mut at = 0;
        for found in patterns.whole.find_iter(&text[..]) {
            hand_on(&text[at..found.start()], out);
            out(stars(found.end() - found.start()));
            at = found.end();
        }
        let hold = patterns.hold_from(&text, at);
        if end == End::Cut && text.len() - hold >= PART_BYTES_MIN {
            hand_on(&text[at..hold], out);
            out(stars(text.len() - hold));
        } else {
            hand_on(&text[at..], out);
        }
    }

    /// Masks the end of a value whose beginning is missing. Returns where the rest begins.
    fn pass_gap(&mut self, patterns: &Patterns, text: &[u8], out: &mut dyn FnMut(Span)) -> usize {
        if !std::mem::take(&mut self.after_gap) {
            return 0;
        }
        let backwards: Vec<u8> = text.iter().rev().copied().collect();
        let longest = patterns.endings.iter().map(|word| word.longest_beginning(&backwards)).max();
        let length = longest.filter(|length| *length >= PART_BYTES_MIN).unwrap_or(0);
        if length > 0 {
            out(stars(length));
        }
        length
    }
}

impl Patterns {
    /// Where the first possible beginning of a value at the end of `text[from..]` stands.
    fn hold_from(&self, text: &[u8], from: usize) -> usize {
        let longest = self.beginnings.iter().map(|word| word.longest_beginning(&text[from..])).max();
        text.len() - longest.unwrap_or(0)
    }
}

fn hand_on(bytes: &[u8], out: &mut dyn FnMut(Span)) {
    if !bytes.is_empty() {
        out(Span { bytes: bytes.to_vec(), raw_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) });
    }
}

fn stars(raw_bytes: usize) -> Span {
    let raw_bytes = u64::try_from(raw_bytes).unwrap_or(u64::MAX);
    Span { bytes: STARS.as_bytes().to_vec(), raw_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::new(&values.iter().map(|value| Value::new(value.as_bytes().to_vec())).collect::<Vec<_>>())
    }

    /// Masks piece after piece; the text, and how many raw bytes it stands for.
    fn masked(mask: &Mask, pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let (mut text, mut raw) = (Vec::new(), 0);
        let mut take = |span: Span| {
            text.extend_from_slice(&span.bytes);
            raw += span.raw_bytes;
        };
        let mut masker = mask.masker();
        pieces.iter().for_each(|piece| masker.push(piece, &mut take));
        masker.finish(End::Whole, &mut take);
        (text, raw)
    }

    /// The definition: at each place the longest value that stands there, else one byte.
    fn by_looking(values: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let (mut masked, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let here = values.iter().filter(|value| text[at..].starts_with(value)).map(Vec::len).max();
            match here {
                Some(length) => {
                    masked.extend_from_slice(STARS.as_bytes());
                    at += length;
                }
                None => {
                    masked.push(text[at]);
                    at += 1;
                }
            }
        }
        masked
    }

    #[test]
    fn a_value_is_masked_also_across_pieces_and_the_longest_counts() {
        let mask = mask(&["abcd", "abcdefgh", "cdxy"]);
        assert_eq!(masked(&mask, &[b"1abcd2"]).0, b"1***2");
        assert_eq!(masked(&mask, &[b"1ab", b"cd", b"efg", b"h2"]).0, b"1***2");
        assert_eq!(masked(&mask, &[b"abcdefg"]).0, b"***efg");
        assert_eq!(masked(&mask, &[b"abcdxy"]).0, b"***xy");
        assert_eq!(masked(&mask, &[b"abc"]), (b"abc".to_vec(), 3));
    }

    #[test]
    fn what_cannot_become_a_value_is_handed_on_at_once() {
        let mut masker = mask(&["secret-value"]).masker();
        let mut told = Vec::new();
        masker.push(b"hello sec", &mut |span| told.push(span.bytes));
        assert_eq!(told, [b"hello ".to_vec()]);
        assert_eq!(masker.held_bytes(), 3);
        masker.push(b"ond", &mut |span| told.push(span.bytes));
        assert_eq!(told.concat(), b"hello second");
        assert_eq!(masker.held_bytes(), 0);
    }

    #[test]
    fn lines_of_a_value_are_masked_by_themselves() {
        let mask = mask(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\n}\n"]);
        assert_eq!(mask.text(b"x MIIEvQIBADANBg }", Cut::Nowhere), b"x *** }");
    }

    #[test]
    fn parts_are_masked_where_the_text_was_cut() {
        let mask = mask(&["0123456789"]);
        assert_eq!(mask.text(b"456789 and 01234", Cut::Both), b"*** and ***");
        assert_eq!(mask.text(b"456789 and 01234", Cut::Nowhere), b"456789 and 01234");
        assert_eq!(mask.text(b"89 and 01", Cut::Both), b"89 and 01");
        assert_eq!(mask.text(b"456789", Cut::Front), b"***");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            values in proptest::collection::vec(proptest::collection::vec(b'a'..b'd', 4..9), 0..5),
            text in proptest::collection::vec(b'a'..b'e', 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..12),
        ) {
            let mask = Mask::new(&values.iter().cloned().map(Value::new).collect::<Vec<_>>());
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let (masked, raw) = masked(&mask, &pieces);
            prop_assert_eq!(masked, by_looking(&values, &text));
            prop_assert_eq!(raw, text.len() as u64);
        }
    }
}
