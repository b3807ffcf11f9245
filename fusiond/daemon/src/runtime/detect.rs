//! Whether the program of a profile is there: its `detect` command, run as the user who asks, without a shell, bounded in
//! time and output.
//!
//! Not here: which profiles there are, and what to do about a program that is missing (the doors).

use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_core::Uid;
use fusion_sys::pidfd::PidFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::attempt::login_path;
use super::identity::Owner;
use super::{Runtime, Shared};

/// A program that is looked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// What succeeds where it is installed.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The user.
    pub uid: Uid,
    /// Its PATH; empty: that of an agent whose spawn names none.
    pub path: String,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, and said this.
    Present(String),
    /// It is not, for this reason.
    Absent(String),
}

/// Interpreters take some hundred milliseconds to tell their version.
const PATIENCE: Duration = Duration::from_secs(5);
/// More output is read and forgotten.
const OUTPUT_BYTES_MAX: usize = 4 << 10;
/// What is shown of it.
const SAID_CHARS_MAX: usize = 60;
/// What a shell says of a program that it does not find, and `fusion-shim run-as` too.
const NOT_FOUND: i32 = 127;

impl Runtime {
    /// Answers all questions, some at a time, in their order.
    ///
    /// # Errors
    /// Why nobody can be asked, one sentence for people.
    pub async fn detect(&self, asker: Asker, questions: Vec<Question>) -> Result<Vec<Presence>, String> {
        let uid = asker.uid;
        let owner = self.shared.blocking(move |_| Owner::look_up(uid)).await?;
        let path = login_path(&asker.path, &owner.home);
        let context = Arc::new((owner, path));
        let asked: Vec<_> = questions
            .into_iter()
            .map(|question| {
                let (shared, context) = (Arc::clone(&self.shared), Arc::clone(&context));
                tokio::spawn(async move {
                    shared.blocking(move |shared| ask(shared, &context.0, &context.1, &question)).await
                })
            })
            .collect();
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(answer.await.map_err(|error| error.to_string())?);
        }
        Ok(answers)
    }
}

fn ask(shared: &Shared, owner: &Owner, path: &str, question: &Question) -> Presence {
    let program = question.argv.first().map_or("", String::as_str);
    let outcome = start(shared, owner, path, question).and_then(|mut child| {
        let heard = hear(&mut child, Instant::now() + PATIENCE);
        if !matches!(heard, Ok(Some(_))) {
            end(&child);
        }
        Ok((heard?, child.wait()?))
    });
    match outcome {
        Ok((Some(said), status)) => judge(program, &said, status),
        Ok((None, _)) => {
            Presence::Absent(format!("{program} did not answer within {} s", PATIENCE.as_secs()))
        }
        Err(error) => Presence::Absent(format!("{program} could not be asked: {error}")),
    }
}

fn judge(program: &str, said: &[u8], status: ExitStatus) -> Presence {
    if status.success() {
        let said = String::from_utf8_lossy(said);
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
        let shown = line.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX);
        return Presence::Present(shown.collect());
    }
    Presence::Absent(match status.code() {
        Some(NOT_FOUND) => format!("{program} is not installed"),
        Some(_) | None => format!("{program} ended with {status}"),
    })
}

fn start(shared: &Shared, owner: &Owner, path: &str, question: &Question) -> io::Result<Child> {
    let mut command = Command::new(&shared.config.shim_path);
    command.arg("run-as");
    if let Some(identity) = &owner.identity {
        let ids = [identity.uid, identity.gid].into_iter().chain(identity.groups.iter().copied());
        command.args(ids.map(|id| id.to_string()));
    }
    command
        .arg("--")
        .args(&question.argv)
        .env_clear()
        .envs(question.env.iter().map(|(name, value)| (name, value)))
        .env("PATH", path)
        .env("HOME", &owner.home)
        .env("USER", &owner.name)
        .env("LOGNAME", &owner.name)
        .env("TERM", "dumb")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// Until the end of its output and its own; `None` if that takes too long.
fn hear(child: &mut Child, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut heard = Vec::new();
    let mut chunk = [0; 1024];
    if let Some(out) = &mut child.stdout {
        loop {
            if !is_ready(&*out, until)? {
                return Ok(None);
            }
            match out.read(&mut chunk)? {
                0 => break,
                count => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(heard.len());
                    heard.extend_from_slice(&chunk[..count.min(room)]);
                }
            }
        }
    }
    let process = PidFd::open(child.id())?;
    Ok(is_ready(&process, until)?.then_some(heard))
}

fn is_ready(file: impl AsFd, until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends it with what it has started.
#[expect(
    clippy::disallowed_methods,
    reason = "the group's leader is our own child that nobody has waited for"
)]
fn end(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // ESRCH: it is ending just now.
        let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
