//! Output: byte for byte, in order, within its quota. Not here: the log format by itself (`log::tests`).

use std::fmt::Write as _;

use fusion_shim::cgroup::Kind;
use fusion_shim::log::Stream;
use fusion_shim::wire::{Content, Limits};

use crate::rig::{Rig, code, with_each_backend};

fn numbers(last: u32) -> String {
    (1..=last).fold(String::new(), |mut text, number| {
        writeln!(text, "{number}").expect("a string grows");
        text
    })
}

#[test]
fn output_is_complete_across_segments() {
    let mut rig = Rig::with_segments(Kind::None, Limits::default(), 100_000);
    let record = rig.run_script(1, "seq 1 300000; echo end >&2");
    let expected = numbers(300_000);
    assert_eq!(record.out_bytes, u64::try_from(expected.len()).expect("small"));
    assert_eq!((record.err_bytes, record.dropped_bytes), (4, 0));
    assert_eq!(record.tail, b"end\n");
    assert!(rig.state_folder().join("1.out.100000").exists());
    let (pieces, missing) = rig.log(1);
    let out: Vec<u8> = pieces
        .iter()
        .filter(|(stream, _)| *stream == Stream::Out)
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    assert_eq!(missing, 0);
    assert!(out == expected.as_bytes(), "the bytes are the same");
    assert_eq!(pieces.last(), Some(&(Stream::Err, b"end\n".to_vec())));
}

#[test]
fn beyond_the_quota_the_oldest_output_goes_and_is_counted() {
    let mut rig = Rig::with_segments(Kind::None, Limits::default(), 16_384);
    let mut spec = rig.attempt(&["seq", "1", "100000"]);
    spec.log_quota_bytes = 65_536;
    rig.start(1, spec);
    let record = rig.daemon.exited();
    let expected = numbers(100_000);
    let (pieces, missing) = rig.log(1);
    let kept: Vec<u8> = pieces.into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(missing, record.dropped_bytes);
    assert!(kept.len() <= 65_536 && kept.len() > 40_000, "{} bytes are kept", kept.len());
    assert!(expected.as_bytes().ends_with(&kept));
    assert_eq!(missing + u64::try_from(kept.len()).expect("small"), record.out_bytes);
}

#[test]
fn the_order_of_the_streams_is_kept() {
    with_each_backend(|rig| {
        // Each line waits until the one before has been seen.
        rig.start_script(1, "for i in 1 2 3; do echo o$i; read x; echo e$i >&2; read x; done < fifo");
        rig.stop(1, 0);
        rig.daemon.exited();
        let script = "i=0; while [ $i -lt 5 ]; do echo o$i; while [ ! -e o$i ]; do :; done; \
                      echo e$i >&2; while [ ! -e e$i ]; do :; done; i=$((i+1)); done";
        rig.start_script(2, script);
        rig.daemon.started();
        let mut expected = String::new();
        for number in 0..5 {
            for stream in ["o", "e"] {
                writeln!(expected, "{stream}{number}").expect("a string grows");
                let bytes = u64::try_from(expected.len()).expect("small");
                rig.wait_until("the line is there", |rig| {
                    let observed = rig.daemon.observe();
                    observed.out_bytes + observed.err_bytes == bytes
                });
                assert_eq!(rig.text(2), expected);
                std::fs::write(rig.work_folder().join(format!("{stream}{number}")), "").expect("a file");
            }
        }
        assert_eq!(code(&rig.daemon.exited()), Some(0));
    });
}

#[test]
fn no_output_makes_no_file() {
    with_each_backend(|rig| {
        assert_eq!(code(&rig.run_script(1, "exit 0")), Some(0));
        assert_eq!(std::fs::read_dir(rig.state_folder()).expect("the folder").count(), 0);
    });
}

#[test]
fn input_comes_whole_and_ends() {
    with_each_backend(|rig| {
        let text = numbers(100_000);
        let mut spec = rig.attempt(&["cat"]);
        spec.stdin = Content::Inline(text.clone().into_bytes());
        rig.start(1, spec);
        assert_eq!(code(&rig.daemon.exited()), Some(0));
        assert!(rig.text(1) == text, "the bytes are the same");
        assert_eq!(
            code(&rig.run_script(2, "read line && exit 1; exit 0")),
            Some(0),
            "without input there is none"
        );
    });
}

#[test]
fn a_program_may_open_its_output_again() {
    with_each_backend(|rig| {
        let record = rig.run_script(1, "echo again > /dev/stderr && echo more > /dev/stdout");
        assert_eq!((code(&record), record.err_bytes, record.out_bytes), (Some(0), 6, 5));
    });
}
