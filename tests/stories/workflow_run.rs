//! Stories of `workflow run`, `show` and `list`.

use crate::daemon_with_agent;
use fusion_tests::{Daemon, node};
use serde_json::json;

#[test]
fn workflow_run_passes_results_on_and_tells_how_it_went() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow(
        "greet",
        "name: greet\n\
         inputs:\n  who: {required: true}\n  times: {type: integer, default: 2}\n\
         labels: {team: a}\n\
         nodes:\n\
         - {id: ask, prompt: 'say {{ inputs.who }}', output: text}\n\
         - {id: plan, needs: ask, prompt: 'say {\"words\": [\"{{ nodes.ask.output }}\", {{ inputs.times }}]}', output: json}\n\
         - {id: last, needs: [plan], prompt: 'say {{ nodes.plan.output.words[0] }} {{ nodes.plan.output.words[1] + 1 }}'}\n",
    );
    let done = ctl.run(&["workflow", "run", &file, "--input", "who=ada", "--wait"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.contains("\nask running\nask succeeded\nplan running\n"), "{}", done.stdout);
    let run = done.stdout.lines().next().expect("the id stands first").to_owned();
    let shown = ctl.json(&["workflow", "show", &run]);
    assert_eq!((&shown["state"], &shown["workflow"]), (&json!("succeeded"), &json!("greet")), "{shown}");
    assert_eq!(node(&shown, "plan")["output"], json!({"words": ["ada", 2]}));
    assert_eq!(node(&shown, "last")["output"], "ada 3");
    assert_eq!(shown["inputs"], json!({"who": "ada", "times": 2}));
    let task = ctl.json(&["task", "show", node(&shown, "plan")["task"].as_str().unwrap()]);
    assert_eq!((&task["runId"], &task["node"]), (&json!(run), &json!("plan")), "{task}");
    assert_eq!(task["labels"], json!({"team": "a"}));
    let listed = ctl.json(&["workflow", "list", "--label", "team=a"]);
    assert_eq!((&listed[0]["id"], listed.as_array().map(Vec::len)), (&json!(run), Some(1)));
    assert!(listed[0].get("nodes").is_none(), "{listed}");
    let people = ctl.ok(&["workflow", "show", &run]);
    assert!(people.contains("plan  succeeded"), "{people}");
}

#[test]
fn workflow_run_tells_its_attempts_what_they_are_for() {
    let (daemon, ctl) = daemon_with_agent();
    let file =
        daemon.flow("e", "name: e\nnodes: [{id: first, run: [env], env: {MINE: 'x{{ run.workflow }}'}}]\n");
    let run = ctl.start_run(&file, &[]);
    let ended = ctl.run_ended(&run);
    let seen = node(&ended, "first")["output"].as_str().unwrap().to_owned();
    for line in [format!("FUSION_RUN_ID={run}"), "FUSION_NODE=first".to_owned(), "MINE=xe".to_owned()] {
        assert!(seen.lines().any(|own| own == line), "{line} in {seen}");
    }
}

