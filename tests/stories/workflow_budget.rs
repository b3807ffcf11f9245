//! Stories of `budget` in workflows.

use crate::daemon_with_agent;
use fusion_tests::node;
use serde_json::json;

#[test]
fn workflow_budget_keeps_more_from_beginning_also_over_a_crash_until_it_is_raised() {
    let (mut daemon, ctl) = daemon_with_agent();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: b\nbudget: {{attempts: 2}}\nnodes:\n\
         - {{id: one, prompt: \"ring {}\\nawait {}\"}}\n\
         - {{id: two, needs: one, prompt: say 2}}\n\
         - {{id: three, needs: two, prompt: say 3}}\n\
         - {{id: clean, needs: three, always: true, prompt: say clean}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("b", &text), &[]);
    bell.next_line();
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["failure"]["code"]), (&json!("failed"), &json!("budget_exhausted")));
    assert_eq!(
        node(&ended, "three")["failure"]["message"],
        "the run has used up its budget of 2 attempts",
        "{ended}"
    );
    assert_eq!(node(&ended, "clean")["output"], "clean", "what is always done is done");
    assert_eq!((&ended["budget"], &ended["usage"]["attempts"]), (&json!({"attempts": 2}), &json!(3)));
    let shown = ctl.ok(&["workflow", "show", &run]);
    assert!(shown.contains(" 3 of 2 attempts\n"), "{shown}");
    let more = daemon.flow("more", &text.replace("attempts: 2", "attempts: 9"));
    ctl.ok(&["workflow", "edit", &run, "-f", &more, "--yes"]);
    ctl.ok(&["workflow", "rerun", &run]);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &node(&ended, "three")["output"]), (&json!("succeeded"), &json!("3")));
}

#[test]
fn workflow_budget_of_time_ends_the_attempt_that_would_take_more() {
    let (daemon, ctl) = daemon_with_agent();
    let gate = daemon.fifo("gate");
    let text = format!(
        "name: t\nnodes:\n\
         - {{id: long, budget: {{time: 700ms}}, timeout: 1h, prompt: await {}}}\n",
        gate.path()
    );
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("t", &text), &[]));
    let long = node(&ended, "long");
    assert_eq!((&ended["state"], &long["failure"]["code"]), (&json!("failed"), &json!("timeout_run")));
}
