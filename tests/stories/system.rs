//! Stories of `system status|doctor|drain|reload|shutdown|backup|restore`.

use fusion_tests::{Ctl, Daemon, binary, processes};
use rustix::process::Signal;

use crate::daemon_with_agent;

#[test]
fn system_status_counts_and_says_where_it_lives() {
    let (mut daemon, ctl) = daemon_with_agent();
    let _task = ctl.submit("x", &["--capability", "fly"]);
    let status = ctl.json(&["system", "status"]);
    assert_eq!(status["agents"]["idle"], 1);
    assert_eq!(status["tasks"]["queued"], 1);
    assert_eq!(status["mode"], "root");
    assert_eq!(status["pid"], daemon.pid());
    let epoch = status["epoch"].as_u64().unwrap();
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.json(&["system", "status"])["epoch"], epoch + 1);
}

#[test]
fn system_status_and_doctor_say_nothing_but_their_exit_when_quiet() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    for args in [&["-q", "system", "status"][..], &["-q", "-o", "json", "system", "status"]] {
        let quiet = ctl.run(args).expect_code(0);
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    }
    let exit = ctl.run(&["system", "doctor"]).code;
    assert_eq!(ctl.run(&["-q", "system", "doctor"]).expect_code(exit).stdout, "");
    let nowhere = Ctl::new(&daemon.folder().join("nowhere"));
    drop(nowhere.run(&["-q", "system", "status"]).expect_code(6));
}

#[test]
fn system_doctor_says_which_guarantees_hold() {
    let daemon = Daemon::start();
    let checks = daemon.ctl().json(&["system", "doctor"]);
    let checks = checks.as_array().or_else(|| checks["checks"].as_array()).unwrap().clone();
    assert!(checks.len() >= 3, "{checks:?}");
    for check in checks {
        assert!(matches!(check["status"].as_str(), Some("ok" | "weak" | "failed")), "{check}");
        assert!(check["status"] == "ok" || check["remedy"].is_string(), "{check}");
    }
}

#[test]
fn system_drain_starts_nothing_new_and_can_be_lifted() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["system", "drain"]);
    assert_eq!(ctl.json(&["system", "status"])["draining"], true);
    let task = ctl.submit("say x", &[]);
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "queued");
    ctl.ok(&["system", "drain", "--off"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
}

#[test]
fn system_drain_survives_a_restart() {
    let (mut daemon, ctl) = daemon_with_agent();
    ctl.ok(&["system", "drain"]);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.json(&["system", "status"])["draining"], true);
}

#[test]
fn system_shutdown_that_keeps_agents_leaves_them_working() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let task = ctl.submit(&format!("ring {}\nawait {}\nsay done", bell.path(), gate.path()), &[]);
    let pid: i32 = bell.next_pid();
    ctl.ok(&["system", "shutdown", "--agents", "keep"]);
    assert!(daemon.wait_for_end().success());
    assert!(processes::look(pid).is_some());
    daemon.start_again();
    gate.open_gate(1);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "done");
}

#[test]
fn system_shutdown_that_stops_agents_leaves_nothing() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("grandchild {0}\nring {0}\nstall", bell.path()), &[]);
    bell.next_line();
    bell.next_line();
    ctl.ok(&["system", "shutdown", "--agents", "stop", "--grace", "300ms"]);
    assert!(daemon.wait_for_end().success());
    assert_eq!(daemon.processes(), []);
    daemon.start_again();
    assert!(matches!(
        ctl.json(&["task", "show", &task])["state"].as_str(),
        Some("queued" | "dispatched" | "running")
    ));
}

#[test]
fn system_shutdown_by_signal_stops_the_agents_of_a_trial_root() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut daemon, _ctl) = daemon_with_agent();
        assert!(daemon.stop_with(signal).success());
        assert_eq!(daemon.processes(), []);
        assert!(!daemon.socket().exists());
    }
}

