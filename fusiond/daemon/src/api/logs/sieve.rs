//! From the bytes of an attempt to what is served: masked, perhaps cut into lines, perhaps only those that match.
//!
//! ```text
//!   chunk ──► masker of its stream ──► lines of its stream ──► pattern ──► piece, with the place to go on from
//! ```
//! A place lies where both streams were handed on completely, so that whoever goes on from it misses nothing and sees
//! nothing twice. Pure. Not for: reading and waiting (`runtime::logs`), which attempts (`pump`).

use crate::runtime::logs::{Chunk, Cursor, Stream};
use crate::vault::{End, Mask, Masker, Span};
use fusion_core::Time;
use regex::bytes::Regex;

/// The longest line in one piece; a longer one is served in parts.
pub(crate) const LINE_BYTES_MAX: usize = 256 << 10;

/// How output is cut.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// As it comes.
    Bytes,
    /// Line by line; those that match, if there is a pattern.
    Lines(Option<Regex>),
}

/// Something to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stream: Stream,
    pub(crate) bytes: Vec<u8>,
    /// When its first byte was read from the program.
    pub(crate) at: Time,
    /// Where the rest begins.
    pub(crate) next: Cursor,
    /// Bytes that were dropped before it.
    pub(crate) dropped_before: u64,
    /// Whether the line goes on in the next piece of its stream.
    pub(crate) is_part: bool,
}

/// The way of one attempt's output.
pub(crate) struct Sieve {
    shape: Shape,
    out: Flow,
    err: Flow,
}

/// One stream.
struct Flow {
    masker: Masker,
    /// The raw bytes that left the masker.
    passed: u64,
    /// The line under way, and where it began.
    line: Vec<u8>,
    line_offset: u64,
    line_at: Time,
    /// Whether the rest of a line that began earlier is left out.
    skips_line: bool,
}

impl Sieve {
    /// For output from `from` on.
    pub(crate) fn new(mask: &Mask, shape: Shape, from: Cursor) -> Self {
        Self { shape, out: Flow::new(mask, from.out), err: Flow::new(mask, from.err) }
    }

    /// The stream begins within a line, whose rest is left out.
    pub(crate) fn skip_line(&mut self, stream: Stream) {
        let flow = self.flow(stream);
        flow.skips_line = true;
        flow.masker.skip();
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: Chunk, pieces: &mut Vec<Piece>) {
        if chunk.dropped_before > 0 {
            self.pass_gap(&chunk, pieces);
        }
        if self.flow(chunk.stream).line.is_empty() {
            self.flow(chunk.stream).line_at = chunk.at;
        }
        let mut spans = Vec::new();
        self.flow(chunk.stream).masker.push(&chunk.bytes, &mut |span| spans.push(span));
        self.take(chunk.stream, chunk.at, spans, pieces);
    }

    /// No more comes: what was held back is served.
    pub(crate) fn finish(&mut self, end: End, pieces: &mut Vec<Piece>) {
        for stream in Stream::ALL {
            let mut spans = Vec::new();
            let at = self.flow(stream).line_at;
            self.flow(stream).masker.finish(end, &mut |span| spans.push(span));
            self.take(stream, at, spans, pieces);
            self.end_line(stream, at, pieces);
        }
    }

    /// Bytes are missing: what was before them is decided, and a new line begins behind them.
    fn pass_gap(&mut self, chunk: &Chunk, pieces: &mut Vec<Piece>) {
        let stream = chunk.stream;
        let mut spans = Vec::new();
        self.flow(stream).masker.finish(End::Cut, &mut |span| spans.push(span));
        self.take(stream, chunk.at, spans, pieces);
        self.end_line(stream, chunk.at, pieces);
        let flow = self.flow(stream);
        flow.masker.skip();
        flow.skips_line = false;
        flow.passed = chunk.offset;
        flow.line_offset = chunk.offset;
        let next = self.place();
        let dropped_before = chunk.dropped_before;
        pieces.push(Piece { stream, bytes: Vec::new(), at: chunk.at, next, dropped_before, is_part: false });
    }

    fn take(&mut self, stream: Stream, at: Time, spans: Vec<Span>, pieces: &mut Vec<Piece>) {
        match self.shape {
            Shape::Bytes => self.take_bytes(stream, at, spans, pieces),
            Shape::Lines(_) => spans.into_iter().for_each(|span| self.take_lines(stream, at, &span, pieces)),
        }
    }

