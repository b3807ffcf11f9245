//! Stories of `--env-file`, for tasks and for agents.

use fusion_tests::Daemon;

use crate::daemon_with_agent;

#[test]
fn task_env_file_adds_to_the_environment() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.folder().join("task.env");
    std::fs::write(&file, "# ours\nWORD=two words\n\nPATH_TO=x\nUNKNOWN_TO_US\n").unwrap();
    let task = ctl.submit("env", &["--env-file", file.to_str().unwrap(), "--env", "PATH_TO=y"]);
    ctl.ended(&task);
    let environment = ctl.ok(&["task", "result", &task]);
    let has = |line: &str| environment.lines().any(|found| found == line);
    assert!(has("WORD=two words") && has("PATH_TO=y"), "{environment}");
    assert!(!environment.contains("UNKNOWN_TO_US"), "{environment}");
}

#[test]
fn task_env_file_passes_own_values_on_by_their_names() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.folder().join("task.env");
    std::fs::write(&file, "PASSED_ON\n").unwrap();
    let mut command = ctl.command(&["-q", "task", "submit", "--env-file", file.to_str().unwrap(), "env"]);
    let output = command.env("PASSED_ON", "from outside").output().unwrap();
    let task = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    ctl.ended(&task);
    let environment = ctl.ok(&["task", "result", &task]);
    assert!(environment.lines().any(|line| line == "PASSED_ON=from outside"), "{environment}");
}

#[test]
fn task_env_file_with_a_mistake_names_the_line_and_no_value() {
    let (daemon, ctl) = daemon_with_agent();
    let file = daemon.folder().join("task.env");
    std::fs::write(&file, "A=1\nexport B=secret\n").unwrap();
    for args in [&["task", "submit", "x"][..], &["agent", "spawn", "b", "--profile", "shell"]] {
        let all = [args, &["--env-file", file.to_str().unwrap()]].concat();
        let refusal = ctl.refused(2, &all);
        assert_eq!(refusal["code"], "env_file_invalid");
        assert!(
            refusal["message"].as_str().unwrap().ends_with("line 2: the name holds a space"),
            "{refusal}"
        );
        assert!(!refusal.to_string().contains("secret"));
    }
    let missing = ctl.refused(2, &["task", "submit", "x", "--env-file", "/does/not/exist"]);
    assert_eq!(missing["code"], "file_unreadable");
}

#[test]
fn agent_spawn_takes_an_env_file_too() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let file = daemon.folder().join("agent.env");
    std::fs::write(&file, "WORD=agent\n").unwrap();
    ctl.spawn_fake("a", &["--env-file", file.to_str().unwrap()]);
    let task = ctl.submit("env", &[]);
    ctl.ended(&task);
    assert!(ctl.ok(&["task", "result", &task]).lines().any(|line| line == "WORD=agent"));
}