#[test]
fn system_backup_is_restored_into_an_empty_root() {
    let (mut daemon, ctl) = daemon_with_agent();
    let done = ctl.submit("say kept", &["--key", "k"]);
    ctl.ended(&done);
    let waiting = ctl.submit("say later", &["--capability", "fly"]);
    let file = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", file.to_str().unwrap()]);
    let before = ctl.json(&["task", "show", &waiting]);
    daemon.stop_with(Signal::TERM);
    bring_back(&mut daemon, &file);
    assert!(daemon.log().contains("the state is that of a backup"), "{}", daemon.log());
    assert!(!ctl.ok(&["system", "status"]).contains("rebuilt"), "nothing was damaged");
    assert_eq!(ctl.json(&["task", "show", &waiting])["createTime"], before["createTime"]);
    ctl.until("the agent, which was ended for it, is there again", |ctl| {
        let agents = ctl.json(&["agent", "list"]);
        (agents[0]["state"] == "idle").then_some(())
    });
    let kept = ctl.json(&["task", "show", "key:k"]);
    assert_eq!(kept["id"], done.as_str());
    assert_eq!(kept["state"], "succeeded");
}

/// The state of a daemon that has gone is the one in `file` again; nothing else is touched.
fn bring_back(daemon: &mut Daemon, file: &std::path::Path) {
    std::fs::remove_dir_all(daemon.root().join("state/store")).expect("it is there");
    daemon.restore(file);
    daemon.start_again();
}

#[test]
fn system_restore_under_living_agents_goes_on_with_them() {
    let (mut daemon, ctl) = daemon_with_agent();
    ctl.ended(&ctl.submit("say before", &[]));
    let file = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", file.to_str().unwrap()]);
    for words in ["say second", "say third"] {
        ctl.ended(&ctl.submit(words, &[]));
    }
    daemon.kill9();
    bring_back(&mut daemon, &file);
    let task = ctl.submit("say new", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "new");
}

#[test]
fn system_restore_ends_what_nobody_knows_and_judges_what_was_leased() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let leased = ctl.submit(&format!("ring {}\nawait {}", bell.path(), gate.path()), &[]);
    bell.next_line();
    let file = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", file.to_str().unwrap()]);
    gate.open_gate(1);
    ctl.ended(&leased);
    let _unknown = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    let pid: i32 = bell.next_pid();
    daemon.kill9();
    bring_back(&mut daemon, &file);
    let state = |ctl: &Ctl| ctl.json(&["task", "show", &leased])["state"].clone();
    ctl.until("the leased attempt is lost", |ctl| (state(ctl) == "lost").then_some(()));
    let task = ctl.submit("say new", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert!(processes::look(pid).is_none());
}

#[test]
fn system_restore_before_a_restart_of_an_agent_shows_no_output_of_the_life_that_is_gone() {
    let (mut daemon, ctl) = daemon_with_agent();
    let file = daemon.folder().join("backup");
    ctl.ok(&["system", "backup", file.to_str().unwrap()]);
    ctl.ok(&["agent", "restart", "a"]);
    ctl.ended(&ctl.submit("say old words", &[]));
    daemon.kill9();
    bring_back(&mut daemon, &file);
    let task = ctl.submit("say new", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "new");
    assert_eq!(ctl.ok(&["task", "logs", &task, "--raw"]), "new");
    let aside = std::fs::read_dir(daemon.root().join("state/aside")).unwrap().count();
    assert_eq!(aside, 1, "the other life's output is kept");
    ctl.ok(&["agent", "terminate", "a"]);
    ctl.ok(&["agent", "remove", "a"]);
    assert_eq!(std::fs::read_dir(daemon.root().join("state/aside")).unwrap().count(), 0);
}

#[test]
fn system_allows_one_daemon_on_a_root() {
    let daemon = Daemon::start();
    let (status, said) = daemon.start_second();
    assert!(!status.success());
    assert!(said.contains("in use"), "{said}");
    daemon.ctl().ok(&["system", "status"]);
}