    fn take_bytes(&mut self, stream: Stream, at: Time, spans: Vec<Span>, pieces: &mut Vec<Piece>) {
        let flow = self.flow(stream);
        let mut bytes = Vec::new();
        for span in spans {
            flow.passed += span.raw_bytes;
            if bytes.is_empty() {
                bytes = span.bytes;
            } else {
                bytes.extend_from_slice(&span.bytes);
            }
        }
        flow.line_offset = flow.passed;
        if !bytes.is_empty() {
            let next = self.place();
            pieces.push(Piece { stream, bytes, at, next, dropped_before: 0, is_part: false });
        }
    }

    /// Within clear bytes each byte stands for itself; a mask holds no end of a line.
    fn take_lines(&mut self, stream: Stream, at: Time, span: &Span, pieces: &mut Vec<Piece>) {
        let is_clear = u64::try_from(span.bytes.len()).is_ok_and(|length| length == span.raw_bytes);
        let start = self.flow(stream).passed;
        for part in span.bytes.split_inclusive(|byte| *byte == b'\n') {
            let flow = self.flow(stream);
            flow.line.extend_from_slice(part);
            flow.passed += if is_clear { u64::try_from(part.len()).unwrap_or(0) } else { 0 };
            if part.ends_with(b"\n") {
                self.end_line(stream, at, pieces);
            } else if flow.line.len() >= LINE_BYTES_MAX {
                self.serve(stream, at, true, pieces);
            }
        }
        if !is_clear {
            self.flow(stream).passed = start + span.raw_bytes;
        }
    }

    fn end_line(&mut self, stream: Stream, at: Time, pieces: &mut Vec<Piece>) {
        if self.flow(stream).line.is_empty() {
            return;
        }
        self.serve(stream, at, false, pieces);
        self.flow(stream).skips_line = false;
    }

    fn serve(&mut self, stream: Stream, at: Time, is_part: bool, pieces: &mut Vec<Piece>) {
        let flow = self.flow(stream);
        let bytes = std::mem::take(&mut flow.line);
        let began = std::mem::replace(&mut flow.line_at, at);
        flow.line_offset = flow.passed;
        if flow.skips_line || !self.wants(&bytes) {
            return;
        }
        let next = self.place();
        pieces.push(Piece { stream, bytes, at: began, next, dropped_before: 0, is_part });
    }

    fn wants(&self, line: &[u8]) -> bool {
        match &self.shape {
            Shape::Bytes | Shape::Lines(None) => true,
            Shape::Lines(Some(pattern)) => {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                pattern.is_match(line.strip_suffix(b"\r").unwrap_or(line))
            }
        }
    }

    /// Everything before it was served or left out for good.
    fn place(&self) -> Cursor {
        Cursor { out: self.out.line_offset, err: self.err.line_offset }
    }

