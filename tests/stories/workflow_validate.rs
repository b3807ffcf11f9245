//! Stories of `workflow validate` and `workflow graph`.

use fusion_tests::Daemon;
use serde_json::json;

#[test]
fn workflow_validate_says_all_that_is_wrong_with_its_places() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let file = daemon.flow(
        "bad",
        "name: bad\nnodes:\n- {id: a, needs: [b], promt: x}\n- {id: b, needs: [a], run: [\"true\"]}\n- {id: c, prompt: '{{ nodes.b.output }}'}\n",
    );
    let done = ctl.run(&["workflow", "validate", &file]);
    assert_eq!(done.code, 2, "{done:?}");
    for words in [
        "bad.yaml:3:23: error: unknown key \"promt\" in a node",
        "is \"prompt\" meant?",
        "error: nodes need one another: a → b → a",
        "bad.yaml:5:23: error: node \"c\" uses \"b\" without needing it",
    ] {
        assert!(done.stdout.contains(words), "{words} in {}", done.stdout);
    }
    let json = ctl.run(&["-o", "json", "workflow", "validate", &file]);
    let verdict: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&verdict["valid"], verdict["problems"].as_array().map(Vec::len)),
        (&json!(false), Some(3)),
        "{verdict}"
    );
    let good = daemon
        .flow("good", "name: good\nnodes: [{id: a, run: [\"true\"]}, {id: b, needs: a, run: [\"true\"]}]\n");
    assert!(ctl.ok(&["workflow", "validate", &good]).ends_with("workflow \"good\" with 2 nodes is valid"));
    assert!(ctl.ok(&["workflow", "graph", &good]).contains("● b  ← a"));
    assert!(ctl.ok(&["workflow", "graph", &good, "--format", "mermaid"]).contains("n_a --> n_b"));
    assert!(ctl.ok(&["workflow", "graph", &good, "--format", "dot"]).contains("\"a\" -> \"b\""));
}
