//! Stories of `--workdir`: an attempt that begins in a folder of its owner's.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_workdir_is_where_the_attempt_begins_and_what_it_leaves_stays() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.folder().join("project");
    std::fs::create_dir(&folder).unwrap();
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let workdir = folder.to_str().unwrap();
    let task = ctl.submit("echo made > here; pwd; echo \"$FUSION_WORKDIR\"", &["--workdir", workdir]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), format!("{workdir}\n{workdir}"));
    assert_eq!(std::fs::read_to_string(folder.join("here")).unwrap(), "made\n");
    assert_eq!(ctl.json(&["task", "show", &task])["workdir"], workdir);
    // The next task of the agent is in its workspace again.
    let next = ctl.submit("pwd; echo \"$FUSION_WORKSPACE\"", &[]);
    ctl.ended(&next);
    let result = ctl.ok(&["task", "result", &next]);
    let lines: Vec<&str> = result.lines().collect();
    assert!(lines[0] == lines[1] && lines[0] != workdir, "{result}");
}

#[test]
fn task_workdir_by_run_and_by_a_line_of_a_task_file() {
    let (daemon, ctl) = daemon_with_agent();
    let folder = daemon.folder().join("project");
    std::fs::create_dir(&folder).unwrap();
    let workdir = folder.to_str().unwrap();
    assert_eq!(ctl.ok(&["run", "shell", "pwd", "--workdir", workdir]), workdir);
    let file = daemon.folder().join("tasks.jsonl");
    std::fs::write(&file, format!("{{\"run\": [\"pwd\"], \"workdir\": \"{workdir}\"}}\n")).unwrap();
    let task = ctl.id(&["task", "submit", "--file", file.to_str().unwrap()]);
    ctl.ended(&task);
    assert_eq!(ctl.ok(&["task", "result", &task]), workdir);
    std::fs::write(&file, "{\"run\": [\"pwd\"], \"workdir\": \"project\"}\n").unwrap();
    let refused = ctl.run(&["task", "submit", "--file", file.to_str().unwrap()]);
    assert!(refused.code != 0 && refused.stderr.contains("an absolute path"), "{refused}");
}

#[test]
fn task_workdir_that_is_not_there_fails_the_attempt_and_says_so() {
    let (_daemon, ctl) = daemon_with_agent();
    let task = ctl.submit("say no", &["--workdir", "/does/not/exist"]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed");
    let message = ended["failure"]["message"].as_str().unwrap();
    assert!(message.contains("/does/not/exist"), "{ended}");
}
