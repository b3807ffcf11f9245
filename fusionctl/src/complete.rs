//! What may come next on the command line: asked by the lines of `fusionctl completion SHELL`.
//!
//! For: the values that only the daemon knows. An argument is completed by what it is called (`agent`,
//! `task`, `profile`, `label` …), so a new verb needs nothing here. Nobody waits for a shell's key: a daemon
//! that is away or slow gives nothing, and never an error. Not for: words that clap knows itself.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{PathCompleter, ValueCompleter as _};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};
use fusion_proto::v1::{
    ListAgentsRequest, ListProfilesRequest, ListRunsRequest, ListSecretsRequest, ListTasksRequest,
    ListWorkflowsRequest, Task,
};

use crate::client::ssh::Host;
use crate::client::{Link, Place};
use crate::error::Stop;
use crate::table::printable;
use crate::view::word::{short_id, word};

/// Set by the shell's lines: the name of the shell that asks.
pub(crate) const VARIABLE: &str = "FUSIONCTL_COMPLETE";

/// Longer, and a key would feel stuck.
const PATIENCE: Duration = Duration::from_millis(250);

/// A login over ssh takes a few round trips and a shell. Who names another machine waits for each verb, too.
const PATIENCE_ELSEWHERE: Duration = Duration::from_secs(2);

/// The newest tasks are those that somebody types about.
const TASKS_MAX: i32 = 200;

/// Agents offered.
const AGENTS_MAX: i32 = 500;

/// Answers a shell that asks, and ends the program then.
pub(crate) fn answer() {
    CompleteEnv::with_factory(crate::args::command)
        .var(VARIABLE)
        .bin("fusionctl")
        .completer("fusionctl")
        .shells(Shells(&[&clap_complete::env::Bash, &clap_complete::env::Zsh, &clap_complete::env::Fish]))
        .complete();
}

/// The command line with a source of values for every argument that names a thing of the daemon.
pub(crate) fn with_values(command: Command) -> Command {
    let command = command.mut_args(|argument| match Source::of(&argument) {
        Some(source) => argument.add(ArgValueCompleter::new(move |current: &OsStr| source.values(current))),
        None => argument,
    });
    command.mut_subcommands(with_values)
}

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Agents,
    Tasks,
    Things,
    Profiles,
    Labels,
    Runs,
    Workflows,
    Secrets,
}

impl Source {
    /// By the name that the argument has in its verb.
    fn of(argument: &Arg) -> Option<Self> {
        match argument.get_id().as_str() {
            "agent" | "agents" => Some(Self::Agents),
            "task" | "tasks" | "after" => Some(Self::Tasks),
            "subject" => Some(Self::Things),
            "profile" => Some(Self::Profiles),
            "label" | "labels" => Some(Self::Labels),
            "run" | "runs" if argument.is_positional() => Some(Self::Runs),
            "workflow" => Some(Self::Workflows),
            "secret" | "secrets" => Some(Self::Secrets),
            _ => None,
        }
    }

    /// What begins with `current`.
    fn values(self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(current) = current.to_str() else { return Vec::new() };
        let typed: Vec<String> = crate::args::typed().skip_while(|word| word != "--").collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Vec::new() };
        let Ok(host) = flag_value(&typed, "--host").map(Host::parse).transpose() else { return Vec::new() };
        let place = Place { socket: flag_value(&typed, "--socket").map(PathBuf::from), host }.silent();
        let patience = if place.elsewhere().is_some() { PATIENCE_ELSEWHERE } else { PATIENCE };
        let fetched = runtime.block_on(async {
            tokio::time::timeout(patience, async {
                let link = Link::open(&place).await?;
                self.fetch(&link, current).await
            })
            .await
        });
        let found: Vec<(String, String)> = fetched.ok().and_then(Result::ok).unwrap_or_default();
        let fitting = found.into_iter().filter(|(value, _)| value.starts_with(current));
        // What others wrote reaches a terminal through the shell.
        let plain = fitting.filter(|(value, _)| !value.chars().any(char::is_control));
        plain
            .map(|(value, help)| CompletionCandidate::new(value).help(Some(printable(&help).into())))
            .chain(self.files(current))
            .collect()
    }

    /// A definition stands in a file, or is known by name.
    fn files(self, current: &str) -> Vec<CompletionCandidate> {
        match self {
            Self::Workflows => PathCompleter::any().complete(OsStr::new(current)),
            Self::Agents
            | Self::Tasks
            | Self::Things
            | Self::Profiles
            | Self::Labels
            | Self::Runs
            | Self::Secrets => Vec::new(),
        }
    }

    async fn fetch(self, link: &Link, current: &str) -> Result<Vec<(String, String)>, Stop> {
        match self {
            Self::Agents => agents(link, current).await,
            Self::Tasks => tasks(link, current).await,
            Self::Things => {
                let mut found = agents(link, current).await?;
                found.extend(tasks(link, current).await?);
                found.extend(runs(link, current).await?);
                Ok(found)
            }
            Self::Profiles => profiles(link).await,
            Self::Labels => labels(link).await,
            Self::Runs => runs(link, current).await,
            Self::Workflows => workflows(link).await,
            Self::Secrets => secrets(link).await,
        }
    }
}

