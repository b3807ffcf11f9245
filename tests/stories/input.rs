//! Stories about bad input on the command line: the code says whose mistake it is.

use fusion_tests::Daemon;

#[test]
fn input_that_makes_no_sense_is_a_usage_error() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    for args in [
        vec!["nonsense"],
        vec!["task", "submit", "--file", "/no/such/file"],
        vec!["task", "submit", "--input-file", "/no/such/file"],
        vec!["agent", "spawn", "a", "--profile", "shell", "--memory", "lots"],
        vec!["agent", "spawn", "a", "--profile", "shell", "--restart", "perhaps"],
        vec!["task", "list", "--state", "sleepy"],
    ] {
        let done = ctl.run(&args);
        assert_eq!(done.code, 2, "{done}");
        assert!(!done.stderr.is_empty(), "{done}");
    }
}

#[test]
fn input_of_a_megabyte_is_taken_and_more_is_refused() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let taken = ctl.run_with(&["task", "submit", "-"], &"x".repeat(1 << 20));
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    let refused = ctl.run_with(&["task", "submit", "-"], &"x".repeat((1 << 20) + 1));
    assert!(matches!(refused.code, 2 | 8), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint"), "{}", refused.stderr);
}
