//! Stories of `agent spawn --from`.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fusion_tests::{Daemon, Setup, Watch};

/// Runs git as the user of the test, with a name to commit under.
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(folder)
        .output()
        .expect("git can be started");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a file "a" on main and one "b" on the branch other.
pub(crate) fn repository(daemon: &Daemon) -> PathBuf {
    let folder = daemon.folder().join("project");
    std::fs::create_dir(&folder).expect("our own folder can be written");
    git(&folder, &["init", "--quiet"]);
    std::fs::write(folder.join("a"), "first\n").expect("our own folder can be written");
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "-m", "first"]);
    git(&folder, &["switch", "--quiet", "-c", "other"]);
    std::fs::write(folder.join("b"), "second\n").expect("our own folder can be written");
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "-m", "second"]);
    git(&folder, &["switch", "--quiet", "main"]);
    folder
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

#[test]
fn agent_spawn_from_a_folder_copies_it() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.folder().join("stuff");
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    std::fs::write(folder.join("deep/er/script"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(folder.join("deep/er/script"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("/etc/hostname", folder.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let mut watch = Watch::from_now(&ctl);
    let agent = ctl.id(&["agent", "spawn", "a", "--profile", "shell", "--from", text(&folder)]);
    watch.expect("workspace.seeding", &agent);
    watch.expect("workspace.seeded", &agent);
    watch.expect("agent.ready", &agent);
    let workspace = PathBuf::from(ctl.ok(&["workspace", "path", "a"]));
    assert_eq!(std::fs::metadata(workspace.join("deep/er/script")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_link(workspace.join("link")).unwrap(), Path::new("/etc/hostname"));
    assert!(!workspace.join("pipe").exists(), "a pipe is no content");
    let task = ctl.submit("./deep/er/script && ls", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "deep\nlink");
    assert_eq!(ctl.json(&["workspace", "show", "a"])["seed"]["source"], text(&folder));
}

#[test]
fn agent_spawn_from_a_repository_clones_it_on_a_branch_of_its_own() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = repository(&daemon);
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell", "--from", text(&folder)]);
    let workspace = PathBuf::from(ctl.ok(&["workspace", "path", "a"]));
    assert_eq!(git(&workspace, &["branch", "--show-current"]), "fusion/a");
    assert!(workspace.join("a").exists() && !workspace.join("b").exists());
    let from = format!("{}#other", text(&folder));
    ctl.ok(&["agent", "spawn", "b", "--profile", "shell", "--from", &from]);
    let workspace = PathBuf::from(ctl.ok(&["workspace", "path", "b"]));
    assert!(workspace.join("b").exists());
    let commit = git(&folder, &["rev-parse", "other"]);
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), commit);
    let from = format!("file://{}", text(&folder));
    ctl.ok(&["agent", "spawn", "c", "--profile", "shell", "--from", &from]);
    assert_eq!(git(&folder, &["branch", "--list", "fusion/*"]), "", "the source is left as it was");
}

#[test]
fn agent_spawn_from_a_repository_as_a_worktree_shares_its_history() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = repository(&daemon);
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell", "--from", text(&folder), "--worktree"]);
    let workspace = PathBuf::from(ctl.ok(&["workspace", "path", "a"]));
    assert!(workspace.join(".git").is_file() && workspace.join("a").exists());
    let branch = git(&workspace, &["branch", "--show-current"]);
    assert!(branch.starts_with("fusion/a-"), "{branch}");
    assert!(git(&folder, &["branch", "--list", "fusion/*"]).contains(&branch));
    // What is committed there stays in the repository, the worktree does not.
    let task = ctl.submit("echo x > c; git add c; git -c user.name=t -c user.email=t@e commit -qm c", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(git(&folder, &["worktree", "list"]).lines().count(), 2);
    ctl.ok(&["agent", "remove", "--force", "a"]);
    assert_eq!(git(&folder, &["worktree", "list"]).lines().count(), 1);
    assert!(git(&folder, &["show", "--stat", &branch]).contains(" c | 1 +"));
}

#[test]
fn agent_spawn_from_what_cannot_be_read_says_why_and_leaves_the_name_free() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.folder().join("plain");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("file");
    std::fs::write(&file, "x").unwrap();
    let cases = [
        ("/nowhere/at/all".to_owned(), "No such file"),
        (text(&file).to_owned(), "is not a folder"),
        (format!("{}#main", text(&folder)), "is not a git repository"),
        (format!("file://{}", text(&folder)), "not appear to be a git repository"),
        (format!("{}#nobranch", text(&repository(&daemon))), "no branch, tag or commit nobranch"),
    ];
    for (from, expected) in &cases {
        let error = ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell", "--from", from]);
        assert_eq!(error["code"], "seed_failed", "{error}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{expected}: {error}");
    }
    let invalid = ["https://ada:pw@example.org/a.git", "https://example.org/a.git#-f", ""];
    for from in invalid {
        let from = format!("--from={from}");
        assert_eq!(ctl.run(&["agent", "spawn", "a", "--profile", "shell", &from]).code, 2, "{from}");
    }
    assert_eq!(daemon.processes(), Vec::new());
    assert_eq!(ctl.json(&["agent", "list"]), serde_json::json!([]));
    ctl.spawn_fake("a", &[]);
}

#[test]
fn agent_spawn_from_a_slow_source_is_stopped_in_time() {
    let config = "[workspaces]\nseed_timeout = \"300ms\"\n[runtime]\ngrace = \"100ms\"\n".to_owned();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let ctl = daemon.ctl();
    let slow = slow_source(&daemon);
    let error =
        ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell", "--env", &slow, "--from", "ssh://x/y"]);
    assert!(error["message"].as_str().unwrap().contains("longer than 300ms"), "{error}");
    assert_eq!(daemon.processes(), Vec::new());
}

#[test]
fn agent_spawn_from_goes_on_while_the_daemon_is_away_and_ends_with_its_agent() {
    let mut daemon = Daemon::start();
    let ctl = daemon.ctl();
    let slow = slow_source(&daemon);
    let args = ["agent", "spawn", "a", "--profile", "shell", "--env", &slow, "--from", "ssh://x/y"];
    let mut spawning = ctl.command(&args).stderr(std::process::Stdio::null()).spawn().unwrap();
    let id = ctl.until("it is being seeded", |ctl| {
        let agents = ctl.json(&["agent", "list"]);
        let is_seeding =
            agents[0]["reason"].as_str().is_some_and(|reason| reason.contains("seeded from ssh"));
        is_seeding.then(|| agents[0]["id"].as_str().unwrap().to_owned())
    });
    daemon.kill9();
    daemon.start_again();
    let why = ctl.json(&["why", "a"]);
    assert!(why["summary"].as_str().unwrap().contains("being seeded from ssh://x/y"), "{why}");
    ctl.ok(&["agent", "terminate", "a", "--grace", "0s"]);
    assert_eq!(daemon.processes(), Vec::new(), "nothing of git is left");
    ctl.ok(&["agent", "remove", &id]);
    drop(spawning.kill());
    drop(spawning.wait());
}

/// An environment in which ssh never answers.
fn slow_source(daemon: &Daemon) -> String {
    let script = daemon.folder().join("never");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 600\n").expect("our own folder can be written");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))
        .expect("our own folder can be written");
    format!("GIT_SSH_COMMAND={}", text(&script))
}
