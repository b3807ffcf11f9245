//! Stories of prompts that are too long to stand beside their task: from the stream to the program.

use fusion_tests::{Ctl, Daemon};

use crate::{last_attempt, task_files};

const MANY: usize = 20 << 20;

/// A prompt of so many bytes, and the sum that the program must come to.
fn prompt(bytes: usize, seed: usize) -> String {
    (0..bytes).map(|n| char::from(b'a' + u8::try_from((n / 7 + seed) % 26).expect("a letter"))).collect()
}

fn count(ctl: &Ctl, task: &str, bytes: usize) {
    let ended = ctl.ended(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ctl.ok(&["task", "result", task]), format!("{bytes} {bytes}"));
}

/// Reads its standard input twice, the second time by name.
fn spawn_counter(ctl: &Ctl) {
    let script = "a=$(wc -c); b=$(wc -c < /dev/stdin); echo $a $b";
    ctl.ok(&["agent", "spawn", "counter", "--profile", "command", "--", "sh", "-c", script]);
}

#[test]
fn task_input_of_many_megabytes_reaches_the_program_and_outlives_the_daemon() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let done = ctl.run_with(&["-q", "task", "submit", "-"], &prompt(MANY, 0)).expect_code(0);
    let task = done.stdout.trim().to_owned();
    let shown = ctl.json(&["task", "show", &task]);
    assert_eq!(shown["inputBytes"], MANY, "{shown}");
    assert!(shown["input"].as_str().is_some_and(|name| name.starts_with("inp_")), "{shown}");
    daemon.kill9();
    daemon.start_again();
    spawn_counter(&ctl);
    count(&ctl, &task, MANY);
    let file = daemon.folder().join("file");
    std::fs::write(&file, prompt(3 << 20, 1)).expect("a file");
    let task = ctl.id(&["task", "submit", "--input-file", file.to_str().expect("plain")]);
    count(&ctl, &task, 3 << 20);
    // The same prompt is stored once, whoever names it.
    let again = ctl.id(&["task", "submit", "--input-file", file.to_str().expect("plain")]);
    count(&ctl, &again, 3 << 20);
    let name = |task: &str| ctl.json(&["task", "show", task])["input"].clone();
    assert_eq!(name(&again), name(&task));
    let left = std::fs::read_dir(daemon.root().join("state/i")).expect("a folder");
    let mut left = left.flat_map(|life| std::fs::read_dir(life.expect("an entry").path()).expect("a folder"));
    assert!(!left.any(|file| file.expect("an entry").file_name().to_string_lossy().ends_with(".prompt")));
}

#[test]
fn task_input_comes_by_file_too_and_byte_for_byte() {
    let mut daemon = Daemon::start();
    let ctl = task_files::with_file_agent(&mut daemon);
    let script = format!("wc -c < \"$FUSION_INPUT\" > \"$FUSION_OUTPUT\"; exit\n{}", prompt(5 << 20, 2));
    let done = ctl.run_with(&["-q", "task", "submit", "-"], &script).expect_code(0);
    let task = done.stdout.trim();
    assert_eq!(ctl.ended(task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", task]), script.len().to_string());
}

#[test]
fn task_input_in_a_line_of_a_task_file_is_sent_ahead() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_counter(&ctl);
    let line = |bytes: usize| format!("{{\"prompt\": \"{}\"}}\n", prompt(bytes, 3));
    let file = format!(
        "{}{}{{\"prompt\": \"nul \\u0000 {}\"}}\n{}",
        line(10),
        line(2 << 20),
        prompt(2 << 20, 4),
        line(9)
    );
    let done = ctl.run_with(&["-q", "task", "submit", "--file", "-"], &file).expect_code(1);
    assert!(done.stderr.contains("line 3"), "{}", done.stderr);
    let ids: Vec<&str> = done.stdout.split_whitespace().collect();
    assert_eq!(ids.len(), 3, "{}", done.stdout);
    for (id, bytes) in ids.into_iter().zip([10, 2 << 20, 9]) {
        count(&ctl, id, bytes);
    }
}

#[test]
fn task_input_of_one_key_is_the_same_task() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let submit = |seed| ctl.run_with(&["-q", "task", "submit", "--key", "k", "-"], &prompt(2 << 20, seed));
    let first = submit(0).expect_code(0).stdout;
    assert_eq!(submit(0).expect_code(0).stdout, first);
    assert!(submit(1).expect_code(4).stderr.contains("belongs to task"));
}

#[test]
fn task_input_that_would_stand_in_arguments_is_refused_or_fails() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "command", "--", "echo", "{{ prompt }}"]);
    let refused = ctl.run_with(&["-o", "json", "task", "submit", "--agent", "a", "-"], &prompt(2 << 20, 0));
    assert!(refused.expect_code(2).stderr.contains("too_large"));
    let done = ctl.run_with(&["-q", "task", "submit", "-"], &prompt(2 << 20, 0)).expect_code(0);
    let ended = ctl.ended(done.stdout.trim());
    assert_eq!(last_attempt(&ended)["failure"]["code"], "start_failed", "{ended}");
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "idle");
}

#[test]
fn task_input_is_part_of_a_backup() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let done = ctl.run_with(&["-q", "task", "submit", "-"], &prompt(3 << 20, 0)).expect_code(0);
    let file = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", file.to_str().expect("plain")]);
    daemon.stop_with(rustix::process::Signal::TERM);
    std::fs::remove_dir_all(daemon.root().join("state/store")).expect("the store");
    daemon.restore(&file);
    daemon.start_again();
    spawn_counter(&ctl);
    count(&ctl, done.stdout.trim(), 3 << 20);
}
