//! Stories about a running task that asks a person: for leave, or for words.

use fusion_tests::{Ctl, Daemon, binary};

/// A daemon with one agent "a" that runs shell scripts.
fn daemon_with_shell() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    (daemon, ctl)
}

/// A script in which `ask` is `fusionctl task ask`.
fn script(rest: &str) -> String {
    format!("ask() {{ {} task ask \"$@\"; }}\n{rest}", binary("fusionctl").display())
}

#[test]
fn task_approve_lets_the_program_go_on_and_reject_does_not() {
    let (_daemon, ctl) = daemon_with_shell();
    let text = script("if ask --approval 'Deploy?'; then echo deployed; else echo kept back; exit 3; fi");
    let task = ctl.submit(&text, &[]);
    let waiting = ctl.task_in(&task, "waiting_approval");
    assert_eq!(waiting["question"]["kind"], "approval");
    assert_eq!(waiting["question"]["text"], "Deploy?");
    let agent = ctl.json(&["agent", "show", "a"]);
    assert_eq!(agent["state"], "waiting", "{agent}");
    assert!(agent["reason"].as_str().unwrap().contains("approval"), "{agent}");
    assert_eq!(ctl.json(&["task", "list", "--state", "waiting_approval"])[0]["id"], task.as_str());
    let why = ctl.ok(&["why", &task]);
    assert!(why.contains("Deploy?") && why.contains(&format!("fusionctl task approve {task}")), "{why}");
    assert_eq!(ctl.refused(4, &["task", "answer", &task, "yes"])["code"], "question_kind");
    ctl.ok(&["task", "approve", &task, "--comment", "go"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "logs", &task]), "go\ndeployed");

    let task = ctl.submit(&text, &[]);
    ctl.task_in(&task, "waiting_approval");
    ctl.ok(&["task", "approve", &task, "--reject", "--comment", "not today"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["attempts"][0]["exitCode"], 3);
    assert_eq!(ctl.ok(&["task", "logs", &task]), "not today\nkept back");
    assert_eq!(ctl.refused(4, &["task", "approve", &task])["code"], "task_state");
    let events = ctl.ok(&["-o", "jsonl", "event", "list"]);
    let replies = events.lines().filter(|line| line.contains("task.answered")).count();
    assert_eq!(replies, 2, "{events}");
}

#[test]
fn task_answer_gives_the_words_that_were_asked_for() {
    let (_daemon, ctl) = daemon_with_shell();
    let text = script("test \"$(ask 'Which colour?')\" = 'light blue' && echo right");
    let task = ctl.submit(&text, &[]);
    assert_eq!(ctl.task_in(&task, "waiting_input")["question"]["text"], "Which colour?");
    assert_eq!(ctl.refused(4, &["task", "approve", &task])["code"], "question_kind");
    let long = "x".repeat(4097);
    assert_eq!(ctl.refused(2, &["task", "answer", &task, &long])["code"], "too_large");
    let done = ctl.run_with(&["task", "answer", &task, "-"], "light blue\n");
    assert_eq!(done.code, 0, "{done}");
    ctl.ended(&task);
    assert_eq!(ctl.ok(&["task", "result", &task]), "right");
    let events = ctl.ok(&["-o", "jsonl", "event", "list"]);
    assert!(!events.contains("light blue"), "words that were asked for may be a password");
}

#[test]
fn task_ask_waits_across_a_restart_of_the_daemon() {
    let (mut daemon, ctl) = daemon_with_shell();
    let task = ctl.submit(&script("echo \"it is $(ask 'Which colour?')\""), &["--timeout", "20s"]);
    ctl.task_in(&task, "waiting_input");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.task_in(&task, "waiting_input")["question"]["text"], "Which colour?");
    ctl.ok(&["task", "answer", &task, "red"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "it is red");
}

#[test]
fn task_ask_ends_when_nobody_replies_in_time_and_the_clocks_stood_meanwhile() {
    let (_daemon, ctl) = daemon_with_shell();
    let text = script("ask --approval 'May I?' --timeout 1500ms; echo \"code $?\"");
    let task = ctl.submit(&text, &["--timeout", "1s", "--idle-timeout", "1s"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert!(ctl.ok(&["task", "logs", &task]).ends_with("code 7"));
}

#[test]
fn task_ask_of_a_program_that_went_away_is_withdrawn() {
    let (daemon, ctl) = daemon_with_shell();
    let mut gate = daemon.fifo("gate");
    let text = script(&format!(
        "{} task ask 'Still there?' & asker=$!; head -c1 {} >/dev/null; kill $asker; wait $asker; head -c1 {} >/dev/null",
        binary("fusionctl").display(),
        gate.path(),
        gate.path()
    ));
    let task = ctl.submit(&text, &[]);
    ctl.task_in(&task, "waiting_input");
    gate.open_gate(1);
    let running = ctl.task_in(&task, "running");
    assert!(running.get("question").is_none(), "{running}");
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "busy");
    gate.open_gate(1);
    ctl.ended(&task);
}

#[test]
fn task_ask_is_for_attempts_and_a_cancel_needs_no_reply() {
    let (daemon, ctl) = daemon_with_shell();
    let mut bell = daemon.fifo("bell");
    assert_eq!(ctl.refused(5, &["task", "ask", "Hello?"])["code"], "asked_outside");
    let own = format!("{} task approve $FUSION_TASK_ID", binary("fusionctl").display());
    let text = format!("ask --approval 'May I?' & {own}; echo \"code $?\" > {}; wait", bell.path());
    let task = ctl.submit(&script(&text), &[]);
    ctl.task_in(&task, "waiting_approval");
    assert_eq!(bell.next_line(), "code 5", "the program tried to give itself leave");
    ctl.ok(&["task", "cancel", &task]);
    assert_eq!(ctl.ended(&task)["state"], "cancelled");
    ctl.agent_in("a", "idle");
}
