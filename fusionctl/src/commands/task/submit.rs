//! `task submit`: one prompt or command. A file of tasks is [`super::submit_file`].

use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use fusion_proto::v1::{OnLost, SecretUse, SubmitTaskRequest};
use jiff::Timestamp;

use super::report::Report;
use super::store::{self, PROMPT_BYTES_MAX};
use super::{submit_file, wait};
use crate::client::request_id;
use crate::commands::{INTERRUPTED, Session};
use crate::env_file::Env;
use crate::error::{Complaint, Exit, Stop};
use crate::units::{parse_duration, parse_instant, parse_pair};
use crate::view::secret::parse_secret;
use crate::view::task::Task;
use crate::view::word::{short_id, wire_duration, wire_time, words};

const AFTER: &str = "\
Examples:
  fusionctl task submit --capability sh 'make -C \"$HOME/src\" check'
  fusionctl task submit --agent builder --timeout 10m --wait --run -- make check
  git diff | fusionctl task submit --capability review -
  fusionctl task submit --agent fixer --workdir ~/project 'Mend the failing test'
  fusionctl task submit --concurrency-key deploy-prod --env-file prod.env ./deploy.sh
  fusionctl task submit --file tasks.jsonl --wait

A line of a task file:
  {\"prompt\": \"echo hello\", \"capabilities\": [\"sh\"], \"priority\": 7, \"timeout\": \"10m\", \"key\": \"k1\"}";

/// Arguments of `task submit`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The prompt; `-` reads it from stdin
    #[arg(value_name = "TEXT", conflicts_with_all = ["input_file", "file"])]
    text: Option<String>,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    input_file: Option<PathBuf>,
    /// Submit each line of this file of JSON lines (`-`: stdin) as a task
    #[arg(long, short = 'F', value_name = "FILE", conflicts_with_all = ["run", "command", "agent",
        "capabilities", "priority", "timeout", "idle_timeout", "queue_timeout", "retries", "not_before",
        "after", "key", "on_lost", "labels", "env", "env_file", "secrets", "concurrency_key", "hold", "workdir"])]
    file: Option<PathBuf>,
    /// Run the command after `--` instead of giving an agent a prompt
    #[arg(long, conflicts_with_all = ["text", "input_file"], requires = "command")]
    run: bool,
    /// The command of --run
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// The agent it must run on, by name or id [default: any that fits]
    #[arg(long, short)]
    agent: Option<String>,
    /// Something the agent must be able to do (may be repeated)
    #[arg(long = "capability", short, value_name = "C")]
    capabilities: Vec<String>,
    #[command(flatten)]
    terms: Terms,
    /// Do not start it before `task release`
    #[arg(long, conflicts_with = "wait")]
    hold: bool,
    #[command(flatten)]
    env: Env,
    /// A secret that each attempt is given in a variable [default: its name] (may be repeated)
    #[arg(long = "secret", value_name = "NAME[=VARIABLE]", value_parser = parse_secret)]
    secrets: Vec<SecretUse>,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Keep its standard input open, for `agent attach` and `agent send`
    #[arg(long, short)]
    interactive: bool,
    /// Wait until it has ended; exits with 1 when it did not succeed
    #[arg(long, short)]
    wait: bool,
}

/// On which terms a task is done, however it is submitted (`task submit`, `run`).
#[derive(Debug, clap::Args)]
pub(crate) struct Terms {
    /// 0 to 9, 9 first [default: 5]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: Option<u32>,
    /// Longest time of one attempt
    #[arg(long, short, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Longest time without output or CPU use
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle_timeout: Option<Duration>,
    /// Longest time until the first start
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    queue_timeout: Option<Duration>,
    /// How often it is tried again after a failure
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Not before this time: RFC 3339, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_instant(text, Timestamp::now()))]
    not_before: Option<Timestamp>,
    /// Only after this task succeeded: id or key:KEY (may be repeated)
    #[arg(long, value_name = "TASK")]
    after: Vec<String>,
    /// Same key, same task: a second submit with the same content returns the first one's task
    #[arg(long, short, value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
    /// What happens when the outcome of an attempt cannot be known
    #[arg(long, value_name = "WHAT", value_parser = words::<OnLost>())]
    on_lost: Option<OnLost>,
    /// For finding it again (may be repeated)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Of your tasks with the same key at most one runs at a time; the others wait, by priority and age
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// Work in this folder of the owner's instead of the agent's workspace
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
}

