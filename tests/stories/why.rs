//! Stories of `why`: the answer names what would change it.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn why_names_the_missing_capability() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--capability", "fly"]);
    let why = ctl.json(&["why", &task]);
    assert_eq!(why["subject"], task.as_str());
    assert_eq!(why["state"], "queued");
    assert!(why["reasons"].to_string().contains("fly"), "{why}");
    assert!(ctl.ok(&["why", &task]).contains("fly"));
}

#[test]
fn why_names_the_task_it_waits_for() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let first = ctl.submit("x", &[]);
    let second = ctl.submit("x", &["--after", &first]);
    assert!(ctl.json(&["why", &second])["reasons"].to_string().contains(&first));
    assert!(ctl.json(&["why", &first])["reasons"].to_string().contains("agent"));
}

#[test]
fn why_explains_an_agent() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.ok(&["agent", "pause", "a"]);
    let why = ctl.json(&["why", "a"]);
    assert_eq!(why["state"], "paused");
    assert!(why["reasons"].to_string().contains("resume"), "{why}");
    let _error = ctl.refused(3, &["why", "nobody"]);
}

#[test]
fn why_takes_names_before_parts_of_ids_and_runs_by_parts_as_well() {
    let (daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say x", &["--capability", "fly"]);
    let name = part_of(&task);
    assert_eq!(ctl.json(&["why", name])["subject"], task.as_str());
    let agent = ctl.spawn_fake(name, &[]);
    assert_eq!(ctl.json(&["why", name])["subject"], agent.as_str());
    assert_eq!(ctl.json(&["event", "list", "--subject", name])[0]["subject"], agent.as_str());
    ctl.ok(&["agent", "terminate", name]);
    assert_eq!(ctl.json(&["why", name])["subject"], agent.as_str(), "also when it is terminated");
    let flow = daemon.flow("w", "name: w\nnodes: [{id: gate, approval: {}}]\n");
    let run = ctl.start_run(&flow, &[]);
    let part = part_of(&run);
    assert_eq!(ctl.json(&["why", part])["subject"], run.as_str());
    assert_eq!(ctl.json(&["why", &format!("{part}/gate")])["subject"], format!("{run}/gate"));
    assert_eq!(ctl.refused(3, &["why", &format!("{part}/none")])["code"], "node_not_found");
    for nothing in ["nobody", "nobody/gate", "key:none"] {
        assert_eq!(ctl.refused(3, &["why", nothing])["code"], "subject_not_found");
    }
}

/// A part of an id that could be a name: the last letter that ten more follow, and those.
fn part_of(id: &str) -> &str {
    let at = id[..id.len() - 10].rfind(|letter: char| letter.is_ascii_lowercase());
    &id[at.expect("ids of this age have letters")..]
}

#[test]
fn why_without_a_name_tells_what_waits_and_what_needs_somebody_first() {
    let (_daemon, ctl) = daemon_with_agent();
    assert!(ctl.ok(&["why"]).contains("nothing of yours waits"));
    let first = ctl.submit("say x", &["--capability", "fly"]);
    let second = ctl.submit("say x", &["--after", &first]);
    let urgent = ctl.submit("say x", &["--capability", "fly", "--priority", "9"]);
    ctl.ok(&["agent", "pause", "a"]);
    let agent = ctl.json(&["agent", "show", "a"])["id"].clone();
    let waiting = ctl.json(&["why"]);
    let subjects: Vec<_> =
        waiting.as_array().expect("a list").iter().map(|each| each["subject"].clone()).collect();
    assert_eq!(subjects, [agent, urgent.into(), first.into(), second.into()]);
    assert!(waiting[1]["reasons"].to_string().contains("fly"), "{waiting}");
    let said = ctl.ok(&["why", "--limit", "1"]);
    assert!(said.contains("and 3 more"), "{said}");
}

#[test]
fn why_explains_nodes_items_and_hooks() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: w\nnodes:\n\
                - {id: each, foreach: [1, 2], capabilities: [gpu], prompt: say x}\n\
                - {id: gate, approval: {timeout: 1h}}\n\
                - {id: after, needs: gate, prompt: say y}\n\
                on_success: {prompt: say well}\n";
    let mut watch = fusion_tests::Watch::from_now(&ctl);
    let run = ctl.start_run(&daemon.flow("w", text), &[]);
    watch.expect("node.asked", &run);
    let why = |ctl: &fusion_tests::Ctl, place: &str| ctl.json(&["why", &format!("{run}/{place}")]);
    let codes = |why: &serde_json::Value| {
        let reasons = why["reasons"].as_array().cloned().unwrap_or_default();
        reasons
            .iter()
            .map(|reason| reason["code"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    ctl.until("both items wait", |ctl| (codes(&why(ctl, "each")) == ["items", "task", "task"]).then_some(()));
    let item = why(&ctl, "each[1]");
    assert!(item["summary"].as_str().unwrap_or_default().contains("gpu"), "{item}");
    assert_eq!(ctl.refused(3, &["why", &format!("{run}/each[2]")])["code"], "node_not_found");
    assert_eq!(why(&ctl, "on_success")["summary"], "it begins when everything else has ended well");
    let gate = why(&ctl, "gate");
    assert!(gate["summary"].as_str().unwrap_or_default().ends_with("m it is rejected"), "{gate}");
    ctl.ok(&["workflow", "pause", &run]);
    assert_eq!(codes(&why(&ctl, "after")), ["paused", "needs"]);
}

#[test]
fn why_says_that_a_run_fails_before_it_has_ended() {
    let (daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("second", &[]);
    let mut gate = daemon.fifo("gate");
    let text = format!(
        "name: w\nnodes:\n- {{id: slow, prompt: await {}}}\n- {{id: bad, prompt: exit 3}}\n",
        gate.path()
    );
    let mut watch = fusion_tests::Watch::from_now(&ctl);
    let run = ctl.start_run(&daemon.flow("w", &text), &[]);
    watch.expect("node.failed", &run);
    let shown = ctl.json(&["workflow", "show", &run]);
    assert_eq!(
        (&shown["state"], &shown["failure"]["code"]),
        (&"running".into(), &"exit_nonzero".into()),
        "{shown}"
    );
    assert!(ctl.ok(&["workflow", "show", &run]).contains("running, failing"));
    let why = ctl.json(&["why", &run]);
    assert!(why["summary"].as_str().unwrap_or_default().starts_with("it fails, and lets"), "{why}");
    gate.open_gate(1);
    assert_eq!(ctl.run_ended(&run)["state"], "failed");
}

#[test]
fn why_and_status_tell_of_a_run_that_waits_for_a_person() {
    let (daemon, ctl) = daemon_with_agent();
    let text = "name: w\nnodes:\n- {id: gate, approval: {message: Go?}}\n";
    let mut watch = fusion_tests::Watch::from_now(&ctl);
    let run = ctl.start_run(&daemon.flow("w", text), &["--key", "a/b"]);
    watch.expect("node.asked", &run);
    let waiting = ctl.json(&["why"]);
    assert_eq!(waiting[0]["subject"], run.as_str(), "{waiting}");
    assert!(waiting[0]["reasons"].to_string().contains("workflow approve"), "{waiting}");
    let attention = ctl.json(&["system", "status"])["attention"].to_string();
    assert!(
        attention.contains("1 run waiting for a person: `fusionctl workflow list --asking`"),
        "{attention}"
    );

    // By its key, too, and a node of it.
    assert_eq!(ctl.json(&["why", "key:a/b"])["subject"], run.as_str());
    assert_eq!(ctl.json(&["why", "key:a/b/gate"])["subject"], format!("{run}/gate"));
    assert_eq!(ctl.refused(3, &["why", "key:a/b/none"])["code"], "node_not_found");
    assert_eq!(ctl.refused(3, &["why", "key:none/gate"])["code"], "subject_not_found");

    ctl.ok(&["workflow", "approve", &run, "gate"]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    assert!(ctl.ok(&["why"]).contains("nothing of yours waits"));
}

#[test]
fn why_and_status_tell_of_a_task_whose_only_agent_is_gone() {
    let (_daemon, ctl) = daemon_with_agent();
    ctl.spawn_fake("b", &[]);
    ctl.ok(&["agent", "pause", "b"]);
    let turn = ctl.submit("say x", &["--capability", "fly", "--priority", "9"]);
    let pinned = ctl.submit("say x", &["--agent", "b"]);
    ctl.ok(&["agent", "terminate", "b"]);
    let waiting = ctl.json(&["why"]);
    assert_eq!((&waiting[0]["subject"], &waiting[1]["subject"]), (&pinned.as_str().into(), &turn.into()));
    let attention = ctl.json(&["system", "status"])["attention"].to_string();
    assert!(attention.contains("1 task only for agents that are terminated"), "{attention}");
    let why = ctl.json(&["why", &pinned]);
    let remedy = why["reasons"][0]["remedy"].as_str().unwrap_or_default();
    let command = remedy.split('`').nth(1).expect("a command to type");
    ctl.ok(&command.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(ctl.ended(&pinned)["state"], "succeeded");
}
