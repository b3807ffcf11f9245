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
fn input_beyond_the_limit_is_refused_with_a_way_out() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let file = daemon.folder().join("large");
    std::fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
    for args in [["--input-file", file.to_str().unwrap()].as_slice(), &["-"]] {
        let mut all = vec!["-o", "json", "task", "submit"];
        all.extend_from_slice(args);
        let refused = ctl.run_with(&all, &"x".repeat((32 << 20) + 1)).expect_code(2);
        assert!(
            refused.stderr.contains("too_large") && refused.stderr.contains("hint"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(ctl.json(&["task", "list"]).as_array().map(Vec::len), Some(0));
}
