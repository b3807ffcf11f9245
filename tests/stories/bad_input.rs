//! Bad input: each is answered with a stable code, the thing that is wrong, what was expected, and what to do; and
//! nothing has changed. The answers are a snapshot, so that a change of a word is seen.
//!
//! `INSTA_UPDATE=always` writes it anew. Not here: what is accepted.

mod daemon;
mod edit;
mod nouns;

use std::fmt::Write as _;
use std::fs;

use fusion_tests::{Ctl, Daemon, Done};
use serde_json::Value;

/// What was typed, and what came of it.
struct Transcript {
    folder: String,
    text: String,
}

impl Transcript {
    fn new(daemon: &Daemon) -> Self {
        Self { folder: daemon.folder().display().to_string(), text: String::new() }
    }

    /// Types a command that must be refused and leave everything as it was.
    #[track_caller]
    fn refused(&mut self, ctl: &Ctl, args: &[&str], stdin: &str) {
        self.refused_at(ctl, ctl, args, stdin);
    }

    /// The same typed to `there`, of which `ctl` is to see nothing.
    #[track_caller]
    fn refused_at(&mut self, ctl: &Ctl, there: &Ctl, args: &[&str], stdin: &str) {
        let before = ctl.json(&["system", "status"])["lastSeq"].clone();
        let chooses = args.contains(&"-o");
        let mut all = if chooses { Vec::new() } else { vec!["-o", "json"] };
        all.extend_from_slice(args);
        let done = there.run_with(&all, stdin);
        assert!(done.code != 0, "it was accepted: {done}");
        assert!(done.code != 70 && done.code > 0, "a bug: {done}");
        let after = ctl.json(&["system", "status"])["lastSeq"].clone();
        assert_eq!(before, after, "something changed: {done}");
        self.note(args, &done);
    }

    fn note(&mut self, args: &[&str], done: &Done) {
        let mut words: Vec<String> = args.iter().take(WORDS_SHOWN).map(|arg| short(arg)).collect();
        if args.len() > WORDS_SHOWN {
            words.push(format!("… ({} words)", args.len()));
        }
        writeln!(self.text, "$ fusionctl {}", words.join(" ")).expect("a string grows");
        let text = self.told(done);
        writeln!(self.text, "{}\n[{}]\n", text.trim_end(), done.code).expect("a string grows");
    }

    /// The error in words; the JSON object is what programs read and holds the same.
    fn told(&self, done: &Done) -> String {
        let objects = done.stderr.lines().filter(|line| line.starts_with('{'));
        let objects: Vec<Value> = objects.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let parts = |error: &Value| -> String {
            let parts = ["code", "message", "detail", "hint"].iter();
            parts.filter_map(|name| Some(format!("  {name}: {}\n", error[name].as_str()?))).collect()
        };
        let text = if objects.is_empty() {
            done.stderr.clone()
        } else {
            objects.iter().map(parts).collect::<String>()
        };
        plain(&text.replace(&self.folder, "DIR"))
    }
}

/// A crowd of arguments is not read to its end.
const WORDS_SHOWN: usize = 16;

fn short(arg: &str) -> String {
    let arg = arg
        .rsplit_once("/fusion-")
        .map_or(arg, |(_, rest)| rest.split_once('/').map_or(rest, |(_, file)| file));
    match arg.char_indices().nth(48) {
        Some((at, _)) => format!("'{}…' ({} bytes)", &arg[..at].escape_debug(), arg.len()),
        None if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!("'{}'", arg.escape_debug())
        }
        None => arg.to_owned(),
    }
}

/// Ids differ from run to run.
fn plain(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let id = |word: &str| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let kind = ["agt_", "tsk_", "run_"].iter().find(|kind| bare.starts_with(**kind) && bare.len() == 30);
        kind.map_or_else(|| word.to_owned(), |kind| word.replace(bare, &format!("{kind}#")))
    };
    words.map(id).collect()
}

fn stage() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    (daemon, ctl)
}

fn check(name: &str, transcript: Transcript) {
    save(name, &transcript.text);
}

