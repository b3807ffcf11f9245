//! Stories about the places: `--user`, and system mode, which runs in namespaces of its own so that the machine's
//! `/run`, `/var/lib` and users stay as they are.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use fusion_tests::{Deadline, binary, processes, users, wait_for_exit, wait_readable};

/// The gid of the group `fusion` in the cell.
const FUSION: u32 = 60_010;

/// Namespaces with an empty `/run` and `/var/lib` and a group `fusion` that the first test user is in. All that runs
/// in it ends with it.
struct Cell {
    init: Child,
    pid: String,
}

impl Cell {
    fn new() -> Self {
        let (first, second) = (users::first(), users::second());
        let script = format!(
            "mount -t tmpfs -o mode=755 tmpfs /var/lib && cp /etc/group /var/lib/group && \
             echo 'fusion:x:{FUSION}:{0}' >> /var/lib/group && mount --bind /var/lib/group /etc/group && \
             mount -t tmpfs -o mode=755 tmpfs /run && echo ready {1} && while read -r line; do :; done",
            first.name, second.name
        );
        let mut init = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let mut line = String::new();
        let stdout = init.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        assert!(line.starts_with("ready"), "the cell cannot be furnished");
        let children = format!("/proc/{0}/task/{0}/children", init.id());
        let pid = std::fs::read_to_string(children).expect("unshare has a child").trim().to_owned();
        Self { init, pid }
    }

    /// A command inside, as uid `uid` with the supplementary group `group`.
    fn command(&self, who: Option<(u32, Option<u32>)>, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-m", "-p", "--"]);
        if let Some((uid, group)) = who {
            let id = uid.to_string();
            command.args(["setpriv", "--reuid", &id, "--regid", &id]);
            match group {
                Some(group) => command.args(["--groups", &group.to_string()]),
                None => command.arg("--clear-groups"),
            };
        }
        command.arg(program).args(args).current_dir("/").env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
        command
    }

    fn ctl(&self, who: Option<(u32, Option<u32>)>, args: &[&str]) -> Output {
        self.command(who, &binary("fusionctl"), args).output().expect("nsenter can be started")
    }

