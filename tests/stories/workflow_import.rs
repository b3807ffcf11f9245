//! Stories of `workflow import`: a task file of spec-kit becomes a run, and its boxes are ticked.

use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fusion_tests::{Ctl, Daemon, Deadline, TestUser, node, specify, users, wait_readable};
use rustix::fs::inotify;

const TASKS: &str = "\u{feff}# Tasks: Log in\r\n\r\n## Phase 1: Setup\r\n\r\n**Goal**: A {{ place }}\r\n\r\n- [x] T001 Make it\r\n- [ ] T002 Set up\r\n\r\n\
                     ## Phase 2: User Story 1\r\n\r\n- [ ] T003 [P] [US1] One in src/one.rs\r\n- [ ] T004.5 [P] [US1] Two in src/two.rs\r\n- [-] T005 Not done\r\n\r\n\
                     **Checkpoint**: It works\r\n\r\n## Phase 3: Polish\r\n\r\n- [ ] T006 Last (depends on T099)";

/// A project with a task file, which belongs to whoever runs the test, or to a user.
fn project(daemon: &Daemon, tasks: &str, owner: Option<&TestUser>) -> PathBuf {
    let root = daemon.folder().join("project");
    let folder = root.join("specs/001-login");
    std::fs::create_dir_all(&folder).expect("our own folder can be written");
    std::fs::create_dir(root.join(".specify")).expect("our own folder can be written");
    std::fs::write(folder.join("tasks.md"), tasks).expect("our own folder can be written");
    std::fs::write(folder.join("plan.md"), "# Plan").expect("our own folder can be written");
    std::fs::set_permissions(folder.join("tasks.md"), PermissionsExt::from_mode(0o640))
        .expect("a file of our own");
    if let Some(user) = owner {
        let owned = [&root, &root.join("specs"), &folder, &folder.join("tasks.md"), &folder.join("plan.md")];
        for path in owned {
            std::os::unix::fs::chown(path, Some(user.uid), Some(user.uid))
                .expect("root can give a file away");
        }
    }
    folder.join("tasks.md")
}

/// An agent that notes the first line of its prompt in a file of the folder in which it works.
fn spawn_scribe(ctl: &Ctl) {
    let script =
        "read -r first; echo \"$first\" >> order; cat > prompt; case $first in *T404*) exit 1;; esac";
    ctl.ok(&[
        "agent",
        "spawn",
        "scribe",
        "--profile",
        "command",
        "--capability",
        "code",
        "--",
        "/bin/sh",
        "-c",
        script,
    ]);
}

/// Waits until the file holds this, told by the kernel of each change in its folder.
fn until_holds(file: &Path, wanted: &str) {
    let watch =
        inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).expect("inotify");
    let folder = file.parent().expect("a folder");
    inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE_WRITE)
        .expect("a watch");
    let deadline = Deadline::default();
    loop {
        let text = std::fs::read_to_string(file).expect("the file is there");
        if text == wanted {
            return;
        }
        assert!(wait_readable(&[watch.as_fd()], deadline).is_some(), "not in time: {text}");
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch.as_fd(), &mut buffer);
        while events.next().is_ok() {}
    }
}

fn ticked(text: &str) -> String {
    text.replace("[ ]", "[x]")
}

