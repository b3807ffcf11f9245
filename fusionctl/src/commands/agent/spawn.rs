//! `agent spawn`: starts an agent from a profile.

use std::path::Path;

use clap::ValueEnum;
use fusion_proto::v1::{
    AgentLimits, AgentState, CreateAgentRequest, CreateAgentsRequest, RestartPolicy, SecretUse, WorkspaceSeed,
};

use crate::client::request_id;
use crate::commands::Session;
use crate::env_file::Env;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Output;
use crate::units::{parse_cpu, parse_rate, parse_size};
use crate::view::agent::Agent;
use crate::view::secret::parse_secret;

const AFTER: &str = "\
Examples:
  fusionctl agent spawn builder --profile shell --capability sh --memory 2G --cpu 1.5
  fusionctl agent spawn --profile shell --env-file build.env --env CI=1
  fusionctl agent spawn publisher --profile shell --secret gh-token=GH_TOKEN
  fusionctl agent spawn fixer --profile shell --from https://github.com/ada/project.git#main
  fusionctl agent spawn --profile shell --from ~/project --worktree
  fusionctl agent spawn worker --profile shell --replicas 4
  fusionctl agent spawn --profile command --capability lint -- ruff check --stdin-filename a.py -";

/// Arguments of `agent spawn`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name of the agent, unique among yours [default: made from the profile's]
    name: Option<String>,
    /// What the agent is made of (`fusionctl profile list`)
    #[arg(long, short)]
    profile: String,
    /// Something it can do; tasks ask for it (may be repeated)
    #[arg(long = "capability", short, value_name = "C")]
    capabilities: Vec<String>,
    #[command(flatten)]
    env: Env,
    #[command(flatten)]
    bounds: Bounds,
    /// Make so many, named NAME-1, NAME-2 … (`fusionctl agent scale` changes their number)
    #[arg(long, value_name = "N", requires = "name", value_parser = clap::value_parser!(u32).range(1..=1000))]
    replicas: Option<u32>,
    /// Owner; others than yourself for administrators only
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What it runs, for profiles that take a command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How an agent is held, however it is made (`agent spawn`, `run`).
#[derive(Debug, clap::Args)]
pub(crate) struct Bounds {
    /// Fill its workspace first: a folder (copied), or a repository of git on this machine or by URL (cloned on a branch of
    /// its own); `#REF` behind it names a branch, tag or commit
    #[arg(long, value_name = "GIT-OR-DIR[#REF]")]
    from: Option<String>,
    /// With --from REPOSITORY: a worktree of it instead of a clone
    #[arg(long, requires = "from")]
    worktree: bool,
    /// A secret that every attempt is given in a variable [default: its name] (may be repeated)
    #[arg(long = "secret", value_name = "NAME[=VARIABLE]", value_parser = parse_secret)]
    secrets: Vec<SecretUse>,
    /// Most memory of all its processes together, such as 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Most CPUs of all its processes together, such as 1.5
    #[arg(long, value_name = "CPUS", value_parser = parse_cpu)]
    cpu: Option<u32>,
    /// Most processes and threads
    #[arg(long, value_name = "N")]
    pids: Option<u32>,
    /// Most room that its workspace may take on the disk before a next task, such as 10G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk: Option<u64>,
    /// Most bytes a second from the disk of the workspaces, such as 50M
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    io_read: Option<u64>,
    /// Most bytes a second to that disk
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    io_write: Option<u64>,
    /// When it is started again after its supervisor process died
    #[arg(long, value_enum)]
    restart: Option<Restart>,
    /// How it is confined; refused when this machine cannot enforce it
    #[arg(long, value_enum)]
    sandbox: Option<Sandbox>,
}

/// The restart policies by their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Restart {
    /// It stays terminated
    Never,
    /// After an end that nobody asked for, and after a restart of the machine [default]
    OnFailure,
    /// After every end but `agent terminate`, also when somebody asks the process itself to end
    Always,
}

impl Restart {
    /// The policy on the wire.
    pub(crate) const fn wire(self) -> RestartPolicy {
        match self {
            Self::Never => RestartPolicy::Never,
            Self::OnFailure => RestartPolicy::OnFailure,
            Self::Always => RestartPolicy::Always,
        }
    }
}

/// The sandboxes by their names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sandbox {
    User,
    Landlock,
    Bwrap,
}

impl Args {
    fn request(self) -> Result<CreateAgentRequest, Stop> {
        Ok(CreateAgentRequest {
            name: self.name.unwrap_or_default(),
            capabilities: self.capabilities,
            env: self.env.read()?,
            command: self.command,
            user: self.user.unwrap_or_default(),
            request_id: request_id(),
            ..self.bounds.request(self.profile)
        })
    }
}

