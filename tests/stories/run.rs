//! Stories of `run`: an agent for one task, its output, its exit code, its end.

use std::os::fd::AsFd as _;
use std::process::Stdio;

use fusion_tests::{Daemon, Deadline, binary, instant, stream, wait_readable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

fn fake() -> String {
    binary("fake-agent").to_str().expect("a plain name").to_owned()
}

#[test]
fn run_streams_both_outputs_and_leaves_no_process() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let done = ctl.run(&["run", "shell", "echo out; echo err >&2"]).expect_code(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    assert!(daemon.processes().is_empty(), "{:?}", daemon.processes());
    let agents = ctl.json(&["agent", "list", "--all"]);
    assert_eq!(agents[0]["state"], "terminated", "{agents}");
    let workspace = agents[0]["workspace"].as_str().unwrap();
    assert!(std::path::Path::new(workspace).is_dir(), "the workspace is kept");
}

#[test]
fn run_rm_keeps_what_is_left_for_a_minute_and_others_as_long_as_the_settings_say() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    drop(ctl.run(&["run", "--name", "brief", "--rm", "shell", "true"]).expect_code(0));
    drop(ctl.run(&["run", "--name", "usual", "shell", "true"]).expect_code(0));
    let kept = |name: &str| {
        let shown = ctl.json(&["workspace", "show", name]);
        let of =
            |field: &str| instant(shown[field].as_str().unwrap_or_else(|| panic!("no {field}: {shown}")));
        of("expireTime") - of("endTime")
    };
    assert_eq!(kept("brief").as_millis(), 60_000);
    assert_eq!(kept("usual").as_secs(), 7 * 24 * 3_600);
}

#[test]
fn run_exits_with_the_code_of_the_program() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let done = ctl.run(&["run", "shell", "exit 42"]).expect_code(42);
    assert_eq!(done.stderr, "", "the program spoke for itself");
    drop(ctl.run(&["run", "shell", "kill -SEGV $$"]).expect_code(139));
    let missing = ctl.run(&["run", "command", "--", "no-such-program-anywhere"]).expect_code(127);
    assert!(
        missing.stderr.starts_with("error: ") && missing.stderr.contains("in the agent's PATH (/"),
        "{missing}"
    );
    drop(ctl.run(&["run", "shell", "sleep 60", "--timeout", "100ms"]).expect_code(7));
    assert_eq!(ctl.refused(3, &["run", "nobody", "x"])["code"], "profile_not_found");
    assert_eq!(ctl.refused(2, &["run", "shell"])["code"], "usage");
    assert!(daemon.processes().is_empty());
}

#[test]
fn run_takes_a_command_a_prompt_and_stdin() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let counted = ctl.run_with(&["run", "command", "-", "--", "wc", "-w"], "four words of input");
    assert_eq!(counted.expect_code(0).stdout.trim(), "4");
    let plain = ctl.run(&["run", "command", "--", "echo", "a  b"]).expect_code(0);
    assert_eq!(plain.stdout, "a  b\n");
    let instead = ctl.run(&["run", "shell", "-e", "X=7", "--", "/bin/sh", "-c", "echo $X"]).expect_code(0);
    assert_eq!(instead.stdout, "7\n");
}

#[test]
fn run_detached_prints_the_task_and_the_agent_ends_with_it() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut gate = daemon.fifo("gate");
    let script = format!("await {}\nsay done", gate.path());
    let task = ctl.ok(&["run", "-d", "--name", "r", "command", &script, "--", &fake()]);
    assert!(task.starts_with("tsk_"), "{task}");
    ctl.agent_in("r", "busy");
    let second = ctl.refused(4, &["task", "submit", "--agent", "r", "say no"]);
    assert_eq!(second["code"], "agent_state");
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    ctl.until("the agent has ended", |ctl| {
        ctl.json(&["agent", "list"]).as_array().is_some_and(Vec::is_empty).then_some(())
    });
    assert_eq!(ctl.ok(&["task", "result", &task]), "done");
}

#[test]
fn run_agents_take_no_other_work() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut gate = daemon.fifo("gate");
    let waiting = ctl.submit("say no", &[]);
    let script = format!("await {}", gate.path());
    let task = ctl.ok(&["run", "-d", "command", &script, "--", &fake()]);
    ctl.task_in(&task, "running");
    assert_eq!(ctl.json(&["task", "show", &waiting])["state"], "queued");
    let why = ctl.json(&["why", &waiting]);
    assert_eq!(why["reasons"][0]["code"], "no_agent", "{why}");
    gate.open_gate(1);
    ctl.ended(&task);
    assert_eq!(ctl.json(&["task", "show", &waiting])["state"], "queued");
}

