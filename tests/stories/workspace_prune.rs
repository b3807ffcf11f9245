//! Stories of `workspace prune`.

use std::path::Path;

use crate::daemon_with_agent;

#[test]
fn workspace_prune_removes_what_terminated_agents_left_and_nothing_of_the_living() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "spawn", "b", "--profile", "shell", "--capability", "b"]);
    let task = ctl.submit("head -c 100000 /dev/zero > big", &["--agent", "b"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let [living, over] = ["a", "b"].map(|name| ctl.ok(&["workspace", "path", name]));
    ctl.ok(&["agent", "terminate", "b"]);
    let dry = ctl.ok(&["workspace", "prune", "--older-than", "0s", "--dry-run"]);
    assert!(dry.contains(&over) && dry.contains("would remove 1 of 1 kept workspaces, "), "{dry}");
    // The retention is seven days.
    assert!(ctl.ok(&["workspace", "prune", "--dry-run"]).contains("would remove 0 of 1"));
    assert_eq!(ctl.json(&["workspace", "prune", "--yes"]), serde_json::json!([]));
    assert_eq!(ctl.json(&["workspace", "prune", "--older-than", "1h", "--yes"]), serde_json::json!([]));
    assert!(Path::new(&over).join("big").exists());
    let gone = ctl.json(&["workspace", "prune", "--older-than", "0s"]);
    assert_eq!((&gone[0]["name"], gone.as_array().map(Vec::len)), (&"b".into(), Some(1)), "{gone}");
    assert!(!Path::new(&over).exists() && Path::new(&living).exists());
    assert_eq!(ctl.json(&["workspace", "list", "--state", "removed"])[0]["name"], "b");
    let shown = ctl.ok(&["workspace", "prune", "--older-than", "0s"]);
    assert_eq!(shown, "removed 0 workspaces, 0 B");
}

#[test]
fn workspace_prune_asks_on_a_terminal_unless_told_not_to() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "terminate", "a"]);
    let path = ctl.ok(&["workspace", "path", "a"]);
    let prune = ["workspace", "prune", "--older-than", "0s"];
    let asked = ctl.on_terminal(&prune, "n\n").expect_code(1);
    assert!(asked.stdout.contains("Remove 1 of 1 kept workspaces, 0 B? [y/N]"), "{asked}");
    assert!(asked.stdout.contains("nothing was removed"), "{asked}");
    assert!(Path::new(&path).exists());
    let _done = ctl.on_terminal(&[&prune[..], &["--yes"]].concat(), "").expect_code(0);
    assert!(!Path::new(&path).exists());
}
