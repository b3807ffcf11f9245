//! Stories about workspaces that several users, or the rights of root, are needed for: what must not be read, seen or run.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fusion_tests::{Daemon, TestUser, users};

use crate::agent_spawn_from::{git, repository, text};
use crate::daemon_with_agent;

/// A folder that belongs to a user.
fn folder_of(daemon: &Daemon, name: &str, user: &TestUser) -> PathBuf {
    let folder = daemon.folder().join(name);
    std::fs::create_dir(&folder).expect("our own folder can be written");
    std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.uid)).expect("our own folder can be written");
    folder
}

#[test]
fn agent_spawn_from_what_root_alone_can_read_is_refused() {
    let daemon = Daemon::start();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    let secret = daemon.folder().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("key"), "x").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o700)).unwrap();
    let lure = folder_of(&daemon, "lure", &user);
    symlink(&secret, lure.join("way")).unwrap();
    let through = format!("{}/way", text(&lure));
    for from in [text(&secret), through.as_str()] {
        let error = ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell", "--from", from]);
        assert!(error["message"].as_str().unwrap().contains("Permission denied"), "{error}");
        // An admin who acts for the user gets no more.
        let spawn = ["agent", "spawn", "a", "--profile", "shell", "--user", &user.name, "--from", from];
        assert_eq!(daemon.ctl().refused(4, &spawn)["code"], "seed_failed");
    }
    // The link itself is copied, not what it leads to.
    ctl.ok(&["agent", "spawn", "b", "--profile", "shell", "--from", text(&lure)]);
    let task = ctl.submit("readlink way; cat way/key", &["--agent", "b"]);
    assert_eq!(ctl.ended(&task)["state"], "failed");
}

#[test]
fn agent_spawn_from_a_repository_whose_settings_run_programs_runs_none_as_root() {
    let daemon = Daemon::start();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    let folder = repository(&daemon);
    let told = folder_of(&daemon, "told", &user);
    std::fs::set_permissions(&told, PermissionsExt::from_mode(0o777)).unwrap();
    let script = daemon.folder().join("evil");
    std::fs::write(&script, format!("#!/bin/sh\nid -u >> {}/ran\n", text(&told))).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let run = text(&script).to_owned();
    git(&folder, &["config", "core.fsmonitor", &run]);
    git(&folder, &["config", "uploadpack.packObjectsHook", &run]);
    git(&folder, &["config", "filter.evil.smudge", &run]);
    std::fs::write(folder.join(".gitattributes"), "* filter=evil\n").unwrap();
    for hook in ["post-checkout", "reference-transaction", "pre-receive"] {
        std::fs::copy(&script, folder.join(".git/hooks").join(hook)).unwrap();
    }
    let chown = Command::new("chown").args(["-R", &format!("{0}:{0}", user.uid), text(&folder)]).status();
    assert!(chown.unwrap().success());
    for (name, flags) in [("a", &[][..]), ("b", &["--worktree"][..])] {
        let mut args = vec!["agent", "spawn", name, "--profile", "shell", "--from", text(&folder)];
        args.extend_from_slice(flags);
        ctl.ok(&args);
        let workspace = ctl.ok(&["workspace", "path", name]);
        assert_eq!(std::fs::metadata(Path::new(&workspace).join("a")).unwrap().uid(), user.uid);
        ctl.ok(&["agent", "remove", "--force", name]);
    }
    let ran = std::fs::read_to_string(told.join("ran")).unwrap_or_default();
    assert!(!ran.is_empty(), "the hooks of a worktree's repository are its user's own business");
    assert!(ran.lines().all(|uid| uid == user.uid.to_string()), "{ran}");
}

#[test]
fn workspaces_of_others_are_neither_seen_nor_removed() {
    let daemon = Daemon::start();
    let (mine, yours) = (daemon.ctl().as_user(&users::first()), daemon.ctl().as_user(&users::second()));
    let id = mine.spawn_fake("a", &[]);
    assert_eq!(yours.json(&["workspace", "list"]), serde_json::json!([]));
    mine.ok(&["agent", "terminate", "a"]);
    for verb in ["show", "path", "du", "diff", "remove"] {
        assert_eq!(yours.refused(3, &["workspace", verb, &id])["code"], "agent_not_found");
    }
    assert_eq!(yours.refused(3, &["agent", "remove", &id])["code"], "agent_not_found");
    assert_eq!(daemon.ctl().json(&["workspace", "list"])[0]["agent"], id.as_str(), "an admin sees all");
    daemon.ctl().ok(&["agent", "remove", &id]);
}