#[test]
fn system_unreachable_is_said_with_the_way_out() {
    let mut daemon = Daemon::start();
    daemon.kill9();
    let done = daemon.ctl().run(&["system", "status"]).expect_code(6);
    assert!(done.stderr.contains("hint: "), "{done}");
}

/// Gives the daemon profiles whose programs are there, or not, or hang.
pub(crate) fn with_programs(daemon: &mut Daemon) {
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    let profile = |name: &str, detect: &str| {
        format!("[profile.{name}]\ncommand = [\"true\"]\ndetect = {detect}\nenv = {{ GREETING = \"hi\" }}\n")
    };
    let all = [
        profile("there", r#"["tool", "--version"]"#),
        profile("missing", r#"["no-such-tool", "--version"]"#),
        profile("broken", r#"["false"]"#),
        profile("loud", r#"["head", "-c", "1000000", "/dev/zero"]"#),
        profile("hanging", r#"["sleep", "600"]"#),
    ];
    std::fs::write(folder.join("programs.toml"), all.concat()).expect("a file");
    let bin = daemon.folder().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::fs::write(bin.join("tool"), "#!/bin/sh\necho \"$1 $GREETING $(id -u)\"\n").expect("a file");
    for path in [bin.clone(), bin.join("tool")] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    daemon.kill9();
    daemon.start_again();
}

/// What doctor says of each profile, asked with the folder of the tool in PATH.
pub(crate) fn found_programs(daemon: &Daemon, ctl: &Ctl) -> Vec<(String, String, String)> {
    let path = format!("{}:/usr/bin:/bin", daemon.folder().join("bin").display());
    let output =
        ctl.command(&["-o", "json", "system", "doctor"]).env("PATH", path).output().expect("fusionctl runs");
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = diagnosis["checks"].as_array().expect("a list").iter();
    let all = checks.map(|check| (text(check, "name"), text(check, "status"), text(check, "detail")));
    all.filter(|(name, ..)| name.starts_with("profile")).collect()
}

#[test]
fn system_doctor_tells_which_programs_of_profiles_are_there() {
    let mut daemon = Daemon::start();
    with_programs(&mut daemon);
    let found = found_programs(&daemon, &daemon.ctl());
    let said = |name: &str| {
        let found = found.iter().find(|(found, ..)| *found == format!("profile {name}"));
        found.map(|(_, status, detail)| (status.as_str(), detail.as_str())).unwrap_or_default()
    };
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(said("there"), ("ok", format!("installed: --version hi {uid}").as_str()));
    assert_eq!(said("claude"), ("ok", "not installed"), "nobody asked for it");
    assert_eq!(said("missing"), ("weak", "no-such-tool is not installed"));
    assert!(said("broken").0 == "weak" && said("broken").1.contains("exit status: 1"), "{found:?}");
    assert_eq!(said("loud").0, "ok");
    assert!(said("hanging").0 == "weak" && said("hanging").1.contains("did not answer"), "{found:?}");
    assert_eq!(daemon.processes(), []);
}

#[test]
fn system_reload_takes_over_what_can_change_and_names_the_rest() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let config = daemon.folder().join("fusiond.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("our own folder can be written");
    write("[limits.per_user]\nmax_concurrent_agents = 1\n[store]\nfree_floor = \"1MiB\"\n");
    let report = ctl.json(&["system", "reload"]);
    assert_eq!(report["taken"], serde_json::json!(["limits.per_user.max_concurrent_agents"]));
    assert_eq!(report["waiting"], serde_json::json!(["store.free_floor"]));
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    assert_eq!(ctl.refused(8, &["agent", "spawn", "b", "--profile", "shell"])["code"], "user_agent_limit");
    write("[limits.per_user]\nmax_concurrent_agents = 0\n");
    let refusal = ctl.refused(4, &["system", "reload"]);
    assert_eq!(refusal["code"], "config_invalid");
    assert!(
        refusal["detail"].as_str().is_some_and(|detail| detail.contains("max_concurrent_agents")),
        "{refusal}"
    );
    assert_eq!(ctl.refused(8, &["agent", "spawn", "b", "--profile", "shell"])["code"], "user_agent_limit");
}

#[test]
fn system_reload_changes_how_much_output_and_history_is_kept() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "w", "--profile", "shell"]);
    let bytes_kept = || {
        let task = ctl.submit("yes | head -c 3000000", &["--capability", "sh"]);
        ctl.ended(&task);
        ctl.ok(&["task", "logs", &task, "--raw"]).len()
    };
    let config = daemon.folder().join("fusiond.toml");
    let taken = |text: &str| {
        std::fs::write(&config, text).expect("our own folder can be written");
        ctl.json(&["system", "reload"])["taken"].clone()
    };
    assert!(bytes_kept() > 2_900_000);
    assert_eq!(taken("[runtime]\nlog_quota = \"1MiB\"\n"), serde_json::json!(["runtime.log_quota"]));
    assert!(bytes_kept() < 2_000_000, "of the same agent, from its next attempt on");
    let oldest_is_there = |ctl: &Ctl| ctl.ok(&["-o", "json", "event", "list"]).contains("\"seq\": 1,");
    assert!(oldest_is_there(&ctl));
    let both = "[runtime]\nlog_quota = \"1MiB\"\n[tasks]\nhistory = \"1ms\"\n";
    assert_eq!(taken(both), serde_json::json!(["tasks.history"]));
    ctl.until("the oldest event is gone", |ctl| (!oldest_is_there(ctl)).then_some(()));
}

#[test]
fn system_reload_by_signal_finds_new_profiles_and_tells_of_broken_ones() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("new.toml"), "[profile.new]\ncommand = [\"/bin/cat\"]\n").expect("a file");
    std::fs::write(folder.join("broken.toml"), "[profile.broken]\n").expect("a file");
    daemon.signal(Signal::HUP);
    ctl.until("the new profile is there", |ctl| {
        (ctl.run(&["profile", "show", "new"]).code == 0).then_some(())
    });
    let checks = ctl.run(&["-o", "json", "system", "doctor"]).stdout;
    assert!(checks.contains("broken.toml:1:10"), "{checks}");
    let report = ctl.json(&["system", "reload"]);
    assert!(report["notes"].to_string().contains("broken.toml"), "{report}");
}

