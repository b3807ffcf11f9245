//! Stories of `workflow cancel`.

use crate::daemon_with_agent;
use fusion_tests::node;
use serde_json::json;

#[test]
fn workflow_cancel_ends_what_runs_and_skips_the_rest() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let text = format!(
        "name: c\nnodes:\n\
         - {{id: long, prompt: \"ring {}\\nstall\"}}\n\
         - {{id: next, needs: long, prompt: say no}}\n\
         - {{id: gate, approval: {{}}}}\n\
         - {{id: sweep, needs: long, always: true, prompt: say swept}}\n",
        bell.path()
    );
    let run = ctl.start_run(&daemon.flow("c", &text), &[]);
    bell.next_line();
    ctl.ok(&["workflow", "cancel", &run]);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "cancelled", "{ended}");
    let states = ["long", "next", "gate", "sweep"].map(|id| node(&ended, id)["state"].clone());
    assert_eq!(states, ["cancelled", "skipped", "cancelled", "succeeded"]);
    assert_eq!(
        ctl.json(&["task", "show", node(&ended, "long")["task"].as_str().unwrap()])["state"],
        json!("cancelled")
    );
    ctl.ok(&["workflow", "cancel", &run]);
    assert_eq!(ctl.refused(4, &["workflow", "pause", &run])["code"], "run_state");
}

#[test]
fn workflow_cancel_of_items_is_no_failure() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let text = format!(
        "name: c\nnodes:\n- {{id: each, foreach: [1, 2], max_parallel: 1, prompt: \"ring {}\\nstall\"}}\n",
        bell.path()
    );
    let run = ctl.start_run(&daemon.flow("c", &text), &[]);
    bell.next_line();
    ctl.ok(&["workflow", "cancel", &run]);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &node(&ended, "each")["state"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(ended.get("failure"), None, "{ended}");
    let none = ctl.refused(4, &["workflow", "show", &run, "--result", "each"]);
    assert!(none["hint"].as_str().unwrap_or_default().contains("fusionctl why"), "{none}");
}
