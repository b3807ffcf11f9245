//! Stories of costs: what programs say, kept with attempts, summed in runs, held by budgets, told by plans.

use fusion_tests::{Ctl, Daemon, Setup, Watch, node};
use serde_json::{Value, json};

/// A daemon with profiles whose program is a shell: "one" says its costs in a JSON value, "lines" in lines, "mute" nowhere.
fn daemon_that_counts() -> (Daemon, Ctl) {
    daemon_that_counts_with("")
}

fn daemon_that_counts_with(config: &str) -> (Daemon, Ctl) {
    let daemon = Daemon::with(Setup { config: config.to_owned(), ..Setup::default() });
    let ctl = daemon.ctl();
    let text = r#"
[profile.one]
command = ["/bin/sh"]
result = "json:.result"
usage = "json:.total_cost_usd"
tokens = ["json:.usage.input_tokens", "json:.usage.output_tokens"]

[profile.lines]
command = ["/bin/sh"]
result = "jsonl:.result"
usage = "jsonl:.cost"

[profile.mute]
command = ["/bin/sh"]
"#;
    let file = daemon.folder().join("profiles.toml");
    std::fs::write(&file, text).expect("our own folder can be written");
    ctl.ok(&["profile", "apply", file.to_str().expect("a plain name")]);
    (daemon, ctl)
}

/// A script that says what a model's program says, and ends with a code.
fn says(usd: f64, tokens: u32, code: i32) -> String {
    let said = json!({
        "result": "done", "total_cost_usd": usd, "usage": {"input_tokens": tokens, "output_tokens": 1},
    });
    format!("printf '%s' '{said}'; exit {code}")
}

fn definition(budget: &str, nodes: &[(&str, &str, String)]) -> String {
    let nodes = nodes.iter().map(|(id, needs, prompt)| json!({"id": id, "needs": needs, "prompt": prompt}));
    let nodes: Vec<Value> = nodes
        .map(|mut node| {
            if node["needs"] == "" {
                node.as_object_mut().map(|node| node.remove("needs"));
            }
            node
        })
        .collect();
    format!("name: costly\ndefaults: {{profile: one}}\nbudget: {budget}\nnodes: {}\n", json!(nodes))
}

#[test]
fn workflow_cost_is_kept_with_attempts_and_a_budget_in_dollars_holds() {
    let (mut daemon, ctl) = daemon_that_counts();
    let nodes = [("a", "", says(0.3, 10, 0)), ("b", "a", says(0.25, 20, 0)), ("c", "b", says(0.1, 30, 0))];
    let text = definition("{usd: 0.5}", &nodes);
    let plan = ctl.ok(&["workflow", "plan", &daemon.flow("costly", &text)]);
    assert!(plan.contains("what it costs is not known"), "{plan}");
    let run = ctl.start_run(&daemon.flow("costly", &text), &[]);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["failure"]["code"]), (&json!("failed"), &json!("budget_exhausted")));
    let message = "the run has used up its budget of 0.5 USD: attempts cost 0.55 USD";
    assert_eq!(node(&ended, "c")["failure"]["message"], message, "{ended}");
    daemon.kill9();
    daemon.start_again();
    let ended = ctl.json(&["workflow", "show", &run]);
    assert_eq!((&ended["usage"]["usd"], &ended["usage"]["tokens"]), (&json!(0.55), &json!(32)), "{ended}");
    assert_eq!(node(&ended, "b")["usage"]["usd"], 0.25, "{ended}");
    let shown = ctl.ok(&["workflow", "show", &run]);
    assert!(shown.contains("0.55 of 0.5 USD") && shown.contains("0.55 USD, 32 tokens"), "{shown}");
    let task = ctl.json(&["task", "show", node(&ended, "a")["task"].as_str().expect("a task")]);
    assert_eq!(task["attempts"][0]["usage"]["usd"], 0.3, "{task}");
    let events = ctl.json(&["event", "list", "--subject", task["id"].as_str().expect("an id")]);
    let exited = events.as_array().into_iter().flatten().find(|event| event["type"] == "attempt.exited");
    assert_eq!(exited.expect("it has ended")["data"]["tokens"], 11, "{events}");

    let more = daemon.flow("more", &text.replace("0.5}", "0.6}"));
    ctl.ok(&["workflow", "edit", &run, "-f", &more, "--yes"]);
    ctl.ok(&["workflow", "rerun", &run]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    let plan = ctl.json(&["workflow", "plan", &more]);
    assert_eq!((&plan["usd"], &plan["tokens"]), (&json!(0.65), &json!(63)), "{plan}");
    assert_eq!(plan["waves"][2][0]["usd"], 0.1, "{plan}");
    assert_eq!(plan["warnings"], json!(["earlier runs cost 0.65 USD, and the budget is 0.6"]), "{plan}");
}

