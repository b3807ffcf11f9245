//! A program that is run as a user, and what it leaves behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::rig::{is_root, processes_with};

/// The program `run-as`, as its own user, or another one if the tests are root's.
fn as_user(argv: &[&str], env: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fusion-shim"));
    command.arg("run-as").args(if is_root() { &["60123", "60124"][..] } else { &[] }).arg("--").args(argv);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the shim starts");
    let block: Vec<u8> = env.iter().flat_map(|pair| [pair.as_bytes(), b"\0"].concat()).collect();
    let length = u32::try_from(block.len()).expect("a few bytes").to_le_bytes();
    let pipe = child.stdin.as_mut().expect("a pipe");
    pipe.write_all(&[&length, &block[..]].concat()).expect("the environment is taken");
    child
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("words");
    text
}

/// [`Child::wait`] would close its standard input first.
fn end(child: &mut Child) -> ExitStatus {
    let _wanted = child.stdin.take();
    child.wait().expect("an end")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    line
}

#[test]
fn what_runs_as_a_user_goes_first_when_memory_is_short() {
    if !is_root() {
        return;
    }
    let mut child = as_user(&["/bin/cat", "/proc/self/oom_score_adj"], &[]);
    assert_eq!(said(&mut child), "200\n");
    assert!(end(&mut child).success());
}

#[test]
fn a_users_environment_is_that_of_the_program_alone() {
    let mut child =
        as_user(&["sh", "-c", "echo $WORD; exec sleep 7300"], &["PATH=/usr/bin:/bin", "WORD=told"]);
    assert_eq!(first_line(&mut child), "told\n");
    if is_root() {
        let environ = std::fs::read(format!("/proc/{}/environ", child.id())).expect("that of the shim");
        assert!(!String::from_utf8_lossy(&environ).contains("told"));
    }
    drop(child.stdin.take());
    end(&mut child);
}

#[test]
fn what_a_program_leaves_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let script = "mkfifo $AT/ready; \
        setsid sh -c 'trap \"\" TERM HUP; echo leaves; echo >$AT/ready; exec sleep 7301' & \
        read -r line <$AT/ready; exit 7";
    let at = format!("AT={}", folder.path().display());
    let mut child = as_user(&["sh", "-c", script], &["PATH=/usr/bin:/bin", &at]);
    assert_eq!(said(&mut child), "leaves\n", "the pipe ends with the last that holds it");
    assert_eq!(end(&mut child).code(), Some(7));
    assert_eq!(processes_with("7301"), Vec::<u32>::new());
}

#[test]
fn what_nobody_wants_any_more_ends_with_all_that_it_started() {
    let script = "setsid sleep 7302 & echo goes on; exec sleep 7302";
    let mut child = as_user(&["sh", "-c", script], &["PATH=/usr/bin:/bin"]);
    assert_eq!(first_line(&mut child), "goes on\n");
    drop(child.stdin.take());
    assert!(!end(&mut child).success());
    assert_eq!(processes_with("7302"), Vec::<u32>::new());
}

#[test]
fn a_program_that_is_missing_gives_the_status_of_shells() {
    let code = |argv: &[&str]| end(&mut as_user(argv, &["PATH=/usr/bin:/bin"])).code();
    assert_eq!([code(&["fusion-no-such-program"]), code(&["/"])], [Some(127), Some(126)]);
    assert_eq!(code(&["sh", "-c", "kill -9 $$"]), Some(137));
}
