//! Stories of `task logs` and `agent logs`: a part of the output, lines, times, and following through crashes.

use std::io::Read as _;
use std::process::Stdio;

use fusion_tests::{Ctl, Daemon, Setup};
use serde_json::Value;

use crate::daemon_with_agent;

/// The objects of `-o jsonl`.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn task_logs_tail_and_grep_give_the_last_lines_that_match() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("count 20000\nsay end", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let lines = |flags: &[&str]| {
        let mut args = vec!["-o", "jsonl", "task", "logs", &task];
        args.extend_from_slice(flags);
        let found = objects(&ctl.run(&args).expect_code(0).stdout);
        found.iter().map(|one| one["line"].as_str().expect("a line").to_owned()).collect::<Vec<_>>()
    };
    let all = lines(&[]);
    assert_eq!(all.len(), 20_001);
    for count in [0, 1, 2, 3, 100, 19_999, 20_001, 30_000] {
        let last = lines(&["--tail", &count.to_string()]);
        assert_eq!(last, all[all.len().saturating_sub(count)..], "the last {count}");
    }
    let sevens: Vec<_> = all.iter().filter(|line| line.ends_with("77")).cloned().collect();
    assert_eq!(lines(&["--grep", "77$"]), sevens);
    assert_eq!(lines(&["--grep", "77$", "-n", "3"]), sevens[sevens.len() - 3..]);
    assert_eq!(
        ctl.refused(2, &["task", "logs", &task, "--grep", "("])["message"],
        "\"(\" is no regular expression that can be used: unclosed group"
    );
}

#[test]
fn task_logs_know_when_each_line_was_written() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script =
        format!("say early\nnap 30\nring {}\nawait {}\nsay late\ncry later", bell.path(), gate.path());
    let task = ctl.submit(&script, &[]);
    bell.next_line();
    let first = objects(&ctl.run(&["-o", "jsonl", "task", "logs", &task]).expect_code(0).stdout);
    let early = first[0]["time"].as_str().expect("a time").to_owned();
    // Times are kept to 10 ms.
    let early_ms = early.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond();
    let between = jiff::Timestamp::from_millisecond(early_ms + 12).expect("soon").to_string();
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let all = objects(&ctl.run(&["-o", "jsonl", "task", "logs", &task]).expect_code(0).stdout);
    let words: Vec<_> = all.iter().map(|one| (one["stream"].as_str(), one["line"].as_str())).collect();
    assert_eq!(
        words,
        [(Some("stdout"), Some("early")), (Some("stdout"), Some("late")), (Some("stderr"), Some("later"))]
    );
    let again = all[0]["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    // Before there is an index the time is that of the file, which the kernel keeps to a tick.
    assert!(again.is_some_and(|at| at.as_millisecond().abs_diff(early_ms) <= 10), "{again:?} is not {early}");
    assert!(all[1]["time"].as_str() > Some(early.as_str()));
    assert_eq!((&all[0]["task"], &all[0]["attempt"]), (&Value::from(task.as_str()), &Value::from(1)));
    let late = ctl.run(&["task", "logs", &task, "--since", &between, "--timestamps"]).expect_code(0);
    assert!(late.stdout.ends_with("Z late\n") && late.stdout.lines().count() == 1, "{late}");
    assert!(late.stderr.ends_with("Z later\n"), "{late}");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--since", "1h"]), "early\nlate");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--since", "0s"]), "");
}

#[test]
fn task_logs_raw_are_exact_bytes_each_on_its_stream() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("flood 300000 7\ncry noise", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let done = ctl.run(&["task", "logs", &task, "--raw"]).expect_code(0);
    assert!(done.stdout.as_bytes() == fusion_tests::stream(7, 300_000), "{} bytes", done.stdout.len());
    assert_eq!(done.stderr, "noise\n");
}

#[test]
fn task_logs_of_all_attempts_or_one() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say once\nexit 1", &["--retries", "1"]);
    ctl.ended(&task);
    assert_eq!(ctl.ok(&["task", "logs", &task]), "once");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--attempt", "1"]), "once");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--attempt", "all"]), "1 | once\n2 | once");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--attempt", "all", "-n", "1"]), "2 | once");
    assert_eq!(ctl.refused(2, &["task", "logs", &task, "--attempt", "3"])["code"], "field_invalid");
}

#[test]
fn agent_logs_tail_reaches_over_attempts() {
    let (_daemon, ctl) = daemon_with_agent();
    for number in 1..=4 {
        let task = ctl.submit(&format!("say {number}a\nsay {number}b"), &[]);
        ctl.ended(&task);
    }
    assert_eq!(ctl.ok(&["agent", "logs", "a", "--raw", "-n", "3"]), "3b\n4a\n4b");
    let prefixed = ctl.ok(&["agent", "logs", "a", "-n", "1"]);
    assert!(prefixed.starts_with("tsk_") && prefixed.ends_with(" | 4b"), "{prefixed}");
}

/// A command that follows, which has begun to print.
struct Follower {
    child: std::process::Child,
    printed: Vec<u8>,
}

impl Follower {
    fn begin(ctl: &Ctl, args: &[&str]) -> Self {
        let mut command = ctl.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("fusionctl can be started");
        let mut printed = vec![0];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut printed).expect("it prints something");
        Self { child, printed }
    }

    /// Waits for its end; its whole output.
    fn end(self) -> (String, String) {
        let Self { child, mut printed } = self;
        let done = child.wait_with_output().expect("our child can be waited for");
        printed.extend(done.stdout);
        let [stdout, stderr] = [printed, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(done.status.success(), "{}: {stderr}", done.status);
        (stdout, stderr)
    }
}