#[test]
fn workflow_cost_of_failed_attempts_counts_and_with_nothing_left_there_is_no_further_one() {
    let (daemon, ctl) = daemon_that_counts();
    let text = "name: tries\nnodes:\n- id: x\n  profile: lines\n  retries: 5\n  budget: {usd: 1}\n  prompt: |\n\
                \x20   echo not JSON\n    echo '{\"cost\": 0.25}'\n    echo '{\"cost\": \"0.25\", \"result\": 1}'\n    exit 3\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("tries", text), &[]));
    let failed = node(&ended, "x");
    assert_eq!(
        failed["failure"]["message"],
        "exit code 3; no further attempt: the node has used up its budget of 1 USD: attempts cost 1 USD"
    );
    assert_eq!((&failed["usage"]["attempts"], &failed["usage"]["usd"]), (&json!(2), &json!(1.0)), "{ended}");
}

#[test]
fn workflow_cost_of_items_is_summed_and_what_waits_begins_no_more() {
    let (daemon, ctl) = daemon_that_counts();
    ctl.ok(&["agent", "spawn", "solo", "--profile", "one"]);
    let each = json!([{"id": "each", "foreach": [1, 2, 3], "prompt": says(0.3, 10, 0)}]);
    let text = format!("name: items\ndefaults: {{agent: solo}}\nbudget: {{usd: 0.5}}\nnodes: {each}\n");
    let run = ctl.start_run(&daemon.flow("items", &text), &[]);
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["failure"]["code"]), (&json!("failed"), &json!("budget_exhausted")));
    let used = node(&ended, "each")["usage"].clone();
    assert_eq!(
        (&used["usd"], &used["attempts"], &ended["usage"]["usd"]),
        (&json!(0.6), &json!(2), &json!(0.6))
    );
    ctl.ok(&["workflow", "rerun", &run]);
    let again = ctl.run_ended(&run);
    assert_eq!(
        (&again["state"], &again["usage"]["usd"]),
        (&json!("failed"), &json!(0.6)),
        "what was used is used"
    );
}

#[test]
fn workflow_cost_of_a_run_within_is_held_by_what_is_left() {
    let (daemon, ctl) = daemon_that_counts();
    let nodes = [("a", "", says(0.3, 1, 0)), ("b", "a", says(0.3, 1, 0)), ("c", "b", says(0.3, 1, 0))];
    ctl.ok(&["workflow", "apply", &daemon.flow("costly", &definition("{attempts: 9}", &nodes))]);
    let text = "name: outer\nbudget: {usd: 0.5}\nnodes:\n- {id: call, workflow: costly}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("outer", text), &[]));
    assert_eq!((&ended["state"], &ended["failure"]["code"]), (&json!("failed"), &json!("budget_exhausted")));
    assert_eq!(ended["usage"]["usd"], 0.6, "{ended}");
}

#[test]
fn workflow_cost_of_a_run_within_is_held_also_after_an_edit_of_it() {
    let (daemon, ctl) = daemon_that_counts();
    let text = format!(
        "name: gated\ndefaults: {{profile: one}}\nnodes: {}\n",
        json!([
            {"id": "gate", "approval": {}},
            {"id": "a", "needs": "gate", "prompt": says(0.6, 1, 0)},
            {"id": "b", "needs": "a", "prompt": says(0.6, 1, 0)},
        ])
    );
    ctl.ok(&["workflow", "apply", &daemon.flow("gated", &text)]);
    let mut watch = Watch::from_now(&ctl);
    let outer = "name: outer\nbudget: {usd: 0.5}\nnodes:\n- {id: call, workflow: gated}\n";
    let run = ctl.start_run(&daemon.flow("outer", outer), &[]);
    watch.expect("node.started", &run);
    let inner = node(&ctl.json(&["workflow", "show", &run]), "call")["run"].clone();
    let inner = inner.as_str().expect("a run").to_owned();
    watch.expect("node.asked", &inner);
    let more = daemon.flow("more", &format!("{text}budget: {{usd: 100}}\n"));
    ctl.ok(&["workflow", "edit", &inner, "-f", &more, "--yes"]);
    ctl.ok(&["workflow", "approve", &inner, "gate"]);
    assert_eq!(ctl.run_ended(&run)["failure"]["code"], "budget_exhausted");
    assert_eq!(node(&ctl.json(&["workflow", "show", &inner]), "b")["state"], "failed");
}

#[test]
fn workflow_cost_is_read_also_when_nobody_was_there_at_the_end() {
    let (mut daemon, ctl) = daemon_that_counts();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let script = format!("echo begun > {}; read _ < {}; {}", bell.path(), gate.path(), says(0.75, 5, 0));
    let run = ctl.start_run(&daemon.flow("costly", &definition("{usd: 2}", &[("a", "", script)])), &[]);
    bell.next_line();
    daemon.kill9();
    gate.open_gate(1);
    daemon.start_again();
    let ended = ctl.run_ended(&run);
    assert_eq!((&ended["state"], &ended["usage"]["usd"]), (&json!("succeeded"), &json!(0.75)), "{ended}");
}

