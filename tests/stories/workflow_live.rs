//! Stories of runs on a terminal: a tree that events keep fresh.

use fusion_tests::{Ctl, Daemon, node};

/// A node that stands at a gate, one beside it, and one that fails behind both.
fn flow(daemon: &Daemon, gate: &str) -> String {
    let text = format!(
        "name: tree\nnodes:\n\
         - {{id: first, run: [sh, -c, 'read -r _ < {gate}']}}\n\
         - {{id: beside, foreach: [1, 2], run: ['true']}}\n\
         - {{id: last, needs: [first, beside], run: [sh, -c, 'exit 3']}}\n"
    );
    daemon.flow("tree", &text)
}

fn spawn_two(ctl: &Ctl) {
    for name in ["a", "b"] {
        ctl.ok(&["agent", "spawn", name, "--profile", "shell"]);
    }
}

#[test]
fn workflow_live_shows_a_tree_in_place_and_leaves_its_last_picture() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_two(&ctl);
    let mut gate = daemon.fifo("gate");
    let mut terminal = ctl.terminal(&["workflow", "run", &flow(&daemon, gate.path()), "--wait"]);
    terminal.shows("tree running  1 of 3 nodes  1 running");
    terminal.shows("2 items");
    gate.open_gate(1);
    let done = terminal.done().expect_code(1);
    // Drawn in place: the cursor went back to the beginning of the picture.
    assert!(done.stdout.contains("\u{1b}["), "{done}");
    let picture = &done.stdout[done.stdout.rfind("tree failed").expect("the last picture")..];
    for line in ["first", "beside", "last", "exit code 3"] {
        assert!(picture.contains(line), "{line}: {picture}");
    }
    let failed = picture.lines().find(|line| line.contains("last")).expect("its line");
    assert!(failed.trim_start_matches("\u{1b}[0m").starts_with("  last"), "below what it needs: {failed:?}");
    assert!(failed.contains("\u{1b}[38;5;9mfailed"), "failures are red: {failed:?}");
    let last = picture.lines().last().unwrap_or_default();
    assert!(last.contains(" failed node last: exit code 3"), "{picture}");
}

#[test]
fn workflow_live_without_colour_says_the_same_and_a_pipe_gets_a_line_for_each_change() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_two(&ctl);
    let mut gate = daemon.fifo("gate");
    let file = flow(&daemon, gate.path());
    gate.open_gate(2);
    let plain = ctl.terminal(&["--color", "never", "workflow", "run", &file, "--wait"]).done().expect_code(1);
    let picture = &plain.stdout[plain.stdout.rfind("tree failed").expect("the last picture")..];
    assert!(!picture.contains("\u{1b}[3") && picture.contains("failed"), "{picture:?}");
    let piped = ctl.run(&["workflow", "run", &file, "--wait"]).expect_code(1);
    let mut lines: Vec<&str> = piped.stdout.lines().skip(1).collect();
    assert_eq!(lines.pop().map(|line| line.contains(" failed node last")), Some(true), "{piped}");
    lines.sort_unstable();
    let expected = [
        "beside running",
        "beside succeeded",
        "beside[0] running",
        "beside[0] succeeded",
        "beside[1] running",
        "beside[1] succeeded",
        "first running",
        "first succeeded",
        "last failed: exit code 3",
        "last running",
    ];
    assert_eq!(lines, expected, "{piped}");
}

#[test]
fn workflow_live_is_left_with_ctrl_c_and_the_run_goes_on() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_two(&ctl);
    let mut gate = daemon.fifo("gate");
    let run = ctl.start_run(&flow(&daemon, gate.path()), &[]);
    let mut terminal = ctl.terminal(&["workflow", "show", &run, "--wait"]);
    terminal.shows("tree running  1 of 3 nodes  1 running");
    terminal.types("\u{3}");
    let left = terminal.done().expect_code(130);
    assert!(left.stdout.contains("the run goes on: fusionctl workflow show --wait run_"), "{left}");
    let mut terminal = ctl.terminal(&["workflow", "show", &run, "--wait"]);
    terminal.shows("tree running  1 of 3 nodes  1 running");
    // It outlives the daemon, too.
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    let done = terminal.done().expect_code(0);
    assert!(done.stdout.contains("State:") && done.stdout.contains("exit code 3"), "{done}");
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &node(&ended, "first")["state"]), (&"failed".into(), &"succeeded".into()));
}
