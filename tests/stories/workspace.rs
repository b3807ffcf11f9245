//! Stories of `workspace list|show|path|remove`.

use std::path::Path;

use fusion_tests::Watch;

use crate::daemon_with_agent;

#[test]
fn workspace_list_tells_what_is_in_use_and_how_long_the_rest_stays() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    ctl.ok(&["agent", "terminate", "b"]);
    let all = ctl.json(&["workspace", "list"]);
    assert_eq!((&all[0]["name"], &all[0]["state"]), (&"a".into(), &"in_use".into()), "{all}");
    assert_eq!((&all[1]["name"], &all[1]["state"]), (&"b".into(), &"kept".into()), "{all}");
    assert!(all[0].get("expireTime").is_none() && all[1]["expireTime"].is_string(), "{all}");
    let kept = ctl.ok(&["workspace", "list", "--state", "kept", "-q"]);
    assert_eq!(kept, all[1]["agent"].as_str().unwrap());
    assert!(ctl.ok(&["workspace", "list"]).starts_with("AGENT"));
}

#[test]
fn workspace_show_and_path_name_the_folder() {
    let (_daemon, ctl) = daemon_with_agent();
    let shown = ctl.json(&["workspace", "show", "a"]);
    assert_eq!(shown["path"], ctl.json(&["agent", "show", "a"])["workspace"]);
    let path = ctl.ok(&["workspace", "path", "a"]);
    assert_eq!(shown["path"], path.as_str());
    assert!(Path::new(&path).is_dir());
    assert_eq!(ctl.refused(3, &["workspace", "path", "nobody"])["code"], "agent_not_found");
}

#[test]
fn workspace_remove_leaves_record_and_logs_and_does_no_harm_twice() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say words", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.refused(4, &["workspace", "remove", "a"])["code"], "agent_alive");
    let path = ctl.ok(&["workspace", "path", "a"]);
    let mut watch = Watch::from_now(&ctl);
    ctl.ok(&["agent", "terminate", "a"]);
    for _ in 0..2 {
        ctl.ok(&["workspace", "remove", "a"]);
    }
    let id = ctl.json(&["agent", "show", "a"])["id"].as_str().unwrap().to_owned();
    watch.expect("workspace.removed", &id);
    assert!(!Path::new(&path).exists());
    assert_eq!(ctl.json(&["workspace", "list"]), serde_json::json!([]));
    assert_eq!(ctl.json(&["workspace", "list", "--state", "removed"])[0]["agent"], id.as_str());
    assert_eq!(ctl.ok(&["task", "logs", &task]), "words");
    ctl.ok(&["agent", "remove", "a"]);
    assert_eq!(ctl.run(&["agent", "show", &id]).code, 3);
}

#[test]
fn workspaces_of_a_root_in_a_checkout_are_hidden_from_git() {
    let (daemon, ctl) = daemon_with_agent();
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        let output = command.args(args).current_dir(daemon.folder()).output().expect("git can be started");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    git(&["init", "--quiet"]);
    let path = ctl.ok(&["workspace", "path", "a"]);
    std::fs::write(Path::new(&path).join("secret"), "x").unwrap();
    let seen = git(&["status", "--short", "--untracked-files=all"]);
    assert!(seen.contains("fusiond.toml") && !seen.contains("workspaces/"), "{seen}");
}
