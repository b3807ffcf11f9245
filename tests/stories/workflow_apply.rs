//! Stories of `workflow apply`, and of the definitions that are kept.

use crate::daemon_with_agent;
use serde_json::json;

#[test]
fn workflow_apply_keeps_versions_and_runs_keep_theirs() {
    let (mut daemon, ctl) = daemon_with_agent();
    let text = |word: &str| format!("name: hello\nnodes: [{{id: a, prompt: say {word}}}]\n");
    let file = daemon.flow("hello", &text("one"));
    assert_eq!(ctl.ok(&["workflow", "apply", &file]), "hello version 1");
    assert_eq!(ctl.ok(&["workflow", "apply", &file]), "hello version 1", "the same again");
    let first = ctl.start_run("hello", &[]);
    let _second = daemon.flow("hello", &text("two"));
    assert_eq!(ctl.ok(&["workflow", "apply", &file]), "hello version 2");
    daemon.kill9();
    daemon.start_again();
    let newest = ctl.run_ended(&ctl.start_run("hello", &[]));
    assert_eq!((&newest["version"], &newest["nodes"][0]["output"]), (&json!(2), &json!("two")), "{newest}");
    let old = ctl.run_ended(&first);
    assert_eq!((&old["version"], &old["nodes"][0]["output"]), (&json!(1), &json!("one")), "{old}");
    let listed = ctl.json(&["workflow", "list", "--definitions"]);
    assert_eq!((&listed[0]["name"], &listed[0]["version"]), (&json!("hello"), &json!(2)), "{listed}");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

#[test]
fn workflow_apply_keeps_versions_that_can_be_looked_at_and_run() {
    let (daemon, ctl) = daemon_with_agent();
    for word in ["first", "second"] {
        let text =
            format!("name: v\nnodes: [{{id: a, prompt: say {word}}}]\non_success: {{prompt: say {word}}}\n");
        ctl.ok(&["workflow", "apply", &daemon.flow(word, &text)]);
    }
    let output = |name: &str| {
        let ended = ctl.run_ended(&ctl.start_run(name, &[]));
        (ended["version"].clone(), fusion_tests::node(&ended, "a")["output"].clone())
    };
    assert_eq!(output("v@1"), (1.into(), "first".into()));
    assert_eq!(output("v"), (2.into(), "second".into()));
    assert_eq!(ctl.refused(3, &["workflow", "run", "v@3"])["code"], "workflow_not_found");
    let plan = ctl.json(&["workflow", "plan", "v@1"]);
    assert_eq!((&plan["workflow"], &plan["nodeCount"]), (&"v".into(), &1.into()), "{plan}");
    assert_eq!(plan["waves"][1][0]["note"], "when all went well", "{plan}");
    assert!(ctl.ok(&["workflow", "graph", "v"]).contains("● on_success (hook)  ← everything else"));
    assert_eq!(ctl.refused(3, &["workflow", "graph", "nothing"])["code"], "run_not_found");
}
