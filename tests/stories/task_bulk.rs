//! Stories of verbs that concern many tasks: by ids, by labels and states, each with an outcome of its own.

use fusion_tests::{Ctl, Daemon, Setup};

use crate::daemon_with_agent;

/// Submits `count` tasks with the label `batch=b` that nobody takes; answers their ids.
fn queue(daemon: &Daemon, count: usize) -> Vec<String> {
    let line = "{\"run\": [\"true\"], \"capabilities\": [\"fly\"], \"labels\": {\"batch\": \"b\"}}\n";
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, line.repeat(count)).expect("the folder of a story can be written");
    let file = file.to_str().expect("the temporary folder has a plain name");
    let done = daemon.ctl().run(&["-q", "task", "submit", "--file", file]).expect_code(0);
    done.stdout.lines().map(str::to_owned).collect()
}

fn states(ctl: &Ctl) -> serde_json::Value {
    ctl.json(&["system", "status"])["tasks"].clone()
}

#[test]
fn task_bulk_verbs_change_thousands_and_tell_each() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let ids = queue(&daemon, 12_000);
    let other = ctl.submit("x", &["--label", "batch=c"]);
    let lines = |args: &[&str], word: &str| {
        let done = ctl.run(args).expect_code(0);
        assert_eq!(
            done.stdout.lines().filter(|line| line.ends_with(word)).count(),
            12_000,
            "{}",
            done.stderr
        );
    };
    lines(&["task", "hold", "--label", "batch=b"], " held");
    lines(&["task", "release", "--state", "held"], " queued");
    let done = ctl.run(&["-q", "task", "cancel", "--label", "batch=b", "--state", "queued"]).expect_code(0);
    let mut cancelled: Vec<&str> = done.stdout.lines().collect();
    cancelled.sort_unstable();
    assert!(cancelled.iter().eq(ids.iter()), "each once, and no other");
    assert_eq!(states(&ctl)["queued"], 1);
    assert_eq!(ctl.json(&["task", "show", &other])["state"], "queued");
    assert_eq!(ctl.ok(&["task", "cancel", "--label", "batch=b"]), "", "nothing is left to cancel");
}

#[test]
fn task_bulk_retry_also_reaches_those_that_left_the_memory() {
    let config = "[tasks]\nended_in_memory = 50\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    queue(&daemon, 300);
    ctl.ok(&["task", "cancel", "--label", "batch=b"]);
    let done = ctl.run(&["-q", "task", "retry", "--label", "batch=b"]).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 300, "{}", done.stderr);
    assert_eq!(states(&ctl)["queued"], 300);
}

#[test]
fn task_bulk_outcomes_stand_beside_each_other_and_the_exit_code_is_the_worst() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let running = ctl.submit(&format!("ring {}\nstall", bell.path()), &[]);
    bell.next_line();
    let ended = ctl.submit("say x", &["--capability", "fly"]);
    ctl.ok(&["task", "cancel", &ended]);
    let queued = ctl.submit("say x", &["--capability", "fly"]);
    let done = ctl.run(&["task", "hold", &running, &queued]).expect_code(4);
    assert_eq!(done.stdout, format!("{queued} held\n"));
    assert!(done.stderr.contains("it cannot be held"), "{done}");
    let done = ctl.run(&["task", "retry", &ended, "tsk_none", &running]).expect_code(3);
    assert_eq!(done.stdout, format!("{ended} queued\n"));
    assert_eq!(done.stderr.matches("error: ").count(), 2, "{done}");
    let several = ctl.json(&["task", "cancel", &running, &queued]);
    let words: Vec<&str> =
        several.as_array().unwrap().iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert_eq!(words, ["cancelled", "cancelled"]);
    let done = ctl.run_with(&["-q", "task", "cancel", "-"], &format!("{ended}\n{ended}\n")).expect_code(0);
    assert_eq!(done.stdout, format!("{ended}\n"));
}

#[test]
fn task_bulk_by_state_refuses_a_state_that_makes_no_sense() {
    let (_daemon, ctl) = daemon_with_agent();
    for args in [["cancel", "succeeded"], ["retry", "running"], ["hold", "held"], ["release", "queued"]] {
        let refusal = ctl.refused(2, &["task", args[0], "--state", args[1]]);
        assert_eq!(refusal["code"], "usage", "{refusal}");
    }
    assert_eq!(ctl.refused(2, &["task", "cancel"])["code"], "usage");
    assert_eq!(ctl.run(&["task", "cancel", "x", "--state", "queued"]).code, 2);
    assert_eq!(ctl.run(&["task", "cancel", "--state", "bogus"]).code, 2);
}

#[test]
fn task_list_filters_by_several_states_by_agent_and_by_time() {
    let (_daemon, ctl) = daemon_with_agent();
    let done = ctl.submit("say x", &[]);
    ctl.ended(&done);
    let queued = ctl.submit("say x", &["--capability", "fly"]);
    let held = ctl.submit("say x", &["--hold", "--agent", "a"]);
    let ids = |args: &[&str]| -> Vec<String> {
        let mut all = vec!["-q", "task", "list"];
        all.extend_from_slice(args);
        ctl.ok(&all).lines().map(str::to_owned).collect()
    };
    assert_eq!(ids(&["--state", "held", "--state", "succeeded"]), [&*held, &*done]);
    assert_eq!(ids(&["--agent", "a"]), [&*held, &*done]);
    assert_eq!(ids(&["--since", "1h", "--limit", "2"]), [&*held, &*queued]);
    assert!(ids(&["--since", "2100-01-01T00:00:00Z"]).is_empty());
    assert_eq!(ctl.refused(3, &["task", "list", "--agent", "nobody"])["code"], "agent_not_found");
}

