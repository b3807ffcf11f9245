//! Stories about what is removed in the end: workspaces and records of terminated agents, old history.

use std::path::Path;

use fusion_tests::{Ctl, Daemon, Setup, Watch, node};

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn retention_removes_the_workspace_of_a_terminated_agent_and_its_record() {
    let config = "[workspaces]\nretention = \"1ms\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let agent = ctl.id(&["agent", "spawn", "a", "--profile", "shell"]);
    let workspace = text(&ctl.json(&["agent", "show", "a"])["workspace"]);
    // What an agent leaves behind may point elsewhere; that stays.
    let elsewhere = daemon.folder().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    std::fs::write(elsewhere.join("file"), "x").expect("a file");
    let script = format!("mkdir -p deep/er && ln -s {} deep/er/link && chmod 0 deep/er", elsewhere.display());
    let task = ctl.submit(&script, &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let mut watch = Watch::from_now(&ctl);
    ctl.ok(&["agent", "terminate", "a"]);
    watch.expect("workspace.removed", &agent);
    assert!(!Path::new(&workspace).exists());
    assert!(elsewhere.join("file").exists());
    assert_eq!(ctl.refused(3, &["agent", "show", &agent])["code"], "agent_not_found");
}

#[test]
fn retention_ends_old_history_and_spares_what_has_not_ended() {
    let config = "[tasks]\nhistory = \"1ms\"\n".to_owned();
    let mut daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let old = ctl.submit("echo gone", &[]);
    assert_eq!(ctl.ended(&old)["state"], "succeeded");
    let waiting = ctl.submit("echo kept", &["--capability", "fly"]);
    daemon.kill9();
    daemon.start_again();
    // The first look at history comes with the start, in the turn after it.
    ctl.until("the old task is gone", |ctl| (ctl.run(&["task", "show", &old]).code == 3).then_some(()));
    assert_eq!(ctl.json(&["task", "show", &waiting])["state"], "queued");
    assert_eq!(ctl.refused(3, &["task", "logs", &old])["code"], "task_not_found");
    ctl.ok(&["agent", "show", "a"]);
}

#[test]
fn retention_spares_the_results_of_a_run_that_goes_on() {
    let config = "[tasks]\nhistory = \"1ms\"\n".to_owned();
    let mut daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let flow = "name: o\nnodes:\n\
        - {id: says, run: [echo, words]}\n\
        - {id: gate, needs: says, approval: {}}\n";
    let run = ctl.start_run(&daemon.flow("o", flow), &[]);
    let task = ctl.until("the gate asks", |ctl| {
        let shown = ctl.json(&["workflow", "show", &run]);
        (node(&shown, "gate")["state"] == "waiting_approval").then(|| text(&node(&shown, "says")["task"]))
    });
    let old = ctl.submit("echo gone", &[]);
    ctl.ended(&old);
    let is_gone = |ctl: &Ctl, args: &[&str]| (ctl.run(args).code == 3).then_some(());
    daemon.kill9();
    daemon.start_again();
    ctl.until("the old task is gone", |ctl| is_gone(ctl, &["task", "show", &old]));
    assert_eq!(ctl.json(&["task", "show", &task])["state"], "succeeded");
    assert_eq!(ctl.ok(&["workflow", "show", &run, "--result", "says"]), "words");
    ctl.ok(&["workflow", "approve", &run, "gate"]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    daemon.kill9();
    daemon.start_again();
    ctl.until("the run is gone", |ctl| is_gone(ctl, &["workflow", "show", &run]));
    ctl.until("its task is gone", |ctl| is_gone(ctl, &["task", "show", &task]));
}
