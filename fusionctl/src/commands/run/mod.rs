//! `run`: one task with an agent of its own, in the foreground: output as it comes, the program's exit
//! code as our own, an interrupt as a cancel.
//!
//! Not for: tasks that wait in the queue for agents (`task submit`).

mod exit;
pub(crate) mod follow;
mod signals;

use std::path::PathBuf;
use std::time::Duration;

use fusion_proto::v1::{
    CancelTaskRequest, GetTaskRequest, GetWorkspaceRequest, RunTaskRequest, RunTaskResponse, Task, TaskState,
    TerminateAgentRequest, WaitTasksRequest, Workspace,
};

use self::follow::Follow;
use self::signals::Signals;
use crate::client::{Link, Patience};
use crate::commands::agent::attach::DETACH_KEYS;
use crate::commands::agent::attach::keys::{Keys, Terminal};
use crate::commands::agent::attach::writer::{AtEnd, Typed, Writer};
use crate::commands::agent::spawn;
use crate::commands::task::progress::Board;
use crate::commands::task::result::{self, Ending};
use crate::commands::task::{store, submit, wait};
use crate::commands::{HUNG_UP, Session};
use crate::env_file::Env;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Format;
use crate::view::task::Task as View;
use crate::view::word::{short_id, wire_duration};

const AFTER: &str = "\
The agent is started for the task and ends with it. What the program writes to stdout and stderr
comes out there; with --result stdout has the answer alone, which the profile finds in it. Ctrl-C
cancels the task, and so does the end of the terminal, unless nohup(1) or -d is used; a second
Ctrl-C kills it at once. With -o json the task is printed at its end instead of its output, with
-q its id alone.

Exits with the program's own code; with 128 + N when signal N ended it, 127 when there is no
such program, 130 when it was interrupted, 7 when its time was over, and 1 when it failed
otherwise or its outcome is unknown. Errors of fusionctl itself have the exit codes of
`fusionctl help` and begin with `error:`.

Examples:
  fusionctl run shell 'make -C \"$HOME/src\" check'
  fusionctl run claude 'Explain the failing test' --result --timeout 10m --memory 2G
  fusionctl run claude 'Mend the failing test' --from ~/project
  fusionctl run claude 'Mend the failing test' --workdir ~/project
  git diff | fusionctl run command - -- wc -l
  fusionctl run -i command -- python3 -i
  fusionctl run -d --rm shell 'sleep 60; date'";

/// How long workspace and logs of a run with --rm are kept for those who still read them.
const RM_KEEPS: Duration = Duration::from_secs(60);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// What the agent is made of (`fusionctl profile list`)
    profile: String,
    /// The prompt; `-` reads it from stdin
    #[arg(conflicts_with = "input_file")]
    prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// What is run: for profiles that take a command, or instead of a prompt
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Do not wait: print the id of the task
    #[arg(long, short)]
    detach: bool,
    /// Pass on what is typed: the program's standard input stays open behind the prompt
    #[arg(long, short, conflicts_with = "detach")]
    interactive: bool,
    /// Show the result of the task at its end instead of what the program writes to stdout
    #[arg(long, conflicts_with = "detach")]
    result: bool,
    /// Remove workspace and logs a minute after the end
    #[arg(long)]
    rm: bool,
    /// Name of the agent, which is started for this then [default: made from the profile's]
    #[arg(long)]
    name: Option<String>,
    /// Something the agent can do besides what its profile says (may be repeated)
    #[arg(long = "capability", short, value_name = "C")]
    capabilities: Vec<String>,
    #[command(flatten)]
    env: Env,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten, next_help_heading = "Agent")]
    agent: spawn::Bounds,
    #[command(flatten, next_help_heading = "Task")]
    task: submit::Terms,
}

impl Args {
    fn request(self) -> Result<RunTaskRequest, Stop> {
        let has_prompt = self.prompt.is_some() || self.input_file.is_some();
        if !has_prompt && self.command.is_empty() && !self.interactive {
            let complaint = Complaint::usage("there is nothing to run");
            return Err(complaint
                .hint("give a PROMPT, `-` for stdin, --input-file FILE, or `-- COMMAND`")
                .into());
        }
        let prompt = submit::prompt(self.prompt, self.input_file.as_deref())?;
        let mut agent = self.agent.request(self.profile);
        agent.name = self.name.unwrap_or_default();
        agent.capabilities = self.capabilities;
        agent.command = self.command;
        let mut task = self.task.request();
        task.prompt = prompt;
        task.interactive = self.interactive;
        task.env = self.env.read()?;
        task.user = self.user.unwrap_or_default();
        let retention = self.rm.then(|| wire_duration(RM_KEEPS));
        Ok(RunTaskRequest { agent: Some(agent), task: Some(task), retention })
    }
}