impl Terms {
    /// The request for a task on these terms, with nothing to do yet.
    pub(crate) fn request(self) -> SubmitTaskRequest {
        SubmitTaskRequest {
            priority: self.priority,
            timeout: self.timeout.map(wire_duration),
            idle_timeout: self.idle_timeout.map(wire_duration),
            queue_timeout: self.queue_timeout.map(wire_duration),
            retries: self.retries,
            not_before: self.not_before.map(wire_time),
            after: self.after,
            key: self.key.unwrap_or_default(),
            on_lost: self.on_lost.unwrap_or(OnLost::Unspecified).into(),
            labels: self.labels.into_iter().collect(),
            concurrency_key: self.concurrency_key.unwrap_or_default(),
            workdir: self.workdir.map(|path| whole_path(&path)).unwrap_or_default(),
            request_id: request_id(),
            ..SubmitTaskRequest::default()
        }
    }
}

/// The same from the root: the daemon stands elsewhere.
pub(crate) fn whole_path(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Submits it and prints its id; with --wait, its end.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    if let Some(file) = args.file.as_deref() {
        let then = if args.wait { submit_file::Then::Wait } else { submit_file::Then::Print };
        return submit_file::run(session, file, args.user.unwrap_or_default(), then).await;
    }
    let waits = args.wait;
    let mut request = request(args)?;
    let link = session.link().await?;
    store::send_ahead(&link, &mut request).await?;
    let task = link.repeat(async || link.tasks().submit_task(request.clone()).await).await?;
    if !waits {
        session.out.made(&Task::from(task))?;
        return Ok(Exit::Done);
    }
    let id = task.id;
    let mut report = Report::new(&mut session, true);
    let waited = tokio::select! {
        waited = wait::wait(&link, vec![id.clone()], &mut report) => waited,
        () = interrupted() => {
            let note = format!("the task goes on: fusionctl task wait {}\n", short_id(&id));
            // With stderr gone there is nobody left to tell.
            drop(std::io::stderr().write_all(note.as_bytes()));
            return Ok(Exit::Program(INTERRUPTED));
        }
    };
    waited.map_err(|stop| stop.with_detail(|| format!("the task was accepted as {id}")))?;
    report.finish()
}

/// Ctrl-C of somebody who can be told; anything else ends as the signal says.
async fn interrupted() {
    let is_heard = std::io::stderr().is_terminal() && tokio::signal::ctrl_c().await.is_ok();
    if !is_heard {
        std::future::pending().await
    }
}

fn request(args: Args) -> Result<SubmitTaskRequest, Stop> {
    let (prompt, run) = content(args.text, args.input_file.as_deref(), args.run, args.command)?;
    Ok(SubmitTaskRequest {
        prompt,
        run,
        agent: args.agent.unwrap_or_default(),
        capabilities: args.capabilities,
        user: args.user.unwrap_or_default(),
        env: args.env.read()?,
        hold: args.hold,
        secrets: args.secrets,
        interactive: args.interactive,
        ..args.terms.request()
    })
}

/// The prompt or the command. What follows `--` without --run is the prompt, for texts that begin with
/// a dash.
fn content(
    text: Option<String>,
    input_file: Option<&Path>,
    run: bool,
    mut command: Vec<String>,
) -> Result<(String, Vec<String>), Stop> {
    if run {
        return Ok((String::new(), command));
    }
    let prompt = match (text, input_file, command.len()) {
        (text @ Some(_), None, 0) | (text @ None, Some(_), 0) => prompt(text, input_file)?,
        (None, None, 1) => checked(command.remove(0))?,
        (None, None, 0) => {
            let complaint = Complaint::usage("there is nothing to submit");
            return Err(complaint
                .hint("give a TEXT, `-` for stdin, --input-file FILE, --file FILE.jsonl, or --run -- COMMAND")
                .into());
        }
        _ => {
            let complaint = Complaint::usage("a prompt and words after `--` cannot be combined");
            return Err(complaint.hint("to submit a command write `--run -- COMMAND`").into());
        }
    };
    Ok((prompt, Vec::new()))
}

