//! Stories of `fusion-run`: the command that spec-kit calls for an agent.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fusion_tests::{Daemon, Deadline, binary, specify, wait_readable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A daemon with profiles of exec agents that stand for models, and a folder with a project.
fn daemon_with_profiles() -> (Daemon, PathBuf) {
    let mut daemon = Daemon::start();
    let profiles = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&profiles).expect("our own folder can be written");
    let text = "[profile.claude]\ncommand = [\"/bin/sh\", \"-c\", 'read -r p; echo \"$p\" >> told; echo \"did $p with $SPECKIT_MODEL\"; echo aside >&2; case $p in *fail*) exit 9;; esac']\n\
                [profile.goose]\ncommand = [\"/bin/sh\", \"-c\", 'cat > told; echo followed']\n\
                [profile.report]\ncommand = [\"/bin/sh\", \"-c\", 'echo \"{\\\"result\\\": \\\"all is well\\\"}\"']\nresult = \"json:.result\"\n";
    std::fs::write(profiles.join("agents.toml"), text).expect("our own folder can be written");
    daemon.kill9();
    daemon.start_again();
    let project = daemon.folder().join("project");
    std::fs::create_dir(&project).expect("our own folder can be written");
    (daemon, project)
}

fn fusion_run(daemon: &Daemon, project: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary("fusion-run"));
    command
        .args(args)
        .current_dir(project)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .env("FUSION_SOCKET", daemon.socket())
        .env("FUSION_RUN_PROFILE", "claude")
        .env_remove("FUSION_RUN_FLAGS");
    command
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn fusion_run_works_in_the_folder_it_is_started_in_and_exits_with_the_agents_code() {
    let (daemon, project) = daemon_with_profiles();
    let output = fusion_run(&daemon, &project, &["-p", "one", "--model", "m"]).output().unwrap();
    assert_eq!(texts(&output), (Some(0), "did one with m\n".to_owned(), "aside\n".to_owned()));
    let output = fusion_run(&daemon, &project, &["-p", "fail", "--odd"]).output().unwrap();
    let (code, out, err) = texts(&output);
    assert_eq!((code, out.as_str()), (Some(9), "did fail with \n"));
    assert!(err.starts_with("note: --odd is left to the profile claude\n"), "{err}");
    assert_eq!(std::fs::read_to_string(project.join("told")).unwrap(), "one\nfail\n");
    let tasks = daemon.ctl().json(&["task", "list", "--label", "speckit=step"]);
    assert_eq!(tasks.as_array().map(Vec::len), Some(2));
    assert!(daemon.processes().is_empty());
}

#[test]
fn fusion_run_prints_results_that_are_not_for_people_at_the_end() {
    let (daemon, project) = daemon_with_profiles();
    let output =
        fusion_run(&daemon, &project, &["exec", "one"]).env("FUSION_RUN_PROFILE", "report").output().unwrap();
    assert_eq!(texts(&output), (Some(0), "all is well\n".to_owned(), String::new()));
    let output = fusion_run(&daemon, &project, &["-p", "one", "--output-format", "json"]).output().unwrap();
    let (code, out, err) = texts(&output);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &answer["result"], &answer["is_error"]),
        (Some(0), &"did one with ".into(), &false.into())
    );
    assert_eq!(err, "aside\n");
}

#[test]
fn fusion_run_says_what_it_lacks() {
    let (daemon, project) = daemon_with_profiles();
    let refused = |command: &mut Command, code: i32, word: &str| {
        let (got, out, err) = texts(&command.output().unwrap());
        assert!(got == Some(code) && out.is_empty() && err.contains(word), "{got:?} {err}");
    };
    refused(
        fusion_run(&daemon, &project, &["-p", "x"]).env_remove("FUSION_RUN_PROFILE"),
        2,
        "no profile is named",
    );
    refused(fusion_run(&daemon, &project, &["-p", "x"]).env("FUSION_RUN_PROFILE", "nobody"), 3, "nobody");
    refused(
        fusion_run(&daemon, &project, &["-p", "x"]).env("FUSION_RUN_FLAGS", "--nonsense"),
        2,
        "--nonsense",
    );
    refused(
        fusion_run(&daemon, &project, &["-p", "x"]).env("FUSION_SOCKET", "/does/not/exist"),
        6,
        "/does/not/exist",
    );
    refused(&mut fusion_run(&daemon, &project, &[]), 2, "no prompt");
}

#[test]
fn fusion_run_interrupted_cancels_the_task() {
    let (daemon, project) = daemon_with_profiles();
    let mut bell = daemon.fifo("bell");
    let script = format!("echo begun; echo x > {}; exec sleep 600", bell.path());
    let mut command = fusion_run(&daemon, &project, &["-p", &script]);
    let child = command.env("FUSION_RUN_PROFILE", "shell").spawn().unwrap();
    bell.next_line();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&pidfd, Signal::INT).unwrap();
    assert!(wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some());
    let (code, out, err) = texts(&child.wait_with_output().unwrap());
    assert_eq!((code, out.as_str()), (Some(130), "begun\n"), "{err}");
    assert_eq!(daemon.ctl().json(&["task", "list"])[0]["state"], "cancelled");
    assert!(daemon.processes().is_empty());
}

