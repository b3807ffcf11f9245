//! What `task logs` chooses of random output, against a reader that takes all of it and filters: `--tail`, `--since`,
//! `--grep` and all of them together, with segments that were dropped and without.

use fusion_tests::{Ctl, Daemon, Setup};
use serde_json::Value;

/// Random lines on both streams, in bursts.
const WRITER: &str = r#"awk -v seed=SEED 'BEGIN {
    srand(seed)
    for (i = 0; i < COUNT; i++) {
        line = i " "
        for (n = int(rand() * WIDTH); n > 0; n--) line = line "x"
        line = line " " int(rand() * 10)
        if (rand() < 0.3) print line > "/dev/stderr"; else print line
        if (rand() < 0.01) { fflush(); fflush("/dev/stderr"); system("sleep 0.01") }
    }
}'"#;

/// Numbers that are the same in every run (Marsaglia 2003, "Xorshift RNGs").
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).expect("it is below a usize")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    stream: String,
    time: jiff::Timestamp,
    text: String,
}

fn lines(ctl: &Ctl, task: &str, flags: &[&str]) -> Vec<Line> {
    let mut args = vec!["-o", "jsonl", "task", "logs", task];
    args.extend_from_slice(flags);
    let told = ctl.run(&args).expect_code(0).stdout;
    let objects = told.lines().map(|line| -> Value { serde_json::from_str(line).expect("an object a line") });
    // What else is there tells of a gap.
    let with_text = objects.filter(|one| one["line"].is_string());
    let read = |one: Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let time = word("time").parse().expect("RFC 3339");
        Line { stream: word("stream"), time, text: word("line") }
    };
    with_text.map(read).collect()
}

/// A pattern, and what it means.
type Pattern = (&'static str, fn(&str) -> bool);

const PATTERNS: [Pattern; 4] = [
    ("7$", |line| line.ends_with('7')),
    ("^1", |line| line.starts_with('1')),
    ("xxxxx 0", |line| line.contains("xxxxx 0")),
    ("never", |_| false),
];

fn check(count: usize, width: usize, seed: usize) {
    // The least quota that there is.
    let config = "[runtime]\nlog_quota = \"1MiB\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let fill = |text: &str, word, number: usize| text.replace(word, &number.to_string());
    let writer = fill(&fill(&fill(WRITER, "SEED", seed), "COUNT", count), "WIDTH", width);
    let task = ctl.submit(&writer, &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let all = lines(&ctl, &task, &[]);
    assert!(all.len() > 1_000, "{} lines are left", all.len());
    let mut numbers = Numbers(seed as u64);
    for _ in 0..40 {
        let mut flags: Vec<String> = Vec::new();
        let mut expected = all.clone();
        if numbers.below(2) == 0 {
            let since = all[numbers.below(all.len())].time;
            flags.extend(["--since".to_owned(), since.to_string()]);
            expected.retain(|line| line.time >= since);
        }
        if numbers.below(2) == 0 {
            let (pattern, suits) = PATTERNS[numbers.below(PATTERNS.len())];
            flags.extend(["--grep".to_owned(), pattern.to_owned()]);
            expected.retain(|line| suits(&line.text));
        }
        if numbers.below(3) > 0 {
            let count = [0, 1, 7, 100, all.len() / 2, all.len(), all.len() + 9][numbers.below(7)];
            flags.extend(["--tail".to_owned(), count.to_string()]);
            expected.drain(..expected.len().saturating_sub(count));
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let chosen = lines(&ctl, &task, &flags);
        assert!(
            chosen == expected,
            "{width} {seed} {flags:?}: {} lines, not {}",
            chosen.len(),
            expected.len()
        );
    }
}

#[test]
fn task_logs_choose_of_random_output_what_a_naive_reader_would() {
    check(2_500, 70, 11);
}

#[test]
fn task_logs_choose_of_what_rotation_left_what_a_naive_reader_would() {
    // Twice what is kept.
    check(6_000, 700, 12);
}