#[test]
fn logs_followed_through_crashes_lose_and_repeat_nothing() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let part = format!("count 500\nring {}\nawait {}\n", bell.path(), gate.path());
    let task = ctl.submit(&part.repeat(4), &[]);
    bell.next_line();
    let follow = |args: &[&str]| Follower::begin(&ctl, args);
    let bytes = follow(&["task", "logs", &task, "-f", "--raw"]);
    let lines = follow(&["-o", "jsonl", "task", "logs", &task, "-f"]);
    let of_agent = follow(&["-o", "jsonl", "agent", "logs", "a", "-f"]);
    for _ in 0..3 {
        daemon.kill9();
        gate.open_gate(1);
        bell.next_line();
        daemon.start_again();
    }
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let numbers = |parity: u32| -> String {
        (0..4).flat_map(|_| 1..=500).filter(|number| number % 2 == parity).map(|n| format!("{n}\n")).collect()
    };
    let (stdout, stderr) = bytes.end();
    assert!(stdout == numbers(1) && stderr == numbers(0), "stdout: {stdout}\nstderr: {stderr}");
    ctl.ok(&["agent", "terminate", "a"]);
    for follower in [lines, of_agent] {
        let (printed, _) = follower.end();
        for (stream, parity) in [("stdout", 1), ("stderr", 0)] {
            let mine = objects(&printed).into_iter().filter(|one| one["stream"] == stream);
            let text: String =
                mine.map(|one| format!("{}\n", one["line"].as_str().expect("a line"))).collect();
            assert!(text == numbers(parity), "{stream}: {text}");
        }
    }
}

/// The lines without the tasks that they are of.
fn words(logged: &str) -> Vec<&str> {
    logged.lines().map(|line| line.split_once(" | ").map_or(line, |(_, word)| word)).collect()
}

#[test]
fn agent_logs_reach_attempts_of_tasks_that_left_the_memory() {
    let config = "[tasks]\nended_in_memory = 1\n".to_owned();
    let mut daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let say = |word: &str| {
        let task = ctl.submit(&format!("say {word}"), &[]);
        assert_eq!(ctl.ended(&task)["state"], "succeeded");
    };
    for word in ["one", "two", "three"] {
        say(word);
    }
    daemon.kill9();
    daemon.start_again();
    let quiet = ctl.submit("exit 0", &[]);
    ctl.ended(&quiet);
    say("four");
    assert_eq!(words(&ctl.ok(&["agent", "logs", "a"])), ["one", "two", "three", "four"]);
    assert_eq!(words(&ctl.ok(&["agent", "logs", "a", "--tail", "3"])), ["two", "three", "four"]);
    assert_eq!(words(&ctl.ok(&["agent", "logs", "a", "--grep", "o", "--tail", "2"])), ["two", "four"]);
    let follower = std::thread::spawn({
        let ctl = ctl.clone();
        move || ctl.run(&["agent", "logs", "a", "-f", "--tail", "4"])
    });
    for word in ["five", "six", "seven"] {
        say(word);
    }
    ctl.ok(&["agent", "terminate", "a"]);
    let followed = follower.join().expect("the follower does not panic").expect_code(0).stdout;
    // It began somewhere among those that came meanwhile; from there on nothing is missing.
    let (all, followed) = (["one", "two", "three", "four", "five", "six", "seven"], words(&followed));
    assert!(all.ends_with(&followed) && followed.len() >= 4, "{followed:?}");
}

#[test]
fn logs_refuse_a_pattern_that_is_too_long_before_anything_is_built_of_it() {
    let (daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say hello", &[]);
    ctl.ended(&task);
    // Four thousand times as much stands before the automaton.
    let long = r"\w".repeat(60_000);
    let most = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most memory");
        line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
    };
    let before = most();
    assert_eq!(ctl.refused(2, &["task", "logs", &task, "--grep", &long])["code"], "pattern_invalid");
    assert!(most() - before < 100_000, "{before} kB, then {} kB", most());
    let nobody = ctl.refused(3, &["task", "logs", "tsk_00000000000000000000000000", "--grep", "("]);
    assert_eq!(nobody["code"], "task_not_found", "whose it is comes first");
}

#[test]
fn logs_that_nobody_follows_any_more_count_for_nobody() {
    use std::io::BufRead as _;
    let (daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say hello", &[]);
    ctl.ended(&task);
    let agent = ctl.json(&["agent", "show", "a"])["id"].as_str().expect("an id").to_owned();
    let inside = ctl.through(&daemon.root().join(format!("run/i/{agent}.1/agent.sock")));
    let follow = || {
        let mut command = inside.command(&["agent", "logs", "a", "--follow"]);
        let mut client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let out = client.stdout.as_mut().expect("it is piped");
        let read = std::io::BufReader::new(out).read_line(&mut line).expect("text");
        client.kill().expect("it runs");
        let done = client.wait_with_output().expect("it ends");
        (read > 0).then_some(line).ok_or(done)
    };
    // One more than an agent may follow at once; the agent that they wait for is idle.
    for _ in 0..=64 {
        ctl.until("it is followed", |_| follow().is_ok().then_some(()));
    }
}
