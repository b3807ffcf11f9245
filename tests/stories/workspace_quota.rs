//! Stories of `--disk`: how much a workspace may take before the next task.

use std::path::Path;

use fusion_tests::{Ctl, Daemon, Setup, Watch};

/// An agent "sh" that may have 1 MiB and took 3.
fn agent_over_quota(ctl: &Ctl) -> String {
    let agent = ctl.id(&["agent", "spawn", "sh", "--profile", "shell", "--disk", "1M"]);
    let mut watch = Watch::from_now(ctl);
    let task = ctl.submit("head -c 3000000 /dev/zero > big", &["--agent", "sh"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded", "what runs may have more");
    let event = watch.expect("workspace.over_quota", &agent);
    assert_eq!(event["data"]["limitBytes"], 1 << 20, "{event}");
    agent
}

#[test]
fn workspace_quota_keeps_the_next_task_until_there_is_less() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let agent = agent_over_quota(&ctl);
    let task = ctl.submit("echo done", &["--agent", "sh"]);
    let why = ctl.json(&["why", &task]);
    assert_eq!(why["reasons"][0]["code"], "disk_quota", "{why}");
    let text = why["reasons"][0]["text"].as_str().unwrap();
    assert!(text.contains("takes 2.9 MiB of the 1.0 MiB that it may"), "{why}");
    let remedy = why["reasons"][0]["remedy"].as_str().unwrap();
    assert!(
        remedy.contains("fusionctl workspace du sh") && remedy.contains("agent update sh --disk"),
        "{why}"
    );
    let shown = ctl.json(&["agent", "show", "sh"]);
    assert_eq!(
        (&shown["state"], &shown["limits"]["diskBytes"]),
        (&"idle".into(), &(1 << 20).into()),
        "{shown}"
    );
    assert!(shown["reason"].as_str().unwrap().contains("2.9 MiB"), "{shown}");
    assert!(ctl.json(&["workspace", "list"])[0]["diskBytes"].as_u64().unwrap() > 2_900_000);
    assert_eq!(ctl.json(&["why", "sh"])["reasons"][0]["code"], "disk_quota");
    let attention = ctl.json(&["system", "status"])["attention"].to_string();
    assert!(attention.contains("1 agent kept from work by a disk limit"), "{attention}");
    // Whoever looks again without having removed anything changes nothing.
    ctl.ok(&["workspace", "du", "sh"]);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    let mut watch = Watch::from_now(&ctl);
    std::fs::remove_file(Path::new(&ctl.ok(&["workspace", "path", "sh"])).join("big")).unwrap();
    ctl.ok(&["workspace", "du", "sh"]);
    watch.expect("workspace.within_quota", &agent);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn workspace_quota_outlives_the_daemon_and_can_be_raised() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    agent_over_quota(&ctl);
    let task = ctl.submit("echo done", &["--agent", "sh"]);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.json(&["why", &task])["reasons"][0]["code"], "disk_quota");
    ctl.ok(&["agent", "update", "sh", "--disk", "2M"]);
    ctl.until("it is counted against the new limit", |ctl| {
        let text = ctl.json(&["why", "sh"])["reasons"][0]["text"].clone();
        text.as_str().is_some_and(|text| text.contains("of the 2.0 MiB")).then_some(())
    });
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    ctl.ok(&["agent", "update", "sh", "--disk", "none"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert!(ctl.json(&["agent", "show", "sh"]).get("limits").is_none());
}

#[test]
fn workspace_quota_comes_from_the_spawn_the_profile_or_the_configuration() {
    let config = "[workspaces]\ndisk = \"8MiB\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let profile = "[profile.small]\ncommand = [\"/bin/cat\"]\ndisk = \"4MiB\"\n";
    let _applied = ctl.run_with(&["profile", "apply", "-"], profile).expect_code(0);
    for (name, flags, mib) in [
        ("a", &["--profile", "shell"][..], 8_u64),
        ("b", &["--profile", "small"], 4),
        ("c", &["--profile", "small", "--disk", "2M"], 2),
    ] {
        ctl.ok(&[&["agent", "spawn", name], flags].concat());
        assert_eq!(ctl.json(&["agent", "show", name])["limits"]["diskBytes"], mib << 20, "{name}");
    }
    let error = ctl.refused(2, &["agent", "spawn", "d", "--profile", "shell", "--disk", "1K"]);
    assert_eq!(error["code"], "field_invalid", "{error}");
    assert!(ctl.ok(&["profile", "show", "small"]).contains("4"));
}
