//! Stories of `workflow pause` and `workflow resume`.

use crate::daemon_with_agent;
use fusion_tests::node;

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
    ctl.ok(&["workflow", "pause", &run]);
    ctl.ok(&["workflow", "pause", &run]);
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