    /// Starts fusiond in system mode; returns when it is ready.
    fn start(&self, folder: &Path) -> Child {
        let path = folder.join("notify");
        drop(std::fs::remove_file(&path));
        let notify = std::os::unix::net::UnixDatagram::bind(&path).expect("our own folder can be written");
        let mut command = self.command(None, &binary("fusiond"), &[]);
        let daemon = command
            .env("NOTIFY_SOCKET", &path)
            .stderr(Stdio::null())
            .spawn()
            .expect("nsenter can be started");
        let socket = std::os::fd::AsFd::as_fd(&notify);
        assert!(wait_readable(&[socket], Deadline::default()).is_some(), "fusiond did not get ready");
        daemon
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // The daemon names its control groups after this file, which ends with the cell.
        let id = std::fs::read_to_string(format!("/proc/{}/root/var/lib/fusiond/id", self.pid));
        drop(self.init.kill());
        drop(self.init.wait());
        // The first process of the cell ends when all others have.
        let pid = self.pid.parse().ok().and_then(rustix::process::Pid::from_raw);
        let _gone = pid.is_none_or(|pid| wait_for_exit(pid, Deadline::default()));
        if let Ok(id) = id {
            processes::remove_groups(&format!("fusion-{id}"));
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn system_mode_serves_the_group_and_refuses_agents_of_root() {
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell::new();
    let mut daemon = cell.start(folder.path());
    let (inside, outside) = (Some((users::first().uid, Some(FUSION))), Some((users::second().uid, None)));
    let status = text(&cell.ctl(None, &["-o", "json", "system", "status"]));
    assert!(status.contains(r#""mode":"system""#) || status.contains(r#""mode": "system""#), "{status}");
    let refused = cell.ctl(None, &["agent", "spawn", "a", "--profile", "shell"]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
    let spawned = cell.ctl(inside, &["agent", "spawn", "a", "--profile", "shell"]);
    assert_eq!(spawned.status.code(), Some(0), "{}", text(&spawned));
    let done =
        cell.ctl(inside, &["task", "submit", "--wait", "test $(id -u) = 60001 && test $(id -G) = 60001"]);
    assert_eq!(done.status.code(), Some(0), "the group fusion is dropped: {}", text(&done));
    let kept_out = cell.ctl(outside, &["agent", "list"]);
    assert!(matches!(kept_out.status.code(), Some(5 | 6)), "{}", text(&kept_out));
    let modes =
        "stat -c '%a %U:%G' /run/fusiond/fusiond.sock; stat -c %a /var/lib/fusiond/store 2>/dev/null || true";
    let shown = text(&cell.command(None, Path::new("/bin/sh"), &["-c", modes]).output().unwrap());
    assert!(shown.starts_with("660 root:fusion"), "{shown}");
    drop(daemon.kill());
    drop(daemon.wait());
}

#[test]
fn system_mode_keeps_agents_when_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell::new();
    let mut daemon = cell.start(folder.path());
    let inside = Some((users::first().uid, Some(FUSION)));
    let spawned = cell.ctl(inside, &["agent", "spawn", "a", "--profile", "shell"]);
    assert_eq!(spawned.status.code(), Some(0), "{}", text(&spawned));
    let submitted = cell.ctl(inside, &["-q", "task", "submit", "sleep 2; echo kept"]);
    let task = text(&submitted).trim().to_owned();
    let stop = "kill -TERM $(pgrep -x fusiond)";
    cell.command(None, Path::new("/bin/sh"), &["-c", stop]).status().unwrap();
    daemon.wait().unwrap();
    let shims =
        cell.command(None, Path::new("/usr/bin/pgrep"), &["-c", "-x", "fusion-shim"]).output().unwrap();
    assert_eq!(text(&shims).trim(), "1");
    let mut daemon = cell.start(folder.path());
    let waited = cell.ctl(inside, &["task", "wait", &task, "--timeout", "30s"]);
    assert_eq!(waited.status.code(), Some(0), "{}", text(&waited));
    assert_eq!(text(&cell.ctl(inside, &["task", "result", &task])).trim(), "kept");
    drop(daemon.kill());
    drop(daemon.wait());
}

#[test]
fn who_cannot_reach_the_system_daemon_is_told_whose_leave_is_missing_and_what_starts_it() {
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell::new();
    let (inside, outside) = (Some((users::first().uid, Some(FUSION))), Some((users::second().uid, None)));
    let absent = text(&cell.ctl(outside, &["agent", "list"]));
    assert!(absent.contains("`fusiond --user` for yourself, `sudo fusiond` for every user"), "{absent}");
    assert!(absent.contains("XDG_RUNTIME_DIR is not set"), "{absent}");
    let sh = |script: &str| cell.command(None, Path::new("/bin/sh"), &["-c", script]).status().unwrap();
    let unit = "mkdir -p /run/systemd/system && touch /run/systemd/system/fusiond.service";
    sh(unit);
    let (user, root) =
        (text(&cell.ctl(outside, &["agent", "list"])), text(&cell.ctl(None, &["agent", "list"])));
    assert!(user.contains("hint: start it with `sudo systemctl start fusiond`"), "{user}");
    assert!(root.contains("hint: start it with `systemctl start fusiond`"), "{root}");

    // With this folder there, a daemon would take systemd for running.
    sh("rm -r /run/systemd");
    let mut daemon = cell.start(folder.path());
    let denied = cell.ctl(outside, &["agent", "list"]);
    let said = text(&denied);
    assert_eq!(denied.status.code(), Some(5), "{said}");
    let name = users::second().name;
    assert!(
        said.contains(&format!("it serves the group fusion: `sudo usermod -aG fusion {name}`")),
        "{said}"
    );
    // The first user is in the group, but a login from before that does not know it.
    let stale = text(&cell.ctl(Some((users::first().uid, None)), &["agent", "list"]));
    assert!(stale.contains("log in again, or `newgrp fusion`"), "{stale}");
    assert_eq!(cell.ctl(inside, &["agent", "list"]).status.code(), Some(0));

    sh("kill -9 $(pgrep -x fusiond)");
    daemon.wait().unwrap();
    sh(unit);
    let ended = text(&cell.ctl(inside, &["agent", "list"]));
    assert!(ended.contains("`sudo systemctl restart fusiond`; `journalctl -u fusiond` tells why"), "{ended}");
}

#[test]
fn user_mode_is_refused_for_root() {
    let output = Command::new(binary("fusiond")).arg("--user").output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("--user"), "{}", text(&output));
}

#[test]
fn user_mode_lives_in_the_folders_of_its_user() {
    let user = users::first();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.uid)).unwrap();
    let path = |name: &str| folder.path().join(name);
    let prepare = |program: &str, args: &[&str]| {
        let mut command = Command::new(binary(program));
        command.args(args).uid(user.uid).gid(user.uid).current_dir("/").env("HOME", folder.path());
        for (name, value) in [("RUNTIME_DIR", "run"), ("STATE_HOME", "state"), ("CONFIG_HOME", "config")] {
            std::fs::create_dir_all(path(value)).unwrap();
            std::os::unix::fs::chown(path(value), Some(user.uid), Some(user.uid)).unwrap();
            command.env(format!("XDG_{name}"), path(value));
        }
        std::fs::set_permissions(path("run"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        command
    };
    let notify = std::os::unix::net::UnixDatagram::bind(path("notify")).unwrap();
    std::os::unix::fs::chown(path("notify"), Some(user.uid), Some(user.uid)).unwrap();
    let mut daemon = prepare("fusiond", &["--user"]).env("NOTIFY_SOCKET", path("notify")).spawn().unwrap();
    let ready = wait_readable(&[std::os::fd::AsFd::as_fd(&notify)], Deadline::default()).is_some();
    let ctl = |args: &[&str]| prepare("fusionctl", args).output().unwrap();
    let status = ctl(&["-o", "json", "system", "status"]);
    let spawned = ctl(&["agent", "spawn", "a", "--profile", "shell"]);
    let done = ctl(&["task", "submit", "--wait", "test $(id -u) = 60001"]);
    let stopped = ctl(&["system", "shutdown", "--agents", "stop"]);
    let ended = daemon.wait().unwrap();
    processes::end_all(folder.path());
    assert!(ready && text(&status).contains("user"), "{}", text(&status));
    for output in [spawned, done, stopped] {
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    assert!(ended.success());
    assert!(path("state/fusiond").is_dir() && !path("run/fusiond/fusiond.sock").exists());
}
