//! Whether the program of a profile is there: its `detect` command, run as the user who asks, without a shell, bounded in
//! time and output.
//!
//! Not here: which profiles there are, and what to do about a program that is missing (the doors).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_core::Uid;
use tokio::task::JoinSet;

use super::attempt::login_path;
use super::errand::{Ended, attend, start_as};
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
        // Ended with whoever waits for the answers.
        let mut asked = JoinSet::new();
        for (place, question) in questions.into_iter().enumerate() {
            let (shared, context) = (Arc::clone(&self.shared), Arc::clone(&context));
            asked.spawn(async move {
                let act = move |shared: &Shared| ask(shared, &context.0, &context.1, &question);
                (place, shared.in_turn(&shared.turns.questions, uid, act).await)
            });
        }
        let mut answers = BTreeMap::new();
        while let Some(answer) = asked.join_next().await {
            answers.extend([answer.map_err(|error| error.to_string())?]);
        }
        Ok(answers.into_values().collect())
    }
}

fn ask(shared: &Shared, owner: &Owner, path: &str, question: &Question) -> Presence {
    let program = question.argv.first().map_or("", String::as_str);
    let mut said = Vec::new();
    let mut keep = |piece: &[u8]| {
        let room = OUTPUT_BYTES_MAX.saturating_sub(said.len());
        said.extend_from_slice(&piece[..piece.len().min(room)]);
        ControlFlow::Continue(())
    };
    let child = start(shared, owner, path, question);
    match child.and_then(|child| attend(child, Instant::now() + PATIENCE, &mut keep)) {
        Ok(Ended::Exited(status, _)) => judge(program, &said, status),
        Ok(Ended::TooLong | Ended::Unheard) => {
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
    let argv: Vec<&str> = question.argv.iter().map(String::as_str).collect();
    // What is asked for in a profile yields to what is true of the user.
    let own = [
        ("PATH", OsStr::new(path)),
        ("HOME", owner.home.as_os_str()),
        ("USER", OsStr::new(&owner.name)),
        ("LOGNAME", OsStr::new(&owner.name)),
        ("TERM", OsStr::new("dumb")),
    ];
    let wanted = question.env.iter().map(|(name, value)| (name.as_str(), OsStr::new(value)));
    let env: BTreeMap<&str, &OsStr> = wanted.chain(own).collect();
    let env: Vec<(&str, &OsStr)> = env.into_iter().collect();
    start_as(&shared.config.shim_path, owner, &argv, &env, [Stdio::piped(), Stdio::null()])
}
