//! The example workflows do what their comments say. Not here: what single nodes and options do.

use std::path::Path;

use fusion_tests::{Ctl, Daemon, node};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workflows").join(name);
    path.to_str().expect("the checkout has a plain path").to_owned()
}

fn with_shells() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    for name in ["a", "b"] {
        ctl.ok(&["agent", "spawn", name, "--profile", "shell"]);
    }
    (daemon, ctl)
}

#[test]
fn workflow_examples_fan_out_and_a_workflow_within_a_workflow() {
    let (daemon, ctl) = with_shells();
    std::fs::write(daemon.folder().join("a.md"), "one\ntwo\n").expect("our own folder can be written");
    std::fs::write(daemon.folder().join("b.rs"), "three\n").expect("our own folder can be written");
    let folder = format!("folder={}", daemon.folder().display());
    let run = ctl.start_run(&example("fan-out.yaml"), &["--input", &folder]);
    let sum = "1 + 2 + 0 = 3 lines";
    // The daemon's own settings are a .toml file of the folder.
    let found = ctl.run_ended(&run);
    assert!(
        node(&found, "sum")["output"].as_str().is_some_and(|text| text.starts_with(&sum[..6])),
        "{found}"
    );
    ctl.ok(&["workflow", "apply", &example("fan-out.yaml")]);
    let run = ctl.start_run(&example("sub-workflow.yaml"), &["--input", &folder]);
    let report = ctl.run_ended(&run);
    assert_eq!(report["state"], "succeeded", "{report}");
    assert_eq!(node(&report, "report")["output"], "Report: 1 + 2 + 0 = 3 lines", "{report}");
}

#[test]
fn workflow_examples_approval() {
    let (_daemon, ctl) = with_shells();
    let asked = |run: &str| {
        ctl.until("the gate asks", |ctl| {
            let shown = ctl.json(&["workflow", "show", run]);
            (node(&shown, "gate")["state"] == "waiting_approval").then_some(())
        });
    };
    let yes = ctl.start_run(&example("approval.yaml"), &["--input", "version=1.2"]);
    asked(&yes);
    ctl.ok(&["workflow", "approve", &yes, "gate", "--comment", "go"]);
    let published = ctl.run_ended(&yes);
    assert_eq!(node(&published, "publish")["output"], "published 1.2");
    assert_eq!(node(&published, "on_success")["state"], "succeeded");
    let no = ctl.start_run(&example("approval.yaml"), &["--input", "version=1.3"]);
    asked(&no);
    ctl.ok(&["workflow", "approve", &no, "gate", "--reject"]);
    assert_eq!(node(&ctl.run_ended(&no), "publish")["state"], "skipped");
}

#[test]
fn workflow_examples_retry_and_rerun() {
    let (daemon, ctl) = with_shells();
    let marker = daemon.folder().join("marker");
    let input = format!("marker={}", marker.display());
    let run = ctl.start_run(&example("retry.yaml"), &["--input", &input]);
    let failed = ctl.run_ended(&run);
    assert_eq!(
        (&failed["state"], &node(&failed, "build")["output"]),
        (&"failed".into(), &"attempt 2".into())
    );
    let first = node(&failed, "build")["task"].clone();
    assert_eq!(node(&failed, "clean-up")["state"], "succeeded", "{failed}");
    std::fs::write(&marker, "").expect("our own folder can be written");
    ctl.ok(&["workflow", "rerun", &run, "--from", "deploy"]);
    let mended = ctl.run_ended(&run);
    assert_eq!((&mended["state"], &node(&mended, "build")["task"]), (&"succeeded".into(), &first));
    assert_eq!(node(&mended, "announce")["output"], "deployed");
}

#[test]
fn workflow_examples_map_over_a_result() {
    let (_daemon, ctl) = with_shells();
    let run = ctl.start_run(&example("map.yaml"), &["--input", "count=4"]);
    let shown = ctl.run_ended(&run);
    assert_eq!(node(&shown, "total")["output"], "1 + 4 + 9 + 16 = 30", "{shown}");
}