#[test]
fn workflow_import_runs_the_tasks_in_the_project_and_ticks_their_boxes() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let file = project(&daemon, TASKS, None);
    let done = ctl.run(&["-q", "workflow", "import", file.to_str().unwrap(), "-c", "code"]).expect_code(0);
    assert!(
        done.stderr.contains("tasks.md:20: T006 names T099, which does not exist: that is left out"),
        "{done}"
    );
    let run = ctl.run_ended(done.stdout.trim());
    assert_eq!(run["state"], "succeeded", "{run}");
    for (id, task) in [("T001", false), ("T002", true), ("T004_5", true), ("T005", false), ("T006", true)] {
        assert_eq!(
            (&node(&run, id)["state"], node(&run, id)["task"].is_string()),
            (&"succeeded".into(), task),
            "{run}"
        );
    }
    let root = daemon.folder().join("project");
    let order = std::fs::read_to_string(root.join("order")).unwrap();
    let ids: Vec<&str> = order.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(ids, ["T002", "T003", "T004.5", "T006"], "{order}");
    until_holds(&file, &ticked(TASKS));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    let task = node(&run, "T003")["task"].as_str().unwrap().to_owned();
    let prompt = ctl.json(&["task", "show", &task])["prompt"].as_str().unwrap().to_owned();
    for words in [
        "Do task T003 of specs/001-login/tasks.md",
        "Phase 2: User Story 1",
        "- the plan: specs/001-login/plan.md",
    ] {
        assert!(prompt.contains(words), "{words}: {prompt}");
    }
    let task = node(&run, "T002")["task"].as_str().unwrap().to_owned();
    let shown = ctl.json(&["task", "show", &task]);
    assert!(shown["prompt"].as_str().unwrap().contains("Goal: A {{ place }}"), "{shown}");
    assert_eq!(shown["workdir"], root.canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn workflow_import_holds_at_checkpoints_and_a_failed_task_is_not_ticked() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let text = "- [ ] T001 a\n\n**Checkpoint**: Look\n\n- [ ] T404 b\n- [ ] T405 c\n";
    let file = project(&daemon, text, None);
    let run = ctl.id(&["workflow", "import", file.to_str().unwrap(), "--hold-checkpoints"]);
    ctl.until("the checkpoint is held", |ctl| {
        (node(&ctl.json(&["workflow", "show", &run]), "checkpoint-1")["state"] == "waiting_approval")
            .then_some(())
    });
    until_holds(&file, &text.replace("[ ] T001", "[x] T001"));
    let again = ctl.refused(4, &["workflow", "import", file.to_str().unwrap()]);
    assert_eq!(again["code"], "tasks_file_busy", "two runs would do the same twice");
    assert!(again["message"].as_str().unwrap_or_default().contains(&run), "{again}");
    ctl.ok(&["workflow", "approve", &run, "checkpoint-1"]);
    let ended = ctl.run_ended(&run);
    assert_eq!(
        (&ended["state"], &node(&ended, "T405")["state"]),
        (&"failed".into(), &"skipped".into()),
        "{ended}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text.replace("[ ] T001", "[x] T001"));
}

#[test]
fn workflow_import_asks_first_when_checklists_are_open() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let file = project(&daemon, "- [x] T001 a\n- [ ] T002 b\n- [ ] T003 c\n", None);
    let lists = file.with_file_name("checklists");
    std::fs::create_dir(&lists).unwrap();
    std::fs::write(lists.join("ux.md"), "- [x] one\n- [ ] {{ two }}\n").unwrap();
    let run = ctl.id(&["workflow", "import", file.to_str().unwrap()]);
    ctl.until("a person is asked", |ctl| {
        (node(&ctl.json(&["workflow", "show", &run]), "checklists")["state"] == "waiting_approval")
            .then_some(())
    });
    let shown = ctl.json(&["workflow", "show", &run]);
    let state = |id: &str| node(&shown, id)["state"].clone();
    assert_eq!((state("T001"), state("T002")), ("succeeded".into(), "pending".into()), "{shown}");
    assert!(node(&shown, "T001")["startTime"].is_null(), "what was done before never began: {shown}");
    let asks = node(&shown, "checklists")["reason"].as_str().unwrap();
    assert_eq!(asks, "Go on? specs/001-login/checklists/ux.md has 1 open boxes");
    ctl.ok(&["workflow", "approve", &run, "checklists"]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    let definition =
        ctl.ok(&["workflow", "import", file.to_str().unwrap(), "--ignore-checklists", "--dry-run"]);
    assert!(!definition.contains("checklists"), "{definition}");
}

#[test]
fn workflow_import_lets_a_restart_tick_what_a_crash_left_out() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let text = "- [ ] T001 a\n- [ ] T002 b\n";
    let file = project(&daemon, text, None);
    let run = ctl.id(&["workflow", "import", file.to_str().unwrap()]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    until_holds(&file, &ticked(text));
    daemon.kill9();
    // As if the crash had come between the success and the file.
    std::fs::write(&file, text).unwrap();
    daemon.start_again();
    until_holds(&file, &ticked(text));
}

#[test]
fn workflow_import_ticks_once_what_a_kill_left_between_the_success_and_the_file() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let text = "- [ ] T001 a\n";
    let file = project(&daemon, text, None);
    let watch =
        inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).expect("inotify");
    inotify::add_watch(&watch, file.parent().unwrap(), inotify::WatchFlags::MOVED_TO).expect("a watch");
    // Whoever ticks a box takes this lock first: the success is on disk, and the box is not.
    let held = std::fs::File::open(&file).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = ctl.id(&["workflow", "import", file.to_str().unwrap()]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "nobody wrote past the lock");
    // What the dead daemon sent out may live: it and its successor both want to write.
    drop(held);
    until_holds(&file, &ticked(text));
    // What is said of the next run comes behind the errand of this one.
    let next = file.with_file_name("next.md");
    std::fs::write(&next, text).unwrap();
    let run = ctl.id(&["workflow", "import", next.to_str().unwrap()]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    until_holds(&next, &ticked(text));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ticked(text));
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut moved = inotify::Reader::new(watch.as_fd(), &mut buffer);
    let mut names = Vec::new();
    while let Ok(event) = moved.next() {
        names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    assert_eq!(names, ["tasks.md", "next.md"], "each file was replaced once");
}