#[test]
fn workflow_run_does_a_node_for_each_item_and_keeps_their_order() {
    let (daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    let file = daemon.flow(
        "map",
        "name: map\nnodes:\n\
         - {id: list, prompt: 'say [3, 1, 2]', output: json}\n\
         - {id: each, needs: list, foreach: '{{ nodes.list.output }}', max_parallel: 2, prompt: 'say {{ item }}-{{ index }}'}\n\
         - {id: join, needs: each, prompt: \"say {{ nodes.each.output | join(' ') }}\"}\n\
         - {id: none, foreach: [], prompt: 'say {{ item }}'}\n",
    );
    let ended = ctl.run_ended(&ctl.start_run(&file, &[]));
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(node(&ended, "each")["output"], json!(["3-0", "1-1", "2-2"]));
    assert_eq!(node(&ended, "each")["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(node(&ended, "join")["output"], "3-0 1-1 2-2");
    assert_eq!(
        (&node(&ended, "none")["state"], &node(&ended, "none")["output"]),
        (&json!("succeeded"), &json!([]))
    );
}

#[test]
fn workflow_run_skips_what_is_not_wanted_and_goes_on_where_it_may() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow(
        "ways",
        "name: ways\nnodes:\n\
         - {id: weak, prompt: exit 3, on_failure: continue}\n\
         - {id: after, needs: weak, prompt: 'say {{ nodes.weak.state }}'}\n\
         - {id: lost, prompt: exit 4, on_failure: skip-dependents}\n\
         - {id: child, needs: lost, prompt: say no}\n\
         - {id: never, when: '{{ 1 > 2 }}', prompt: say no}\n\
         - {id: join, needs: [never, child], always: true, prompt: 'say {{ nodes.never.state }} {{ nodes.child.state }}'}\n",
    );
    let ended = ctl.run_ended(&ctl.start_run(&file, &[]));
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(node(&ended, "after")["output"], "failed");
    assert_eq!(node(&ended, "weak")["failure"]["code"], "exit_nonzero");
    assert_eq!(node(&ended, "child")["reason"], "lost, which it needs, failed");
    assert_eq!(node(&ended, "join")["output"], "skipped skipped");
}

#[test]
fn workflow_run_fails_with_a_node_and_cleans_up() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow(
        "fails",
        "name: fails\nnodes:\n\
         - {id: bad, prompt: exit 3}\n\
         - {id: next, needs: bad, prompt: say no}\n\
         - {id: sweep, needs: bad, always: true, prompt: say swept}\n\
         on_success: {prompt: say well}\n\
         on_failure: {prompt: 'say {{ nodes.bad.state }}'}\n",
    );
    let done = ctl.run(&["workflow", "run", &file, "--wait"]);
    assert_eq!(done.code, 1, "{done:?}");
    let run = done.stdout.lines().next().unwrap().to_owned();
    let ended = ctl.json(&["workflow", "show", &run]);
    assert_eq!(
        (&ended["state"], &ended["failure"]["code"]),
        (&json!("failed"), &json!("exit_nonzero")),
        "{ended}"
    );
    let states = ["next", "sweep", "on_success", "on_failure"].map(|id| node(&ended, id)["state"].clone());
    assert_eq!(states, ["skipped", "succeeded", "skipped", "succeeded"]);
    assert_eq!(node(&ended, "on_failure")["output"], "failed");
}

#[test]
fn workflow_run_takes_a_result_only_in_the_form_that_was_asked_for() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow(
        "form",
        "name: form\nnodes:\n- id: plan\n  prompt: 'say {\"a\": 1}'\n  retries: 1\n  output:\n    schema: {type: object, required: [steps]}\n",
    );
    let ended = ctl.run_ended(&ctl.start_run(&file, &[]));
    let plan = node(&ended, "plan");
    assert_eq!(plan["failure"]["code"], "output_invalid", "{ended}");
    assert!(plan["failure"]["message"].as_str().unwrap().contains("steps"), "{plan}");
    assert_eq!(ctl.json(&["task", "list"]).as_array().map(Vec::len), Some(2), "it was done twice");
    let none = daemon.flow("none", "name: none\nnodes: [{id: a, run: ['true'], output: json}]\n");
    let ended = ctl.run_ended(&ctl.start_run(&none, &[]));
    assert_eq!(node(&ended, "a")["failure"]["message"], "the result is empty, and JSON is expected");
}

#[test]
fn workflow_run_goes_on_after_a_crash() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let gate = daemon.fifo("gate");
    let text = format!(
        "name: crash\nnodes:\n\
         - {{id: one, prompt: say 1, output: json}}\n\
         - {{id: two, needs: one, prompt: \"ring {}\\nawait {}\\nsay {{{{ nodes.one.output + 1 }}}}\"}}\n\
         - {{id: three, needs: two, prompt: 'say {{{{ nodes.two.output }}}}3'}}\n",
        bell.path(),
        gate.path(),
    );
    let file = daemon.flow("crash", &text);
    let run = ctl.start_run(&file, &["--key", "k"]);
    bell.next_line();
    daemon.kill9();
    let mut gate = gate;
    daemon.start_again();
    assert_eq!(ctl.start_run(&file, &["--key", "k"]), run, "the same key is the same run");
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(node(&ended, "three")["output"], "23");
    assert_eq!(ctl.json(&["task", "list"]).as_array().map(Vec::len), Some(3), "nothing was done twice");
    let other = daemon.flow("other", "name: other\nnodes: [{id: a, run: ['true']}]\n");
    assert_eq!(ctl.refused(4, &["workflow", "run", &other, "--key", "k"])["code"], "run_key_conflict");
}

