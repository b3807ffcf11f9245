//! `fusionctl` as a story uses it: a command, its exit code, its text, its JSON. Not here: what commands exist.

use std::io::Read;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use crate::{Deadline, TestUser, Watch, binary, wait_readable};

/// A way to a daemon: a socket, and the user who speaks.
#[derive(Debug, Clone)]
pub struct Ctl {
    socket: PathBuf,
    user: Option<TestUser>,
}

/// What a command left behind.
#[derive(Debug, Clone)]
pub struct Done {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ctl {
    /// Speaks to the daemon behind `socket` as the user who runs the test.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf(), user: None }
    }

    /// Speaks as `user`; needs root.
    #[must_use]
    pub fn as_user(&self, user: &TestUser) -> Self {
        Self { socket: self.socket.clone(), user: Some(user.clone()) }
    }

    /// Speaks through another socket, such as an agent's own.
    #[must_use]
    pub fn through(&self, socket: &Path) -> Self {
        Self { socket: socket.to_path_buf(), user: self.user.clone() }
    }

    /// The command `fusionctl --socket … args`, ready to be started.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.prepare(Command::new(binary("fusionctl")), args)
    }

    /// The same, started by another program: `command` ends where the name of ours is due.
    pub(crate) fn command_by(&self, mut command: Command, args: &[&str]) -> Command {
        command.arg(binary("fusionctl"));
        self.prepare(command, args)
    }

    fn prepare(&self, mut command: Command, args: &[&str]) -> Command {
        command.arg("--socket").arg(&self.socket).args(args).env_remove("FUSION_SOCKET").stdin(Stdio::null());
        if let Some(user) = &self.user {
            // std sets the groups to none and then the ids, in the order that setuid(2) asks for.
            command
                .uid(user.uid)
                .gid(user.uid)
                .env("HOME", "/nonexistent")
                .env("USER", &user.name)
                .current_dir("/");
        }
        command
    }

    /// Runs a command to its end, with nothing on standard input.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, "")
    }

    /// Runs a command to its end, with `input` on standard input.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn run_with(&self, args: &[&str], input: &str) -> Done {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("fusionctl can be started");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // The command may end before it has read everything; that is its right.
            drop(std::io::Write::write_all(&mut { stdin }, input.as_bytes()));
        });
        let stdout = read_all(child.stdout.take().expect("stdout is a pipe"));
        let stderr = read_all(child.stderr.take().expect("stderr is a pipe"));
        let described = format!("fusionctl {}", args.join(" "));
        let in_time = ends_in_time(&child);
        if !in_time {
            drop(child.kill());
        }
        let status = child.wait().expect("our child can be waited for");
        writer.join().expect("the writer does not panic");
        let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("a reader does not panic"));
        assert!(in_time, "`{described}` did not end in time\n  stdout: {stdout}\n  stderr: {stderr}");
        Done { command: described, code: status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Runs a command that must succeed; answers its standard output without the last line break.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "the success of the command is often all that a story asks for"
    )]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect_code(0).stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs a command that must succeed with `-o json`; answers what it printed.
    ///
    /// # Panics
    ///
    /// When it prints something else than JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend_from_slice(args);
        let done = self.run(&all).expect_code(0);
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error} in the output of {done}"))
    }

    /// Runs a command that must fail with the exit code `code`; answers the JSON error on standard error.
    ///
    /// # Panics
    ///
    /// When it exits with another code or without a JSON error.
    #[track_caller]
    #[must_use]
    pub fn refused(&self, code: i32, args: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend_from_slice(args);
        let done = self.run(&all).expect_code(code);
        let object = done.stderr.find('{').map(|at| &done.stderr[at..]).unwrap_or_default();
        serde_json::Deserializer::from_str(object)
            .into_iter()
            .next()
            .and_then(Result::ok)
            .unwrap_or_else(|| panic!("no JSON error on standard error: {done}"))
    }

    /// Runs a command with `-q`; answers the id it printed.
    #[track_caller]
    #[must_use]
    pub fn id(&self, args: &[&str]) -> String {
        let mut all = vec!["-q"];
        all.extend_from_slice(args);
        let done = self.run(&all).expect_code(0);
        let id = done.stdout.trim().to_owned();
        assert!(!id.is_empty() && !id.contains(char::is_whitespace), "one id was expected: {done}");
        id
    }

    /// Spawns an agent called `name` that works through the scripts of fake-agent; answers its id.
    #[track_caller]
    pub fn spawn_fake(&self, name: &str, flags: &[&str]) -> String {
        let program = binary("fake-agent");
        let mut args = vec!["agent", "spawn", name, "--profile", "command"];
        args.extend_from_slice(flags);
        args.extend_from_slice(&["--", program.to_str().expect("the target folder has a plain name")]);
        self.id(&args)
    }

    /// Submits one task; answers its id.
    #[track_caller]
    #[must_use]
    pub fn submit(&self, text: &str, flags: &[&str]) -> String {
        let mut args = vec!["task", "submit"];
        args.extend_from_slice(flags);
        args.push(text);
        self.id(&args)
    }

    /// Waits until the task has ended, however it ends; answers it.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    pub fn ended(&self, task: &str) -> Value {
        let done = self.run(&["task", "wait", task, "--timeout", "40s"]);
        assert!(matches!(done.code, 0 | 1), "the task did not end: {done}");
        self.json(&["task", "show", task])
    }

    /// Waits until `holds` answers something, asking again after each event.
    ///
    /// # Panics
    ///
    /// When it does not hold in time.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut holds: impl FnMut(&Self) -> Option<T>) -> T {
        let mut watch = Watch::from_now(self);
        let deadline = Deadline::default();
        loop {
            if let Some(value) = holds(self) {
                return value;
            }
            assert!(watch.next_before(deadline).is_some(), "{what}: not in time");
        }
    }

    /// Waits until the agent is in `state`; answers it.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "that the state is reached is often all that a story asks for"
    )]
    pub fn agent_in(&self, agent: &str, state: &str) -> Value {
        self.until(&format!("agent {agent} is {state}"), |ctl| {
            let shown = ctl.json(&["agent", "show", agent]);
            (shown["state"] == state).then_some(shown)
        })
    }

    /// Waits until the task is in `state`; answers it.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "that the state is reached is often all that a story asks for"
    )]
    pub fn task_in(&self, task: &str, state: &str) -> Value {
        self.until(&format!("task {task} is {state}"), |ctl| {
            let shown = ctl.json(&["task", "show", task]);
            (shown["state"] == state).then_some(shown)
        })
    }
}

impl Done {
    /// The same, if it exited with `code`.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.code == code, "exit code {code} was expected: {self}");
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "`{command}` exited with {code}\n  stdout: {stdout}\n  stderr: {stderr}")
    }
}

pub(crate) fn ends_in_time(child: &Child) -> bool {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("our child, not waited for, has a pid");
    wait_readable(&[pidfd.as_fd()], Deadline::default()).is_some()
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
