//! Stories of `workflow approve`.

use crate::daemon_with_agent;
use fusion_tests::{Watch, node};
use serde_json::json;

const GATE: &str = "name: gate\nnodes:\n\
    - {id: fix, prompt: 'say [1, 2]', output: json}\n\
    - {id: gate, needs: fix, approval: {message: 'Merge {{ nodes.fix.output | length }} changes?'}}\n\
    - {id: report, needs: gate, when: '{{ nodes.gate.output.approved }}', prompt: say merged}\n";

#[test]
fn workflow_approve_lets_a_run_go_on_and_keeps_who_said_what() {
    let (mut daemon, ctl) = daemon_with_agent();
    let file = daemon.flow("gate", GATE);
    let mut watch = Watch::from_now(&ctl);
    let run = ctl.start_run(&file, &[]);
    watch.expect("node.asked", &run);
    let shown = ctl.json(&["workflow", "show", &run]);
    assert_eq!(node(&shown, "gate")["state"], "waiting_approval", "{shown}");
    assert_eq!(node(&shown, "gate")["reason"], "Merge 2 changes?");
    assert!(ctl.ok(&["workflow", "list"]).contains("running, gate waits for a person"));
    let asking = ctl.json(&["workflow", "list", "--asking"]);
    assert_eq!((&asking[0]["id"], &asking[0]["asking"]), (&json!(run), &json!(["gate"])), "{asking}");
    let why = ctl.json(&["why", &run]);
    assert_eq!((&why["state"], &why["reasons"][0]["code"]), (&json!("running"), &json!("approval")), "{why}");
    let why = ctl.json(&["why", &format!("{run}/report")]);
    assert_eq!(
        (&why["state"], &why["reasons"][0]["text"]),
        (&json!("pending"), &json!("gate is waiting_approval"))
    );
    assert_eq!(ctl.refused(4, &["workflow", "approve", &run, "fix"])["code"], "node_state");
    assert_eq!(ctl.refused(3, &["workflow", "approve", &run, "gat"])["code"], "node_not_found");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(ctl.ok(&["workflow", "approve", &run, "gate", "--comment", "fine"]), "gate approved");
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ctl.json(&["workflow", "list", "--asking"]), json!([]));
    let said = node(&ended, "gate")["reason"].as_str().unwrap_or_default();
    assert!(said.starts_with("approved by ") && said.ends_with(": fine"), "{said}");
    let decision = &node(&ended, "gate")["output"];
    assert_eq!((&decision["approved"], &decision["comment"]), (&json!(true), &json!("fine")));
    assert!(decision["by"].as_str().unwrap().starts_with("user:"), "{decision}");
    assert_eq!(node(&ended, "report")["output"], "merged");
}

#[test]
fn workflow_approve_with_reject_is_a_result_where_it_is_looked_at_and_else_a_failure() {
    let (daemon, ctl) = daemon_with_agent();
    let mut watch = Watch::from_now(&ctl);
    let looks = ctl.start_run(&daemon.flow("gate", GATE), &[]);
    watch.expect("node.asked", &looks);
    ctl.ok(&["workflow", "approve", &looks, "gate", "--reject"]);
    let ended = ctl.run_ended(&looks);
    assert_eq!(
        (&ended["state"], &node(&ended, "report")["state"]),
        (&json!("succeeded"), &json!("skipped")),
        "{ended}"
    );
    let blind = "name: blind\nnodes:\n- {id: gate, approval: {}}\n- {id: deploy, needs: gate, prompt: say deployed}\n";
    let blind = ctl.start_run(&daemon.flow("blind", blind), &[]);
    watch.expect("node.asked", &blind);
    ctl.ok(&["workflow", "approve", &blind, "gate", "--reject", "--comment", "no"]);
    let ended = ctl.run_ended(&blind);
    assert_eq!(
        (&ended["state"], &ended["failure"]["code"]),
        (&json!("failed"), &json!("rejected")),
        "{ended}"
    );
    assert_eq!(node(&ended, "deploy")["state"], "skipped");
    let hint = ended["failure"]["hint"].as_str().unwrap_or_default();
    let again = format!("`fusionctl workflow rerun {} --from gate`", ended["id"].as_str().unwrap());
    assert!(hint.contains(&again), "{hint}");
    assert_eq!(node(&ended, "gate")["failure"]["hint"], hint);
}

#[test]
fn workflow_approve_is_not_waited_for_longer_than_the_definition_says() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: late\nnodes:\n\
        - {id: yes, approval: {timeout: 10ms, default: approve}}\n\
        - {id: go, needs: 'yes', prompt: say gone}\n\
        - {id: strict, approval: {timeout: 10ms}, on_failure: continue}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("late", text), &[]));
    assert_eq!(
        (&ended["state"], &node(&ended, "go")["state"]),
        (&json!("succeeded"), &json!("succeeded")),
        "{ended}"
    );
    assert_eq!(node(&ended, "strict")["failure"]["code"], "rejected");
}
