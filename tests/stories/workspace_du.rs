//! Stories of `workspace du`.

use crate::daemon_with_agent;

/// Fills the workspace of the agent "a": 3 files (one of them with two names), 2 folders, 2 links to elsewhere.
const FILL: &str = "\
head -c 10000 /dev/zero > plain
ln plain other
truncate -s 5M sparse
mkdir -p deep/er
printf xy > deep/er/small
ln -s /etc deep/link
ln -s plain near";

#[test]
fn workspace_du_counts_hard_links_once_and_follows_no_link() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "spawn", "sh", "--profile", "shell", "--capability", "sh"]);
    let task = ctl.submit(FILL, &["--agent", "sh"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let empty = ctl.json(&["workspace", "du", "a"]);
    assert_eq!((&empty[0]["files"], &empty[0]["diskBytes"]), (&0.into(), &0.into()), "{empty}");
    let measured = &ctl.json(&["workspace", "du", "sh"])[0];
    assert_eq!((&measured["files"], &measured["folders"]), (&5.into(), &2.into()), "{measured}");
    // The links are as long as their texts.
    assert_eq!(measured["bytes"], 10_000 + (5 << 20) + 2 + 4 + 5, "{measured}");
    let disk = measured["diskBytes"].as_u64().expect("a number");
    assert!((10_000..1 << 20).contains(&disk), "the hole in the sparse file is on no disk: {measured}");
    assert!(measured.get("partial").is_none() && measured.get("unreadFolders").is_none(), "{measured}");
}

#[test]
fn workspace_du_without_a_name_counts_all_and_list_and_show_take_its_figures() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    ctl.ok(&["agent", "terminate", "b"]);
    let all = ctl.json(&["workspace", "du"]);
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&"a".into(), &"b".into()), "{all}");
    assert_eq!(all[1]["state"], "kept");
    assert!(ctl.ok(&["workspace", "du"]).starts_with("AGENT"));
    let listed = ctl.json(&["workspace", "list"]);
    assert!(listed[0].get("usage").is_none(), "a list is not slow unasked: {listed}");
    assert_eq!(ctl.json(&["workspace", "list", "--size"])[1]["usage"]["files"], 0);
    assert!(ctl.ok(&["workspace", "show", "a", "--size"]).contains("0 B on disk: 0 B in 0 files"));
}

#[test]
fn workspace_du_of_what_is_gone_says_so() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "terminate", "a"]);
    ctl.ok(&["workspace", "remove", "a"]);
    assert_eq!(ctl.refused(3, &["workspace", "du", "a"])["code"], "workspace_gone");
    assert_eq!(ctl.refused(3, &["workspace", "du", "nobody"])["code"], "agent_not_found");
    assert_eq!(ctl.json(&["workspace", "du"]), serde_json::json!([]));
}
