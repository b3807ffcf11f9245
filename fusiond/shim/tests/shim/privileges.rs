//! What an agent is, and what it is not any more. Needs root; without it there is nothing to give up.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use fusion_shim::wire::{Resource, Rlimit};

use crate::rig::{UID, code, is_root, processes_with, with_each_backend};

/// The value of a line of `/proc/PID/status`.
fn value<'a>(status: &'a str, key: &str) -> &'a str {
    let line = status.lines().find(|line| line.starts_with(&format!("{key}:")));
    line.unwrap_or_else(|| panic!("no {key} in {status}")).split_once(':').expect("a colon").1.trim()
}

#[test]
fn an_agent_is_its_user_and_nothing_more() {
    with_each_backend(|rig| {
        let mut spec = rig.attempt(&[
            "sh",
            "-c",
            "cat /proc/self/status; echo cwd $(pwd); echo umask $(umask); \
             echo files $(ulimit -n); echo score $(cat /proc/self/oom_score_adj); echo env $(env | cut -d= -f1 | sort); \
             (echo -900 > /proc/self/oom_score_adj) 2>/dev/null; echo floor $(cat /proc/self/oom_score_adj)",
        ]);
        spec.rlimits = vec![Rlimit { resource: Resource::OpenFiles, soft: 333, hard: 444 }];
        rig.start(1, spec);
        let record = rig.daemon.exited();
        assert_eq!(code(&record), Some(0));
        let text = rig.text(1);
        let word = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} ")));
            line.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
        };
        assert_eq!(word("cwd"), rig.work_folder().to_string_lossy());
        assert_eq!((word("umask").as_str(), word("files").as_str()), ("0077", "333"));
        assert_eq!(word("env"), "FUSION_SOCKET PATH PWD");
        assert_eq!(value(&text, "NoNewPrivs"), "1");
        assert_eq!(value(&text, "SigBlk"), "0000000000000000");
        assert_eq!(value(&text, "SigIgn"), "0000000000000000");
        if is_root() {
            let four = |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t");
            assert_eq!(value(&text, "Uid"), four(UID));
            assert_eq!(value(&text, "Gid"), four(UID + 1));
            assert_eq!(value(&text, "Groups"), format!("{} {}", UID + 2, UID + 3));
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(value(&text, set), "0000000000000000", "{set}");
            }
            assert_eq!((word("score").as_str(), word("floor").as_str()), ("200", "200"));
        }
    });
}

#[test]
fn an_agent_inherits_three_descriptors() {
    with_each_backend(|rig| {
        let spec = rig.attempt(&["sleep", "1000"]);
        rig.start(1, spec);
        let pid = rig.daemon.started().pid;
        let listed = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the agent's descriptors").flatten();
        let mut names: Vec<_> =
            listed.map(|entry| entry.file_name().into_string().expect("a number")).collect();
        names.sort();
        assert_eq!(names, ["0", "1", "2"]);
        rig.stop(1, 0);
        rig.daemon.exited();
    });
}

#[test]
fn a_shim_keeps_four_capabilities_and_no_descriptor_of_others() {
    with_each_backend(|rig| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", rig.welcome.pid)).expect("a status");
        if is_root() {
            // KILL 5, SETGID 6, SETUID 7; SYS_RESOURCE 24 is missing in some containers.
            let sets =
                ["CapEff", "CapPrm"].map(|set| u64::from_str_radix(value(&status, set), 16).expect("a set"));
            assert_eq!(sets.map(|set| set & !(1 << 24)), [0xe0, 0xe0]);
            assert_eq!(value(&status, "CapBnd"), "0000000000000000");
        }
        assert_eq!(value(&status, "Threads"), "1");
        let mode = std::fs::metadata(rig.run_folder().join("shim.sock")).expect("the socket").mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn the_other_user_cannot_write_here() {
    if !is_root() {
        return;
    }
    with_each_backend(|rig| {
        let record =
            rig.run_script(1, "touch own && ! touch ../foreign 2>/dev/null && ! ls ../state 2>/dev/null");
        assert_eq!(code(&record), Some(0));
        let made = std::fs::metadata(rig.work_folder().join("own")).expect("a file");
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (UID, UID + 1, 0o600));
    });
}

#[test]
fn a_tree_is_removed_as_its_owner() {
    let root = tempfile::tempdir().expect("a folder");
    let top = root.path().join("top");
    std::fs::create_dir_all(top.join("a/b/c")).expect("folders");
    std::fs::write(top.join("a/b/file"), "x").expect("a file");
    std::os::unix::fs::symlink("/etc", top.join("a/etc")).expect("a link");
    let identity: &[&str] = if is_root() { &["60123", "60124"] } else { &[] };
    let remove = |expected: bool| {
        let folder = std::fs::File::open(&top).expect("the folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fusion-shim"));
        command.arg("rm-tree").args(identity).stdin(Stdio::from(folder)).stderr(Stdio::null());
        assert_eq!(command.status().expect("the program runs").success(), expected);
    };
    if is_root() {
        remove(false);
        assert!(top.join("a/b/file").exists(), "what belongs to root stays");
        for path in ["", "a", "a/b", "a/b/c", "a/b/file", "a/etc"] {
            std::os::unix::fs::lchown(top.join(path), Some(UID), Some(UID + 1)).expect("chown");
        }
    }
    remove(true);
    assert_eq!(std::fs::read_dir(&top).expect("the folder").count(), 0);
    assert!(std::path::Path::new("/etc/passwd").exists());
    assert_eq!(processes_with("rm-tree"), Vec::<u32>::new());
}
