//! What is refused of edits of runs.

use super::{Transcript, check, stage};

const RUN: &str = "name: e\ninputs: {who: {default: ada}}\nnodes:\n\
    - {id: plan, prompt: say planned}\n\
    - {id: gate, needs: plan, approval: {message: Go?}}\n\
    - {id: ship, needs: gate, prompt: 'say {{ nodes.plan.output }}'}\n";

#[test]
fn bad_input_to_edits_of_runs_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let run = ctl.start_run(&daemon.flow("run", RUN), &["--key", "k"]);
    ctl.until("the gate asks", |ctl| {
        let shown = ctl.json(&["workflow", "show", &run]);
        (fusion_tests::node(&shown, "gate")["state"] == "waiting_approval").then_some(())
    });
    let files = [
        ("broken", "name: e\nnodes: [{id: plan, promt: x}]\n".to_owned()),
        ("cycle", RUN.replace("{id: ship, needs: gate", "{id: ship, needs: [gate, ship]")),
        ("changed", RUN.replace("say planned", "say nothing").replace("Go?", "Really?")),
        (
            "removed",
            "name: e\ninputs: {who: {default: ada}}\nnodes: [{id: other, prompt: say x}]\n".to_owned(),
        ),
        ("needs", RUN.replace("{id: gate, needs: plan,", "{id: gate,")),
        ("renamed", RUN.replace("name: e", "name: f")),
        ("inputs", RUN.replace("default: ada", "default: bob")),
        ("labels", format!("{RUN}labels: {{team: a}}\n")),
    ];
    for (name, text) in &files {
        let file = daemon.flow(name, text);
        told.refused(&ctl, &["workflow", "edit", "key:k", "-f", &file, "--yes"], "");
    }
    let good = daemon.flow("good", &RUN.replace("say {{", "say so {{"));
    for case in [
        &["workflow", "edit", "key:k"][..],
        &["workflow", "edit", "key:k", "-f", "/no/such/file"],
        &["workflow", "edit", "key:nothing", "-f", &good],
        &["workflow", "edit", "key:k", "-f", &good, "--revision", "9"],
        &["workflow", "edit", "key:k", "-f", &good, "--revision", "0"],
        &["workflow", "show", "key:k", "--revision", "1"],
        &["workflow", "show", "key:k", "--definition", "--revision", "2"],
        &["workflow", "show", "key:k", "--definition", "--history"],
    ] {
        told.refused(&ctl, case, "");
    }
    ctl.ok(&["workflow", "approve", &run, "gate"]);
    let _ended = ctl.run_ended(&run);
    told.refused(&ctl, &["workflow", "edit", "key:k", "-f", &good], "");
    check("bad_input_edit", told);
}