#[test]
fn task_bulk_verbs_say_of_a_task_that_left_the_memory_what_it_is() {
    let config = "[tasks]\nended_in_memory = 1\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let done = ctl.submit("say x", &[]);
    ctl.ended(&done);
    let ids = queue(&daemon, 2);
    ctl.ok(&["task", "cancel", "--label", "batch=b"]);
    let old = &ids[0];
    assert_eq!(ctl.json(&["task", "cancel", old])["state"], "cancelled", "asked again, it is the same");
    assert_eq!(ctl.ok(&["-q", "task", "cancel", old, &ids[1]]), ids.join("\n"));
    let verbs: [&[&str]; 7] = [
        &["task", "cancel", &done],
        &["task", "hold", &done],
        &["task", "release", &done],
        &["task", "update", &done, "--priority", "9"],
        &["task", "resolve", &done, "--fail"],
        &["task", "answer", &done, "yes"],
        &["task", "approve", &done],
    ];
    for verb in verbs {
        let refusal = ctl.refused(4, verb);
        assert_eq!(refusal["code"], "task_state", "{refusal}");
        assert!(refusal["message"].as_str().unwrap().contains("is succeeded"), "{refusal}");
    }
    let bulk = ctl.run(&["task", "hold", &done, old]).expect_code(4);
    assert_eq!(bulk.stderr.matches("it cannot be held").count(), 2, "{bulk}");
    assert_eq!(
        ctl.refused(3, &["task", "cancel", "tsk_00000000000000000000000000"])["code"],
        "task_not_found"
    );
}

#[test]
fn task_bulk_update_changes_all_that_a_label_chooses_and_that_have_not_started() {
    let (daemon, ctl) = daemon_with_agent();
    let mut bell = daemon.fifo("bell");
    let running = ctl.submit(&format!("ring {}\nstall", bell.path()), &["--label", "batch=b"]);
    bell.next_line();
    queue(&daemon, 3_000);
    let prompt = ctl.submit("before", &["--label", "batch=b", "--capability", "fly", "--env", "A=1"]);
    let update = ["-q", "task", "update", "--label", "batch=b", "--priority", "8", "--add-label", "more=1"];
    let done = ctl.run(&update).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 3_001, "{}", done.stderr);
    assert_eq!(
        ctl.run(&["-q", "task", "list", "--label", "more=1", "--limit", "9999"]).stdout.lines().count(),
        3_001
    );
    assert_eq!(ctl.json(&["task", "show", &prompt])["priority"], 8);
    assert_eq!(ctl.json(&["task", "show", &running])["priority"], 5, "it runs");
    let done = ctl.run(&["task", "update", &prompt, &running, "--prompt", "after"]).expect_code(4);
    assert_eq!(done.stdout, format!("{prompt} queued\n"));
    assert_eq!(ctl.json(&["task", "show", &prompt])["prompt"], "after");
    assert_eq!(ctl.run(&["task", "update", &prompt, "--label", "batch=b", "--priority", "1"]).code, 2);
    assert_eq!(ctl.refused(2, &["task", "update", "--state", "running", "--priority", "1"])["code"], "usage");
}

#[test]
fn task_wait_names_what_it_cannot_find_and_waits_for_the_rest() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let ids = queue(&daemon, 5_000);
    ctl.ok(&["task", "cancel", "--label", "batch=b"]);
    let names = format!("{}\nwrong\ntsk_00000000000000000000000000\n", ids.join("\n"));
    let done = ctl.run_with(&["-q", "task", "wait", "-"], &names).expect_code(3);
    assert_eq!(done.stdout.lines().count(), 5_000);
    assert_eq!(done.stderr.matches("error: ").count(), 2, "{}", done.stderr);
    assert!(done.stderr.contains("\"wrong\""), "{}", done.stderr);
}

#[test]
fn task_bulk_verbs_that_find_nothing_say_so_and_have_done_it() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    queue(&daemon, 1);
    let note = |args: &[&str]| ctl.run(args).expect_code(0).stderr;
    assert_eq!(note(&["task", "cancel", "--label", "bacth=b"]), "note: no task with label bacth=b\n");
    assert_eq!(
        note(&["task", "retry", "--label", "batch=b"]),
        "note: no task with label batch=b is to be retried\n"
    );
    assert_eq!(note(&["task", "release", "--state", "held"]), "note: no task is to be released\n");
    assert_eq!(note(&["-q", "task", "cancel", "--label", "bacth=b"]), "");
}

#[test]
fn task_bulk_order_keeps_a_chain_whole() {
    let (_daemon, ctl) = daemon_with_agent();
    let first = ctl.submit("exit 1", &["--label", "l=1", "--hold"]);
    let second = ctl.submit("say x", &["--label", "l=1", "--after", &first]);
    let third = ctl.submit("say x", &["--label", "l=1", "--after", &second]);
    ctl.ok(&["task", "release", &first]);
    assert_eq!(ctl.ended(&third)["failure"]["code"], "dependency_failed");
    ctl.ok(&["agent", "pause", "a"]);
    let retried = ctl.run(&["task", "retry", "--label", "l=1"]).expect_code(0);
    assert_eq!(retried.stdout, format!("{first} queued\n{second} blocked\n{third} blocked\n"));
    ctl.ok(&["task", "cancel", "--label", "l=1"]);
    for task in [&first, &second, &third] {
        assert_eq!(ctl.json(&["task", "show", task])["state"], "cancelled");
    }
}
