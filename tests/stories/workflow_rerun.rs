//! Stories of `workflow rerun`.

use crate::daemon_with_agent;
use fusion_tests::node;
use serde_json::json;

#[test]
fn workflow_rerun_keeps_what_is_upstream_and_does_the_rest_again() {
    let (daemon, ctl) = daemon_with_agent();
    let mark = daemon.folder().join("mark");
    let mark = mark.to_str().unwrap();
    let text = format!(
        "name: r\nnodes:\n\
         - {{id: plan, prompt: say planned}}\n\
         - {{id: side, prompt: say side}}\n\
         - {{id: test, needs: plan, run: [/bin/sh, -c, 'test -e {mark} && cat {mark}']}}\n\
         - {{id: ship, needs: test, prompt: 'say {{{{ nodes.plan.output }}}} {{{{ nodes.test.output }}}}'}}\n"
    );
    let run = ctl.start_run(&daemon.flow("r", &text), &[]);
    let failed = ctl.run_ended(&run);
    assert_eq!(
        (&failed["state"], &node(&failed, "ship")["state"]),
        (&json!("failed"), &json!("skipped")),
        "{failed}"
    );
    let read_logs = format!("`fusionctl task logs {}`", node(&failed, "test")["task"].as_str().unwrap());
    for hint in [&failed["failure"]["hint"], &node(&failed, "test")["failure"]["hint"]] {
        assert!(hint.as_str().unwrap_or_default().contains(&read_logs), "{failed}");
    }
    std::fs::write(mark, "first").unwrap();
    let done = ctl.run(&["workflow", "rerun", &run, "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stdout.contains("failed"), "of the life before nothing is told: {done}");
    assert!(done.stdout.contains("ship succeeded"), "{done}");
    let first = ctl.json(&["workflow", "show", &run]);
    assert_eq!(node(&first, "ship")["output"], "planned first");
    assert_eq!(node(&first, "plan")["task"], node(&failed, "plan")["task"], "upstream stays");
    assert_eq!(first["generation"], 2);
    std::fs::write(mark, "second").unwrap();
    assert_eq!(ctl.refused(4, &["workflow", "rerun", &run])["code"], "run_state", "nothing went wrong");
    ctl.ok(&["workflow", "rerun", &run, "--from", "test"]);
    let second = ctl.run_ended(&run);
    assert_eq!(node(&second, "ship")["output"], "planned second");
    assert_eq!(node(&second, "side")["task"], node(&failed, "side")["task"]);
    assert_eq!(ctl.refused(3, &["workflow", "rerun", &run, "--from", "nothing"])["code"], "node_not_found");
    let task = node(&failed, "test")["task"].as_str().unwrap().to_owned();
    assert_eq!(ctl.refused(4, &["task", "retry", &task])["code"], "task_of_run");
}

#[test]
fn workflow_rerun_is_what_to_do_about_a_cancelled_task_and_a_workflow_within() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: r\nnodes: [{id: a, capabilities: [fly], prompt: x}]\n";
    let run = ctl.start_run(&daemon.flow("r", text), &[]);
    let task = ctl.until("its task is there", |ctl| {
        node(&ctl.json(&["workflow", "show", &run]), "a")["task"].as_str().map(str::to_owned)
    });
    ctl.ok(&["task", "cancel", &task]);
    let ended = ctl.run_ended(&run);
    let again = format!("`fusionctl workflow rerun {run} --from a` queues it again");
    assert_eq!(ended["failure"]["hint"], again, "{ended}");
    assert_eq!(ctl.json(&["task", "show", &task])["failure"]["hint"], again);
    assert_eq!(ctl.json(&["why", &task])["reasons"][0]["remedy"], again);

    ctl.ok(&["workflow", "apply", &daemon.flow("i", "name: i\nnodes: [{id: x, run: [\"false\"]}]\n")]);
    let outer = ctl.start_run(&daemon.flow("o", "name: o\nnodes: [{id: call, workflow: i}]\n"), &[]);
    let ended = ctl.run_ended(&outer);
    let hint = ended["failure"]["hint"].as_str().unwrap_or_default();
    assert!(
        hint.ends_with(&format!("`fusionctl workflow rerun {outer} --from call` does it again")),
        "{ended}"
    );
    assert_eq!(node(&ended, "call")["failure"]["hint"], hint);
}

#[test]
fn workflow_rerun_takes_several_runs() {
    let (daemon, ctl) = daemon_with_agent();
    let mark = daemon.folder().join("mark");
    let text = format!("name: r\nnodes: [{{id: a, run: [test, -e, {}]}}]\n", mark.display());
    let file = daemon.flow("r", &text);
    let runs = [(); 3].map(|()| ctl.start_run(&file, &[]));
    for run in &runs {
        assert_eq!(ctl.run_ended(run)["state"], "failed");
    }
    std::fs::write(&mark, "").unwrap();
    let [a, b, c] = runs.each_ref().map(String::as_str);
    assert_eq!(ctl.refused(2, &["workflow", "rerun", a, b, "--wait"])["code"], "usage");
    let done = ctl.run(&["workflow", "rerun", a, "run_nothing", b, c]);
    assert_eq!(done.code, 3, "{done:?}");
    for run in &runs {
        assert_eq!(ctl.run_ended(run)["state"], "succeeded");
    }
}