/// Agents by name; by id for who began to type one.
async fn agents(link: &Link, current: &str) -> Result<Vec<(String, String)>, Stop> {
    let request = ListAgentsRequest { page_size: AGENTS_MAX, ..ListAgentsRequest::default() };
    let answer = link.agents().list_agents(request).await?.into_inner();
    let by_id = current.starts_with("agt_");
    Ok(answer
        .agents
        .into_iter()
        .map(|agent| {
            let state = word::<fusion_proto::v1::AgentState>(agent.state);
            let help = format!("{state}, {}", agent.profile);
            if by_id {
                (id_like(&agent.id, current), format!("{}, {help}", agent.name))
            } else {
                (agent.name, help)
            }
        })
        .collect())
}

/// The newest tasks by id, or by key for who began to type one.
async fn tasks(link: &Link, current: &str) -> Result<Vec<(String, String)>, Stop> {
    let by_key = current.starts_with("key:");
    let found = newest(link).await?.into_iter().map(|task| {
        let help = format!("{}: {}", word::<fusion_proto::v1::TaskState>(task.state), task.title);
        let key = task.key.unwrap_or_default();
        if by_key { (format!("key:{key}"), help) } else { (id_like(&task.id, current), help) }
    });
    Ok(found.filter(|(value, _)| value != "key:").collect())
}

async fn newest(link: &Link) -> Result<Vec<Task>, Stop> {
    let request = ListTasksRequest { page_size: TASKS_MAX, ..ListTasksRequest::default() };
    Ok(link.tasks().list_tasks(request).await?.into_inner().tasks)
}

/// The short id, as tables show it; the whole one for who typed the beginning of that.
fn id_like(id: &str, current: &str) -> String {
    let short = short_id(id);
    if short.starts_with(current) || !id.starts_with(current) { short } else { id.to_owned() }
}

async fn profiles(link: &Link) -> Result<Vec<(String, String)>, Stop> {
    let answer =
        link.profiles().list_profiles(ListProfilesRequest { page_size: 1000, ..Default::default() }).await?;
    let found = answer.into_inner().profiles.into_iter();
    Ok(found.map(|profile| (profile.name, profile.description)).collect())
}

/// The newest runs by id, or by key for who began to type one.
async fn runs(link: &Link, current: &str) -> Result<Vec<(String, String)>, Stop> {
    let request = ListRunsRequest { page_size: TASKS_MAX, ..ListRunsRequest::default() };
    let found = link.workflows().list_runs(request).await?.into_inner().runs;
    let by_key = current.starts_with("key:");
    let found = found.into_iter().map(|run| {
        let help = format!("{}: {}", word::<fusion_proto::v1::RunState>(run.state), run.workflow);
        let key = run.key.unwrap_or_default();
        if by_key { (format!("key:{key}"), help) } else { (id_like(&run.id, current), help) }
    });
    Ok(found.filter(|(value, _)| value != "key:").collect())
}

/// Definitions that were applied.
async fn workflows(link: &Link) -> Result<Vec<(String, String)>, Stop> {
    let request = ListWorkflowsRequest { page_size: AGENTS_MAX, ..ListWorkflowsRequest::default() };
    let found = link.workflows().list_workflows(request).await?.into_inner().workflows;
    Ok(found.into_iter().map(|each| (each.name, format!("version {}", each.version))).collect())
}

async fn secrets(link: &Link) -> Result<Vec<(String, String)>, Stop> {
    let found = link.secrets().list_secrets(ListSecretsRequest::default()).await?.into_inner().secrets;
    Ok(found.into_iter().map(|secret| (secret.name, String::new())).collect())
}

/// Labels of the newest tasks.
async fn labels(link: &Link) -> Result<Vec<(String, String)>, Stop> {
    let tasks = newest(link).await?.into_iter();
    let mut found: Vec<(String, String)> = tasks
        .flat_map(|task| task.labels)
        .map(|(key, value)| (format!("{key}={value}"), String::new()))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The value of a flag among the words typed so far.
fn flag_value<'a>(typed: &'a [String], flag: &str) -> Option<&'a str> {
    let apart = typed.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1].as_str());
    apart.or_else(|| typed.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_name_things_are_completed_wherever_they_stand() {
        fn count(command: &Command, found: &mut Vec<String>) {
            for argument in
                command.get_arguments().filter(|argument| argument.get::<ArgValueCompleter>().is_some())
            {
                found.push(format!("{} {}", command.get_name(), argument.get_id()));
            }
            for verb in command.get_subcommands() {
                count(verb, found);
            }
        }
        let mut found = Vec::new();
        count(&crate::args::command(), &mut found);
        for wanted in [
            "show agent",
            "show task",
            "submit agent",
            "submit after",
            "list labels",
            "spawn profile",
            "why subject",
            "pause runs",
            "show run",
            "run workflow",
            "plan workflow",
            "remove secret",
        ] {
            assert!(found.iter().any(|each| each == wanted), "{wanted} is not among {found:?}");
        }
    }

    #[test]
    fn a_socket_that_was_typed_is_the_one_that_is_asked() {
        let typed = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(flag_value(&typed("-- fusionctl --socket /a agent show"), "--socket"), Some("/a"));
        assert_eq!(flag_value(&typed("-- fusionctl --socket=/b agent"), "--socket"), Some("/b"));
        assert_eq!(flag_value(&typed("-- fusionctl agent"), "--socket"), None);
    }

    #[test]
    fn ids_are_short_as_in_tables_unless_a_whole_one_was_begun() {
        let id = "tsk_01m81dnybzbvw09ewtbk36038n";
        assert_eq!(id_like(id, ""), "tsk_bk36038n");
        assert_eq!(id_like(id, "tsk_"), "tsk_bk36038n");
        assert_eq!(id_like(id, "tsk_01m8"), id);
    }
}
