//! What program runs come of which tasks. Not here: that they run.

use super::*;
use fusion_core::agent::{AgentLimits, Recipe};
use fusion_core::{AgentId, Uid};

fn template(command: &[&str], prompt: &str) -> Template {
    template_with(command, prompt, None)
}

fn template_with(command: &[&str], prompt: &str, seed: Option<Seed>) -> Template {
    let recipe = Recipe {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        prompt: prompt.to_owned(),
        env: vec![("A".into(), "recipe".into()), ("FUSION_SOCKET".into(), "forged".into())],
        ..Recipe::default()
    };
    let setup = Setup {
        agent: AgentId(1),
        incarnation: 1,
        nonce: [0; 16],
        owner: Uid(60_001),
        name: "a".into(),
        profile: "command".into(),
        recipe,
        limits: AgentLimits::default(),
        seed,
    };
    let (home, shell) = ("/home/ada".into(), "/bin/bash".into());
    let owner = Owner { name: "ada".into(), gid: 60_001, home, shell, identity: None };
    let config = Config {
        bounds: crate::config::Bounds::default(),
        run_dir: "/run".into(),
        state_dir: "/state".into(),
        workspaces_root: "/".into(),
        shim_path: "/bin/fusion-shim".into(),
        backend: super::super::BackendChoice::None,
        scopes: None,
        cgroup_name: String::new(),
        epoch: 1,
        umask: 0o077,
        log_quota: LogQuota::new(1),
        nologin_users: None,
    };
    Template::new(&setup, &owner, Path::new("/ws"), Path::new("/run/agent.sock"), &config)
}

fn prompt(text: &str, env: &[(&str, &str)]) -> TaskInput {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TaskInput { kind: TaskKind::Prompt, prompt: text.to_owned(), run: Vec::new(), env, stored: None }
}

fn texts(argv: &[Vec<u8>]) -> Vec<&str> {
    argv.iter().map(|word| std::str::from_utf8(word).expect("text")).collect()
}

#[test]
fn a_workspace_is_filled_with_the_owners_home_on_a_branch_of_the_agent() {
    let source = "https://example.org/a.git".to_owned();
    let seed = Seed { source, reference: "v1".into(), how: SeedHow::Clone };
    let spec = template_with(&["cat"], "stdin", Some(seed.clone())).seeding().expect("a seed");
    let expected = ["/bin/fusion-shim", "seed", "https://example.org/a.git", "v1", "fusion/a", "clone"];
    assert_eq!(texts(&spec.argv), expected);
    assert!(spec.env.contains(&(b"HOME".to_vec(), b"/home/ada".to_vec())));
    assert!(spec.env.contains(&(b"GIT_TERMINAL_PROMPT".to_vec(), b"0".to_vec())));
    let worktree = Seed { how: SeedHow::Worktree, ..seed };
    let spec = template_with(&["cat"], "stdin", Some(worktree)).seeding().expect("a seed");
    assert!(texts(&spec.argv)[4].starts_with("fusion/a-"), "{:?}", texts(&spec.argv));
    assert_eq!(template(&["cat"], "stdin").seeding(), None);
}

#[test]
fn attempts_of_a_task_are_spans_of_one_trace() {
    let (first, second) = (traceparent(TaskId(0x1f), 1), traceparent(TaskId(0x1f), 2));
    assert_eq!(first, "00-0000000000000000000000000000001f-0000000000000020-01");
    assert_eq!(first[..35], second[..35]);
    assert_ne!(first, second);
}

#[test]
fn a_prompt_takes_its_place_once_and_else_comes_on_stdin() {
    let input = prompt("{{ prompt }} and {{prompt}}", &[]);
    let spec = template(&["say", "-p={{prompt}}!{{ prompt }}"], "stdin").spec(
        TaskId(1),
        1,
        5,
        Stdin::Closed,
        &input,
        &[],
    );
    let filled = "-p={{ prompt }} and {{prompt}}!{{ prompt }} and {{prompt}}";
    assert_eq!((texts(&spec.argv), spec.stdin), (vec!["say", filled], Content::Empty));
    let spec = template(&["cat"], "stdin").spec(TaskId(1), 1, 5, Stdin::Closed, &prompt("words", &[]), &[]);
    assert_eq!((texts(&spec.argv), spec.stdin), (vec!["cat"], Content::Inline(b"words".to_vec())));
    let spec = template(&["echo"], "argv").spec(TaskId(1), 1, 5, Stdin::Closed, &prompt("words", &[]), &[]);
    assert_eq!((texts(&spec.argv), spec.stdin), (vec!["echo", "words"], Content::Empty));
}

#[test]
fn files_are_named_in_the_environment_and_lie_in_the_workspace() {
    let mut template = template(&["program"], "file");
    template.result = Way::File;
    let spec = template.spec(TaskId(1), 1, 5, Stdin::Closed, &prompt("words", &[]), &[]);
    let files = spec.files.expect("files");
    assert_eq!((files.name.as_str(), files.output), ("1.5", Output::Result));
    assert_eq!(files.input, Some(Content::Inline(b"words".to_vec())));
    let named = |name: &str, path: &str| spec.env.contains(&(name.into(), path.into()));
    assert!(named("FUSION_INPUT", "/ws/.fusiond/1.5/input"));
    assert!(named("FUSION_OUTPUT", "/ws/.fusiond/1.5/output"));
    assert_eq!(spec.stdin, Content::Empty);
}

#[test]
fn an_attempt_begins_where_its_task_says_with_its_files_there() {
    let mut template = template(&["program"], "file");
    template.result = Way::File;
    let input = prompt("words", &[(WORKDIR, "/home/ada/project")]);
    let spec = template.spec(TaskId(1), 1, 5, Stdin::Closed, &input, &[]);
    assert_eq!(spec.cwd, b"/home/ada/project");
    let named = |name: &str, path: &str| spec.env.contains(&(name.into(), path.into()));
    assert!(named(WORKDIR, "/home/ada/project") && named("FUSION_WORKSPACE", "/ws"));
    assert!(named("FUSION_OUTPUT", "/home/ada/project/.fusiond/1.5/output"));
}

#[test]
fn the_task_has_the_last_word_on_its_environment_but_not_on_the_daemons_own() {
    let env = [("A", "task"), ("FUSION_AGENT_ID", "forged"), ("HOME", "/elsewhere")];
    let spec = template(&["env"], "stdin").spec(TaskId(7), 3, 5, Stdin::Closed, &prompt("", &env), &[]);
    let value = |name: &str| {
        let found: Vec<_> = spec.env.iter().filter(|(known, _)| known == name.as_bytes()).collect();
        assert!(found.len() <= 1, "{name} is there twice");
        found.first().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!(value("A").as_deref(), Some("task"));
    assert_eq!(value("HOME").as_deref(), Some("/elsewhere"));
    assert_eq!(value("FUSION_AGENT_ID"), Some(AgentId(1).to_string()));
    assert_eq!(value("FUSION_SOCKET").as_deref(), Some("/run/agent.sock"));
    assert_eq!(value("FUSION_ATTEMPT").as_deref(), Some("3"));
    assert_eq!(value("PATH").as_deref(), Some("/home/ada/.local/bin:/usr/local/bin:/usr/bin:/bin"));
    assert_eq!(value("TMPDIR"), None);
}
