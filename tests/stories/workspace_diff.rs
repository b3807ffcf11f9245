//! Stories of `workspace diff`.

use std::collections::BTreeSet;

use fusion_tests::{Ctl, Daemon};

use crate::agent_spawn_from::{git, repository, text};
use crate::daemon_with_agent;

/// An agent "a" that runs shell scripts, seeded from `from`, after it ran one.
fn agent_that_ran(ctl: &Ctl, from: Option<&str>, flags: &[&str], script: &str) {
    let mut args = vec!["agent", "spawn", "sh", "--profile", "shell"];
    args.extend(from.into_iter().flat_map(|from| ["--from", from]));
    args.extend_from_slice(flags);
    ctl.ok(&args);
    let task = ctl.submit(script, &["--agent", "sh"]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded", "{}", ctl.ok(&["task", "logs", &task]));
}

fn lines(ctl: &Ctl, args: &[&str]) -> BTreeSet<String> {
    ctl.ok(args).lines().map(str::to_owned).collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Commits one file, leaves another as it is now, ignores a third.
const WORK: &str = "\
git config user.name t && git config user.email t@example.org
echo more >> a
echo committed > c
git add c
git commit --quiet -m work
echo 'new one' > 'new file'
echo '*.o' > .gitignore
echo x > ignored.o";

#[test]
fn workspace_diff_of_a_clone_tells_commits_and_what_is_not_committed() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    for flags in [&[][..], &["--worktree"]] {
        let folder = daemon.folder().join("project");
        let folder = if folder.exists() { folder } else { repository(&daemon) };
        agent_that_ran(&ctl, Some(text(&folder)), flags, WORK);
        let names = lines(&ctl, &["workspace", "diff", "sh", "--name-status"]);
        assert_eq!(names, set(&["A\t.gitignore", "M\ta", "A\tc", "A\tnew file"]), "{flags:?}");
        let only = lines(&ctl, &["workspace", "diff", "sh", "--name-only"]);
        assert_eq!(only, set(&[".gitignore", "a", "c", "new file"]));
        let patch = ctl.ok(&["workspace", "diff", "sh"]);
        assert!(patch.contains("\n first\n+more\n") && patch.contains("+new one"), "{patch}");
        assert!(ctl.ok(&["workspace", "diff", "sh", "--stat"]).contains("4 files changed"));
        let changes = ctl.json(&["workspace", "diff", "sh"]);
        assert_eq!(changes[3], serde_json::json!({"change": "added", "path": "new file"}), "{changes}");
        ctl.ok(&["agent", "remove", "--force", "sh"]);
    }
}

#[test]
fn workspace_diff_finds_the_beginning_again_whatever_the_agent_did_to_its_repository() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let ran = daemon.folder().join("ran");
    let evil = format!("sh -c 'echo ran >> {}'", text(&ran));
    let script = format!(
        "git update-ref -d refs/worktree/fusion-base; git update-ref -d refs/heads/fusion/sh\n\
         git config core.fsmonitor \"{evil}\"; git config diff.external \"{evil}\"\n\
         git config filter.evil.clean \"{evil}\"; git config core.pager \"{evil}\"\n\
         git config diff.evil.textconv \"{evil}\"; git config core.hooksPath \"$PWD\"\n\
         echo '* filter=evil diff=evil' > .gitattributes\n\
         printf '#!/bin/sh\\n{evil}\\n' > post-index-change; chmod +x post-index-change\n\
         git init --quiet inside; echo x > inside/x; git -C inside config core.fsmonitor \"{evil}\"\n\
         rm -f '{}'; echo more >> a",
        text(&ran)
    );
    agent_that_ran(&ctl, Some(text(&repository(&daemon))), &[], &script);
    let names = lines(&ctl, &["workspace", "diff", "sh", "--name-status"]);
    assert_eq!(names, set(&["A\t.gitattributes", "M\ta", "A\tpost-index-change"]));
    assert!(ctl.ok(&["workspace", "diff", "sh"]).contains("+more"));
    assert!(!ran.exists(), "nothing that the agent named is run");
    let workspace = ctl.ok(&["workspace", "path", "sh"]);
    std::fs::remove_dir_all(std::path::Path::new(&workspace).join(".git")).unwrap();
    let error = ctl.refused(4, &["workspace", "diff", "sh"]);
    assert_eq!(error["code"], "workspace_unreadable", "{error}");
    assert!(error["message"].as_str().unwrap().contains("no git repository any more"), "{error}");
}

#[test]
fn workspace_diff_of_a_copied_folder_tells_what_was_added_modified_and_deleted() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let folder = daemon.folder().join("stuff");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    for name in ["same", "grows", "goes", "deep/mode"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let work =
        "echo more >> grows; rm goes; chmod +x deep/mode; mkdir new; ln -s /etc new/link; git init -q .";
    agent_that_ran(&ctl, Some(text(&folder)), &[], work);
    let expected = ["A\t.git/", "M\tdeep/mode", "D\tgoes", "M\tgrows", "A\tnew/", "A\tnew/link"];
    assert_eq!(lines(&ctl, &["workspace", "diff", "sh"]), set(&expected));
    let stat = ctl.ok(&["workspace", "diff", "sh", "--stat"]);
    assert!(
        stat.contains(" grows | 1 -> 6 bytes") && stat.ends_with(" 3 added, 1 deleted, 2 modified"),
        "{stat}"
    );
    // What it is compared with is known again after a crash, and when the agent is over.
    ctl.ok(&["agent", "terminate", "sh"]);
    assert_eq!(lines(&ctl, &["workspace", "diff", "sh"]), set(&expected));
}

#[test]
fn workspace_diff_of_an_empty_one_tells_all_there_is_and_masks_secrets() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let _set = ctl.run_with(&["secret", "set", "TOKEN"], "canary-in-a-name").expect_code(0);
    agent_that_ran(&ctl, None, &["--secret", "TOKEN"], "echo x > \"$TOKEN\"; echo x > plain");
    assert_eq!(lines(&ctl, &["workspace", "diff", "sh"]), set(&["A\t***", "A\tplain"]));
    ctl.ok(&["agent", "terminate", "sh"]);
    ctl.ok(&["workspace", "remove", "sh"]);
    assert_eq!(ctl.refused(3, &["workspace", "diff", "sh"])["code"], "workspace_gone");
}

#[test]
fn workspace_diff_lets_no_file_of_an_agent_steer_a_terminal() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    let work = "printf 'a\\033]0;title\\007b\\n' >> a";
    agent_that_ran(&ctl, Some(text(&repository(&daemon))), &[], work);
    let shown = ctl.on_terminal(&["workspace", "diff", "sh"], "").expect_code(0).stdout;
    assert!(shown.contains("title") && !shown.contains("\u{1b}]0"), "{shown:?}");
    assert!(ctl.ok(&["workspace", "diff", "sh"]).contains("\u{1b}]0"), "a patch is the bytes that it is");
    assert_eq!(git(&daemon.folder().join("project"), &["status", "--short"]), "");
}

#[test]
fn workspace_diff_of_what_nobody_changed_is_empty() {
    let (_daemon, ctl) = daemon_with_agent();
    assert_eq!(ctl.ok(&["workspace", "diff", "a"]), "");
    assert_eq!(ctl.json(&["workspace", "diff", "a"]), serde_json::json!([]));
}
