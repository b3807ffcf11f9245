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
    reader.seek_before_end(2).expect("a log");
    assert_eq!(reader.next(10).expect("a log").expect("two bytes").bytes, b"ds");
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
    assert_eq!(pieces.len(), 2);
    assert_eq!((pieces[1].missing_bytes, pieces[1].bytes.as_slice()), (912, b"later".as_slice()));
}