#[test]
fn workflow_cost_that_nothing_tells_is_warned_about_before() {
    let (daemon, ctl) = daemon_that_counts();
    let text = "name: w\nbudget: {usd: 1, tokens: 5}\nnodes:\n- {id: a, profile: mute, prompt: exit}\n\
                - {id: b, profile: lines, prompt: exit}\n";
    let plan = ctl.json(&["workflow", "plan", &daemon.flow("w", text)]);
    let warning = |unit: &str, node: &str, profile: &str, key: &str| {
        format!(
            "`{unit}` of the budget does not hold {node}: profile {profile} has no `{key}`, which would say what it cost"
        )
    };
    assert_eq!(
        plan["warnings"],
        json!([
            warning("usd", "a", "mute", "usage"),
            warning("tokens", "a", "mute", "tokens"),
            warning("tokens", "b", "lines", "tokens"),
        ]),
        "{plan}"
    );
}

#[test]
fn workflow_cost_of_workflows_within_and_of_the_hook_that_is_done_is_planned() {
    let (daemon, ctl) = daemon_that_counts();
    let inner = definition("{}", &[("x", "", says(0.2, 20, 0))]).replace("costly", "inner");
    ctl.ok(&["workflow", "apply", &daemon.flow("inner", &inner)]);
    let (first, good, bad) = (json!(says(0.1, 10, 0)), json!(says(0.05, 5, 0)), json!(says(9.0, 9, 0)));
    let outer = |budget: &str| {
        format!(
            "name: outer\ndefaults: {{profile: one}}\nbudget: {{usd: {budget}}}\nnodes:\n- {{id: a, prompt: {first}}}\n\
             - {{id: b, needs: a, workflow: inner}}\non_success: {{prompt: {good}}}\non_failure: {{prompt: {bad}}}\n"
        )
    };
    let enough = daemon.flow("enough", &outer("0.35"));
    let ended = ctl.run_ended(&ctl.start_run(&enough, &[]));
    assert_eq!((&ended["state"], &ended["usage"]["usd"]), (&json!("succeeded"), &json!(0.35)), "{ended}");

    let plan = ctl.json(&["workflow", "plan", &enough]);
    assert_eq!((&plan["usd"], &plan["tokens"]), (&json!(0.35), &json!(38)), "{plan}");
    assert_eq!(plan["warnings"], Value::Null, "{plan}");
    let shown = ctl.ok(&["workflow", "plan", &enough]);
    assert!(shown.ends_with("by earlier runs this costs 0.35 USD, 38 tokens"), "{shown}");
    let plan = ctl.json(&["workflow", "plan", &daemon.flow("less", &outer("0.349999"))]);
    assert_eq!(plan["warnings"], json!(["earlier runs cost 0.35 USD, and the budget is 0.349999"]), "{plan}");
}

#[test]
fn workflow_cost_that_is_nonsense_uses_a_budget_up() {
    let (daemon, ctl) = daemon_that_counts();
    let nodes = [("a", "", says(1e300, 10, 0)), ("b", "a", says(0.25, 20, 0))];
    let run = ctl.start_run(&daemon.flow("costly", &definition("{usd: 1000000}", &nodes)), &[]);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["failure"]["code"], "budget_exhausted", "{ended}");
    assert_eq!(node(&ended, "a")["usage"]["usd"], 1e6, "{ended}");
    assert!(daemon.log().contains("says that it cost 1e300 USD: it counts as 1000000"), "{}", daemon.log());
}

#[test]
fn workflow_cost_is_not_read_across_what_the_quota_dropped() {
    let (daemon, ctl) = daemon_that_counts_with("[runtime]\nlog_quota = \"1MiB\"\n");
    // Cut, the first line would be JSON.
    let text = "name: gap\nnodes:\n- id: x\n  profile: lines\n  prompt: |\n\
                \x20   printf 'no JSON'; head -c 3000000 /dev/zero | tr '\\0' ' '; echo '{\"cost\": 5}'\n\
                \x20   echo '{\"cost\": 0.25, \"result\": 1}'\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("gap", text), &[]));
    assert_eq!(node(&ended, "x")["usage"]["usd"], 0.25, "{ended}");
    assert!(daemon.log().contains("an attempt may have cost more than is known"), "{}", daemon.log());
}

#[test]
fn workflow_cost_cannot_be_limited_to_what_is_no_amount() {
    let (daemon, ctl) = daemon_that_counts();
    for (budget, said) in [
        ("{usd: 0}", "`usd` must be a number from 0.000001 to 1000000, found 0"),
        ("{usd: 1e300}", "`usd` must be a number from 0.000001 to 1000000, found 1e300"),
        ("{tokens: 0.4}", "`tokens` must be a whole number from 1 to 1000000000000000, found 0.4"),
    ] {
        let file = daemon.flow("bad", &definition(budget, &[("a", "", says(0.25, 1, 0))]));
        let done = ctl.run(&["workflow", "validate", &file]);
        assert!(done.code == 2 && done.stdout.contains(said), "{budget}: {done:?}");
        let refused = ctl.run(&["workflow", "run", &file]);
        assert!(refused.code != 0 && refused.stderr.contains(said), "{budget}: {refused:?}");
    }
    assert_eq!(ctl.json(&["workflow", "list"]), json!([]));
}
