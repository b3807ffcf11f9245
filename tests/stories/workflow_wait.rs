//! Stories of nodes that wait for an event.

use fusion_tests::{Daemon, node, users};

/// Waits for a task with a label, and tells what it was.
const GATE: &str = "name: gate\nnodes:\n\
    - {id: built, wait: {event: [task.succeeded, task.failed], labels: {kind: build}}}\n\
    - {id: tell, needs: built, run: [echo, '{{ nodes.built.output.type }} {{ nodes.built.output.subject }}']}\n";

/// Waits until the node is in this state.
fn until_node(ctl: &fusion_tests::Ctl, run: &str, id: &str, state: &str) {
    ctl.until(&format!("{id} is {state}"), |ctl| {
        (node(&ctl.json(&["workflow", "show", run]), id)["state"] == state).then_some(())
    });
}

#[test]
fn workflow_wait_ends_with_the_first_event_that_is_meant_also_over_a_kill() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let early = ctl.id(&["task", "submit", "true", "--label", "kind=build"]);
    assert_eq!(ctl.ended(&early)["state"], "succeeded");
    let run = ctl.start_run(&daemon.flow("gate", GATE), &[]);
    until_node(&ctl, &run, "built", "waiting");
    let why = ctl.ok(&["why", &run]);
    assert!(why.contains("built waits for task.succeeded or task.failed of label kind=build"), "{why}");
    daemon.kill9();
    daemon.start_again();
    until_node(&ctl, &run, "built", "waiting");
    // One of another kind does not count, and one that begins while the daemon is dead does.
    let other = ctl.id(&["task", "submit", "true", "--label", "kind=test"]);
    assert_eq!(ctl.ended(&other)["state"], "succeeded");
    let gate = daemon.fifo("gate.fifo");
    let meant =
        ctl.id(&["task", "submit", &format!("read -r _ < {}; false", gate.path()), "--label", "kind=build"]);
    drop(ctl.task_in(&meant, "running"));
    daemon.kill9();
    let mut gate = gate;
    gate.open_gate(1);
    daemon.start_again();
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let event = &node(&ended, "built")["output"];
    assert_eq!(
        (&event["type"], &event["subject"]),
        (&"task.failed".into(), &meant.as_str().into()),
        "{event}"
    );
    assert_eq!(
        (&event["actor"], &event["data"]["code"]),
        (&"fusiond".into(), &"exit_nonzero".into()),
        "{event}"
    );
    assert_eq!(node(&ended, "tell")["output"], format!("task.failed {meant}"));
    let told = ctl.json(&["event", "list", "--subject", &meant]);
    let seqs: Vec<_> = told.as_array().unwrap().iter().map(|told| told["seq"].clone()).collect();
    assert!(seqs.contains(&event["seq"]), "{told}");
    // It ended once, and stays as it is over another life of the daemon.
    daemon.kill9();
    daemon.start_again();
    assert_eq!(&node(&ctl.json(&["workflow", "show", &run]), "built")["output"], event);
    let told = ctl.json(&["event", "list", "--subject", &run]);
    let ends = told
        .as_array()
        .unwrap()
        .iter()
        .filter(|told| told["type"] == "node.succeeded" && told["data"]["node"] == "built");
    assert_eq!(ends.count(), 1, "{told}");
}

#[test]
fn workflow_wait_knows_tasks_agents_and_runs_by_name_and_gives_up_in_time() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let slow = ctl.id(&["task", "submit", "true", "--not-before", "1h"]);
    let flow = daemon.flow(
        "many",
        "name: many\ninputs: {task: {required: true}}\nnodes:\n\
         - {id: task, wait: {event: task.*, task: '{{ inputs.task }}'}}\n\
         - {id: agent, wait: {event: agent.paused, agent: a}}\n\
         - {id: run, wait: {event: run.*, workflow: other}}\n\
         - {id: never, wait: {event: secret.set, timeout: 1ms}, on_failure: continue}\n\
         - {id: unknown, wait: {event: task.failed, task: tsk_unknown}, on_failure: continue}\n",
    );
    let run = ctl.start_run(&flow, &["--input", &format!("task={slow}")]);
    for (id, state) in [("task", "waiting"), ("agent", "waiting"), ("run", "waiting"), ("never", "failed")] {
        until_node(&ctl, &run, id, state);
    }
    ctl.ok(&["task", "cancel", &slow]);
    let other = daemon.flow("other", "name: other\nnodes: [{id: x, wait: 0s}]\n");
    let inner = ctl.start_run(&other, &[]);
    ctl.ok(&["agent", "pause", "a"]);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let subject = |id: &str| node(&ended, id)["output"]["subject"].clone();
    assert_eq!((subject("task"), subject("run")), (slow.as_str().into(), inner.as_str().into()));
    assert_eq!(node(&ended, "never")["failure"]["code"], "timeout_event");
    assert_eq!(node(&ended, "unknown")["failure"]["code"], "node_refused");
}

#[test]
fn workflow_wait_does_not_hear_what_its_owner_may_not_see() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let (first, second) = (ctl.as_user(&users::first()), ctl.as_user(&users::second()));
    for ctl in [&first, &second] {
        ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    }
    let flow = daemon.flow("ear", "name: ear\nnodes: [{id: ear, wait: {event: task.succeeded}}]\n");
    let run = first.start_run(&flow, &[]);
    until_node(&first, &run, "ear", "waiting");
    let others = second.id(&["task", "submit", "true"]);
    assert_eq!(second.ended(&others)["state"], "succeeded");
    let own = first.id(&["task", "submit", "true"]);
    assert_eq!(first.ended(&own)["state"], "succeeded");
    let ended = first.run_ended(&run);
    assert_eq!(node(&ended, "ear")["output"]["subject"], own, "{ended}");
}