/// The request for these words of a command line; the prompt is still to come.
pub(crate) fn request_of(words: &[String]) -> Result<RunTaskRequest, String> {
    let line = clap::Command::new("run").no_binary_name(true).disable_help_flag(true);
    let matches = <Args as clap::Args>::augment_args(line).try_get_matches_from(words);
    let args = matches.and_then(|matches| <Args as clap::FromArgMatches>::from_arg_matches(&matches));
    let mut args = args.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    args.interactive = true;
    let mut request = args.request().map_err(|stop| match stop {
        Stop::Complaint(complaint) => complaint.message,
        Stop::OutputClosed | Stop::TerminalGone => String::new(),
    })?;
    if let Some(task) = &mut request.task {
        task.interactive = false;
    }
    Ok(request)
}

/// Runs it; detached, prints the id of the task.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let (detach, interactive, wants_result) = (args.detach, args.interactive, args.result);
    let request = args.request()?;
    let is_seeded = request.agent.as_ref().is_some_and(|agent| agent.seed.is_some());
    let leaves_work = is_seeded && request.retention.is_none();
    let link = session.link().await?;
    let begun = begin(&link, request).await?;
    if detach {
        session.out.made(&View::from(begun.task))?;
        return Ok(Exit::Done);
    }
    let shows = match session.out.format() == Format::Table && !session.out.is_quiet() {
        true if wants_result => Shows::Errors,
        true => Shows::Everything,
        false => Shows::Nothing,
    };
    let typing = interactive.then_some(begun.agent.as_str());
    let Some((ended, interrupt)) = see_through(&mut session, &link, &begun, typing, shows).await? else {
        return Ok(Exit::Done);
    };
    let words = match shows == Shows::Errors && interrupt.is_none() {
        true => Some(answer(&mut session, &link, &ended).await?),
        false => None,
    };
    let exit = report(&mut session, &link, &ended, interrupt, words).await?;
    if leaves_work && shows != Shows::Nothing && !ended.attempts.is_empty() {
        tell_workspace(&session, &link, begun.agent).await;
    }
    Ok(exit)
}

/// Where the changes are. Its id is what it alone has: another agent may get its name.
async fn tell_workspace(session: &Session, link: &Link, agent: String) {
    let request = GetWorkspaceRequest { agent };
    // The task has ended, and so does this program, whatever becomes of a note.
    if let Ok(workspace) = link.workspaces().get_workspace(request).await {
        let Workspace { agent, path, .. } = workspace.into_inner();
        let id = short_id(&agent);
        session.out.note(&format!("`fusionctl workspace diff {id}` shows its changes, which are in {path}"));
    }
}

/// Shows the result as a text that ends with its line. That of a task that did not succeed is no answer: its last words are
/// returned.
async fn answer(session: &mut Session, link: &Link, ended: &Task) -> Result<String, Stop> {
    if ended.state() == TaskState::Succeeded {
        result::show(session, link, ended.id.clone(), Ending::Line).await?;
        session.out.flush()?;
        return Ok(String::new());
    }
    if ended.state() == TaskState::Lost {
        return Ok(String::new());
    }
    let result = result::fetch(link, ended.id.clone()).await?;
    let text = String::from_utf8_lossy(&result.data);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(last.unwrap_or_default().chars().take(LAST_WORDS_CHARS).collect())
}

/// What is shown of the output of a program whose answer was wanted and that gave none.
const LAST_WORDS_CHARS: usize = 300;

/// Runs a request to its end, for a program that says itself what came of it; the task is there if it ended by itself.
pub(crate) async fn run_through(
    session: &mut Session,
    link: &Link,
    request: RunTaskRequest,
    shows: Shows,
) -> Result<(Exit, Option<Task>), Stop> {
    let begun = begin(link, request).await?;
    let Some((ended, interrupt)) = see_through(session, link, &begun, None, shows).await? else {
        return Ok((Exit::Done, None));
    };
    let exit = report(session, link, &ended, interrupt, None).await?;
    Ok((exit, interrupt.is_none().then_some(ended)))
}

/// What of the output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Both streams.
    Everything,
    /// Standard error: the other one is not for people.
    Errors,
    /// Nothing.
    Nothing,
}

/// A task that was accepted.
struct Begun {
    task: Task,
    agent: String,
    on_demand: bool,
}