#[test]
fn workflow_import_writes_as_the_user_and_nothing_that_the_user_may_not() {
    let daemon = Daemon::start();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    spawn_scribe(&ctl);
    let file = project(&daemon, "- [ ] T001 a\n", Some(&user));
    let run = ctl.id(&["workflow", "import", file.to_str().unwrap()]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    until_holds(&file, "- [x] T001 a\n");
    let about = std::fs::metadata(&file).unwrap();
    assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (user.uid, user.uid, 0o640));
    // A file of root's stays as it is, whatever leads there.
    let secret = daemon.folder().join("secret.md");
    std::fs::write(&secret, "- [ ] T001 a\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::remove_file(&file).unwrap();
    symlink(&secret, &file).unwrap();
    let definition =
        format!("name: lure\ntasks_file: {}\nnodes: [{{id: T001, prompt: x}}]\n", file.display());
    let flow = daemon.flow("lure", &definition);
    let run = ctl.start_run(&flow, &[]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    // What is said of the next run comes behind the errand of this one.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "- [ ] T001 a\n").unwrap();
    std::os::unix::fs::chown(&file, Some(user.uid), Some(user.uid)).unwrap();
    let run = ctl.start_run(&flow, &[]);
    assert_eq!(ctl.run_ended(&run)["state"], "succeeded");
    until_holds(&file, "- [x] T001 a\n");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "- [ ] T001 a\n");
}

#[test]
fn workflow_import_refuses_with_lines_and_shows_what_it_would_run() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let file = project(&daemon, "- [ ] T001 a (depends on T002)\n- [ ] T002 b (depends on T001)\n", None);
    let path = file.to_str().unwrap();
    let refused = ctl.refused(2, &["workflow", "import", path]);
    assert_eq!(refused["code"], "tasks_file_invalid");
    assert!(
        refused["detail"].as_str().unwrap().contains("T001 (line 1) → T002 (line 2) → T001 (line 1)"),
        "{refused}"
    );
    std::fs::write(&file, "nothing\n").unwrap();
    assert!(ctl.refused(2, &["workflow", "import", path])["detail"].as_str().unwrap().contains("no task"));
    assert_eq!(ctl.refused(2, &["workflow", "import", "/does/not/exist"])["code"], "file_unreadable");
    std::fs::write(&file, "- [ ] T001 a\n").unwrap();
    let shown = ctl.ok(&["workflow", "import", path, "--dry-run", "--timeout", "5m"]);
    assert!(shown.contains("tasks_file: ") && shown.contains("id: T001"), "{shown}");
    let kept = daemon.flow("shown", &shown);
    drop(ctl.run(&["workflow", "validate", &kept]).expect_code(0));
    assert_eq!(ctl.json(&["workflow", "list"]).as_array().map(Vec::len), Some(0), "nothing was begun");
}

