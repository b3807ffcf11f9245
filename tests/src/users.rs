//! Unix users made for tests: fixed names, uids from 60000 on, removed by `cargo xtask test` when all is done.
//!
//! They are made once and shared by the tests of a run, since `useradd` takes a global lock and tenths of a second.

use std::os::fd::AsFd as _;
use std::process::Command;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

/// The names, with the uids that they get.
const USERS: &[(&str, u32)] = &[("fusion-t1", 60_001), ("fusion-t2", 60_002)];

/// Serialises `useradd` and `userdel` between the processes of a test run.
const LOCK: &str = "/run/lock/fusion-tests.lock";

/// A Unix user that owns nothing but what tests gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestUser {
    /// The login name.
    pub name: String,
    /// The user id; the primary group has the same number.
    pub uid: u32,
    /// Groups besides the primary one.
    pub groups: Vec<u32>,
}

/// The first test user, made if it is not there. Needs root.
#[must_use]
pub fn first() -> TestUser {
    ensure(0)
}

/// The second test user, made if it is not there. Needs root.
#[must_use]
pub fn second() -> TestUser {
    ensure(1)
}

/// Removes the test users and their groups.
pub fn remove_all() {
    if !crate::is_root() {
        return;
    }
    let _lock = lock();
    for (name, _) in USERS {
        if exists("passwd", name) {
            drop(Command::new("userdel").arg(name).output());
        }
        if exists("group", name) {
            drop(Command::new("groupdel").arg(name).output());
        }
    }
}

fn ensure(index: usize) -> TestUser {
    assert!(crate::is_root(), "this story serves several users: run it as root");
    let (name, uid) = USERS[index];
    let _lock = lock();
    if !exists("passwd", name) {
        run("groupadd", &["--system", "--gid", &uid.to_string(), name]);
        let id = uid.to_string();
        run(
            "useradd",
            &["--system", "--uid", &id, "--gid", &id, "--no-create-home", "--shell", "/bin/sh", name],
        );
    }
    TestUser { name: name.to_owned(), uid, groups: Vec::new() }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} failed: {stderr}");
}

fn exists(database: &str, name: &str) -> bool {
    Command::new("getent").args([database, name]).output().is_ok_and(|output| output.status.success())
}

fn lock() -> std::os::fd::OwnedFd {
    let file = open(LOCK, OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
        .expect("root can make a lock file");
    flock(file.as_fd(), FlockOperation::LockExclusive).expect("a lock file can be locked");
    file
}
