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

#[test]
fn workflow_plan_refuses_what_a_run_refuses_and_nothing_else() {
    let (daemon, ctl) = crate::daemon_with_agent();
    let file = daemon.folder().join("profiles.toml");
    std::fs::write(&file, "[profile.walled]\ncommand = [\"true\"]\nsandbox = \"landlock\"\n").unwrap();
    ctl.ok(&["profile", "apply", file.to_str().unwrap()]);
    let agent = ctl.json(&["agent", "show", "a"])["id"].as_str().unwrap().to_owned();
    let part = &agent[agent.len() - 10..];
    let planned = |terms: &str| {
        let flow = daemon.flow("p", &format!("name: p\nnodes: [{{id: x, {terms}, prompt: say x}}]\n"));
        let plan = ctl.json(&["workflow", "plan", &flow]);
        (flow, plan["waves"][0][0].clone())
    };
    for (terms, note, code) in [
        (
            "profile: walled",
            "profile walled wants the sandbox landlock, which cannot be enforced here",
            "sandbox_unavailable",
        ),
        ("agent: nobody", "there is no agent nobody", "agent_not_found"),
    ] {
        let (flow, step) = planned(terms);
        assert_eq!(step["note"], format!("{note}: the run would be refused"), "{step}");
        let exit = if code == "agent_not_found" { 3 } else { 4 };
        assert_eq!(ctl.refused(exit, &["workflow", "run", &flow])["code"], code);
    }
    for name in ["a", agent.as_str(), part] {
        let (flow, step) = planned(&format!("agent: \"{name}\""));
        assert_eq!((&step["agent"], step.get("note")), (&json!("a"), None), "{step}");
        assert_eq!(ctl.run_ended(&ctl.start_run(&flow, &[]))["state"], "succeeded");
    }
    ctl.ok(&["agent", "terminate", "a"]);
    let (flow, step) = planned("agent: a");
    assert_eq!(step["note"], "agent a is terminated: the run would be refused", "{step}");
    assert_eq!(ctl.refused(4, &["workflow", "run", &flow])["code"], "agent_state");
}
