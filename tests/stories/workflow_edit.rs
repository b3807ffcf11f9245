//! Stories of `workflow edit`, and of `workflow show --definition` and `--history`.

use crate::daemon_with_agent;
use fusion_tests::{Ctl, Daemon, Fifo, node};
use serde_json::{Value, json};

/// A run whose second node waits at a gate, and the ends of the pipes.
fn stopped(daemon: &Daemon, ctl: &Ctl) -> (String, String, Fifo) {
    let mut bell = daemon.fifo("bell");
    let gate = daemon.fifo("gate");
    let text = format!(
        "name: e\ninputs: {{who: {{default: ada}}}}\nnodes:\n\
         - {{id: zero, prompt: say nought}}\n\
         - {{id: one, needs: zero, prompt: \"ring {}\\nawait {}\\nsay 1\"}}\n\
         - {{id: two, needs: one, prompt: 'say {{{{ nodes.one.output }}}}2'}}\n\
         - {{id: three, needs: two, prompt: say 3}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("e", &text), &[]);
    bell.next_line();
    (run, text, gate)
}

fn edited(text: &str) -> String {
    let two = "- {id: two, needs: [one, new], prompt: 'say {{ nodes.one.output }}-{{ nodes.new.output }}'}\n";
    let new = "- {id: new, needs: [zero, one], prompt: 'say {{ nodes.zero.output }} {{ inputs.who }}'}\n";
    let lines = text.lines().filter(|line| !line.contains("id: three"));
    let lines =
        lines.map(|line| if line.contains("id: two") { format!("{new}{two}") } else { format!("{line}\n") });
    lines.collect()
}

#[test]
fn workflow_edit_changes_what_has_not_begun_also_over_a_crash() {
    let (mut daemon, ctl) = daemon_with_agent();
    let (run, text, mut gate) = stopped(&daemon, &ctl);
    let file = daemon.flow("next", &edited(&text));
    let tried = ctl.json(&["workflow", "edit", &run, "-f", &file, "--dry-run"]);
    assert_eq!((&tried["added"], &tried["changed"], &tried["removed"]), (&json!(1), &json!(1), &json!(1)));
    assert!(
        tried["diff"].as_str().unwrap().contains("\n-  prompt: say {{ nodes.one.output }}2\n"),
        "{tried}"
    );
    assert_eq!(ctl.json(&["workflow", "show", &run])["revision"], 1, "it was only tried");
    let said = ctl.ok(&["workflow", "edit", &run, "-f", &file, "--yes"]);
    assert!(said.ends_with("has revision 2: 1 node added, 1 changed, 1 removed"), "{said}");
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(node(&ended, "new")["output"], "nought ada", "a result that nobody used before");
    assert_eq!(node(&ended, "two")["output"], "1-nought ada");
    assert_eq!(
        (&node(&ended, "three")["state"], &node(&ended, "three")["reason"]),
        (&json!("skipped"), &json!("an edit removed it"))
    );
    let order: Vec<&str> =
        ended["nodes"].as_array().unwrap().iter().filter_map(|node| node["id"].as_str()).collect();
    assert_eq!(order, ["zero", "one", "new", "two", "three"], "that of the definition");
    let events = ctl.json(&["event", "list"]);
    let told: Vec<&Value> =
        events.as_array().unwrap().iter().filter(|event| event["type"] == "run.edited").collect();
    assert_eq!(told.len(), 1, "{events}");
    assert_eq!(told[0]["data"], json!({"revision": 2, "added": 1, "changed": 1, "removed": 1}));
    assert_eq!(told[0]["actor"].as_str().map(|actor| actor.starts_with("user:")), Some(true));
}

#[test]
fn workflow_edit_keeps_every_definition_and_overwrites_nobodys() {
    let (daemon, ctl) = daemon_with_agent();
    let (run, text, mut gate) = stopped(&daemon, &ctl);
    let taken = daemon.folder().join("taken.yaml");
    std::fs::write(&taken, ctl.ok(&["workflow", "show", &run, "--definition"]) + "\n").unwrap();
    let taken = taken.to_str().unwrap();
    let same = ctl.run(&["workflow", "edit", &run, "-f", taken]);
    assert_eq!((same.code, same.stderr.trim()), (0, "nothing is different"), "{same:?}");
    ctl.ok(&["workflow", "edit", &run, "-f", &daemon.flow("next", &edited(&text)), "--yes"]);
    let late = ctl.refused(4, &["workflow", "edit", &run, "-f", taken, "--yes"]);
    assert_eq!(late["code"], "edit_conflict", "{late}");
    let history = ctl.json(&["workflow", "show", &run, "--history"]);
    let numbers: Vec<&Value> = history.as_array().unwrap().iter().map(|each| &each["revision"]).collect();
    assert_eq!(numbers, [1, 2], "{history}");
    assert_eq!((&history[1]["added"], &history[1]["by"]), (&json!(1), &history[0]["by"]));
    let first = ctl.ok(&["workflow", "show", &run, "--definition", "--revision", "1"]) + "\n";
    assert_eq!(first, std::fs::read_to_string(taken).unwrap());
    assert_eq!(
        ctl.refused(3, &["workflow", "show", &run, "--definition", "--revision", "3"])["code"],
        "revision_not_found"
    );
    ctl.ok(&["workflow", "edit", &run, "-f", taken, "--revision", "2", "--yes"]);
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["revision"]), (&json!("succeeded"), &json!(3)), "{ended}");
    assert_eq!(
        (&node(&ended, "two")["output"], &node(&ended, "three")["output"]),
        (&json!("12"), &json!("3"))
    );
    assert_eq!(node(&ended, "new")["state"], "skipped");
}

