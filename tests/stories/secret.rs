//! Stories of `secret set|list|remove` and of what agents are given and nobody else sees.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fusion_tests::{Ctl, Daemon};

use crate::last_attempt;

const CANARY: &str = "canary-7f3a91c2-of-the-mine";

/// A daemon, and the secret TOKEN with the canary as its value.
fn daemon_with_secret() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let _made = ctl.run_with(&["secret", "set", "TOKEN"], &format!("{CANARY}\n")).expect_code(0);
    (daemon, ctl)
}

fn spawn_shell(ctl: &Ctl, name: &str, flags: &[&str]) -> String {
    let mut args = vec!["agent", "spawn", name, "--profile", "shell"];
    args.extend_from_slice(flags);
    ctl.id(&args)
}

/// The files below a folder that hold the canary.
fn holders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a file has a type");
        if kind.is_dir() {
            found.extend(holders(&path));
        } else if kind.is_file() && holds(&std::fs::read(&path).unwrap_or_default()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

fn of_process(pid: i32, file: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/{file}")) {
        drop(file.read_to_end(&mut bytes));
    }
    bytes
}

#[test]
fn secret_list_tells_names_and_never_a_value() {
    let (_daemon, ctl) = daemon_with_secret();
    let _other = ctl.run_with(&["secret", "set", "db-password"], "correct horse").expect_code(0);
    let listed = ctl.run(&["-o", "json", "secret", "list"]).expect_code(0);
    assert!(!listed.stdout.contains(CANARY), "{listed}");
    assert_eq!(ctl.ok(&["-q", "secret", "list"]), "TOKEN\ndb-password");
    ctl.ok(&["secret", "remove", "TOKEN"]);
    assert_eq!(ctl.ok(&["-q", "secret", "list"]), "db-password");
    assert_eq!(ctl.refused(3, &["secret", "remove", "TOKEN"])["code"], "secret_not_found");
    let words = ctl.json(&["event", "list"]).to_string();
    assert!(words.contains("secret.set") && words.contains("secret.removed") && !words.contains(CANARY));
}

#[test]
fn secret_set_refuses_what_cannot_be_one() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let long = "x".repeat((16 << 10) + 1);
    for (name, value, code, word) in [
        ("A", "abc", 2, "secret_too_short"),
        ("A", "", 2, "secret_too_short"),
        ("A", "ab\0cd", 2, "nul_byte"),
        ("A", long.as_str(), 2, "too_large"),
        ("a b", "value", 2, "field_invalid"),
        ("-", "value", 2, "field_invalid"),
    ] {
        let done = ctl.run_with(&["-o", "json", "secret", "set", name], value).expect_code(code);
        assert!(done.stderr.contains(word), "{done}");
        assert!(!done.stderr.contains("value") || value != "value", "{done}");
    }
    assert_eq!(ctl.ok(&["-q", "secret", "list"]), "");
}

