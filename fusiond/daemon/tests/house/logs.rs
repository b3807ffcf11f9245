//! Logs through the hands: order, places, following, results.

use fusion_core::task::ExitKind;
use fusiond::runtime::BackendChoice;
use fusiond::runtime::logs::{Chunk, Log, LogError, Stream};

use crate::rig::{Rig, on_runtime};

async fn read_all(log: &mut Log) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while let Some(chunk) = log.next().await.expect("a log") {
        chunks.push(chunk);
    }
    chunks
}

fn text(chunks: &[Chunk], stream: Stream) -> String {
    let mine = chunks.iter().filter(|chunk| chunk.stream == stream);
    String::from_utf8(mine.flat_map(|chunk| chunk.bytes.clone()).collect()).expect("text")
}

#[test]
fn a_log_is_followed_to_its_end_and_resumed_at_any_place() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        rig.launch().await;
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let log = rig.hands.runtime.log(rig.agent, 1, 1).expect("a log");
        let mut followed = log.follow(async move { drop(ended.await) }).expect("a watch");
        let following = tokio::spawn(async move { read_all(&mut followed).await });
        let script = "i=0; while [ $i -lt 200 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
        let exit = rig.run(1, script).await;
        assert_eq!(exit.kind, ExitKind::Exited { code: 0 });
        done.send(()).expect("somebody follows");
        let chunks = following.await.expect("no panic");
        let expected = |stream: &str| (0..200).map(|line| format!("{stream} {line}\n")).collect::<String>();
        assert_eq!(text(&chunks, Stream::Out), expected("out"));
        assert_eq!(text(&chunks, Stream::Err), expected("err"));
        let end = chunks.last().map_or(0, |chunk| chunk.next_offset);
        assert_eq!(end, exit.out_bytes + exit.err_bytes);
        for from in [0, 1, 700, end - 1, end] {
            let mut log = rig.hands.runtime.log(rig.agent, 1, 1).expect("a log");
            log.seek(from).await.expect("a place");
            let rest = read_all(&mut log).await;
            assert_eq!(rest.iter().map(|chunk| chunk.bytes.len() as u64).sum::<u64>(), end - from);
        }
        rig.clean_up().await;
    });
}

#[test]
fn a_result_is_standard_output_alone_up_to_a_limit() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        rig.launch().await;
        rig.run(1, "echo noise >&2; printf 0123456789; echo noise >&2; printf abc").await;
        let log = || rig.hands.runtime.log(rig.agent, 1, 1).expect("a log");
        let all = log().output(100).await.expect("output");
        assert_eq!((all.bytes.as_slice(), all.truncated), (b"0123456789abc".as_slice(), false));
        let some = log().output(4).await.expect("output");
        assert_eq!((some.bytes.as_slice(), some.truncated), (b"0123".as_slice(), true));
        let exact = log().output(13).await.expect("output");
        assert!(!exact.truncated);
        rig.run(2, "true").await;
        let empty = rig.hands.runtime.log(rig.agent, 1, 2).expect("a log");
        assert_eq!(empty.output(10).await.expect("output"), Default::default());
        let gone = rig.hands.runtime.log(rig.agent, 9, 1);
        assert!(matches!(gone, Err(LogError::Gone { .. })));
        rig.clean_up().await;
    });
}

#[test]
fn output_beyond_the_quota_is_dropped_and_counted() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        rig.launch().await;
        let exit = rig.run(1, "head -c 3000000 /dev/zero").await;
        let mut log = rig.hands.runtime.log(rig.agent, 1, 1).expect("a log");
        let chunks = read_all(&mut log).await;
        let kept: u64 = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        let dropped: u64 = chunks.iter().map(|chunk| chunk.dropped_before).sum();
        assert_eq!((kept + dropped, dropped), (3_000_000, exit.dropped_bytes));
        assert!(dropped > 0 && chunks.last().is_some_and(|chunk| chunk.next_offset == 3_000_000));
        rig.clean_up().await;
    });
}