const HOOKS: &str = "\
hooks:
  before_implement:
  - {extension: git, command: speckit.git.commit, optional: false, description: 'Keep {{ what }} is there'}
  - {extension: git, command: speckit.git.ask, optional: true, prompt: Ask?}
  - {extension: a, command: speckit.a.second, optional: false}
  after_implement:
  - {extension: a, command: speckit.a.check, optional: false, enabled: true}
  - {extension: a, command: speckit.a.ci, optional: false, condition: env.CI is set}
";

/// A project with hooks whose agent knows skills.
fn project_with_hooks(daemon: &Daemon, tasks: &str) -> PathBuf {
    let file = project(daemon, tasks, None);
    let specify = daemon.folder().join("project/.specify");
    let state = r#"{"integration": "claude", "integration_settings": {"claude": {"invoke_separator": "-"}}}"#;
    std::fs::write(specify.join("extensions.yml"), HOOKS).expect("our own folder can be written");
    std::fs::write(specify.join("integration.json"), state).expect("our own folder can be written");
    file
}

/// What the scribe was asked to do since the last time, in order: commands and tasks.
fn asked(daemon: &Daemon) -> Vec<String> {
    let path = daemon.folder().join("project/order");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    drop(std::fs::remove_file(&path));
    let name = |line: &str| {
        let word = if line.starts_with('/') { 0 } else { 2 };
        line.split(' ').nth(word).unwrap_or(line).to_owned()
    };
    text.lines().map(name).collect()
}

#[test]
fn workflow_import_runs_hooks_before_the_tasks_and_after_them() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let text = "- [ ] T001 a\n- [ ] T002 [P] b\n- [x] T003 [P] c\n";
    let file = project_with_hooks(&daemon, text);
    let import = |more: &[&str]| {
        let args = [&["-q", "workflow", "import", file.to_str().unwrap()], more].concat();
        let done = ctl.run(&args).expect_code(0);
        (ctl.run_ended(done.stdout.trim()), done.stderr)
    };
    let (run, told) = import(&[]);
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(
        asked(&daemon),
        ["/speckit-git-commit", "/speckit-a-second", "T001", "T002", "/speckit-a-check"]
    );
    let lines: Vec<&str> = told.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(
        lines,
        [".specify/extensions.yml:4: speckit.git.ask", ".specify/extensions.yml:8: speckit.a.ci"],
        "{told}"
    );
    let task = node(&run, "before-implement-1")["task"].as_str().unwrap().to_owned();
    let prompt = ctl.json(&["task", "show", &task])["prompt"].as_str().unwrap().to_owned();
    assert!(
        prompt.starts_with(
            "/speckit-git-commit This is the hook before_implement of the extension git: Keep {{ what }} is there\n"
        ),
        "{prompt}"
    );
    until_holds(&file, &ticked(text));
    // Everything is done: spec-kit runs its hooks all the same.
    assert_eq!(import(&["--hooks", "all"]).0["state"], "succeeded");
    assert_eq!(
        asked(&daemon),
        ["/speckit-git-commit", "/speckit-git-ask", "/speckit-a-second", "/speckit-a-check"]
    );
    let (run, told) = import(&["--hooks", "none"]);
    assert_eq!((&run["state"], told.as_str()), (&"succeeded".into(), ""));
    assert_eq!(asked(&daemon), [""; 0]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ticked(text), "hooks have no boxes");
}