/// The prompt: a text, `-` for stdin, or a file.
pub(crate) fn prompt(text: Option<String>, input_file: Option<&Path>) -> Result<String, Stop> {
    checked(match (text, input_file) {
        (_, Some(path)) => {
            let name = path.display().to_string();
            let file = std::fs::File::open(path).map_err(|error| Complaint::unreadable(&name, &error))?;
            read(file, &name)?
        }
        (Some(text), None) if text == "-" => read(std::io::stdin().lock(), "stdin")?,
        (text, None) => text.unwrap_or_default(),
    })
}

fn checked(prompt: String) -> Result<String, Stop> {
    if prompt.len() > PROMPT_BYTES_MAX {
        let message = format!("the prompt is larger than {PROMPT_BYTES_MAX} bytes");
        return Err(Complaint::new(Exit::Usage, "too_large", message)
            .hint("put the data into a file and name the file in the prompt")
            .into());
    }
    Ok(prompt)
}

/// Reads a prompt: text, and no more of it than one byte too many.
fn read(input: impl Read, name: &str) -> Result<String, Stop> {
    let mut text = String::new();
    let most = PROMPT_BYTES_MAX as u64 + 1;
    input.take(most).read_to_string(&mut text).map_err(|error| Complaint::unreadable(name, &error))?;
    Ok(text)
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

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from(["submit"].iter().chain(line)).map(|line| line.args)
    }

    fn submit(line: &[&str]) -> SubmitTaskRequest {
        request(parse(line).unwrap()).unwrap()
    }

    #[test]
    fn flags_become_a_request() {
        let request = submit(&[
            "hello",
            "-c",
            "sh",
            "--priority",
            "0",
            "--timeout",
            "10m",
            "--retries",
            "2",
            "--key",
            "k",
            "--on-lost",
            "retry",
            "--label",
            "a=b",
            "--env",
            "X=1",
            "--after",
            "key:z",
            "--not-before",
            "2030-01-31T08:00:00Z",
        ]);
        assert_eq!((request.prompt.as_str(), request.priority, request.retries), ("hello", Some(0), Some(2)));
        assert_eq!(request.timeout, Some(prost_types::Duration { seconds: 600, nanos: 0 }));
        assert_eq!((request.key.as_str(), request.on_lost()), ("k", OnLost::Retry));
        assert_eq!((request.labels["a"].as_str(), request.env["X"].as_str()), ("b", "1"));
        assert_eq!(request.after, ["key:z"]);
        assert_eq!(request.not_before.map(|at| at.seconds), Some(1_896_076_800));
        assert_eq!(request.request_id.len(), 36);
    }

    #[test]
    fn a_command_stands_behind_two_dashes() {
        let request = submit(&["--run", "--", "make", "-j2"]);
        assert_eq!((request.prompt.as_str(), request.run), ("", vec!["make".to_owned(), "-j2".to_owned()]));
        assert!(parse(&["--run"]).is_err());
    }

    #[test]
    fn a_prompt_that_begins_with_a_dash_stands_behind_two_dashes() {
        assert_eq!(submit(&["--", "- item"]).prompt, "- item");
        assert!(request(parse(&["--", "make", "-j2"]).unwrap()).is_err());
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let exit = |line: &[&str]| match request(parse(line).unwrap()) {
            Err(Stop::Complaint(complaint)) => complaint.exit,
            Ok(_) | Err(Stop::OutputClosed | Stop::TerminalGone) => Exit::Done,
        };
        assert_eq!(exit(&[]), Exit::Usage);
        assert_eq!(exit(&["--input-file", "/does/not/exist"]), Exit::Usage);
        assert_eq!(exit(&["x".repeat(PROMPT_BYTES_MAX + 1).as_str()]), Exit::Usage);
        assert!(parse(&["x", "--priority", "10"]).is_err());
        assert!(parse(&["--file", "f", "--priority", "1"]).is_err());
        assert!(parse(&["x", "--hold", "--wait"]).is_err());
    }
}
