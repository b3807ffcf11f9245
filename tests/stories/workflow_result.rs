//! Stories of long results of nodes, and of `workflow show --result`.

use crate::daemon_with_agent;
use fusion_tests::{Daemon, Setup, node};
use serde_json::json;

/// What `seq 1 LAST` prints, without the end of its last line.
fn numbers(last: u32) -> String {
    (1..=last).map(|number| number.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn workflow_result_of_any_length_reaches_who_needs_it_also_over_a_crash_and_is_read_whole() {
    let (mut daemon, ctl) = daemon_with_agent();
    let text = "name: o\nnodes:\n\
        - {id: big, run: [seq, '1', '300000']}\n\
        - {id: json, run: [sh, -c, 'seq 1 50000 | paste -sd, | sed \"s/.*/[&]/\"'], output: json}\n\
        - {id: gate, needs: [big, json], approval: {}}\n\
        - {id: use, needs: [gate, big, json], run: [echo, \
        \"{{ nodes.big.output | length }} {{ nodes.json.output | sum }}\"]}\n\
        - {id: items, needs: use, foreach: [1, 2], run: [seq, '1', '20000']}\n\
        - {id: none, when: false, run: ['true']}\n";
    let run = ctl.start_run(&daemon.flow("o", text), &[]);
    ctl.until("the gate asks", |ctl| {
        let shown = ctl.json(&["workflow", "show", &run]);
        (node(&shown, "gate")["state"] == "waiting_approval").then_some(())
    });
    daemon.kill9();
    daemon.start_again();
    ctl.ok(&["workflow", "approve", &run, "gate"]);
    let ended = ctl.run_ended(&run);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let big = numbers(300_000);
    assert_eq!(node(&ended, "use")["output"], format!("{} {}", big.len(), 50_000_u64 * 50_001 / 2));
    let shown = node(&ended, "big");
    assert_eq!(
        (shown.get("output"), &shown["outputBytes"]),
        (None, &json!(json!(big).to_string().len())),
        "{shown}"
    );
    assert!(shown["outputPreview"].as_str().unwrap().starts_with("\"1\\n2\\n3"), "{shown}");
    assert!(ended.to_string().len() < 100_000, "what is long is not shown");
    assert!(ctl.ok(&["workflow", "show", &run]).contains("--result big"));
    assert!(ctl.ok(&["workflow", "show", &run, "--result", "big"]) == big);
    let list = ctl.json(&["workflow", "show", &run, "--result", "json"]);
    assert_eq!(list.as_array().map(Vec::len), Some(50_000));
    assert!(ctl.ok(&["workflow", "show", &run, "--result", "items[1]"]) == numbers(20_000));
    let items = ctl.json(&["workflow", "show", &run, "--result", "items"]);
    assert!(items == json!([numbers(20_000), numbers(20_000)]));
    for (output, exit, code) in
        [("none", 4, "node_no_result"), ("nothing", 3, "node_not_found"), ("items[2]", 3, "node_not_found")]
    {
        assert_eq!(ctl.refused(exit, &["workflow", "show", &run, "--result", output])["code"], code);
    }
    let backup = daemon.folder().join("backup");
    let backup = backup.to_str().unwrap();
    ctl.ok(&["system", "backup", backup]);
    daemon.kill9();
    std::fs::remove_dir_all(daemon.root().join("state/store")).unwrap();
    daemon.restore(std::path::Path::new(backup));
    daemon.start_again();
    assert!(ctl.ok(&["workflow", "show", &run, "--result", "big"]) == big, "a backup has it");
}

#[test]
fn workflow_result_of_which_a_part_is_left_does_not_pass_for_the_whole() {
    let config = "[runtime]\nlog_quota = \"1MiB\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let text = "name: o\nnodes:\n\
        - {id: big, run: [seq, '1', '300000']}\n\
        - {id: use, needs: big, run: [echo, \"{{ nodes.big.output | length }}\"]}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("o", text), &[]));
    assert_eq!(ended["state"], "failed", "{ended}");
    let why = node(&ended, "big").to_string();
    let all = numbers(300_000).len() + 1;
    assert!(
        why.contains("output_invalid") && why.contains(&format!("of the {all} bytes of the result")),
        "{why}"
    );

    let text = "name: p\nnodes:\n\
        - {id: big, run: [seq, '1', '300000']}\n\
        - {id: next, needs: big, run: ['true']}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("p", text), &[]));
    assert_eq!(ended["state"], "succeeded", "nobody needs its result: {ended}");
    let run = ended["id"].as_str().unwrap();
    assert_eq!(ctl.refused(4, &["workflow", "show", run, "--result", "big"])["code"], "result_incomplete");
    let task = node(&ended, "big")["task"].as_str().unwrap().to_owned();
    let said = ctl.run(&["task", "result", &task]);
    assert!(
        said.code == 0 && said.stderr.contains(&format!("of the {all} bytes of the result are left")),
        "{said}"
    );
}

#[test]
fn workflow_result_steers_no_terminal_and_is_the_same_bytes_elsewhere() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: o\nnodes:\n\
        - {id: says, run: [printf, '{\"a\": \"b\\302\\233c\\342\\200\\256d\"}'], output: json}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("o", text), &[]));
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let show = ["workflow", "show", ended["id"].as_str().unwrap(), "--result", "says"];
    assert_eq!(ctl.ok(&show), "{\n  \"a\": \"b\u{9b}c\u{202e}d\"\n}");
    let seen = ctl.on_terminal(&show, "").stdout;
    assert!(seen.contains(r"b\u{9b}c\u{202e}d"), "{seen:?}");
}

#[test]
fn workflow_result_that_was_lost_with_the_power_is_not_an_empty_one() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: o\nnodes:\n\
        - {id: says, run: [echo, words]}\n\
        - {id: next, needs: says, run: ['true']}\n";
    let ended = ctl.run_ended(&ctl.start_run(&daemon.flow("o", text), &[]));
    let run = ended["id"].as_str().unwrap();
    assert_eq!(ctl.ok(&["workflow", "show", run, "--result", "says"]), "words");
    for folder in std::fs::read_dir(daemon.root().join("state/i")).unwrap() {
        std::fs::write(folder.unwrap().path().join("1.out"), "").unwrap();
    }
    assert_eq!(ctl.refused(4, &["workflow", "show", run, "--result", "says"])["code"], "result_incomplete");
}