#[test]
fn workflow_run_with_a_known_key_is_the_same_run_also_when_the_agent_that_it_names_is_gone() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow("w", "name: w\nnodes: [{id: one, agent: a, prompt: say 1}]\n");
    let run = ctl.start_run(&file, &["--key", "k"]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    ctl.ok(&["agent", "terminate", "a"]);
    assert_eq!(ctl.refused(4, &["workflow", "run", &file])["code"], "agent_state", "as a task for it is");
    assert_eq!(ctl.start_run(&file, &["--key", "k"]), run);
    ctl.ok(&["agent", "remove", "a"]);
    assert_eq!(ctl.refused(3, &["workflow", "run", &file])["code"], "agent_not_found");
    assert_eq!(ctl.start_run(&file, &["--key", "k"]), run);
    assert_eq!(ctl.json(&["workflow", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn workflow_run_of_a_workflow_within_another_is_one_step() {
    let (daemon, ctl) = daemon_with_agent();
    let inner = daemon.flow(
        "inner",
        "name: inner\ninputs: {n: {type: integer}}\nnodes: [{id: double, prompt: 'say {{ inputs.n * 2 }}', output: json}]\n",
    );
    ctl.ok(&["workflow", "apply", &inner]);
    let outer = daemon.flow(
        "outer",
        "name: outer\nnodes:\n\
         - {id: call, workflow: {name: inner, inputs: {n: '{{ 20 + 1 }}'}}}\n\
         - {id: use, needs: call, prompt: 'say {{ nodes.call.output.nodes.double }}'}\n\
         - {id: nap, wait: 1ms}\n",
    );
    let run = ctl.start_run(&outer, &[]);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(node(&ended, "use")["output"], "42");
    let part = ctl.json(&["workflow", "show", node(&ended, "call")["run"].as_str().unwrap()]);
    assert_eq!((&part["parent"], &part["version"]), (&json!(run), &json!(1)));
}

#[test]
fn workflow_run_does_a_workflow_for_each_item_also_over_a_crash() {
    let (mut daemon, ctl) = daemon_with_agent();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let inner = format!(
        "name: inner\ninputs: {{n: {{type: integer}}}}\nnodes:\n\
         - {{id: double, prompt: \"ring {}\\nawait {}\\nsay {{{{ inputs.n * 2 }}}}\", output: json}}\n",
        bell.path(),
        gate.path()
    );
    ctl.ok(&["workflow", "apply", &daemon.flow("inner", &inner)]);
    let outer = daemon.flow(
        "outer",
        "name: outer\nnodes:\n\
         - {id: each, foreach: [1, 2, 3], max_parallel: 2, workflow: {name: inner, inputs: {n: '{{ item }}'}}}\n\
         - {id: use, needs: each, prompt: \"say {{ nodes.each.output | map(attribute='nodes.double') | join('+') }}\"}\n",
    );
    let run = ctl.start_run(&outer, &[]);
    bell.next_line();
    let begun = ctl.json(&["workflow", "show", &run]);
    let items = node(&begun, "each")["items"].as_array().expect("items").clone();
    assert_eq!(items.len(), 2, "two at a time: {begun}");
    let part = ctl.json(&["workflow", "show", items[1]["run"].as_str().expect("a run")]);
    assert_eq!(part["parent"], json!(run), "{part}");
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    for _ in 0..2 {
        bell.next_line();
        gate.open_gate(1);
    }
    let ended = ctl.run_ended(&run);
    assert_eq!(
        (&ended["state"], &node(&ended, "use")["output"]),
        (&json!("succeeded"), &json!("2+4+6")),
        "{ended}"
    );
    let each = node(&ended, "each");
    assert_eq!((&each["output"][2]["state"], &each["usage"]["attempts"]), (&json!("succeeded"), &json!(3)));
    let second = ctl.ok(&["workflow", "show", &run, "--result", "each[1]"]);
    assert!(second.contains("\"double\""), "{second}");
}

#[test]
fn workflow_run_that_fails_begins_nothing_more_that_waits_for_an_agent() {
    let (daemon, ctl) = daemon_with_agent();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: f\nnodes:\n- {{id: bad, priority: 9, prompt: \"ring {}\\nawait {}\\nexit 3\"}}\n\
         - {{id: each, foreach: [1, 2], prompt: say no}}\n- {{id: sweep, always: true, prompt: say swept}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("f", &text), &[]);
    bell.next_line();
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    let states = ["bad", "each", "sweep"].map(|id| node(&ended, id)["state"].clone());
    assert_eq!(
        (&ended["state"], states),
        (&json!("failed"), ["failed", "cancelled", "succeeded"].map(|word| json!(word)))
    );
    for item in node(&ended, "each")["items"].as_array().expect("items") {
        let task = ctl.json(&["task", "show", item["task"].as_str().expect("a task")]);
        assert_eq!((&task["state"], &task["attempts"]), (&json!("cancelled"), &json!([])), "{task}");
    }
}

#[test]
fn workflow_run_that_takes_too_long_is_ended() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.flow("slow", "name: slow\ntimeout: 200ms\nnodes: [{id: a, prompt: stall}]\n");
    let ended = ctl.run_ended(&ctl.start_run(&file, &[]));
    assert_eq!(
        (&ended["state"], &ended["failure"]["code"]),
        (&json!("failed"), &json!("timeout_workflow")),
        "{ended}"
    );
    assert_eq!(node(&ended, "a")["state"], "cancelled");
}

#[test]
fn workflow_run_refuses_what_makes_no_sense() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let file = daemon.flow(
        "i",
        "name: i\ninputs: {n: {type: integer, required: true}}\nnodes: [{id: a, run: ['true']}]\n",
    );
    let refused = ctl.refused(2, &["workflow", "run", &file, "--input", "m=1"]);
    assert_eq!(refused["code"], "inputs_invalid", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("input \"n\" is required"), "{refused}");
    assert_eq!(ctl.refused(3, &["workflow", "run", "nothing"])["code"], "workflow_not_found");
    assert_eq!(ctl.refused(3, &["workflow", "show", "run_nothing"])["code"], "run_not_found");
    assert_eq!(ctl.refused(2, &["workflow", "run", "./absent.yaml"])["code"], "file_unreadable");
}

#[test]
fn workflow_run_looks_at_the_workflows_within_before_anything_begins() {
    let (daemon, ctl) = daemon_with_agent();
    let outer = |inputs: &str| {
        format!(
            "name: outer\nnodes:\n- {{id: a, run: [true]}}\n\
             - {{id: b, needs: a, workflow: {{name: inner, inputs: {inputs}}}}}\n"
        )
    };
    let file = daemon.flow("outer", &outer("{count: 1}"));
    assert_eq!(ctl.refused(3, &["workflow", "run", &file])["code"], "workflow_not_found");
    let inner = "name: inner\ninputs: {count: {type: integer, required: true}}\n\
                 nodes:\n- {id: x, prompt: 'say {{ inputs.count }}'}\n";
    ctl.ok(&["workflow", "apply", &daemon.flow("inner", inner)]);
    for wrong in ["{count: many}", "{}", "{count: 1, colour: red}"] {
        let file = daemon.flow("outer", &outer(wrong));
        assert_eq!(ctl.refused(2, &["workflow", "run", &file])["code"], "inputs_invalid", "{wrong}");
    }
    assert_eq!(ctl.json(&["workflow", "list"]), serde_json::json!([]), "nothing has begun");
    let file = daemon.flow("outer", &outer("{count: '{{ 40 + 2 }}'}"));
    assert_eq!(ctl.run_ended(&ctl.start_run(&file, &[]))["state"], "succeeded");
}