#[test]
fn workflow_edit_refuses_to_change_what_has_begun() {
    let (daemon, ctl) = daemon_with_agent();
    let (run, text, mut gate) = stopped(&daemon, &ctl);
    let refused = |name: &str, text: &str| {
        let file = daemon.flow(name, text);
        ctl.refused(4, &["workflow", "edit", &run, "-f", &file, "--yes"])
    };
    let changed = refused("changed", &text.replace("say 1", "say one").replace("say nought", "say 0"));
    assert_eq!(changed["code"], "node_begun", "{changed}");
    let message = changed["message"].as_str().unwrap();
    assert!(message.starts_with("node \"zero\" of run "), "{message}");
    assert!(message.ends_with(" is succeeded: it cannot be changed"), "{message}");
    assert_eq!(changed["detail"], "one is running: it cannot be changed");
    assert!(changed["hint"].as_str().unwrap().contains("rerun"), "{changed}");
    let alone: String =
        text.lines().filter(|line| !line.contains("id: two")).map(|line| format!("{line}\n")).collect();
    let alone = alone
        .replace("needs: two", "needs: zero")
        .replace("- {id: one, needs: zero", "- {id: uno, needs: zero");
    let removed = refused("removed", &alone);
    assert_eq!(
        (&removed["code"], removed["message"].as_str().unwrap().ends_with("it cannot be removed")),
        (&json!("node_begun"), true)
    );
    let fixed = refused("fixed", &text.replace("default: ada", "default: bob"));
    assert_eq!(fixed["code"], "edit_fixed", "{fixed}");
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["revision"]), (&json!("succeeded"), &json!(1)), "{ended}");
}

