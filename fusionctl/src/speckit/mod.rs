//! `fusion-run`: stands where spec-kit expects the command of an agent, and has the prompt done by an agent of the daemon.
//!
//! ```text
//!   specify workflow run ──► fusion-run -p PROMPT --model M ──► task of an agent, in the project's folder
//!        ▲                          │ output, exit code
//!        └──────────────────────────┘
//! ```
//!
//! For: `SPECKIT_INTEGRATION_<KEY>_EXECUTABLE=fusion-run`. Not for: what tasks are and how they end (`commands/run`).

mod argv;
mod recipe;
mod settings;

use std::io::Write as _;

use fusion_proto::v1::{GetProfileRequest, GetTaskResultRequest, RunTaskRequest, TaskState};

use self::argv::Asked;
use self::settings::Settings;
use crate::client::{Link, Place};
use crate::commands::Session;
use crate::commands::run::{self, Shows};
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, Output};

const ABOUT: &str = "\
Does a prompt of spec-kit by an agent of fusiond.

It stands where spec-kit expects the command of an agent: it takes the words with which any of its integrations calls one,
gives the prompt to an agent, lets out what the agent writes, and exits with its code. The agent works in the folder in
which this program is started.";

const AFTER: &str = "\
A model is handed on as SPECKIT_MODEL; of options that are not understood a note is made, and the profile decides. Of a profile
whose result is JSON or a file, the result comes out at the end instead of what the agent writes; where JSON is asked for, an
object with the result. A recipe of goose (`run --recipe FILE --params args=…`) is read and filled in here; any agent can follow it.

Exits with the program's own code, as `fusionctl run` does. Ctrl-C cancels the task; a second one kills it.

Environment:
  FUSION_RUN_PROFILE          what the agent is made of (`fusionctl profile list`) [default: the integration's key, such as claude]
  FUSION_RUN_FLAGS            flags of `fusionctl run`, such as \"--timeout 1h --memory 4G\"
  FUSION_SOCKET, FUSION_HOST  where the daemon is, as for fusionctl

Examples:
  SPECKIT_INTEGRATION_CLAUDE_EXECUTABLE=fusion-run specify workflow run speckit -i spec='Log in'
  FUSION_RUN_PROFILE=claude fusion-run -p 'Explain the failing test'";

/// The command line as it is declared: for its help and its man page.
pub(crate) fn command() -> clap::Command {
    let words = clap::Arg::new("words").value_name("WORD").num_args(1..).required(true);
    let words = words.help("What spec-kit gives the command of an agent, such as `-p PROMPT --model M`");
    let words = words.trailing_var_arg(true).allow_hyphen_values(true);
    clap::Command::new("fusion-run")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .arg(words)
}

/// Does what spec-kit asks for.
pub(crate) async fn run(args: Vec<String>) -> Result<Exit, Stop> {
    let mut asked = match Asked::parse(&args)? {
        argv::Line::Help => return print(&command().render_help().to_string()),
        argv::Line::Version => return print(&command().render_version()),
        argv::Line::Asked(asked) => asked,
    };
    if let Some(recipe) = &asked.recipe {
        let told = recipe.read()?;
        asked.prompt = told.prompt;
        asked.others.extend(told.others);
    }
    let settings = Settings::read(|name| std::env::var(name).ok(), std::env::vars().map(|(name, _)| name))?;
    let request = settings.request(&asked)?;
    for option in &asked.others {
        note(&format!("{option} is left to the profile {}", settings.profile));
    }
    let mut session = Session { place: Place::default(), out: Output::new(Format::Table, false) };
    let link = session.link().await?;
    let shows = choose_shows(&link, &settings.profile, &asked).await?;
    let (exit, task) = run::run_through(&mut session, &link, request, shows).await?;
    if let Some(task) = task.filter(|_| shows == Shows::Errors) {
        let request = GetTaskResultRequest { task: task.id.clone() };
        let result = link.repeat(async || link.tasks().get_task_result(request.clone()).await).await?;
        let is_success = task.state() == TaskState::Succeeded;
        session.out.raw(&argv::answer(&asked, &task.id, is_success, result.data))?;
    }
    Ok(exit)
}

/// A program that writes its result as text is shown as it writes; of others the result is shown.
async fn choose_shows(link: &Link, profile: &str, asked: &Asked) -> Result<Shows, Stop> {
    let request = GetProfileRequest { profile: profile.to_owned() };
    let profile = link.repeat(async || link.profiles().get_profile(request.clone()).await).await?;
    let is_text = profile.result.is_empty() || profile.result == "text";
    Ok(if is_text && !asked.wants_json { Shows::Everything } else { Shows::Errors })
}

fn print(text: &str) -> Result<Exit, Stop> {
    let mut out = Output::new(Format::Table, false);
    out.raw(text.as_bytes())?;
    Ok(Exit::Done)
}

fn note(text: &str) {
    // With stderr gone there is nobody left to tell.
    drop(std::io::stderr().write_all(format!("note: {text}\n").as_bytes()));
}

/// The request of `fusionctl run` for these words of a command line.
fn request_of(words: &[String]) -> Result<RunTaskRequest, Stop> {
    run::request_of(words).map_err(|why| {
        let complaint = Complaint::new(Exit::Usage, "usage", "FUSION_RUN_FLAGS cannot be understood");
        complaint.detail(why).hint("`fusionctl run --help` lists the flags").into()
    })
}
