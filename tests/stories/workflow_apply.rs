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