async fn begin(link: &Link, mut request: RunTaskRequest) -> Result<Begun, Stop> {
    if let Some(task) = &mut request.task {
        store::send_ahead(link, task).await?;
    }
    let ran = link.repeat(async || link.tasks().run_task(request.clone()).await).await?;
    let RunTaskResponse { task, agent, on_demand } = ran;
    let task = task.ok_or_else(|| Complaint::new(Exit::Bug, "answer_empty", "the daemon named no task"))?;
    Ok(Begun { task, agent, on_demand })
}

/// Attends it to its end and sees its agent off; `None`: the user has detached.
async fn see_through(
    session: &mut Session,
    link: &Link,
    begun: &Begun,
    typing: Option<&str>,
    shows: Shows,
) -> Result<Option<(Task, Interrupt)>, Stop> {
    let id = &begun.task.id;
    let attended = attend(session, link, id, typing, shows).await;
    let attended = attended.map_err(|stop| stop.with_detail(|| format!("it runs as {id}")))?;
    if let Some((ended, _)) = &attended
        && begun.on_demand
        && ended.state() != TaskState::Lost
    {
        see_off(link, begun.agent.clone()).await;
    }
    Ok(attended)
}

/// What an interrupt of this program means for its exit code.
type Interrupt = Option<u8>;

/// What is typed, for a run with --interactive: to the agent, whichever attempt runs.
async fn type_to(link: &Link, agent: Option<&str>, task: &str) -> Result<(), Stop> {
    let Some(agent) = agent else { return std::future::pending().await };
    let keys = Keys::parse(DETACH_KEYS).expect("the default keys are keys");
    let terminal = Terminal::open(&keys);
    let typed = Typed::stdin(keys, terminal.is_some(), AtEnd::Close);
    Writer::new(link, agent, task, 0).pump(typed).await
}

/// Shows the output until the task has ended or nobody can know whether it has; `None`: the user has
/// detached.
async fn attend(
    session: &mut Session,
    link: &Link,
    id: &str,
    typing: Option<&str>,
    shows: Shows,
) -> Result<Option<(Task, Interrupt)>, Stop> {
    let mut signals = Signals::open()?;
    let mut interrupts = Interrupts { link, id, code: None };
    let mut follow = Follow::new(link, id);
    if shows == Shows::Errors {
        follow = follow.errors_alone();
    }
    let shows = shows != Shows::Nothing;
    let (mut ended, mut broken) = (None, None);
    {
        let request =
            WaitTasksRequest { tasks: vec![id.to_owned()], or_lost: true, ..WaitTasksRequest::default() };
        let mut board = Board::none();
        let waiting = wait::until_ended(link, &request, &mut board, |task| {
            ended = Some(task);
            Ok(())
        });
        let following =
            async { if shows { follow.live(&mut session.out).await } else { std::future::pending().await } };
        let typing = type_to(link, typing, id);
        let (mut waiting, mut following) = (std::pin::pin!(waiting), std::pin::pin!(following));
        let mut typing = std::pin::pin!(typing);
        loop {
            tokio::select! {
                waited = &mut waiting => {
                    waited?;
                    break;
                }
                stop = &mut following, if broken.is_none() => {
                    broken = Some(interrupts.survive(stop, &mut signals).await?);
                }
                typed = &mut typing => return typed.map(|()| None),
                code = signals.next() => interrupts.hear(code),
            }
        }
    }
    let missing = || Complaint::new(Exit::Unreachable, "connection_lost", "the end of the task was not told");
    let ended = ended.ok_or_else(missing)?;
    match broken {
        Some(Stop::OutputClosed | Stop::TerminalGone) => {}
        Some(stop @ Stop::Complaint(_)) => return Err(stop),
        None if shows => follow.rest(&mut session.out, &ended).await?,
        None => {}
    }
    Ok(Some((ended, interrupts.code)))
}

/// What was done to interrupt the task.
struct Interrupts<'a> {
    link: &'a Link,
    id: &'a str,
    code: Interrupt,
}

impl Interrupts<'_> {
    /// The first cancels the task, another one kills it; but of the end of a terminal both the kernel and a shell tell.
    fn hear(&mut self, code: u8) {
        if code == HUNG_UP && self.code.is_some() {
            return;
        }
        cancel(self.link, self.id, self.code.is_some());
        self.code = Some(code);
    }

    /// What an output that broke means: with its terminal or its reader an interrupt comes, perhaps a moment later, and
    /// an interrupted task is waited for without a word. Otherwise that is the end of us, but not of the task.
    async fn survive(&mut self, stop: Stop, signals: &mut Signals) -> Result<Stop, Stop> {
        let code = match stop {
            Stop::TerminalGone => signals.hears_hangup().then_some(HUNG_UP),
            Stop::OutputClosed | Stop::Complaint(_) => signals.pending().await,
        };
        if let Some(code) = code {
            self.hear(code);
        }
        match stop {
            Stop::TerminalGone => Ok(stop),
            Stop::OutputClosed | Stop::Complaint(_) if self.code.is_some() => Ok(stop),
            Stop::OutputClosed | Stop::Complaint(_) => Err(stop),
        }
    }
}