    fn flow(&mut self, stream: Stream) -> &mut Flow {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

impl Flow {
    fn new(mask: &Mask, from: u64) -> Self {
        Self {
            masker: mask.masker(),
            passed: from,
            line: Vec::new(),
            line_offset: from,
            line_at: Time(0),
            skips_line: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Value;
    use proptest::prelude::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::new(&values.iter().map(|value| Value::new(value.as_bytes().to_vec())).collect::<Vec<_>>())
    }

    /// The log as chunks in their order: stream and bytes.
    type Log = Vec<(Stream, Vec<u8>)>;

    /// What is read from a place on.
    fn chunks(log: &Log, from: Cursor) -> Vec<Chunk> {
        let mut seen = Cursor::default();
        let mut chunks = Vec::new();
        for (place, (stream, bytes)) in log.iter().enumerate() {
            let start = *seen.of(*stream);
            *seen.of(*stream) += bytes.len() as u64;
            let mut from = from;
            let skipped = usize::try_from(from.of(*stream).saturating_sub(start)).unwrap();
            if skipped < bytes.len() {
                chunks.push(Chunk {
                    stream: *stream,
                    bytes: bytes[skipped..].to_vec(),
                    next_offset: 0,
                    dropped_before: 0,
                    offset: start + skipped as u64,
                    at: Time(place as u64),
                });
            }
        }
        chunks
    }

    fn served(log: &Log, from: Cursor, mask: &Mask, shape: &Shape) -> Vec<Piece> {
        let mut sieve = Sieve::new(mask, shape.clone(), from);
        let mut pieces = Vec::new();
        chunks(log, from).into_iter().for_each(|chunk| sieve.push(chunk, &mut pieces));
        sieve.finish(End::Whole, &mut pieces);
        pieces
    }

    fn texts(pieces: &[Piece]) -> Vec<(Stream, String)> {
        pieces
            .iter()
            .map(|piece| (piece.stream, String::from_utf8_lossy(&piece.bytes).into_owned()))
            .collect()
    }

    fn log(words: &[(Stream, &str)]) -> Log {
        words.iter().map(|(stream, word)| (*stream, word.as_bytes().to_vec())).collect()
    }

    #[test]
    fn lines_come_when_they_are_complete_and_those_that_match_alone() {
        let log = log(&[(Stream::Out, "one\ntw"), (Stream::Err, "oops\n"), (Stream::Out, "o\nthree")]);
        let all = served(&log, Cursor::default(), &mask(&[]), &Shape::Lines(None));
        let expected =
            [(Stream::Out, "one\n"), (Stream::Err, "oops\n"), (Stream::Out, "two\n"), (Stream::Out, "three")];
        assert_eq!(texts(&all), expected.map(|(stream, text)| (stream, text.to_owned())));
        assert_eq!(all.iter().map(|piece| piece.at.0).collect::<Vec<_>>(), [0, 1, 0, 2]);
        let pattern = Regex::new("^t").unwrap();
        let some = served(&log, Cursor::default(), &mask(&[]), &Shape::Lines(Some(pattern)));
        assert_eq!(texts(&some).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["two\n", "three"]);
    }

    #[test]
    fn a_pattern_sees_what_is_served_and_not_the_secret() {
        let log = log(&[(Stream::Out, "token=hunter2hunter2\n")]);
        let grep = |pattern: &str| {
            let shape = Shape::Lines(Some(Regex::new(pattern).unwrap()));
            texts(&served(&log, Cursor::default(), &mask(&["hunter2hunter2"]), &shape)).len()
        };
        assert_eq!((grep("hunter2"), grep(r"token=\*\*\*")), (0, 1));
    }

    #[test]
    fn a_line_that_never_ends_is_served_in_parts() {
        let line = "x".repeat(LINE_BYTES_MAX + 10);
        let log = log(&[(Stream::Out, &line), (Stream::Out, "y\n")]);
        let pieces = served(&log, Cursor::default(), &mask(&[]), &Shape::Lines(None));
        assert_eq!(pieces.iter().map(|piece| piece.is_part).collect::<Vec<_>>(), [true, false]);
        assert_eq!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>(), line.len() + 2);
    }

    fn any_log() -> impl Strategy<Value = Log> {
        let stream = prop_oneof![Just(Stream::Out), Just(Stream::Err)];
        let bytes = proptest::collection::vec(prop_oneof![b'a'..b'd', Just(b'\n')], 1..12);
        proptest::collection::vec((stream, bytes), 0..20)
    }

    proptest! {
        /// Whoever goes on from any place sees exactly the rest, masked as the whole.
        #[test]
        fn every_place_is_one_to_go_on_from(
            log in any_log(),
            values in proptest::collection::vec("[abc]{4,6}", 0..3),
            by_line in any::<bool>(),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mask = mask(&values);
            let shape = if by_line { Shape::Lines(None) } else { Shape::Bytes };
            let whole = served(&log, Cursor::default(), &mask, &shape);
            for (place, piece) in whole.iter().enumerate() {
                let rest = served(&log, piece.next, &mask, &shape);
                for stream in Stream::ALL {
                    let text = |pieces: &[Piece]| -> Vec<u8> {
                        pieces.iter().filter(|one| one.stream == stream).flat_map(|one| one.bytes.clone()).collect()
                    };
                    prop_assert_eq!(text(&rest), text(&whole[place + 1..]), "{:?} after piece {}", stream, place);
                }
            }
        }

        /// Line by line nothing is lost, and every line but the last of a stream is whole.
        #[test]
        fn lines_are_the_bytes_cut_at_their_ends(log in any_log()) {
            let pieces = served(&log, Cursor::default(), &mask(&[]), &Shape::Lines(None));
            for stream in Stream::ALL {
                let mine: Vec<&Piece> = pieces.iter().filter(|piece| piece.stream == stream).collect();
                let whole: Vec<u8> =
                    log.iter().filter(|(other, _)| *other == stream).flat_map(|(_, bytes)| bytes.clone()).collect();
                prop_assert_eq!(mine.iter().flat_map(|piece| piece.bytes.clone()).collect::<Vec<u8>>(), whole);
                let ended = mine.iter().rev().skip(1).all(|piece| piece.bytes.ends_with(b"\n"));
                prop_assert!(ended, "{:?}", mine);
            }
        }
    }
}