#[test]
fn workflow_import_runs_no_hook_after_a_failure_and_begins_without_a_file_that_is_broken() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    spawn_scribe(&ctl);
    let text = "- [ ] T001 a\n- [ ] T404 [P] b\n- [ ] T003 [P] c\n";
    let file = project_with_hooks(&daemon, text);
    let path = file.to_str().unwrap();
    let run = ctl.run_ended(&ctl.id(&["workflow", "import", path]));
    let state = |run: &serde_json::Value, id: &str| node(run, id)["state"].clone();
    assert_eq!(
        (run["state"].clone(), state(&run, "T003"), state(&run, "after-implement-1")),
        ("succeeded".into(), "succeeded".into(), "skipped".into()),
        "neighbours of a task with [P] go on, and the hook waits for all: {run}"
    );
    let order = asked(&daemon);
    assert_eq!((order.len(), order.last().map(String::as_str)), (5, Some("T003")), "{order:?}");
    until_holds(&file, &ticked(text).replace("[x] T404", "[ ] T404"));
    // A hook that fails keeps the tasks from beginning.
    let hooks = daemon.folder().join("project/.specify/extensions.yml");
    std::fs::write(&hooks, HOOKS.replace("speckit.a.second", "speckit.T404")).unwrap();
    std::fs::write(&file, "- [ ] T001 a\n").unwrap();
    let run = ctl.run_ended(&ctl.id(&["workflow", "import", path]));
    assert_eq!((run["state"].clone(), state(&run, "T001")), ("failed".into(), "skipped".into()), "{run}");
    assert_eq!(asked(&daemon), ["/speckit-git-commit", "/speckit-T404"]);
    std::fs::write(&hooks, HOOKS).unwrap();
    std::fs::write(&file, "- [ ] T404 a\n- [ ] T001 b\n").unwrap();
    let run = ctl.run_ended(&ctl.id(&["workflow", "import", path]));
    let states = [run["state"].clone(), state(&run, "T001"), state(&run, "after-implement-1")];
    assert_eq!(states, ["failed", "skipped", "skipped"], "{run}");
    drop(asked(&daemon));
    std::fs::write(&file, "- [ ] T001 a\n").unwrap();
    std::fs::write(&hooks, "hooks:\n  before_implement: [\n").unwrap();
    let done = ctl.run(&["-q", "workflow", "import", path]).expect_code(0);
    let told = ".specify/extensions.yml:2:21: this is not YAML: ";
    assert!(done.stderr.starts_with(told) && done.stderr.contains("no hook is run"), "{done}");
    assert_eq!(ctl.run_ended(done.stdout.trim())["state"], "succeeded");
    assert_eq!(asked(&daemon), ["T001"]);
}

#[test]
fn workflow_import_takes_the_template_of_specify_init() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let root = daemon.folder().join("fresh");
    std::fs::create_dir(&root).unwrap();
    let init = ["init", ".", "--integration", "claude", "--script", "sh", "--ignore-agent-tools", "--force"];
    let init = Command::new(specify()).args(init).current_dir(&root).stdin(Stdio::null()).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let template = root.join(".specify/templates/tasks-template.md");
    for mode in ["strict", "stories"] {
        let done = ctl
            .run(&["workflow", "import", template.to_str().unwrap(), "--mode", mode, "--dry-run"])
            .expect_code(0);
        let words = done.stdout.lines().map(|line| line.trim_start_matches(['-', ' ']));
        let ids: Vec<&str> = words.filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!((ids.len(), ids.first(), ids.last()), (28, Some(&"T001"), Some(&"T028")), "{done}");
        // Its stories name the same placeholders for files.
        let is_expected = |line: &str| {
            line.contains("a sample of a task") || (mode == "stories" && line.contains("both name"))
        };
        assert!(done.stderr.lines().all(is_expected), "{done}");
    }
    // The extension that comes with spec-kit registers its hooks as optional ones.
    let add = ["extension", "add", "git"];
    let add = Command::new(specify()).args(add).current_dir(&root).stdin(Stdio::null()).output().unwrap();
    assert!(add.status.success(), "{}", String::from_utf8_lossy(&add.stderr));
    let import = ["workflow", "import", template.to_str().unwrap(), "--dry-run", "--hooks"];
    let told = ctl.run(&[&import[..], &["mandatory"]].concat()).expect_code(0);
    assert_eq!(told.stderr.matches(", is optional and left out").count(), 2, "{told}");
    let all = ctl.run(&[&import[..], &["all"]].concat()).expect_code(0);
    assert!(!all.stderr.contains("extensions.yml"), "{all}");
    for words in [
        "/speckit-git-commit This is the hook before_implement of the extension git: Auto-commit before",
        "\"Commit implementation changes?\" is answered with yes.",
        "described in .specify/extensions/git/commands/speckit.git.commit.md",
    ] {
        assert!(all.stdout.contains(words), "{words}: {all}");
    }
}