#[test]
fn workflow_edit_asks_only_for_agents_of_what_has_not_begun() {
    let (daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: w\nnodes:\n- {{id: one, agent: a, prompt: say 1}}\n\
         - {{id: two, needs: one, agent: b, prompt: \"ring {}\\nawait {}\"}}\n\
         - {{id: three, needs: two, agent: b, prompt: say 3}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("w", &text), &[]);
    bell.next_line();
    ctl.ok(&["agent", "terminate", "a"]);
    ctl.ok(&["agent", "remove", "a"]);
    let for_a = daemon.flow("for-a", &text.replace("agent: b, prompt: say 3", "agent: a, prompt: say 3"));
    assert_eq!(ctl.refused(3, &["workflow", "edit", &run, "-f", &for_a, "--yes"])["code"], "agent_not_found");
    let new = format!("{text}- {{id: four, needs: three, agent: a, prompt: say 4}}\n");
    let new = daemon.flow("new", &new);
    assert_eq!(ctl.refused(3, &["workflow", "edit", &run, "-f", &new, "--yes"])["code"], "agent_not_found");
    ctl.ok(&["workflow", "edit", &run, "-f", &daemon.flow("w2", &text.replace("say 3", "say 33")), "--yes"]);
    gate.open_gate(1);
    assert_eq!(node(&ctl.run_ended(&run), "three")["output"], "33");
}

#[test]
fn workflow_edit_changes_what_still_waits_for_an_agent() {
    let (daemon, ctl) = daemon_with_agent();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: w\nnodes:\n- {{id: one, priority: 9, prompt: \"ring {}\\nawait {}\"}}\n- {{id: two, prompt: say old}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("w", &text), &[]);
    bell.next_line();
    let before = ctl.json(&["workflow", "show", &run]);
    assert_eq!(node(&before, "two")["reason"], "waits for an agent", "{before}");
    ctl.ok(&["workflow", "edit", &run, "-f", &daemon.flow("w2", &text.replace("old", "new")), "--yes"]);
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!(
        (&ended["state"], &node(&ended, "two")["output"]),
        (&json!("succeeded"), &json!("new")),
        "{ended}"
    );
    let old = ctl.json(&["task", "show", node(&before, "two")["task"].as_str().expect("a task")]);
    assert_eq!(old["state"], "cancelled", "{old}");
}

#[test]
fn workflow_edit_mends_what_failed_before_it_is_run_again() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: m\nnodes:\n\
        - {id: plan, prompt: say planned}\n\
        - {id: test, needs: plan, prompt: exit 3}\n\
        - {id: ship, needs: test, prompt: 'say {{ nodes.plan.output }} {{ nodes.test.output }}'}\n";
    let run = ctl.start_run(&daemon.flow("m", text), &[]);
    let failed = ctl.run_ended(&run);
    assert_eq!(failed["state"], "failed", "{failed}");
    let mended = text.replace("exit 3", "say tested").replace("nodes.plan.output", "nodes.extra.output");
    let mended = mended.replace("needs: test,", "needs: [test, extra],");
    let mended = format!("{mended}- {{id: extra, needs: plan, prompt: say extra}}\n");
    let edited = ctl.json(&["workflow", "edit", &run, "-f", &daemon.flow("m2", &mended)]);
    assert_eq!((&edited["state"], &edited["revision"]), (&json!("failed"), &json!(2)), "{edited}");
    let done = ctl.run(&["workflow", "rerun", &run, "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    let ended = ctl.json(&["workflow", "show", &run]);
    assert_eq!(node(&ended, "ship")["output"], "extra tested", "{ended}");
    assert_eq!(node(&ended, "plan")["task"], node(&failed, "plan")["task"], "what went well stays");
    let again =
        ctl.refused(4, &["workflow", "edit", &run, "-f", &daemon.flow("m3", &mended.replace("tested", "x"))]);
    assert_eq!(again["code"], "node_begun", "{again}");
}

#[test]
fn workflow_edit_lets_a_run_go_on_without_what_failed() {
    let (daemon, ctl) = daemon_with_agent();
    let text =
        "name: m\nnodes:\n- {id: test, prompt: exit 3}\n- {id: ship, needs: test, prompt: say shipped}\n";
    let run = ctl.start_run(&daemon.flow("m", text), &[]);
    let failed = ctl.run_ended(&run);
    let without = text.replace("exit 3}", "exit 3, on_failure: continue}");
    ctl.ok(&["workflow", "edit", &run, "-f", &daemon.flow("m2", &without), "--yes"]);
    ctl.ok(&["workflow", "rerun", &run]);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &node(&ended, "ship")["output"]), (&json!("succeeded"), &json!("shipped")));
    assert_eq!(node(&ended, "test")["task"], node(&failed, "test")["task"], "it is not done again");
}

#[test]
fn workflow_edit_of_a_failed_run_leaves_nothing_of_what_is_gone_to_run_again() {
    let (daemon, ctl) = daemon_with_agent();
    let text =
        "name: g\nnodes:\n- {id: plan, prompt: say planned}\n- {id: test, needs: plan, prompt: exit 3}\n";
    let run = ctl.start_run(&daemon.flow("g", text), &[]);
    assert_eq!(ctl.run_ended(&run)["state"], "failed");
    let without = text.replace("- {id: test, needs: plan, prompt: exit 3}\n", "");
    ctl.ok(&["workflow", "edit", &run, "-f", &daemon.flow("g2", &without)]);
    let refused = ctl.refused(3, &["workflow", "rerun", &run, "--from", "test"]);
    assert_eq!(refused["code"], "node_not_found", "{refused}");
    ctl.ok(&["workflow", "rerun", &run, "--wait"]);
    let ended = ctl.json(&["workflow", "show", &run]);
    assert_eq!(
        (&ended["state"], &node(&ended, "test")["state"]),
        (&json!("succeeded"), &json!("skipped")),
        "{ended}"
    );
}

#[test]
fn workflow_edit_asks_on_a_terminal() {
    let (daemon, ctl) = daemon_with_agent();
    let (run, text, mut gate) = stopped(&daemon, &ctl);
    let file = daemon.flow("next", &edited(&text));
    let done = ctl.on_terminal(&["workflow", "edit", &run, "-f", &file], "n\n");
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stdout.contains("\u{1b}[32m+- id: new"), "{done}");
    assert!(done.stdout.contains("1 node added, 1 changed, 1 removed? [y/N]"), "{done}");
    assert_eq!(ctl.json(&["workflow", "show", &run])["revision"], 1);
    let done = ctl.on_terminal(&["workflow", "edit", &run, "-f", &file], "y\n");
    assert_eq!(done.code, 0, "{done}");
    gate.open_gate(1);
    assert_eq!(ctl.run_ended(&run)["revision"], 2);
}