const WORKFLOW: &str = r#"schema_version: "1.0"
workflow: {id: "t", name: "T", version: "1.0.0", author: "a", description: "d"}
requires: {speckit_version: ">=0.8.5"}
steps:
  - {id: one, command: speckit.plan, integration: claude, input: {args: "it"}}
  - {id: two, type: prompt, prompt: "Do T002", integration: claude, model: large}
  - {id: three, type: prompt, prompt: "LAST", integration: claude}
"#;

/// The unmodified `specify` runs a workflow of its own by agents of the daemon.
fn specify_workflow(daemon: &Daemon, project: &Path, agent: &str, last: &str) -> (Option<i32>, String) {
    let specify = specify();
    let init = ["init", ".", "--integration", agent, "--script", "sh", "--ignore-agent-tools", "--force"];
    let executable = format!("SPECKIT_INTEGRATION_{}_EXECUTABLE", agent.to_uppercase());
    let run = |args: &[&str]| {
        let mut command = Command::new(&specify);
        command.args(args).current_dir(project).stdin(Stdio::null()).env("FUSION_SOCKET", daemon.socket());
        command.env(&executable, binary("fusion-run")).env_remove("FUSION_RUN_PROFILE");
        let (code, out, err) = texts(&command.output().expect("specify can be started"));
        (code, out + &err)
    };
    let (code, said) = run(&init);
    assert_eq!(code, Some(0), "{said}");
    let workflow = WORKFLOW.replace("LAST", last).replace("claude", agent);
    std::fs::write(project.join("wf.yml"), workflow).expect("our own folder can be written");
    run(&["workflow", "run", "wf.yml"])
}

#[test]
fn fusion_run_lets_the_unmodified_specify_run_its_workflows_on_agents() {
    let (daemon, project) = daemon_with_profiles();
    let (code, said) = specify_workflow(&daemon, &project, "claude", "the end");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Status: completed"), "{said}");
    for line in ["did /speckit-plan it with ", "did Do T002 with large", "did the end with "] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(
        std::fs::read_to_string(project.join("told")).unwrap(),
        "/speckit-plan it\nDo T002\nthe end\n"
    );
    let tasks = daemon.ctl().json(&["task", "list", "--label", "speckit=step"]);
    assert_eq!(tasks.as_array().map(Vec::len), Some(3), "{tasks}");
}

#[test]
fn fusion_run_follows_recipes_of_goose() {
    let (daemon, project) = daemon_with_profiles();
    let recipe = "parameters: [{key: args, requirement: optional, default: ''}]\nprompt: |2\n  Plan {{args}}.\n  - {{ args }}\nretry: {max_retries: 1}\n";
    std::fs::create_dir_all(project.join(".goose/recipes")).unwrap();
    std::fs::write(project.join(".goose/recipes/mine.yaml"), recipe).unwrap();
    let follow = |words: &[&str]| {
        let words = [&["run", "--recipe", ".goose/recipes/mine.yaml"], words].concat();
        texts(&fusion_run(&daemon, &project, &words).env("FUSION_RUN_PROFILE", "goose").output().unwrap())
    };
    let (code, out, err) = follow(&["--params", "args=a {{ b }}"]);
    assert_eq!((code, out.as_str()), (Some(0), "followed\n"), "{err}");
    assert_eq!(err, "note: `retry` of .goose/recipes/mine.yaml is left to the profile goose\n");
    assert_eq!(std::fs::read_to_string(project.join("told")).unwrap(), "Plan a {{ b }}.\n- a {{ b }}");
    let broken = recipe.replace("args, req", "other, req");
    std::fs::write(project.join(".goose/recipes/mine.yaml"), broken).unwrap();
    let (code, _, err) = follow(&[]);
    assert!(
        code == Some(2)
            && err.contains("mine.yaml cannot be followed")
            && err.contains("line 1 of its prompt"),
        "{err}"
    );
    std::fs::remove_file(project.join(".goose/recipes/mine.yaml")).unwrap();
    let (code, _, err) = follow(&[]);
    assert!(code == Some(2) && err.contains("cannot read .goose/recipes/mine.yaml"), "{err}");
}

#[test]
fn fusion_run_lets_specify_have_the_recipes_of_goose_followed_by_agents() {
    let (daemon, project) = daemon_with_profiles();
    let (code, said) = specify_workflow(&daemon, &project, "goose", "the end");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.matches("followed").count() == 3, "{said}");
    let ctl = daemon.ctl();
    let tasks = ctl.json(&["task", "list", "--label", "speckit=step"]);
    let ids = tasks.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned());
    let prompts: Vec<String> =
        ids.map(|id| ctl.json(&["task", "show", &id])["prompt"].as_str().unwrap().to_owned()).collect();
    let plan = prompts.iter().find(|prompt| prompt.contains("## User Input")).expect("the recipe's prompt");
    assert!(plan.contains("```text\nit\n```") && !plan.contains("{{"), "{plan}");
}

#[test]
fn fusion_run_that_fails_fails_the_step_of_specify() {
    let (daemon, project) = daemon_with_profiles();
    let (code, said) = specify_workflow(&daemon, &project, "claude", "fail");
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("Status: failed") && said.contains("did fail with "), "{said}");
}
