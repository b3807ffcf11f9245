//! Stories of `workflow plan`: what a run would do, before it does anything.

use fusion_tests::Daemon;
use serde_json::json;

const FLOW: &str = "name: p\nnodes:\n\
    - {id: a, prompt: 'change src/lib.rs'}\n\
    - {id: b, run: [touch, ./src/lib.rs]}\n\
    - {id: old, done: true}\n\
    - {id: c, needs: [a, b], capabilities: [fly], run: ['true']}\n\
    - {id: gate, needs: c, approval: {}}\n";

#[test]
fn workflow_plan_says_who_would_take_what_and_why_and_what_gets_in_each_others_way() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let flow = daemon.flow("p", FLOW);
    assert_eq!(ctl.json(&["workflow", "plan", &flow])["waves"][0][0]["note"], "there is no agent");
    ctl.ok(&["agent", "spawn", "first", "--profile", "shell"]);
    ctl.ok(&["agent", "spawn", "second", "--profile", "shell"]);
    let plan = ctl.json(&["workflow", "plan", &flow]);
    let ids = |wave: usize| -> Vec<_> {
        plan["waves"][wave].as_array().unwrap().iter().map(|step| step["id"].clone()).collect()
    };
    assert_eq!(
        (ids(0), ids(1), ids(2)),
        (vec![json!("a"), json!("b"), json!("old")], vec![json!("c")], vec![json!("gate")])
    );
    let a = &plan["waves"][0][0];
    assert_eq!(
        (&a["agent"], &a["why"]),
        (&json!("first"), &json!("idle longest of the 2 that can")),
        "{plan}"
    );
    assert_eq!(plan["waves"][1][0]["note"], "no agent offers fly");
    assert_eq!(plan["overlaps"], json!([{"file": "src/lib.rs", "nodes": ["a", "b"]}]));
    let text = ctl.ok(&["workflow", "plan", &flow]);
    for words in [
        "first (idle longest of the 2 that can)",
        "a and b of the same wave name src/lib.rs",
        "what it costs is not known",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Who is paused takes nothing before it goes on.
    ctl.ok(&["agent", "pause", "first"]);
    ctl.ok(&["agent", "pause", "second"]);
    assert_eq!(
        ctl.json(&["workflow", "plan", &flow])["waves"][0][0]["why"],
        "whichever of the 2 is free first"
    );
    assert_eq!(ctl.json(&["workflow", "list"]).as_array().map(Vec::len), Some(0), "nothing was begun");
}

#[test]
fn workflow_plan_estimates_from_runs_of_the_same_name() {
    let (daemon, ctl) = crate::daemon_with_agent();
    let flow = daemon.flow("d", "name: p\nnodes: [{id: a, prompt: say a}]\n");
    let fresh = ctl.json(&["workflow", "plan", &flow]);
    assert!(fresh.get("estimate").is_none(), "{fresh}");
    assert!(ctl.ok(&["workflow", "plan", &flow]).contains("how long it takes is not known"));
    let _ended = ctl.run_ended(&ctl.start_run(&flow, &[]));
    let known = ctl.json(&["workflow", "plan", &flow]);
    assert!(known["estimate"].is_string() && known["waves"][0][0]["took"].is_string(), "{known}");
}