#[test]
fn a_secret_is_in_the_environment_of_the_attempt_and_nowhere_else() {
    let (mut daemon, ctl) = daemon_with_secret();
    spawn_shell(&ctl, "a", &["--secret", "TOKEN"]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script = format!(
        "[ \"$TOKEN\" = \"$(printf 'canary-%s' 7f3a91c2-of-the-mine)\" ] || exit 9\necho $$ > {}\nread -r _ < {}",
        bell.path(),
        gate.path()
    );
    let task = ctl.submit(&script, &[]);
    let pid: i32 = bell.next_line().trim().parse().expect("the shell's pid");
    assert!(holds(&of_process(pid, "environ")), "the agent has it");
    for process in daemon.processes().iter().filter(|process| process.pid != pid) {
        assert!(!holds(&of_process(process.pid, "environ")), "{} has it", process.pid);
        assert!(!holds(&of_process(process.pid, "cmdline")), "{} shows it", process.pid);
    }
    assert_eq!(holders(daemon.folder()), Vec::<String>::new(), "while it runs");
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    daemon.kill9();
    assert_eq!(holders(daemon.folder()), Vec::<String>::new(), "after a crash");
    daemon.start_again();
    let backup = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", backup.to_str().expect("a plain path")]);
    assert_eq!(holders(daemon.folder()), Vec::<String>::new(), "with a backup");
    assert!(!daemon.log().contains(CANARY));
    let key = daemon.root().join("state/host.key");
    let mode = std::fs::metadata(key).expect("the host key").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_secret_that_an_agent_prints_is_masked_wherever_it_is_served() {
    let (daemon, ctl) = daemon_with_secret();
    spawn_shell(&ctl, "a", &["--secret", "TOKEN=T"]);
    let halves = "printf \"${T%of-the-mine}\"; sleep 0.05; echo of-the-mine";
    let task = ctl.submit(&format!("echo out $T; {halves}; echo err $T >&2; exit 3"), &[]);
    let shown = ctl.ended(&task);
    assert_eq!(last_attempt(&shown)["exitCode"], 3);
    assert!(!shown.to_string().contains(CANARY));
    for args in [
        vec!["task", "logs", &task],
        vec!["task", "logs", &task, "--raw"],
        vec!["task", "logs", &task, "-f"],
        vec!["task", "logs", &task, "-n", "1"],
        vec!["task", "logs", &task, "--grep", "o|e"],
        vec!["-o", "jsonl", "task", "logs", &task],
        vec!["agent", "logs", "a"],
        vec!["task", "result", &task],
        vec!["-o", "jsonl", "event", "list"],
    ] {
        let done = ctl.run(&args).expect_code(0);
        assert!(!format!("{}{}", done.stdout, done.stderr).contains("canary"), "{done}");
    }
    let logs = ctl.run(&["task", "logs", &task]).expect_code(0);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out ***\n***\n", "err ***\n"));
    assert_eq!(ctl.run(&["task", "logs", &task, "--grep", CANARY]).expect_code(0).stdout, "");
    let certificate = ctl.run(&["-o", "jsonl", "event", "list"]).expect_code(0).stdout;
    assert!(certificate.contains("err ***"), "{certificate}");
    let journal = holders(&daemon.root().join("state/store"));
    assert_eq!(journal, Vec::<String>::new(), "the last words are masked before they are stored");
}

#[test]
fn secret_remove_leaves_old_output_masked() {
    let (mut daemon, ctl) = daemon_with_secret();
    spawn_shell(&ctl, "a", &[]);
    let first = ctl.submit("echo $TOKEN", &["--secret", "TOKEN"]);
    ctl.ended(&first);
    let _again = ctl.run_with(&["secret", "set", "TOKEN"], "another-value").expect_code(0);
    let second = ctl.submit("echo $TOKEN", &["--secret", "TOKEN"]);
    ctl.ended(&second);
    ctl.ok(&["secret", "remove", "TOKEN"]);
    daemon.kill9();
    daemon.start_again();
    for task in [&first, &second] {
        assert_eq!(ctl.ok(&["task", "logs", task]), "***");
    }
}

#[test]
fn a_task_is_given_the_value_of_its_start_and_fails_without_one() {
    let (_daemon, ctl) = daemon_with_secret();
    assert_eq!(ctl.refused(3, &["task", "submit", "true", "--secret", "NOPE"])["code"], "secret_not_found");
    let spawn = ["agent", "spawn", "b", "--profile", "shell", "--secret", "NOPE"];
    assert_eq!(ctl.refused(3, &spawn)["code"], "secret_not_found");
    let check = "[ \"$TOKEN\" = later-value ]";
    let waiting = ctl.submit(check, &["--secret", "TOKEN"]);
    let _again = ctl.run_with(&["secret", "set", "TOKEN"], "later-value").expect_code(0);
    spawn_shell(&ctl, "a", &[]);
    assert_eq!(ctl.ended(&waiting)["state"], "succeeded");
    ctl.ok(&["agent", "pause", "a"]);
    let orphan = ctl.submit("true", &["--secret", "TOKEN"]);
    ctl.ok(&["secret", "remove", "TOKEN"]);
    ctl.ok(&["agent", "resume", "a"]);
    let ended = ctl.ended(&orphan);
    assert_eq!(ended["failure"]["code"], "secret_missing", "{ended}");
    assert_eq!(ended["secrets"][0], "TOKEN");
}

#[test]
fn a_host_key_that_others_can_read_keeps_the_daemon_down() {
    let (mut daemon, _ctl) = daemon_with_secret();
    daemon.kill9();
    let key = daemon.root().join("state/host.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("its owner may");
    let (status, log) = daemon.start_second();
    assert!(!status.success() && log.contains("host.key has mode 0644"), "{log}");
}

#[test]
fn without_its_host_key_nothing_is_served_that_could_hold_a_secret() {
    let (mut daemon, ctl) = daemon_with_secret();
    spawn_shell(&ctl, "a", &["--secret", "TOKEN"]);
    let task = ctl.submit("echo $TOKEN", &[]);
    ctl.ended(&task);
    daemon.kill9();
    std::fs::remove_file(daemon.root().join("state/host.key")).expect("it was made");
    daemon.start_again();
    assert!(
        daemon.log().contains("some secrets are sealed with another host key than this one"),
        "{}",
        daemon.log()
    );
    let refused = ctl.refused(4, &["task", "logs", &task]);
    assert_eq!(refused["code"], "secrets_unavailable");
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("another host key")), "{refused}");
    let next = ctl.submit("true", &[]);
    assert_eq!(ctl.ended(&next)["failure"]["code"], "secret_missing");
}

#[test]
fn secrets_outlive_a_change_of_the_host_key() {
    let (mut daemon, ctl) = daemon_with_secret();
    spawn_shell(&ctl, "a", &["--secret", "TOKEN"]);
    let old = ctl.submit("echo $TOKEN", &[]);
    ctl.ended(&old);
    let key = daemon.root().join("state/host.key");
    let previous = daemon.root().join("state/host.key.previous");
    daemon.kill9();
    let first = std::fs::read(&key).expect("there is a key");
    std::fs::rename(&key, &previous).expect("root may");
    daemon.start_again();
    assert_ne!(std::fs::read(&key).expect("a new one was made"), first);
    assert!(daemon.log().contains("the previous one can be removed"), "{}", daemon.log());
    daemon.kill9();
    std::fs::remove_file(&previous).expect("root may");
    daemon.start_again();
    assert_eq!(ctl.ok(&["task", "logs", &old]), "***");
    let new = ctl.submit(&format!("test ${{#TOKEN}} = {}", CANARY.len()), &[]);
    assert_eq!(ctl.ended(&new)["state"], "succeeded");
    assert!(holders(&daemon.root().join("state/store")).is_empty());
}

#[test]
fn secret_set_on_a_terminal_asks_and_does_not_show_what_is_typed() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut terminal = ctl.terminal(&["secret", "set", "TOKEN"]);
    terminal.shows("Value of TOKEN: ");
    terminal.types(&format!("{CANARY}\n"));
    let done = terminal.done().expect_code(0);
    assert!(!done.stdout.contains(CANARY), "{done}");
    spawn_shell(&ctl, "a", &["--secret", "TOKEN"]);
    let task = ctl.submit(&format!("test $TOKEN = {CANARY}"), &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded", "the line break is not part of it");
    let mut terminal = ctl.terminal(&["secret", "set", "OTHER"]);
    terminal.shows("Value of OTHER: ");
    terminal.types("\x03");
    assert_ne!(terminal.done().code, 0);
    assert_eq!(ctl.ok(&["-q", "secret", "list"]), "TOKEN");
}

#[test]
fn secret_set_that_is_interrupted_is_silent() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut terminal = ctl.terminal(&["secret", "set", "TOKEN"]);
    terminal.shows("Value of TOKEN: ");
    terminal.types("\x03");
    let left = terminal.done().expect_code(130);
    assert!(!left.stdout.contains("error"), "{left}");
    let listed = ctl.on_terminal(&["secret", "list"], "").expect_code(0);
    assert_eq!(listed.stdout.trim_end(), "note: no secrets");
}
