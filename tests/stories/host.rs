//! Stories of `--host ssh://…`: a real ssh server on the loopback address with keys of its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fusion_tests::{Daemon, Done, binary};
use tempfile::TempDir;

/// An `sshd` that lets in whoever runs the test, and an `ssh` that knows it.
pub(super) struct Server {
    folder: TempDir,
    child: Child,
    port: u16,
    user: String,
}

impl Server {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for key in ["host", "user"] {
            let file = folder.path().join(key);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
            assert!(
                made.is_ok_and(|status| status.success()),
                "ssh-keygen is not installed: run `cargo xtask test`"
            );
        }
        let port = free_port();
        let user = output("id", &["-un"]);
        let here = folder.path().display();
        let programs = binary("fusionctl");
        let programs = programs.parent().expect("a program lies in a folder").display().to_string();
        std::fs::copy(folder.path().join("user.pub"), folder.path().join("authorized"))
            .expect("our own folder");
        write(
            folder.path(),
            "sshd_config",
            &format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n\
             SetEnv PATH={programs}:/usr/bin:/bin\n"
            ),
        );
        write(
            folder.path(),
            "ssh_config",
            &format!(
                "Host *\n  IdentityFile {here}/user\n  IdentitiesOnly yes\n  BatchMode yes\n  LogLevel ERROR\n\
             \u{20} StrictHostKeyChecking no\n  UserKnownHostsFile {here}/known\n"
            ),
        );
        std::fs::create_dir(folder.path().join("bin")).expect("our own folder");
        let wrapper = format!("#!/bin/sh\nexec /usr/bin/ssh -F {here}/ssh_config \"$@\"\n");
        write(folder.path(), "bin/ssh", &wrapper);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path().join("bin/ssh"), mode).expect("our own file");
        let child = serve(folder.path());
        Self { folder, child, port, user }
    }

    pub(super) fn address(&self, daemon: &Daemon) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, daemon.socket().display())
    }

    /// The folder of an `ssh` that knows this server.
    pub(super) fn programs(&self) -> std::path::PathBuf {
        self.folder.path().join("bin")
    }

    fn ctl(&self, host: &str, args: &[&str]) -> Done {
        let path = format!("{}:/usr/bin:/bin", self.programs().display());
        let mut command = Command::new(binary("fusionctl"));
        command.arg("--host").arg(host).args(args).env("PATH", path).env_remove("FUSION_SOCKET");
        let output = command.stdin(Stdio::null()).output().expect("fusionctl can be started");
        Done {
            command: format!("fusionctl --host {host} {}", args.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the server; returns when it listens.
fn serve(folder: &Path) -> Child {
    if fusion_tests::is_root() {
        std::fs::create_dir_all("/run/sshd").expect("root can make the folder that sshd wants");
    }
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sshd is not installed: run `apt-get install openssh-server`, or `cargo xtask test`");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !said.contains("Server listening") {
        let count = lines.read_line(&mut said).expect("sshd says something");
        assert!(count > 0, "sshd did not start: {said}");
    }
    // Nobody reads on: sshd must not meet a closed pipe.
    std::thread::spawn(move || drop(std::io::copy(&mut lines, &mut std::io::sink())));
    child
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("our own folder can be written");
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("the program is part of every system");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

#[test]
fn host_by_ssh_speaks_to_the_daemon_as_the_user_who_logged_in() {
    let daemon = Daemon::start();
    let server = Server::start();
    let address = server.address(&daemon);
    let spawned = server.ctl(&address, &["agent", "spawn", "far", "--profile", "shell"]).expect_code(0);
    assert!(spawned.stdout.starts_with("agt_"), "{spawned}");
    let text = "x".repeat(900_000);
    let submit = server.ctl(
        &address,
        &["task", "submit", "--capability", "sh", "--wait", "--key", "big", "printf done; # x"],
    );
    assert!(submit.expect_code(0).stdout.contains("succeeded"));
    let result = server.ctl(&address, &["task", "result", "key:big"]).expect_code(0);
    assert_eq!(result.stdout.trim(), "done");
    // More than any buffer on the way holds, in both directions.
    let file = daemon.folder().join("tasks.jsonl");
    let line = format!("{{\"prompt\": \"echo {text}\", \"key\": \"long\", \"capabilities\": [\"sh\"]}}\n");
    std::fs::write(&file, line).expect("our own folder can be written");
    let many = server
        .ctl(&address, &["task", "submit", "--file", file.to_str().expect("plain letters")])
        .expect_code(0);
    assert!(many.stdout.starts_with("tsk_"), "{many}");
    let agent = server.ctl(&address, &["-o", "json", "agent", "show", "far"]).expect_code(0);
    assert!(agent.stdout.contains(&format!("\"user\": \"{}\"", server.user)), "{agent}");
}

#[test]
fn host_by_ssh_that_cannot_be_reached_says_what_to_do() {
    let mut daemon = Daemon::start();
    let server = Server::start();
    let nobody = server.ctl(&format!("ssh://127.0.0.1:{}", free_port()), &["agent", "list"]).expect_code(6);
    assert!(nobody.stderr.contains("cannot reach ssh://"), "{nobody}");
    assert!(nobody.stderr.contains("hint: see whether `ssh -p "), "{nobody}");
    let address = server.address(&daemon);
    daemon.kill9();
    let away = server.ctl(&address, &["agent", "list"]).expect_code(6);
    assert!(away.stderr.contains("no daemon answers on 127.0.0.1"), "{away}");
    // The other side says how it is started there.
    assert!(away.stderr.contains(&format!("fusiond --root {}", daemon.root().display())), "{away}");
    let wrong = server.ctl("127.0.0.1", &["agent", "list"]).expect_code(2);
    assert!(wrong.stderr.contains("expected ssh://"), "{wrong}");
    let restore = server.ctl(&address, &["system", "restore", "x"]).expect_code(2);
    assert!(restore.stderr.contains("hint: log in there"), "{restore}");
}
