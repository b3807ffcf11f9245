//! Stories of `profile` in workflows: who does the work of a node is made when it begins.

use fusion_tests::{Ctl, Daemon, binary, node};
use serde_json::{Value, json};

/// A daemon without agents, and profiles of fake-agent without pools: "p" and "q", which differ in a variable.
fn daemon_with_profiles() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let fake = binary("fake-agent");
    let of = |name: &str| {
        format!(
            "[profile.{name}]\ncommand = [{:?}]\ncapabilities = [\"fake\"]\nenv = {{WHO = \"{name}\"}}\n",
            fake
        )
    };
    let file = daemon.folder().join("profiles.toml");
    std::fs::write(&file, of("p") + &of("q")).expect("our own folder can be written");
    ctl.ok(&["profile", "apply", file.to_str().expect("a plain name")]);
    (daemon, ctl)
}

fn profiles(ctl: &Ctl) -> Vec<Value> {
    let agents = ctl.json(&["agent", "list"]);
    agents.as_array().into_iter().flatten().map(|agent| agent["profile"].clone()).collect()
}

#[test]
fn workflow_run_is_refused_where_an_agent_that_it_names_is_not_there() {
    let (daemon, ctl) = daemon_with_profiles();
    let file = daemon.flow("w", "name: w\nnodes: [{id: one, agent: nobody, run: [x]}]\n");
    let plan = ctl.json(&["workflow", "plan", &file]);
    assert_eq!(plan["waves"][0][0]["note"], "there is no agent nobody: the run would be refused", "{plan}");
    assert_eq!(ctl.refused(3, &["workflow", "run", &file])["code"], "agent_not_found");
    let tasks = daemon.folder().join("tasks.md");
    std::fs::write(&tasks, "- [ ] T001 say hello\n").expect("our own folder can be written");
    let tasks = tasks.to_str().expect("a plain name");
    let refused = ctl.refused(3, &["workflow", "import", tasks, "--agent", "nobody"]);
    assert_eq!(refused["code"], "agent_not_found");
    assert_eq!(ctl.json(&["workflow", "list"]), json!([]));
}

#[test]
fn workflow_profile_starts_an_agent_for_a_node_and_the_next_node_has_it_too() {
    let (daemon, ctl) = daemon_with_profiles();
    let text = "name: w\ndefaults: {profile: p}\nnodes:\n\
                - {id: one, run: [sh, -c, \"echo $WHO\"]}\n\
                - {id: two, needs: one, run: [sh, -c, \"echo $WHO\"]}\n\
                - {id: other, needs: two, profile: q, run: [sh, -c, \"echo $WHO\"]}\n";
    let plan = ctl.json(&["workflow", "plan", &daemon.flow("w", text)]);
    assert_eq!(plan["waves"][0][0]["note"], "an agent of p is started for it", "{plan}");
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("w", text), &[]));
    let said = |id: &str| node(&ended, id)["output"].clone();
    assert_eq!([said("one"), said("two"), said("other")], ["p", "p", "q"], "{ended}");
    let mut made = profiles(&ctl);
    made.sort_by_key(Value::to_string);
    assert_eq!(made, ["p", "q"], "the first agent did both");
    let agent = ctl.json(&["agent", "list"])[0].clone();
    assert_eq!((&agent["stay"], &agent["capabilities"]), (&json!("pool"), &json!(["fake"])), "{agent}");
}

#[test]
fn workflow_profile_may_be_another_for_each_item() {
    let (daemon, ctl) = daemon_with_profiles();
    let text = "name: each\nnodes:\n\
                - {id: ask, foreach: [p, q, p, none], profile: \"{{ item }}\", on_failure: continue,\n   run: [sh, -c, \"echo $WHO\"]}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("each", text), &[]));
    let items = node(&ended, "ask")["items"].clone();
    assert_eq!(node(&ended, "ask")["output"], json!(["p", "q", "p", null]), "{ended}");
    assert_eq!(items[3]["failure"]["code"], "node_refused", "{ended}");
    let message = items[3]["failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("no profile \"none\""), "{ended}");
}

#[test]
fn workflow_profile_lets_nobody_else_have_agents_made() {
    let (_daemon, ctl) = daemon_with_profiles();
    let task = ctl.submit("say done", &["--capability", "fake"]);
    assert_eq!(ctl.json(&["why", &task])["reasons"][0]["code"], "no_agent");
    let named = ctl.submit("say named", &["--capability", "profile:p"]);
    assert_eq!(ctl.ended(&named)["state"], "succeeded");
    assert_eq!(ctl.ended(&task)["state"], "succeeded", "an agent that is there does what it can");
    assert!(profiles(&ctl).iter().all(|profile| profile == "p"));
}

#[test]
fn workflow_profile_that_there_is_not_is_refused_before_anything_begins() {
    let (daemon, ctl) = daemon_with_profiles();
    let text = "name: w\nnodes:\n- {id: a, run: [true]}\n- {id: b, needs: a, profile: shel, run: [true]}\n";
    let refused = ctl.refused(3, &["workflow", "run", &daemon.flow("w", text)]);
    assert_eq!(refused["code"], "profile_not_found");
    assert!(refused["hint"].as_str().unwrap_or_default().contains("shell"), "{refused}");
    let text = text.replace("shel,", "command,");
    let refused = ctl.refused(2, &["workflow", "run", &daemon.flow("w", &text)]);
    assert_eq!(refused["code"], "field_invalid", "{refused}");
    assert_eq!(ctl.json(&["workflow", "list"]), json!([]), "nothing has begun");
}

#[test]
fn workflow_profile_agents_are_found_after_a_crash() {
    let (mut daemon, ctl) = daemon_with_profiles();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: w\ndefaults: {{profile: p}}\nnodes:\n- {{id: one, prompt: \"ring {}\\nawait {}\"}}\n\
         - {{id: two, needs: one, run: [sh, -c, \"echo $WHO\"]}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("w", &text), &[]);
    bell.next_line();
    for _ in 0..2 {
        daemon.kill9();
        daemon.start_again();
    }
    gate.open_gate(1);
    let ended = ctl.run_ended(&run);
    assert_eq!(node(&ended, "two")["output"], "p", "{ended}");
    assert_eq!(profiles(&ctl), ["p"]);
}