pub(crate) fn save(name: &str, text: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn bad_input_to_agents_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let spawn = |rest: &[&str]| -> Vec<String> {
        ["agent", "spawn"].iter().chain(rest).map(|word| (*word).to_owned()).collect()
    };
    let many: Vec<String> = (0..65).map(|n| format!("--capability=c{n}")).collect();
    let mut crowd = vec!["x", "--profile", "shell"];
    crowd.extend(many.iter().map(String::as_str));
    let (long_name, long_word) = ("n".repeat(64), "c".repeat(65));
    let big_env = format!("BIG={}", "x".repeat(64 << 10));
    let big_argument = "x".repeat(100 << 10);
    let cases: Vec<Vec<String>> = vec![
        spawn(&["x", "--profile", "nope"]),
        spawn(&["x", "--profile", "shel"]),
        spawn(&["x", "--profile", ""]),
        spawn(&["x"]),
        spawn(&["x", "--profile", "command"]),
        spawn(&["x", "--profile", "shell", "--", "ls"]),
        spawn(&["two words", "--profile", "shell"]),
        spawn(&["agt_x", "--profile", "shell"]),
        spawn(&[&long_name, "--profile", "shell"]),
        spawn(&["a", "--profile", "shell"]),
        spawn(&["x", "--profile", "shell", "--capability", "two words"]),
        spawn(&["x", "--profile", "shell", "--capability", ""]),
        spawn(&["x", "--profile", "shell", "--capability", &long_word]),
        spawn(&crowd),
        spawn(&["x", "--profile", "shell", "--env", "NOVALUE"]),
        spawn(&["x", "--profile", "shell", "--env", &big_env]),
        spawn(&["x", "--profile", "shell", "--memory", "2X"]),
        spawn(&["x", "--profile", "shell", "--memory", "-1"]),
        spawn(&["x", "--profile", "shell", "--cpu", "many"]),
        spawn(&["x", "--profile", "shell", "--pids", "0"]),
        spawn(&["x", "--profile", "shell", "--restart", "sometimes"]),
        spawn(&["x", "--profile", "shell", "--sandbox", "jail"]),
        spawn(&["x", "--profile", "command", "--", "echo", &big_argument, &big_argument, &big_argument]),
        spawn(&["x", "--profile", "shell", "--frobnicate"]),
    ];
    for case in &cases {
        told.refused(&ctl, &case.iter().map(String::as_str).collect::<Vec<_>>(), "");
    }
    for verb in ["show", "pause", "resume", "restart", "terminate", "logs"] {
        told.refused(&ctl, &["agent", verb, "nobody"], "");
    }
    told.refused(&ctl, &["agent", "resume", "a"], "");
    told.refused(&ctl, &["agent", "terminate", "a", "--grace", "soon"], "");
    check("bad_input_agents", told);
}

#[test]
fn bad_input_to_tasks_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let done = ctl.submit("say x", &["--key", "done"]);
    ctl.ended(&done);
    let failed = ctl.submit("exit 1", &["--key", "failed"]);
    ctl.ended(&failed);
    let _queued = ctl.submit("say x", &["--key", "queued", "--capability", "nobody"]);
    let (key, label, value) =
        ("k".repeat(256), format!("{}=x", "l".repeat(64)), format!("l={}", "v".repeat(256)));
    let labels: Vec<String> = (0..10_000).map(|n| format!("--label=l{n}=x")).collect();
    let mut crowd = vec!["task", "submit", "x"];
    crowd.extend(labels.iter().map(String::as_str));
    let cases: &[&[&str]] = &[
        &["task", "submit", ""],
        &["task", "submit", "x", "--priority", "10"],
        &["task", "submit", "x", "--priority", "high"],
        &["task", "submit", "x", "--retries", "1001"],
        &["task", "submit", "x", "--timeout", "5 parsecs"],
        &["task", "submit", "x", "--timeout", "0s"],
        &["task", "submit", "x", "--idle-timeout", "0s"],
        &["task", "submit", "x", "--queue-timeout", "0s"],
        &["task", "submit", "x", "--key", ""],
        &["task", "submit", "x", "--timeout", "4000d"],
        &["task", "submit", "x", "--not-before", "tomorrow-ish"],
        &["task", "submit", "x", "--after", "nothing"],
        &["task", "submit", "x", "--after", "key:failed"],
        &["task", "submit", "x", "--agent", "nobody"],
        &["task", "submit", "x", "--capability", "two words"],
        &["task", "submit", "x", "--key", &key],
        &["task", "submit", "x", "--key", "two\nlines"],
        &["task", "submit", "other", "--key", "queued"],
        &["task", "submit", "x", "--label", "novalue"],
        &["task", "submit", "x", "--label", &label],
        &["task", "submit", "x", "--label", &value],
        &["task", "submit", "x", "--on-lost", "maybe"],
        &["task", "submit", "x", "--user", "no-such-user"],
        &["task", "submit", "x", "--input-file", "/no/such/file"],
        &["task", "submit", "--input-file", "/no/such/file"],
        &["task", "submit", "--input-file", "/"],
        &["task", "show", "nothing"],
        &["task", "show", "tsk_00000000000000000000000000"],
        &["task", "cancel", "key:done"],
        &["task", "retry", "key:queued"],
        &["task", "resolve", "key:queued", "--retry"],
        &["task", "resolve", "key:queued"],
        &["task", "result", "key:queued"],
        &["task", "logs", "nothing"],
        &["task", "wait", "nothing"],
        &["task", "wait", "key:queued", "--timeout", "1ms"],
        &["task", "wait"],
        &["task", "list", "--state", "tired"],
        &["task", "approve", "key:queued"],
        &["task", "answer", "key:queued", "x"],
        &["task", "ask", "who am I?"],
        &crowd,
    ];
    for case in cases {
        told.refused(&ctl, case, "");
    }
    told.refused(&ctl, &["task", "submit", "-"], "a\0b");
    let file = |name: &str, bytes: &[u8]| {
        let path = daemon.folder().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    told.refused(&ctl, &["task", "submit", "--input-file", &file("latin1", b"caf\xe9")], "");
    told.refused(&ctl, &["task", "submit", "--input-file", &file("huge", &vec![b'x'; 64 << 20])], "");
    check("bad_input_tasks", told);
}