#[test]
fn system_status_shows_first_what_needs_somebody() {
    let (_daemon, ctl) = daemon_with_agent();
    let calm = ctl.ok(&["system", "status"]);
    assert!(calm.starts_with("Attention:  nothing needs you"), "{calm}");
    let task = ctl.submit("exit 3", &[]);
    ctl.ended(&task);
    ctl.ok(&["system", "drain"]);
    let status = ctl.json(&["system", "status"]);
    let attention = status["attention"].to_string();
    assert!(
        attention.contains("1 task failed within the last hour") && attention.contains("drained"),
        "{attention}"
    );
    assert!(status["endedPerSecond"].as_f64().is_some_and(|rate| rate > 0.0), "{status}");
    let shown = ctl.ok(&["system", "status"]);
    assert!(shown.starts_with("Attention:  1 task failed"), "{shown}");
    ctl.ok(&["system", "drain", "--off"]);
    ctl.ok(&["agent", "spawn", "w", "--profile", "shell"]);
    let ask = format!("{} task ask 'which one?'", binary("fusionctl").display());
    let asking = ctl.submit(&ask, &["--capability", "sh"]);
    ctl.task_in(&asking, "waiting_input");
    let attention = ctl.json(&["system", "status"])["attention"].to_string();
    assert!(attention.contains("1 task waiting for an answer: `fusionctl task list"), "{attention}");
}