/// Asks for the end of the task in the background: output and end come as ever.
fn cancel(link: &Link, id: &str, at_once: bool) {
    let grace = at_once.then(|| wire_duration(Duration::ZERO));
    let (link, request) = (link.clone(), CancelTaskRequest { task: id.to_owned(), grace });
    let note = if at_once { "killing it" } else { "cancelling the task; once more kills it at once" };
    // Somebody who cannot be told has interrupted all the same.
    drop(std::io::Write::write_all(&mut std::io::stderr(), format!("{note}\n").as_bytes()));
    tokio::spawn(async move {
        let mut patience = Patience::new();
        while let Err(status) = link.tasks().cancel_task(request.clone()).await {
            if patience.outlive(&link, status).await.is_err() {
                // Refused, for it has ended by itself: then that end is what counts.
                return;
            }
        }
    });
}

/// Returns when nothing of the agent runs any more. It ends with its task by itself.
async fn see_off(link: &Link, agent: String) {
    let request = TerminateAgentRequest { agent, grace: None };
    // Gone already, or looked after by the daemon alone when this connection breaks.
    drop(link.agents().terminate_agent(request).await);
}

async fn report(
    session: &mut Session,
    link: &Link,
    ended: &Task,
    interrupt: Interrupt,
    last_words: Option<String>,
) -> Result<Exit, Stop> {
    let exit = match interrupt {
        Some(code) if ended.state() == TaskState::Cancelled => Exit::Program(code),
        Some(_) | None => exit::of(ended),
    };
    if session.out.is_quiet() {
        session.out.line(&ended.id)?;
        session.out.flush()?;
        return Ok(exit);
    }
    if session.out.format() != Format::Table {
        let get = GetTaskRequest { task: ended.id.clone() };
        let whole = link.repeat(async || link.tasks().get_task(get.clone()).await).await?;
        session.out.document(&View::from(whole), |_| Ok(()))?;
        return Ok(exit);
    }
    let is_ours = interrupt.is_some() && ended.state() == TaskState::Cancelled;
    if let Some(complaint) = exit::complaint(ended, exit, last_words.is_none()).filter(|_| !is_ours) {
        let complaint = match last_words.filter(|words| !words.is_empty()) {
            Some(words) => complaint.detail(words),
            None => complaint,
        };
        session.complain(&complaint)?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn request(line: &[&str]) -> Result<RunTaskRequest, Stop> {
        Line::try_parse_from(["run"].iter().chain(line)).unwrap().args.request()
    }

    #[test]
    fn flags_of_agent_and_task_become_one_request() {
        let line = [
            "shell",
            "echo hi",
            "--memory",
            "1G",
            "--timeout",
            "5s",
            "--rm",
            "--name",
            "r",
            "-e",
            "A=b",
            "--from",
            "/p#main",
        ];
        let request = request(&line).unwrap();
        let (agent, task) = (request.agent.unwrap(), request.task.unwrap());
        assert_eq!((agent.profile.as_str(), agent.name.as_str()), ("shell", "r"));
        let seed = agent.seed.as_ref().map(|seed| (seed.source.as_str(), seed.reference.as_str()));
        assert_eq!(seed, Some(("/p", "main")));
        assert_eq!(agent.limits.and_then(|limits| limits.memory_bytes), Some(1 << 30));
        assert_eq!((task.prompt.as_str(), task.env["A"].as_str()), ("echo hi", "b"));
        assert_eq!(task.timeout.map(|span| span.seconds), Some(5));
        assert_eq!(request.retention.map(|span| span.seconds), Some(60));
        assert_eq!(task.request_id.len(), 36);
    }

    #[test]
    fn a_command_needs_no_prompt_and_nothing_is_refused() {
        let request_of = request(&["command", "--", "wc", "-l"]).unwrap();
        assert_eq!(request_of.agent.unwrap().command, ["wc", "-l"]);
        let Err(Stop::Complaint(complaint)) = request(&["shell"]) else { panic!("accepted") };
        assert_eq!(complaint.exit, Exit::Usage);
    }
}
