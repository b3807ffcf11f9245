//! Stories about an agent as a caller: the socket it is given is its identity, and that may do little.

use fusion_tests::{Daemon, binary, users};

#[test]
fn principal_agent_may_look_at_itself_and_no_more() {
    let daemon = Daemon::start();
    let owner = daemon.ctl().as_user(&users::first());
    owner.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    owner.ok(&["agent", "spawn", "other", "--profile", "shell", "--capability", "other"]);
    let foreign = owner.submit("echo secret", &["--capability", "other"]);
    owner.ended(&foreign);
    let ctl = binary("fusionctl");
    let ctl = ctl.to_str().unwrap();
    let run = |command: &str| -> i64 {
        let task = owner.submit(&format!("{ctl} {command}"), &["--agent", "a"]);
        owner.ended(&task)["attempts"][0]["exitCode"].as_i64().unwrap()
    };
    assert_eq!(run("agent show a"), 0, "itself");
    assert_eq!(run("task show $FUSION_TASK_ID"), 0, "its own task");
    for command in [
        "agent spawn b --profile shell".to_owned(),
        "agent terminate other".to_owned(),
        "agent pause other".to_owned(),
        "agent restart a".to_owned(),
        format!("task show {foreign}"),
        format!("task result {foreign}"),
        format!("task logs {foreign}"),
        format!("task retry {foreign}"),
        "task submit --agent other 'echo x'".to_owned(),
        "system drain".to_owned(),
        "system shutdown".to_owned(),
        "system backup $FUSION_WORKSPACE/backup".to_owned(),
    ] {
        let code = run(&command);
        assert!(matches!(code, 3 | 5), "an agent got {code} for `{command}`");
    }
    // The main socket knows it by its control group.
    let socket = daemon.socket();
    let code = run(&format!("--socket {} system drain", socket.display()));
    assert!(matches!(code, 3 | 5 | 6), "an agent got {code} on the main socket");
    assert_eq!(owner.json(&["agent", "show", "other"])["state"], "idle");
}

#[test]
fn principal_agent_submits_sub_tasks_and_waits_for_them() {
    let daemon = Daemon::start();
    let owner = daemon.ctl().as_user(&users::first());
    owner.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    owner.ok(&["agent", "spawn", "b", "--profile", "shell"]);
    let ctl = binary("fusionctl");
    let script = format!(
        "set -e; ctl={}; t=$($ctl -q task submit 'echo from below'); $ctl -q task wait $t >&2; $ctl task result $t",
        ctl.display()
    );
    let task = owner.submit(&script, &["--agent", "a"]);
    let ended = owner.ended(&task);
    assert_eq!(ended["state"], "succeeded", "{ended} {}", owner.ok(&["task", "logs", &task]));
    assert_eq!(owner.ok(&["task", "result", &task]), "from below");
    let all = owner.json(&["task", "list"]);
    let child = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] != task.as_str())
        .expect("the sub-task is listed");
    assert_eq!(child["parent"], task.as_str());
}