#[test]
fn run_interrupted_cancels_the_task_and_ends_the_agent() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let script = format!("say begun\nring {}\nstall", bell.path());
    let mut command = ctl.command(&["run", "command", &script, "--", &fake()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bell.next_line();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, Signal::INT).unwrap();
    assert!(wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"begun\n");
    assert_eq!(ctl.json(&["task", "list"])[0]["state"], "cancelled");
    assert!(daemon.processes().is_empty());
}

#[test]
fn run_ends_with_its_terminal() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let script = format!("echo begun > {}; sleep 60", bell.path());
    let mut command = ctl.command(&["run", "-i", "shell", &script]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    bell.next_line();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, Signal::HUP).unwrap();
    assert!(wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some());
    assert_eq!(child.wait().unwrap().code(), Some(129));
    assert_eq!(ctl.json(&["task", "list"])[0]["state"], "cancelled");
    assert!(daemon.processes().is_empty());
}

#[test]
fn run_that_prints_ends_with_its_terminal_also_when_nobody_tells_it() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let script = "trap 'echo ended; exit' TERM; while :; do echo begun; done";
    for stream in ["1", "2"] {
        let mut terminal = ctl.terminal_of_shell(&["run", "shell", &format!("exec >&{stream}; {script}")]);
        terminal.shows("begun");
        let _hung_up = terminal.hang_up().expect_code(129);
        let task = ctl.json(&["task", "list"])[0].clone();
        assert_eq!(task["state"], "cancelled", "{task}");
        assert_eq!(task["attempts"][0]["exitCode"], 0, "it had its time to end: {task}");
        assert!(daemon.processes().is_empty());
    }
}

#[test]
fn run_that_is_told_of_the_end_of_its_terminal_twice_leaves_the_program_its_grace() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let script = "trap 'echo ended; exit' TERM; while :; do echo begun; done";
    let mut terminal = ctl.terminal(&["run", "shell", script]);
    terminal.shows("begun");
    let _hung_up = terminal.hang_up().expect_code(129);
    let task = ctl.json(&["task", "list"])[0].clone();
    assert_eq!(
        (&task["state"], &task["attempts"][0]["exitCode"]),
        (&"cancelled".into(), &0.into()),
        "{task}"
    );
}

#[test]
fn run_interrupted_together_with_its_reader_cancels_the_task() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut command = ctl.command(&["run", "shell", "while :; do echo begun; done"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut reader, &mut [0; 6]).unwrap();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, Signal::STOP).unwrap();
    drop(reader);
    pidfd_send_signal(&pidfd, Signal::INT).unwrap();
    pidfd_send_signal(&pidfd, Signal::CONT).unwrap();
    assert!(wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(ctl.json(&["task", "list"])[0]["state"], "cancelled");
    assert!(daemon.processes().is_empty());
}

#[test]
fn run_outlives_a_killed_daemon_and_prints_every_byte_once() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let (bell_path, gate_path) = (bell.path().to_owned(), gate.path().to_owned());
    let script = format!(
        "flood 100000 1\nring {bell_path}\nawait {gate_path}\nflood 100000 2\nring {bell_path}\nawait {gate_path}\nexit 3"
    );
    let follower = std::thread::spawn({
        let (ctl, fake) = (ctl.clone(), fake());
        move || ctl.run(&["run", "command", &script, "--", &fake])
    });
    bell.next_line();
    daemon.kill9();
    gate.open_gate(1);
    bell.next_line();
    daemon.start_again();
    gate.open_gate(1);
    let done = follower.join().unwrap().expect_code(3);
    let expected = [stream(1, 100_000), stream(2, 100_000)].concat();
    assert!(done.stdout.as_bytes() == expected, "{} bytes came", done.stdout.len());
}

#[test]
fn run_prints_the_task_as_json_and_its_id_when_quiet() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = ctl.json(&["run", "shell", "echo answer"]);
    assert_eq!((&task["state"], &task["result"]), (&"succeeded".into(), &"answer".into()), "{task}");
    let quiet = ctl.run(&["-q", "run", "shell", "echo answer; exit 9"]).expect_code(9);
    assert!(quiet.stdout.starts_with("tsk_") && quiet.stdout.lines().count() == 1, "{quiet}");
}

#[test]
fn run_ends_with_an_agent_that_is_terminated_and_is_not_retried_without_one() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let task = ctl.ok(&["run", "-d", "shell", "sleep 60"]);
    ctl.task_in(&task, "running");
    let agent = ctl.json(&["agent", "list"])[0]["name"].as_str().unwrap().to_owned();
    ctl.ok(&["agent", "terminate", &agent, "--grace", "0s"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["failure"]["code"], "agent_gone", "{ended}");
    let again = ctl.refused(4, &["task", "retry", &task]);
    assert_eq!(again["code"], "agent_state");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.json(&["task", "show", &task])["failure"]["code"], "agent_gone");
}

