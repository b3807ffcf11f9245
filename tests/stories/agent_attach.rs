//! Stories of `agent attach`, `agent send` and `run --interactive`: words for a program that runs.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use fusion_tests::{Ctl, Daemon, binary, stream};

/// An agent "a" whose every task goes through these steps of fake-agent, with the prompt on standard input.
fn agent_of_steps(ctl: &Ctl, steps: &[&str]) {
    let fake = binary("fake-agent");
    let mut args =
        vec!["agent", "spawn", "a", "--profile", "command", "--", fake.to_str().expect("a plain name")];
    args.extend_from_slice(steps);
    ctl.ok(&args);
}

fn attach(ctl: &Ctl, flags: &[&str]) -> Child {
    let mut args = vec!["agent", "attach", "a"];
    args.extend_from_slice(flags);
    let mut command = ctl.command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("fusionctl can be started")
}

#[test]
fn agent_send_reaches_the_running_program_line_by_line() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    agent_of_steps(&ctl, &["hear", "hear", "hear", "hear"]);
    let task = ctl.submit("first", &["--interactive"]);
    ctl.task_in(&task, "running");
    ctl.ok(&["agent", "send", "a", "second"]);
    ctl.ok(&["agent", "send", "a", "-n", "thi"]);
    ctl.ok(&["agent", "send", "a", "rd", "--close"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "heard: first\nheard: second\nheard: third\nsilence");
}

#[test]
fn agent_send_is_refused_where_nobody_can_hear() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut gate = daemon.fifo("gate");
    agent_of_steps(&ctl, &[&format!("await {}", gate.path())]);
    assert_eq!(ctl.refused(4, &["agent", "send", "a", "hello"])["code"], "agent_state");
    let task = ctl.submit("closed", &[]);
    ctl.task_in(&task, "running");
    let closed = ctl.refused(4, &["agent", "send", "a", "hello"]);
    assert_eq!(closed["code"], "stdin_closed");
    assert!(closed["hint"].as_str().is_some_and(|hint| hint.contains("--interactive")), "{closed}");
    let attached = ctl.refused(4, &["agent", "attach", "a"]);
    assert_eq!(attached["code"], "stdin_closed");
    assert!(attached["hint"].as_str().is_some_and(|hint| hint.contains("`--no-stdin`")), "{attached}");
    gate.open_gate(1);
    ctl.ended(&task);
    let open = ctl.submit("open", &["--interactive"]);
    ctl.task_in(&open, "running");
    ctl.ok(&["agent", "send", "a", "--close"]);
    assert_eq!(ctl.refused(4, &["agent", "send", "a", "more"])["code"], "input_refused");
    gate.open_gate(1);
    ctl.ended(&open);
}

#[test]
fn agent_attach_shows_types_and_exits_as_the_program_for_several_at_once() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    agent_of_steps(&ctl, &["hear", &format!("ring {}", bell.path()), "hear", "exit 5"]);
    let task = ctl.submit("prompt", &["-i"]);
    bell.next_line();
    let mut watcher = attach(&ctl, &["--no-stdin", "--tail", "all"]);
    // What is typed ends the program: the watcher is to be there before.
    let mut seen = [0; "heard: prompt\n".len()];
    watcher.stdout.as_mut().expect("a pipe").read_exact(&mut seen).expect("it shows what was");
    let mut typist = attach(&ctl, &["--tail", "1"]);
    typist.stdin.take().expect("a pipe").write_all(b"typed\n").expect("it is read");
    for (child, before) in [(watcher, &seen[..]), (typist, &[])] {
        let output = child.wait_with_output().expect("our child");
        assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = [before, &output.stdout].concat();
        assert_eq!(String::from_utf8_lossy(&shown), "heard: prompt\nheard: typed\n");
    }
    assert_eq!(ctl.ended(&task)["state"], "failed");
}

