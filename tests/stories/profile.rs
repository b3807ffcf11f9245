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

#[test]
fn profile_idle_timeout_holds_for_tasks_that_name_none() {
    let mut daemon = Daemon::start();
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    let profile = "[profile.brief]\ncommand = [\"/bin/sh\"]\nidle_timeout = \"300ms\"\n";
    std::fs::write(folder.join("brief.toml"), profile).expect("a file");
    daemon.kill9();
    daemon.start_again();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "b", "--profile", "brief"]);
    let task = ctl.submit("sleep 60", &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "timed_out");
    assert_eq!(ended["failure"]["code"], "timeout_idle");
}

#[test]
fn profile_show_of_a_name_that_is_nearly_right_says_what_is_perhaps_meant() {
    let daemon = Daemon::start();
    let refusal = daemon.ctl().refused(3, &["profile", "show", "shel"]);
    assert_eq!(refusal["code"], "profile_not_found");
    assert!(refusal["hint"].as_str().is_some_and(|hint| hint.contains("\"shell\"")), "{refusal}");
}