#[test]
fn run_interrupted_twice_on_a_terminal_kills_at_once() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let script = "ignore-term\nsay begun\nstall";
    let mut terminal = ctl.terminal(&["run", "command", script, "--", &fake()]);
    terminal.shows("begun");
    terminal.types("\x03");
    terminal.shows("once more kills it at once");
    terminal.types("\x03");
    terminal.shows("killing it");
    let _killed = terminal.done().expect_code(130);
    let task = ctl.json(&["task", "list"])[0].clone();
    assert_eq!(task["state"], "cancelled");
    assert_eq!(task["attempts"][0]["signal"], 9, "its ten seconds of grace were cut short: {task}");
    assert!(daemon.processes().is_empty());
}

#[test]
fn run_interactive_on_a_terminal_speaks_with_the_program() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut terminal = ctl.terminal(&["run", "-i", "command", "first", "--", &fake(), "hear", "hear"]);
    terminal.shows("heard: first");
    terminal.types("second\n");
    let _ended = terminal.done().expect_code(0);
    assert_eq!(ctl.json(&["task", "list"])[0]["state"], "succeeded");
}

#[test]
fn run_from_fills_the_workspace_first() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.folder().join("stuff");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a"), "content").unwrap();
    let from = folder.to_str().unwrap();
    assert_eq!(ctl.ok(&["run", "shell", "cat a", "--from", from]), "content");
    let script = folder.join("a");
    std::fs::write(&script, "echo from a file").unwrap();
    let words = ["run", "shell", "--input-file", script.to_str().unwrap()];
    assert_eq!(ctl.ok(&words), "from a file");
    let failed = ctl.run(&["run", "shell", "cat a", "--from", "/nowhere/at/all"]).expect_code(1);
    assert!(failed.stderr.contains("could not be seeded from /nowhere/at/all"), "{failed}");
    assert!(!failed.stderr.contains("workspace diff"), "{failed}");

    let edit = ["run", "shell", "echo more > b", "--from", from, "--name", "editor"];
    let told = ctl.run(&edit).expect_code(0).stderr;
    let (diff, place) = told.split_once('`').and_then(|(_, told)| told.split_once('`')).expect("a command");
    assert!(place.starts_with(" shows its changes, which are in /"), "{told}");
    let agent = ctl.json(&["agent", "show", "editor"])["id"].as_str().unwrap().to_owned();
    assert!(agent.ends_with(diff.rsplit('_').next().unwrap()), "{told}");
    assert!(ctl.ok(&diff.split(' ').skip(1).collect::<Vec<_>>()).contains("b"));
    assert_eq!(ctl.run(&["-q", "run", "shell", "echo more > b", "--from", from]).expect_code(0).stderr, "");
    let removed = ctl.run(&["run", "--rm", "shell", "echo more > b", "--from", from]).expect_code(0);
    assert_eq!(removed.stderr, "", "it goes in a minute");
}

#[test]
fn run_result_is_the_answer_alone_and_a_failure_has_none() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let done = ctl.run(&["run", "shell", "--result", "echo aside >&2; printf answer"]).expect_code(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("answer\n", "aside\n"));
    let failed =
        ctl.run(&["run", "shell", "--result", "echo begun; echo not logged in; exit 3"]).expect_code(3);
    assert_eq!(failed.stdout, "", "an error is no answer");
    assert!(failed.stderr.starts_with("error: ") && failed.stderr.contains("not logged in"), "{failed}");
    let shown = ctl.json(&["run", "shell", "--result", "printf answer"]);
    assert_eq!(shown["result"], "answer", "{shown}");
}

#[test]
fn run_that_somebody_else_cancels_says_so() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let script = format!("echo begun > {}; exec sleep 60", bell.path());
    let child = ctl.command(&["run", "shell", &script]).stderr(Stdio::piped()).spawn().unwrap();
    bell.next_line();
    let task = ctl.json(&["task", "list"])[0]["id"].as_str().unwrap().to_owned();
    ctl.ok(&["task", "cancel", &task]);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("error: somebody cancelled {task}")), "{said}");
}

#[test]
fn run_takes_no_agent_that_was_made_for_another_task() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let first = ctl.submit("touch left-over", &["--capability", "profile:shell"]);
    assert_eq!(ctl.ended(&first)["state"], "succeeded");
    let made = ctl.json(&["agent", "list"])[0]["id"].clone();
    let done = ctl.run(&["run", "shell", "ls"]).expect_code(0);
    assert_eq!(done.stdout, "", "the workspace is not its own");
    assert_eq!(ctl.json(&["agent", "list"])[0]["id"], made, "it stays for tasks that name its profile");
}