#[test]
fn agent_attach_outlives_a_killed_daemon_and_nothing_is_typed_twice() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let ring = format!("ring {}", bell.path());
    agent_of_steps(&ctl, &["hear", &ring, "hear", &ring, "hear", &ring, "hear"]);
    let task = ctl.submit("prompt", &["-i"]);
    bell.next_line();
    let mut typist = attach(&ctl, &["--tail", "all"]);
    let mut stdin = typist.stdin.take().expect("a pipe");
    stdin.write_all(b"one\n").expect("it is read");
    bell.next_line();
    daemon.kill9();
    stdin.write_all(b"two\n").expect("it is read");
    daemon.start_again();
    bell.next_line();
    daemon.kill9();
    daemon.start_again();
    stdin.write_all(b"three\n").expect("it is read");
    let output = typist.wait_with_output().expect("our child");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = "heard: prompt\nheard: one\nheard: two\nheard: three\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn agent_send_waits_for_a_program_that_does_not_read_and_loses_nothing_in_a_crash() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let (ring, wait) = (format!("ring {}", bell.path()), format!("await {}", gate.path()));
    agent_of_steps(&ctl, &["hear", &ring, &wait, "copy 1000000"]);
    let task = ctl.submit("", &["-i"]);
    ctl.task_in(&task, "running");
    let bulk = String::from_utf8(stream(3, 1_000_000)).expect("the stream is text");
    let sender = std::thread::spawn({
        let (ctl, text) = (ctl.clone(), format!("begun\n{bulk}"));
        move || ctl.run_with(&["agent", "send", "a", "-"], &text)
    });
    bell.next_line();
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    drop(sender.join().expect("the sender does not panic").expect_code(0));
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let copied = ctl.run(&["task", "logs", &task]).expect_code(0).stdout;
    assert!(copied == format!("heard: begun\n{bulk}"), "{} bytes came", copied.len());
}

#[test]
fn run_interactive_passes_on_what_is_typed_and_its_end() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let fake = binary("fake-agent");
    let fake = fake.to_str().expect("a plain name");
    let said = ctl.run_with(&["run", "-i", "command", "hello", "--", fake, "hear", "hear", "hear"], "a\n");
    assert_eq!(said.expect_code(0).stdout, "heard: hello\nheard: a\nsilence\n");
    let counted = ctl.run_with(&["run", "-i", "command", "--", "wc", "-l"], "x\ny\n");
    assert_eq!(counted.expect_code(0).stdout.trim(), "2");
    let deaf = ctl.run_with(&["run", "-i", "command", "--", "true"], "nobody hears this\n");
    assert_eq!(deaf.expect_code(0).stdout, "");
    let script = ctl.run_with(&["run", "-i", "shell"], "echo typed; exit 4\n");
    assert_eq!(script.expect_code(4).stdout, "typed\n");
}

#[test]
fn agent_send_reaches_a_program_behind_a_prompt_that_is_stored_apart() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let prompt = stream(7, 2 << 20);
    let file = daemon.folder().join("prompt");
    std::fs::write(&file, &prompt).expect("our own folder can be written");
    agent_of_steps(
        &ctl,
        &[&format!("copy {}", prompt.len()), &format!("ring {}", bell.path()), "hear", "hear"],
    );
    let task = ctl.id(&["task", "submit", "-i", "--input-file", file.to_str().expect("plain letters")]);
    bell.next_line();
    daemon.kill9();
    daemon.start_again();
    ctl.ok(&["agent", "send", "a", "late", "--close"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let logged = ctl.run(&["task", "logs", "--raw", &task]).expect_code(0).stdout;
    let heard = logged.strip_prefix(std::str::from_utf8(&prompt).expect("the stream is text"));
    let heard = heard.expect("the prompt comes first").trim_start_matches('\n');
    assert!(["heard: \nheard: late\n", "heard: late\nsilence\n"].contains(&heard), "{heard:?}");
}

#[test]
fn agent_attach_on_a_terminal_detaches_by_keys_and_leaves_the_program_alone() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    agent_of_steps(&ctl, &["hear", "hear", "hear"]);
    let task = ctl.submit("prompt", &["-i"]);
    ctl.task_in(&task, "running");
    let mut terminal = ctl.terminal(&["agent", "attach", "a", "--tail", "all"]);
    terminal.shows("heard: prompt");
    terminal.types("one\n");
    terminal.shows("heard: one");
    terminal.types("\x04");
    terminal.shows("the program's input stays open");
    terminal.types("\x10\x11");
    let _detached = terminal.done().expect_code(0);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "running");
    let mut terminal = ctl.terminal(&["agent", "attach", "a", "--tail", "all", "--detach-keys", "ctrl-x"]);
    terminal.shows("heard: one");
    terminal.types("\x18");
    let _detached = terminal.done().expect_code(0);
    ctl.ok(&["agent", "send", "a", "two"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}
