//! Stories of `task logs` and `task result`.

use std::io::Read as _;
use std::process::Stdio;

use fusion_tests::{Daemon, Setup, stream};

use crate::{daemon_with_agent, last_attempt};

#[test]
fn task_logs_are_in_the_order_in_which_they_were_written() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let pause = format!("ring {}\nawait {}", bell.path(), gate.path());
    let task = ctl.submit(&format!("say one\n{pause}\ncry two\n{pause}\nsay three"), &[]);
    for _ in 0..2 {
        bell.next_line();
        gate.open_gate(1);
    }
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let logs = ctl.run(&["task", "logs", &task]).expect_code(0);
    let both = format!("{}{}", logs.stdout, logs.stderr);
    assert!(
        both == "one\ntwo\nthree\n" || (logs.stdout == "one\nthree\n" && logs.stderr == "two\n"),
        "{logs}"
    );
}

#[test]
fn task_logs_of_megabytes_are_complete() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("flood 5000000 42", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let logs = ctl.run(&["task", "logs", &task]).expect_code(0).stdout;
    assert!(logs.as_bytes() == stream(42, 5_000_000), "{} bytes differ", logs.len());
}

#[test]
fn task_logs_follow_until_the_end() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("say one\nring {}\nawait {}\nsay two", bell.path(), gate.path()), &[]);
    bell.next_line();
    let follower = std::thread::spawn({
        let (ctl, task) = (ctl.clone(), task.clone());
        move || ctl.run(&["task", "logs", &task, "-f"])
    });
    gate.open_gate(1);
    let done = follower.join().unwrap().expect_code(0);
    assert_eq!(done.stdout, "one\ntwo\n");
}

#[test]
fn task_result_is_the_standard_output_alone() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("cry noise\nsay answer", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "answer");
}

#[test]
fn task_result_steers_no_terminal_and_is_the_same_bytes_elsewhere() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let script = r"printf 'a\033]52;c;eA==\007b\342\200\256c'";
    let task = ctl.json(&["run", "shell", script])["id"].as_str().expect("an id").to_owned();
    let command = ctl.command(&["task", "result", &task]).output().expect("it can be started");
    assert_eq!(command.stdout, b"a\x1b]52;c;eA==\x07b\xe2\x80\xaec");
    let seen = ctl.on_terminal(&["task", "result", &task], "").stdout;
    assert!(seen.contains(r"a\u{1b}]52;c;eA==\u{7}b\u{202e}c"), "{seen:?}");
}

#[test]
fn task_result_of_more_text_than_fits_is_cut_between_characters_in_a_document() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let script = "printf x; yes ä | head -n 600000 | tr -d '\\n'";
    let task = ctl.id(&["run", "shell", script]);
    let cut = ctl.json(&["task", "result", &task]);
    let text = cut["result"].as_str().expect("a text");
    assert_eq!((&cut["truncated"], text.len()), (&true.into(), (1 << 20) - 1));
    assert!(text.strip_prefix('x').is_some_and(|rest| rest.chars().all(|letter| letter == 'ä')));
    let task = ctl.id(&["run", "shell", r"printf 'a\303'"]);
    assert_eq!(ctl.refused(4, &["task", "result", &task])["code"], "result_no_text", "nothing was cut here");
}

#[test]
fn task_logs_that_break_off_are_a_whole_document() {
    let (mut daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("flood 20000000 42", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let mut command = ctl.command(&["-o", "json", "task", "logs", &task]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
    let mut printed = vec![0];
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    stdout.read_exact(&mut printed).expect("the first line comes");
    daemon.kill9();
    stdout.read_to_end(&mut printed).expect("the rest comes");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: serde_json::Value = serde_json::from_slice(&printed).expect("one document");
    assert!(lines.as_array().is_some_and(|lines| !lines.is_empty()));
}

#[test]
fn task_result_of_a_task_that_has_not_ended_is_refused() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--capability", "fly"]);
    assert_eq!(ctl.refused(4, &["task", "result", &task])["code"], "no_result");
}

#[test]
fn task_logs_beyond_the_quota_are_dropped_and_counted() {
    let config = "[runtime]\nlog_quota = \"1M\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let task = ctl.submit("flood 5000000 42", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded");
    let dropped =
        usize::try_from(last_attempt(&ended)["droppedBytes"].as_u64().expect("a loss is counted")).unwrap();
    let kept = ctl.run(&["task", "logs", &task]).expect_code(0).stdout;
    assert_eq!(kept.len() + dropped, 5_000_000);
    assert!(stream(42, 5_000_000).ends_with(kept.as_bytes()), "the newest output is kept");
}

#[test]
fn task_output_is_one_document_in_formats_of_one() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say one\nsay two", &[]);
    ctl.ended(&task);
    assert_eq!(ctl.json(&["task", "result", &task])["result"], ctl.ok(&["task", "result", &task]));
    let lines = ctl.json(&["task", "logs", &task]);
    let words: Vec<&str> =
        lines.as_array().unwrap().iter().map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(words, ["one", "two"]);
    assert_eq!(ctl.json(&["task", "logs", &task, "--grep", "none"]), serde_json::json!([]));
    let yaml = ctl.ok(&["-o", "yaml", "task", "logs", &task]);
    assert_eq!(yaml.lines().filter(|line| line.starts_with("- ")).count(), 2, "{yaml}");
    let followed = ctl.ok(&["-o", "json", "task", "logs", &task, "--follow"]);
    assert_eq!(followed.lines().filter(|line| line.starts_with('{')).count(), 2, "{followed}");
}