#[test]
fn bad_input_in_task_files_is_told_by_line() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let mut file = |lines: &str| {
        let path = daemon.folder().join("tasks.jsonl");
        fs::write(&path, lines).unwrap();
        told.refused(&ctl, &["task", "submit", "--file", path.to_str().unwrap()], "");
    };
    file("{\"prompt\": \"x\", \"colour\": \"red\"}\n");
    file("{\"prompt\": \"x\", \"run\": [\"ls\"]}\n");
    file("{\"priority\": 5}\n");
    file("{\"prompt\": 7}\n");
    file("{\"prompt\": \"x\", \"priority\": 10}\n");
    file("{\"prompt\": \"x\", \"timeout\": \"soon\"}\n");
    file("{\"prompt\": \"a\\u0000b\"}\n");
    file("{\"prompt\": \"x\", \"after\": [\"key:later\"]}\n");
    file("{\"prompt\": \"x\"\n");
    file("[1, 2]\n");
    file("not json\n");
    told.refused(&ctl, &["task", "submit", "--file", "/no/such/file"], "");
    check("bad_input_task_files", told);
}

#[test]
fn bad_input_in_line_90000_leaves_the_others_accepted() {
    let (daemon, ctl) = stage();
    ctl.ok(&["system", "drain"]);
    let good = "{\"run\": [\"true\"]}\n";
    let lines = format!("{}{{\"run\": \"true\"}}\n{good}", good.repeat(89_999));
    let path = daemon.folder().join("tasks.jsonl");
    fs::write(&path, lines).unwrap();
    let done = ctl.run(&["-q", "task", "submit", "--file", path.to_str().unwrap()]).expect_code(1);
    assert_eq!(done.stdout.lines().count(), 90_000, "all others are accepted");
    save("bad_input_line", &done.stderr.replace(daemon.folder().to_str().unwrap(), "DIR"));
    assert_eq!(ctl.json(&["system", "status"])["tasks"]["queued"], 90_000);
}

#[test]
fn bad_input_of_a_program_fails_the_attempt_with_its_reason() {
    let (daemon, ctl) = stage();
    let plain_file = daemon.folder().join("plain");
    fs::write(&plain_file, "no program").unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut text = String::new();
    for program in ["/no/such/program", "no-such-program", plain_file.to_str().unwrap(), "/"] {
        let file = daemon.folder().join("run.jsonl");
        fs::write(&file, serde_json::json!({"run": [program]}).to_string()).unwrap();
        let task = ctl.id(&["task", "submit", "--file", file.to_str().unwrap()]);
        let failure = ctl.ended(&task)["failure"].clone();
        let told = serde_json::to_string_pretty(&failure).unwrap();
        let folder = daemon.folder().display().to_string();
        let told = told.replace(&folder, "DIR").replace(&path, "PATH OF THE CLIENT");
        writeln!(text, "# {}\n{told}\n", short(program)).expect("a string grows");
    }
    save("bad_input_programs", &text);
}

#[test]
fn bad_input_a_client_that_hangs_up_in_mid_stream_leaves_whole_tasks() {
    let (daemon, ctl) = stage();
    ctl.ok(&["system", "drain"]);
    let fifo = daemon.fifo("lines");
    let mut command = ctl.command(&["-q", "task", "submit", "--file", fifo.path()]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = fs::OpenOptions::new().write(true).open(fifo.path()).unwrap();
    std::io::Write::write_all(&mut lines, "{\"prompt\": \"x\"}\n".repeat(50).as_bytes()).unwrap();
    ctl.until("all lines are accepted", |ctl| {
        (ctl.json(&["system", "status"])["tasks"]["queued"] == 50).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ctl.json(&["system", "status"])["tasks"]["queued"], 50);
    ctl.ok(&["system", "drain", "--off"]);
    ctl.until("all of them end", |ctl| {
        (ctl.json(&["system", "status"])["tasks"]["queued"].is_null()).then_some(())
    });
}
