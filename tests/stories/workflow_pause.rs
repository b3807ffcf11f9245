//! Stories of `workflow pause` and `workflow resume`.

use crate::daemon_with_agent;
use fusion_tests::node;
use serde_json::json;

#[test]
fn workflow_pause_lets_nothing_new_begin_also_over_a_crash() {
    let (mut daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let text = format!(
        "name: p\nnodes:\n\
         - {{id: one, prompt: \"ring {}\\nawait {}\\nsay 1\"}}\n\
         - {{id: two, needs: one, prompt: 'say {{{{ nodes.one.output }}}}2'}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("p", &text), &[]);
    bell.next_line();
    assert_eq!(ctl.ok(&["workflow", "pause", &run[..20]]), run, "it answers with the whole id");
    assert_eq!(ctl.json(&["workflow", "pause", &run])["state"], "paused");
    daemon.kill9();
    daemon.start_again();
    gate.open_gate(1);
    let shown = ctl.until("the first node ends", |ctl| {
        let shown = ctl.json(&["workflow", "show", &run]);
        (node(&shown, "one")["state"] == "succeeded").then_some(shown)
    });
    assert_eq!(
        (shown["state"].as_str(), node(&shown, "two")["state"].as_str()),
        (Some("paused"), Some("pending")),
        "{shown}"
    );
    ctl.ok(&["workflow", "resume", &run]);
    let ended = ctl.run_ended(&run);
    assert_eq!(
        (ended["state"].as_str(), node(&ended, "two")["output"].as_str()),
        (Some("succeeded"), Some("12")),
        "{ended}"
    );
    assert_eq!(ctl.refused(4, &["workflow", "resume", &run])["code"], "run_state");
}

#[test]
fn workflow_pause_keeps_what_waits_for_an_agent_from_beginning() {
    let (mut daemon, ctl) = daemon_with_agent();
    let (mut bell, mut gate) = (daemon.fifo("bell"), daemon.fifo("gate"));
    let text = format!(
        "name: q\nnodes:\n- {{id: one, priority: 9, prompt: \"ring {}\\nawait {}\"}}\n- {{id: two, prompt: say 2}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("q", &text), &[]);
    bell.next_line();
    ctl.ok(&["workflow", "pause", &run]);
    let shown = ctl.json(&["workflow", "show", &run]);
    let (one, two) = (node(&shown, "one")["task"].clone(), node(&shown, "two")["task"].clone());
    let (one, two) = (one.as_str().expect("a task"), two.as_str().expect("a task"));
    assert_eq!(node(&shown, "two")["reason"], "is held", "{shown}");
    gate.open_gate(1);
    assert_eq!(ctl.ended(one)["state"], "succeeded");
    daemon.kill9();
    daemon.start_again();
    let held = ctl.json(&["task", "show", two]);
    assert_eq!((&held["state"], &held["attempts"]), (&json!("held"), &json!([])), "{held}");
    assert!(ctl.ok(&["why", two]).contains(&format!("fusionctl workflow resume {run}")));
    assert_eq!(ctl.refused(4, &["task", "release", two])["code"], "task_state");
    ctl.ok(&["workflow", "resume", &run]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
}

#[test]
fn workflow_pause_freeze_lets_agents_stand_still_until_the_run_goes_on() {
    let (mut daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let text = format!(
        "name: f\nnodes:\n\
         - {{id: one, agent: a, prompt: \"ring {0}\\nawait {1}\\nsay 1\"}}\n\
         - {{id: two, agent: b, prompt: \"ring {0}\\nawait {1}\\nsay 2\"}}\n\
         - {{id: waits, agent: a, prompt: say 3}}\n",
        bell.path(),
        gate.path()
    );
    let run = ctl.start_run(&daemon.flow("f", &text), &[]);
    bell.next_line();
    bell.next_line();
    ctl.ok(&["agent", "pause", "b"]);
    ctl.ok(&["workflow", "pause", &run, "--freeze"]);
    ctl.ok(&["workflow", "pause", &run, "--freeze"]);
    let frozen = ctl.json(&["workflow", "show", &run]);
    assert_eq!((&frozen["state"], &frozen["frozen"]), (&json!("paused"), &json!(true)), "{frozen}");
    let waits = node(&frozen, "waits")["task"].as_str().unwrap().to_owned();
    ctl.task_in(&waits, "held");
    let one = node(&frozen, "one")["task"].as_str().unwrap().to_owned();
    let why = ctl.json(&["why", &one]);
    assert_eq!(why["reasons"][0]["remedy"], format!("`fusionctl workflow resume {run}`"), "{why}");
    gate.open_gate(2);
    daemon.kill9();
    daemon.start_again();
    let a = ctl.agent_in("a", "paused");
    assert!(a["reason"].as_str().unwrap().contains(&run), "{a}");
    assert!(ctl.ok(&["why", &waits]).contains(&format!("fusionctl workflow resume {run}")));
    ctl.ok(&["workflow", "resume", &run]);
    ctl.until("what stood still for the run goes on", |ctl| {
        let shown = ctl.json(&["workflow", "show", &run]);
        (node(&shown, "waits")["state"] == "succeeded").then_some(())
    });
    let shown = ctl.json(&["workflow", "show", &run]);
    assert_eq!((shown.get("frozen"), &node(&shown, "one")["output"]), (None, &json!("1")), "{shown}");
    assert_eq!(ctl.json(&["agent", "show", "b"])["state"], "paused", "somebody paused it before");
    ctl.ok(&["agent", "resume", "b"]);
    let ended = ctl.run_ended(&run);
    assert_eq!(
        (&ended["state"], &node(&ended, "two")["output"]),
        (&json!("succeeded"), &json!("2")),
        "{ended}"
    );
}

#[test]
fn workflow_pause_freeze_lets_go_of_agents_when_the_run_is_cancelled() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let text = format!("name: f\nnodes: [{{id: one, prompt: \"ring {}\\nstall\"}}]\n", bell.path());
    let run = ctl.start_run(&daemon.flow("f", &text), &[]);
    bell.next_line();
    ctl.ok(&["workflow", "pause", &run, "--freeze"]);
    ctl.agent_in("a", "paused");
    ctl.ok(&["workflow", "cancel", &run]);
    assert_eq!(ctl.run_ended(&run)["state"], "cancelled");
    ctl.agent_in("a", "idle");
}