#[test]
fn workspace_du_counts_with_the_rights_of_the_user_alone() {
    let daemon = Daemon::start();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let fill = "mkdir -p locked/in open; echo x > open/x; echo x > locked/in/x; chmod 000 locked";
    let task = ctl.submit(fill, &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    // An admin counts no more than the user could.
    for ctl in [&ctl, &daemon.ctl()] {
        let id = ctl.json(&["workspace", "list"])[0]["agent"].as_str().unwrap().to_owned();
        let measured = &ctl.json(&["workspace", "du", &id])[0];
        assert_eq!((&measured["files"], &measured["folders"]), (&1.into(), &2.into()), "{measured}");
        assert_eq!(measured["unreadFolders"], 1, "{measured}");
    }
    // A folder of somebody else in the place of the workspace is not looked into.
    let workspace = ctl.ok(&["workspace", "path", "a"]);
    std::fs::rename(&workspace, format!("{workspace}.moved")).unwrap();
    symlink("/root", &workspace).unwrap();
    let error = ctl.refused(4, &["workspace", "du", "a"]);
    assert_eq!(error["code"], "workspace_unreadable", "{error}");
    std::fs::remove_file(&workspace).unwrap();
    std::fs::rename(format!("{workspace}.moved"), &workspace).unwrap();
}

#[test]
fn workspace_diff_is_made_by_the_user_for_the_user() {
    let daemon = Daemon::start();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    let folder = repository(&daemon);
    let chown = Command::new("chown").args(["-R", &format!("{0}:{0}", user.uid), text(&folder)]).status();
    assert!(chown.unwrap().success());
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell", "--from", text(&folder)]);
    let secret = daemon.folder().join("secret");
    std::fs::write(&secret, "of root alone").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let task = ctl.submit(&format!("echo more >> a; ln -s {} way", text(&secret)), &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    for ctl in [&ctl, &daemon.ctl()] {
        let id = ctl.json(&["workspace", "list"])[0]["agent"].as_str().unwrap().to_owned();
        let patch = ctl.ok(&["workspace", "diff", &id]);
        assert!(patch.contains("+more") && !patch.contains("of root alone"), "{patch}");
    }
    // An agent that could compare could be led to another repository of its user.
    let program = fusion_tests::binary("fusionctl");
    let task = ctl.submit(&format!("{} workspace diff a", text(&program)), &[]);
    assert_eq!(ctl.ended(&task)["attempts"][0]["exitCode"], 5);
}

#[test]
fn workspace_prune_of_an_admin_takes_others_only_when_told_so() {
    let daemon = Daemon::start();
    let (admin, user) = (daemon.ctl(), daemon.ctl().as_user(&users::first()));
    let other = daemon.ctl().as_user(&users::second());
    for ctl in [&admin, &user, &other] {
        ctl.spawn_fake("a", &[]);
        ctl.ok(&["agent", "terminate", "a"]);
    }
    let prune = |ctl: &fusion_tests::Ctl, flags: &[&str]| {
        let gone = ctl.json(&[&["workspace", "prune", "--older-than", "0s", "--yes"], flags].concat());
        gone.as_array().map(Vec::len)
    };
    assert_eq!(prune(&admin, &[]), Some(1));
    assert_eq!(prune(&user, &["--all-users"]), Some(1), "a user has no others");
    assert_eq!(prune(&admin, &["--all-users"]), Some(1));
    assert_eq!(admin.json(&["workspace", "list"]), serde_json::json!([]));
}

#[test]
fn workspace_quota_is_not_evaded_by_a_folder_that_nobody_can_read() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl().as_user(&users::first());
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell", "--disk", "1M"]);
    let mut watch = fusion_tests::Watch::from_now(&ctl);
    let task = ctl.submit("mkdir dark; head -c 3000000 /dev/zero > dark/big; chmod 000 dark", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    let id = ctl.json(&["agent", "show", "a"])["id"].as_str().unwrap().to_owned();
    watch.expect("workspace.over_quota", &id);
    let why = ctl.json(&["why", "a"]);
    assert!(why["summary"].as_str().unwrap().contains("1 of its folders cannot be read"), "{why}");
}

/// A file system with hardly any room, gone with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("mode=711,{options}"), "tmpfs"]).arg(folder.path());
        assert!(mount.status().is_ok_and(|status| status.success()), "a tmpfs cannot be mounted");
        Self(folder)
    }

    /// A daemon whose workspaces lie here.
    fn daemon(&self) -> Daemon {
        let config = format!("[workspaces]\nroot = \"{}\"\n", text(self.0.path()));
        Daemon::with(fusion_tests::Setup { config, ..fusion_tests::Setup::default() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[test]
fn agent_spawn_from_more_than_there_is_room_for_says_so_and_leaves_nothing() {
    let disk = SmallDisk::mount("size=1m");
    let daemon = disk.daemon();
    let user = users::first();
    let ctl = daemon.ctl().as_user(&user);
    let folder = folder_of(&daemon, "large", &user);
    for name in ["a", "b", "c"] {
        std::fs::write(folder.join(name), vec![b'x'; 600 << 10]).unwrap();
    }
    let repository = repository(&daemon);
    std::fs::write(repository.join("noise"), fusion_tests::stream(1, 3 << 20)).unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "noise"]);
    let chown = Command::new("chown").args(["-R", &user.uid.to_string(), text(&repository)]).status();
    assert!(chown.unwrap().success());
    for from in [&folder, &repository] {
        let error = ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell", "--from", text(from)]);
        assert_eq!(error["code"], "seed_failed", "{error}");
        assert!(error["message"].as_str().unwrap().contains("No space left on device"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("spawn it again"), "{error}");
    }
    for kept in ctl.json(&["workspace", "du"]).as_array().unwrap() {
        assert_eq!((&kept["state"], &kept["files"]), (&"kept".into(), &0.into()), "{kept}");
    }
    ctl.ok(&["agent", "spawn", "a", "--profile", "shell"]);
    drop(daemon);
}

#[test]
fn agent_spawn_on_a_disk_without_room_for_a_workspace_says_which() {
    // The root, the daemon's two folders, and one more.
    let disk = SmallDisk::mount("nr_inodes=4");
    let daemon = disk.daemon();
    let ctl = daemon.ctl().as_user(&users::first());
    let error = ctl.refused(4, &["agent", "spawn", "a", "--profile", "shell", "--restart", "never"]);
    assert_eq!(error["code"], "spawn_failed", "{error}");
    let words = ["code", "message", "hint"].map(|name| format!("{name}: {}", error[name].as_str().unwrap()));
    let id = words[1].split(['/', ':']).find(|word| word.starts_with("agt_")).unwrap_or("agt_#");
    let told = words.join("\n").replace(text(disk.0.path()), "DISK").replace(id, "agt_#");
    crate::bad_input::save("bad_input_full_disk", &told);
    assert_eq!(ctl.json(&["agent", "list"]), serde_json::json!([]));
    assert_eq!(daemon.processes(), Vec::new());
}

#[test]
fn agent_spawn_from_works_without_root_too() {
    let user = users::first();
    let setup = fusion_tests::Setup { user: Some(user.clone()), ..fusion_tests::Setup::default() };
    let daemon = Daemon::with(setup);
    let ctl = daemon.ctl().as_user(&user);
    let folder = folder_of(&daemon, "stuff", &user);
    std::fs::write(folder.join("a"), "x").unwrap();
    let repository = repository(&daemon);
    let chown = Command::new("chown").args(["-R", &user.uid.to_string(), text(&repository)]).status();
    assert!(chown.unwrap().success());
    for (name, from) in [("folder", &folder), ("clone", &repository)] {
        ctl.ok(&["agent", "spawn", name, "--profile", "shell", "--from", text(from)]);
        let task = ctl.submit("echo more >> a", &["--agent", name]);
        assert_eq!(ctl.ended(&task)["state"], "succeeded");
        assert_eq!(ctl.ok(&["workspace", "diff", name, "--name-status"]), "M\ta", "{name}");
        assert!(ctl.json(&["workspace", "du", name])[0]["files"].as_u64().unwrap() > 0);
        ctl.ok(&["agent", "remove", "--force", name]);
    }
    let worktree = ["agent", "spawn", "w", "--profile", "shell", "--from", text(&repository), "--worktree"];
    ctl.ok(&worktree);
    ctl.ok(&["agent", "remove", "--force", "w"]);
    let registered = std::fs::read_dir(repository.join(".git/worktrees")).map_or(0, Iterator::count);
    assert_eq!(registered, 0, "the repository does not list it any more");
}

#[test]
fn agent_remove_that_fails_says_why_and_is_carried_out_when_asked_again() {
    let (_daemon, ctl) = daemon_with_agent();
    let workspace = ctl.ok(&["workspace", "path", "a"]);
    ctl.ok(&["agent", "terminate", "a"]);
    let pinned = Path::new(&workspace).join("pinned");
    std::fs::write(&pinned, "x").unwrap();
    let chattr =
        |flag: &str, path: &Path| Command::new("chattr").arg(flag).arg(path).status().unwrap().success();
    if !chattr("+i", &pinned) {
        // Not on every file system; the simulated world tells the same story.
        return;
    }
    let error = ctl.refused(4, &["workspace", "remove", "a"]);
    let trash = Path::new(&workspace).parent().unwrap().parent().unwrap().join(".trash");
    let moved = trash.join(Path::new(&workspace).file_name().unwrap()).join("pinned");
    assert!(chattr("-i", &moved), "it is out of its user's reach");
    assert_eq!(error["code"], "removal_failed");
    ctl.ok(&["workspace", "remove", "a"]);
    assert_eq!(ctl.json(&["workspace", "show", "a"])["state"], "removed");
}
