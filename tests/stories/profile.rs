//! Stories of `profile list` and `profile show`.

use fusion_tests::Daemon;

#[test]
fn profile_list_has_the_built_in_ones() {
    let daemon = Daemon::start();
    let profiles = daemon.ctl().json(&["profile", "list"]);
    let names: Vec<&str> =
        profiles.as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap()).collect();
    for name in ["command", "shell"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn profile_show_tells_what_it_runs() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let shell = ctl.json(&["profile", "show", "shell"]);
    assert_eq!(shell["kind"], "exec");
    assert_eq!(shell["command"][0], "/bin/sh");
    assert_eq!(ctl.refused(3, &["profile", "show", "nobody"])["code"], "profile_not_found");
}
