//! `agent attach`: what the running attempt writes, and what we type to it. Several may be attached at
//! once; a restart of the daemon is outlived.
//!
//! Not for: waiting for the next attempt (`agent logs -f`).

pub(crate) mod keys;
pub(crate) mod writer;

use fusion_proto::v1::{self, GetAgentRequest, GetTaskRequest};

use self::keys::{Keys, Terminal};
use self::writer::{Typed, Writer};
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::commands::run::follow::Follow;
use crate::error::{Complaint, Exit, Stop};

const AFTER: &str = "\
Ends with the attempt, with its exit code; or detached, with 0. ctrl-p ctrl-q detaches and
leaves the program alone, and so does Ctrl-C; Ctrl-D does not close the program's input, `agent
send AGENT --close` does. Lines are sent as they are completed. The program can only be written
to if its task was submitted with --interactive or its profile says stdin = \"open\". It speaks
through pipes, which outlive the daemon and are kept as logs: it sees no terminal.

Examples:
  fusionctl agent attach builder --tail 20
  fusionctl agent attach builder --no-stdin";

/// The keys that detach where nobody says otherwise, as those of docker.
pub(crate) const DETACH_KEYS: &str = "ctrl-p,ctrl-q";

/// Arguments of `agent attach`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// Watch alone
    #[arg(long)]
    no_stdin: bool,
    /// Begin with so many lines of what was written before, or `all`
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_tail)]
    tail: Tail,
    /// Keys that detach: letters or ctrl-LETTER, with commas between
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS, value_parser = Keys::parse)]
    detach_keys: Keys,
}

/// How much of what was written before is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    All,
    Lines(u64),
}

fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail::All);
    }
    text.parse().map(Tail::Lines).map_err(|_| format!("{text:?} is neither a number of lines nor `all`"))
}

/// Attaches until the attempt ends or the user leaves.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let (agent, task, attempt) = running(&link, args.agent).await?;
    let mut follow = Follow::new(&link, &task);
    match args.tail {
        Tail::All => {}
        Tail::Lines(count) => follow.tail(&mut session.out, attempt, count).await?,
    }
    let writer = Writer::new(&link, &agent, &task, attempt);
    let left = if args.no_stdin {
        watch(&mut session, &mut follow, attempt, std::future::pending()).await?
    } else {
        // Asked before anything is typed: a closed input is told at once.
        writer.check().await.map_err(or_watch)?;
        let terminal = Terminal::open(&args.detach_keys);
        let typed = Typed::stdin(args.detach_keys, terminal.is_some(), writer::AtEnd::Leave);
        let typing = writer.pump(typed);
        watch(&mut session, &mut follow, attempt, typing).await?
    };
    match left {
        Left::Detached => Ok(Exit::Done),
        Left::Ended => exit_of(&link, &task, attempt).await,
    }
}

/// Who cannot write may watch.
fn or_watch(stop: Stop) -> Stop {
    match stop {
        Stop::Complaint(complaint) if matches!(complaint.code.as_str(), "stdin_closed" | "input_refused") => {
            let hint = complaint.hint.as_deref().unwrap_or_default();
            let hint = format!("`--no-stdin` watches alone; to write, {hint}");
            complaint.hint(hint).into()
        }
        Stop::Complaint(_) | Stop::OutputClosed | Stop::TerminalGone => stop,
    }
}

enum Left {
    Detached,
    Ended,
}

/// Prints until the attempt ends or the typing says that it is enough.
async fn watch(
    session: &mut Session,
    follow: &mut Follow<'_>,
    attempt: u32,
    typing: impl Future<Output = Result<(), Stop>>,
) -> Result<Left, Stop> {
    let printing = follow.until_over(&mut session.out, attempt);
    let (mut printing, mut typing) = (std::pin::pin!(printing), std::pin::pin!(typing));
    tokio::select! {
        printed = &mut printing => printed.map(|()| Left::Ended),
        typed = &mut typing => typed.map(|()| Left::Detached),
        _ = tokio::signal::ctrl_c() => Ok(Left::Detached),
    }
}

/// The agent, the task it works on and the attempt.
pub(crate) async fn running(link: &Link, agent: String) -> Result<(String, String, u32), Stop> {
    let get = GetAgentRequest { agent };
    let agent = link.repeat(async || link.agents().get_agent(get.clone()).await).await?;
    let Some(task) = agent.task else {
        let message = format!("agent {} works on nothing", agent.name);
        let complaint = Complaint::new(Exit::Refused, "agent_state", message);
        return Err(complaint
            .hint(format!("`fusionctl agent logs {} -f` waits for its next attempt", agent.name))
            .into());
    };
    let attempt = newest(link, &task).await?.map_or(1, |attempt| attempt.number);
    Ok((agent.id, task, attempt))
}

async fn newest(link: &Link, task: &str) -> Result<Option<v1::Attempt>, Stop> {
    let get = GetTaskRequest { task: task.to_owned() };
    let task = link.repeat(async || link.tasks().get_task(get.clone()).await).await?;
    Ok(task.attempts.last().cloned())
}

/// What the attempt ended with.
async fn exit_of(link: &Link, task: &str, number: u32) -> Result<Exit, Stop> {
    let get = GetTaskRequest { task: task.to_owned() };
    let task = link.repeat(async || link.tasks().get_task(get.clone()).await).await?;
    let attempt = task.attempts.into_iter().find(|attempt| attempt.number == number);
    let code = attempt.and_then(|attempt| match (attempt.exit_code, attempt.signal) {
        (Some(code), _) => Some(code),
        (None, Some(signal)) => Some(128 + signal),
        (None, None) => None,
    });
    Ok(match code.and_then(|code| u8::try_from(code).ok()) {
        Some(0) => Exit::Done,
        Some(code) => Exit::Program(code),
        None => Exit::Failed,
    })
}

/// Whether an attempt is over; a daemon that is away is waited for.
pub(crate) async fn is_over(link: &Link, task: &str, number: u32) -> Result<bool, Stop> {
    let mut patience = Patience::new();
    loop {
        let get = GetTaskRequest { task: task.to_owned() };
        match link.tasks().get_task(get).await {
            Ok(task) => {
                let found = task.into_inner().attempts.into_iter().find(|attempt| attempt.number == number);
                return Ok(found.is_none_or(|attempt| attempt.end_time.is_some()));
            }
            Err(status) => patience.outlive(link, status).await?,
        }
    }
}
