//! Logs written and read back. Not here: pipes and processes (`tests/shim.rs`).

use std::os::fd::OwnedFd;

use super::*;

fn open(folder: &std::path::Path) -> OwnedFd {
    std::fs::File::open(folder).expect("the folder").into()
}

fn read_all(reader: &mut Reader, bytes_max: usize) -> Vec<Piece> {
    std::iter::from_fn(|| reader.next(bytes_max).expect("a readable log")).collect()
}

#[test]
fn two_streams_come_back_in_order_from_any_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(7, 1 << 20, 1 << 30);
    let words = [
        (Stream::Out, "one "),
        (Stream::Out, "two "),
        (Stream::Err, "three "),
        (Stream::Out, "four "),
        (Stream::Err, "five "),
        (Stream::Err, "six "),
    ];
    let mut reader = Reader::new(open(folder.path()), 7);
    let mut live = Vec::new();
    for (stream, word) in words {
        writer.append(&state, stream, word.as_bytes(), 1);
        live.extend(read_all(&mut reader, 100).into_iter().flat_map(|piece| piece.bytes));
    }
    let expected: Vec<u8> = words.iter().flat_map(|(_, word)| word.bytes()).collect();
    assert_eq!(live, expected);
    for bytes_max in [1, 3, 100] {
        let mut read = Vec::new();
        let mut cursor = Cursor::default();
        // Every step with a reader that knows nothing but the cursor.
        while let Some(piece) = Reader::at(open(folder.path()), 7, cursor).next(bytes_max).expect("a log") {
            *cursor.of(piece.stream) += u64::try_from(piece.bytes.len()).expect("small");
            read.extend(piece.bytes);
        }
        assert_eq!(read, expected, "in pieces of {bytes_max}");
    }
    assert_eq!(writer.tail(), b"three five six ");
}

#[test]
fn one_stream_needs_no_index_and_an_empty_log_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(1, 1 << 20, 1 << 30);
    writer.append(&state, Stream::Err, b"", 1);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    assert_eq!(Reader::new(open(folder.path()), 1).next(10).expect("an empty log"), None);
    writer.append(&state, Stream::Err, b"words", 1);
    assert!(!folder.path().join("1.idx").exists());
    let mut reader = Reader::new(open(folder.path()), 1);
    reader.seek_back(2).expect("a log");
    let piece = reader.next(10).expect("a log").expect("two bytes");
    assert_eq!(piece.bytes, b"ds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert!(u64::try_from(now.as_millis()).expect("soon").abs_diff(piece.unix_ms) < 60_000);
}

/// What was written, word by word: stream, time, text.
const WORDS: [(Stream, u64, &str); 8] = [
    (Stream::Out, 1000, "one "),
    (Stream::Out, 1004, "near "),
    (Stream::Out, 1200, "two "),
    (Stream::Err, 1201, "three "),
    (Stream::Out, 1500, "four "),
    (Stream::Out, 1800, "five "),
    (Stream::Err, 1900, "six "),
    (Stream::Err, 2500, "seven"),
];

fn written() -> (tempfile::TempDir, OwnedFd) {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(7, 1 << 20, 1 << 30);
    for (stream, at, word) in WORDS {
        writer.append(&state, stream, word.as_bytes(), at);
    }
    (folder, state)
}

fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect()
}

#[test]
fn bytes_know_when_they_were_read() {
    let (folder, _state) = written();
    let pieces = read_all(&mut Reader::new(open(folder.path()), 7), 100);
    let times: Vec<u64> = pieces.iter().map(|piece| piece.unix_ms).collect();
    assert_eq!(times, [1000, 1200, 1201, 1500, 1800, 1900, 2500]);
    for since in [0, 1000, 1001, 1200, 1201, 1202, 1700, 1900, 2500, 2501] {
        let mut reader = Reader::new(open(folder.path()), 7);
        reader.seek_time(since).expect("a log");
        let noted = |at: u64| if at == 1004 { 1000 } else { at };
        let expected: String =
            WORDS.iter().filter(|(_, at, _)| noted(*at) >= since).map(|(_, _, word)| *word).collect();
        assert_eq!(text(&read_all(&mut reader, 100)), expected, "since {since}");
    }
}

#[test]
fn the_last_bytes_of_both_streams_are_the_end_of_the_whole() {
    let (folder, _state) = written();
    let whole: String = WORDS.iter().map(|(_, _, word)| *word).collect();
    for bytes in 0..=whole.len() + 3 {
        let mut reader = Reader::new(open(folder.path()), 7);
        reader.seek_back(bytes as u64).expect("a log");
        let expected = &whole[whole.len().saturating_sub(bytes)..];
        assert_eq!(text(&read_all(&mut reader, 100)), expected, "the last {bytes}");
    }
}

#[test]
fn an_index_of_times_grows_ever_slower() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(1, 1 << 20, 1 << 30);
    for at in 0..40_000u64 {
        writer.append(&state, Stream::Out, b"x", at * 10);
    }
    let length = std::fs::metadata(folder.path().join("1.idx")).expect("an index").len();
    assert!(length > 256 << 10 && length < 24 * 30_000, "{length} bytes");
}

#[test]
fn beyond_the_quota_the_oldest_segments_go_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(2, 4096, 16384);
    let text: Vec<u8> = (0..60_000u32).map(|number| u8::try_from(number % 251).expect("small")).collect();
    for chunk in text.chunks(1000) {
        writer.append(&state, Stream::Out, chunk, 1);
    }
    let pieces = read_all(&mut Reader::new(open(folder.path()), 2), 5000);
    let first = pieces.first().expect("some output");
    assert_eq!(first.missing_bytes, writer.dropped_bytes());
    let kept: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
    let dropped = usize::try_from(writer.dropped_bytes()).expect("small");
    assert_eq!(kept, text[dropped..]);
    assert!(kept.len() <= 16384 && kept.len() > 16384 - 2 * 4096, "{} bytes are kept", kept.len());
    assert_eq!(writer.bytes(Stream::Out), 60_000);
}

#[test]
fn a_refused_write_leaves_a_counted_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = open(folder.path());
    let mut writer = Writer::new(3, 4096, 1 << 20);
    // The name of the second segment is taken: it cannot be made.
    std::fs::create_dir(folder.path().join("3.out.4096")).expect("a folder");
    writer.append(&state, Stream::Out, &[b'a'; 5000], 1000);
    assert_eq!(writer.dropped_bytes(), 904);
    writer.append(&state, Stream::Out, b"too soon", 1001);
    writer.append(&state, Stream::Out, b"later", 3000);
    assert_eq!(writer.dropped_bytes(), 912);
    std::fs::remove_dir(folder.path().join("3.out.4096")).expect("the folder");
    let pieces = read_all(&mut Reader::new(open(folder.path()), 3), 1 << 20);
    let seen: Vec<_> =
        pieces[1..].iter().map(|piece| (piece.missing_bytes, piece.bytes.as_slice())).collect();
    // What came later has a time of its own, so the gap before it is told first.
    assert_eq!(seen, [(912, b"".as_slice()), (0, b"later".as_slice())]);
}