impl Bounds {
    /// The request for an agent of this profile, with the caller's PATH and LANG.
    pub(crate) fn request(self, profile: String) -> CreateAgentRequest {
        let var = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let limits = AgentLimits {
            memory_bytes: self.memory,
            cpu_millis: self.cpu,
            pids: self.pids,
            disk_bytes: self.disk,
            io_read_bytes: self.io_read,
            io_write_bytes: self.io_write,
        };
        let restart = self.restart.map_or(RestartPolicy::Unspecified, Restart::wire);
        let sandbox = self.sandbox.map_or("", |sandbox| match sandbox {
            Sandbox::User => "user",
            Sandbox::Landlock => "landlock",
            Sandbox::Bwrap => "bwrap",
        });
        let worktree = self.worktree;
        let seed = self.from.map(|from| WorkspaceSeed { worktree, ..parse_source(&from) });
        CreateAgentRequest {
            profile,
            seed,
            limits: (limits != AgentLimits::default()).then_some(limits),
            restart: restart.into(),
            sandbox: sandbox.to_owned(),
            path: var("PATH").unwrap_or_default(),
            lang: var("LANG").unwrap_or_default(),
            secrets: self.secrets,
            ..CreateAgentRequest::default()
        }
    }
}

/// Spawns it; an agent that exists but did not come up is printed and exits with 1.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let replicas = args.replicas;
    let request = args.request()?;
    let link = session.link().await?;
    if let Some(replicas) = replicas {
        let request = CreateAgentsRequest { agent: Some(request), replicas };
        let answer = link.repeat(async || link.agents().create_agents(request.clone()).await).await?;
        let agents: Vec<_> = answer.agents.into_iter().map(Agent::from).collect();
        let ids = |out: &mut Output| agents.iter().try_for_each(|agent| out.line(&agent.id));
        if session.out.is_quiet() {
            ids(&mut session.out)?;
            session.out.flush()?;
        } else {
            session.out.document(&agents, ids)?;
        }
        return Ok(Exit::Done);
    }
    let answer = link.repeat(async || link.agents().create_agent(request.clone()).await).await?;
    let down = is_down(answer.state());
    let agent = Agent::from(answer);
    session.out.made(&agent)?;
    if down {
        let message = format!("agent {} did not come up: it is {}", agent.name, agent.state);
        let mut complaint = Complaint::new(Exit::Failed, "agent_not_up", message).hint(format!(
            "`fusionctl why {0}` says what it waits for; `fusionctl agent terminate {0}` removes it",
            agent.id
        ));
        if !agent.reason.is_empty() {
            complaint = complaint.detail(agent.reason);
        }
        return Err(complaint.into());
    }
    Ok(Exit::Done)
}

/// A path of this machine, which may be relative, or a URL; with the reference behind `#`. A path that is there as a whole
/// has none.
fn parse_source(text: &str) -> WorkspaceSeed {
    let is_there = !text.is_empty() && Path::new(text).exists();
    let (source, reference) = text.rsplit_once('#').filter(|_| !is_there).unwrap_or((text, ""));
    let is_url = source.contains("://")
        || source.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'));
    let source = match std::path::absolute(source) {
        Ok(path) if !is_url || is_there => path.to_string_lossy().into_owned(),
        Ok(_) | Err(_) => source.to_owned(),
    };
    WorkspaceSeed { source, reference: reference.to_owned(), worktree: false }
}

const fn is_down(state: AgentState) -> bool {
    match state {
        AgentState::Backoff | AgentState::Quarantined | AgentState::Stopping | AgentState::Terminated => true,
        AgentState::Unspecified
        | AgentState::Starting
        | AgentState::Idle
        | AgentState::Busy
        | AgentState::Waiting
        | AgentState::Draining
        | AgentState::Paused => false,
    }
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

    fn request(line: &[&str]) -> CreateAgentRequest {
        Line::try_parse_from(["spawn"].iter().chain(line)).unwrap().args.request().unwrap()
    }

    #[test]
    fn flags_become_a_request() {
        let line =
            ["a", "--profile", "command", "-c", "x", "--capability", "y", "--memory", "2G", "--cpu", "1.5"];
        let request =
            request(&[&line[..], &["--restart", "on-failure", "--env", "A=b=c", "--", "ls", "-l"]].concat());
        assert_eq!((request.name.as_str(), request.profile.as_str()), ("a", "command"));
        assert_eq!(request.capabilities, ["x", "y"]);
        let limits =
            AgentLimits { memory_bytes: Some(2 << 30), cpu_millis: Some(1500), ..AgentLimits::default() };
        assert_eq!(request.limits, Some(limits));
        assert_eq!(request.restart(), RestartPolicy::OnFailure);
        assert_eq!(request.env["A"], "b=c");
        assert_eq!(request.command, ["ls", "-l"]);
        assert_eq!(request.path, std::env::var("PATH").unwrap());
    }

    #[test]
    fn sources_are_paths_or_urls_with_a_reference() {
        let parsed = |text: &str| {
            let seed = parse_source(text);
            (seed.source, seed.reference)
        };
        let pair = |source: &str, reference: &str| (source.to_owned(), reference.to_owned());
        assert_eq!(parsed("https://example.org/a.git#main"), pair("https://example.org/a.git", "main"));
        assert_eq!(parsed("git@example.org:a.git"), pair("git@example.org:a.git", ""));
        assert_eq!(parsed("/nowhere/a#v1"), pair("/nowhere/a", "v1"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(parsed("src"), pair(&here.join("src").to_string_lossy(), ""));
        assert_eq!(parsed("").0, "");
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let request = request(&["--profile", "shell"]);
        assert_eq!(
            (request.limits, request.restart(), request.sandbox.as_str()),
            (None, RestartPolicy::Unspecified, "")
        );
    }
}
