//! `agent update`: changes settings of a living agent.

use std::time::Duration;

use fusion_proto::v1::{AgentLimits, UpdateAgentRequest};

use super::print_changed;
use super::spawn::Restart;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::{parse_cpu, parse_duration, parse_pair, parse_rate, parse_size};
use crate::view::word::wire_duration;

const AFTER: &str = "\
Limits concern the running attempt too; name and environment reach the next one. What an agent
is made of cannot be changed: its profile, command, sandbox, owner and workspace. Spawn another
one for that.

Examples:
  fusionctl agent update builder --capability sh --capability gpu
  fusionctl agent update builder --memory 4G --cpu none --name big-builder
  fusionctl agent update builder --disk 20G
  fusionctl agent update builder --env LEVEL=debug --unset-env TOKEN --idle-timeout 10m";

/// Arguments of `agent update`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Name or id, or a unique part of the id
    agent: String,
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    /// What it can do from now on: all of it (may be repeated)
    #[arg(long = "capability", short, value_name = "C", conflicts_with = "no_capabilities")]
    capabilities: Vec<String>,
    /// It can do nothing that tasks ask for any more
    #[arg(long)]
    no_capabilities: bool,
    /// When it is started again after its supervisor process died
    #[arg(long, value_enum)]
    restart: Option<Restart>,
    /// Longest time without output or CPU use of tasks that name none, or `none`
    #[arg(long, value_name = "DURATION", value_parser = parse_or_none(parse_duration))]
    idle_timeout: Option<Setting<Duration>>,
    /// Most memory of all its processes together, such as 512M or 2G, or `none`
    #[arg(long, value_name = "SIZE", value_parser = parse_or_none(parse_size))]
    memory: Option<Setting<u64>>,
    /// Most CPUs of all its processes together, such as 1.5, or `none`
    #[arg(long, value_name = "CPUS", value_parser = parse_or_none(parse_cpu))]
    cpu: Option<Setting<u32>>,
    /// Most processes and threads, or `none`
    #[arg(long, value_name = "N", value_parser = parse_or_none(parse_pids))]
    pids: Option<Setting<u32>>,
    /// Most room that its workspace may take on the disk before a next task, such as 10G, or `none`
    #[arg(long, value_name = "SIZE", value_parser = parse_or_none(parse_size))]
    disk: Option<Setting<u64>>,
    /// Most bytes a second from the disk of the workspaces, such as 50M, or `none`
    #[arg(long, value_name = "RATE", value_parser = parse_or_none(parse_rate))]
    io_read: Option<Setting<u64>>,
    /// Most bytes a second to that disk, or `none`
    #[arg(long, value_name = "RATE", value_parser = parse_or_none(parse_rate))]
    io_write: Option<Setting<u64>>,
    /// Added to the environment of every attempt, or changed there (may be repeated)
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    env: Vec<(String, String)>,
    /// Taken out of the environment (may be repeated)
    #[arg(long, value_name = "KEY")]
    unset_env: Vec<String>,
    #[arg(long, hide = true)]
    profile: Option<String>,
    #[arg(long, hide = true)]
    sandbox: Option<String>,
    #[arg(long, hide = true)]
    user: Option<String>,
    #[arg(last = true, hide = true)]
    command: Vec<String>,
}

/// A value, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting<T> {
    None,
    To(T),
}

impl<T: Copy> Setting<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::To(value) => Some(value),
        }
    }
}

fn parse_or_none<T>(
    parse: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<Setting<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == "none" { Ok(Setting::None) } else { parse(text).map(Setting::To) }
}

fn parse_pids(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of processes"))
}

impl Args {
    fn request(self) -> Result<UpdateAgentRequest, Stop> {
        let fixed = [
            ("profile", self.profile.is_some()),
            ("sandbox", self.sandbox.is_some()),
            ("owner", self.user.is_some()),
            ("command", !self.command.is_empty()),
        ];
        if let Some((what, _)) = fixed.into_iter().find(|(_, asked)| *asked) {
            let complaint = Complaint::usage(format!("the {what} of an agent cannot be changed"));
            return Err(complaint
                .hint("spawn another agent with `fusionctl agent spawn`, then terminate this one")
                .into());
        }
        let lifted = [
            ("memory", self.memory == Some(Setting::None)),
            ("cpu", self.cpu == Some(Setting::None)),
            ("pids", self.pids == Some(Setting::None)),
            ("disk", self.disk == Some(Setting::None)),
            ("io-read", self.io_read == Some(Setting::None)),
            ("io-write", self.io_write == Some(Setting::None)),
        ];
        let limits = AgentLimits {
            memory_bytes: self.memory.and_then(Setting::value),
            cpu_millis: self.cpu.and_then(Setting::value),
            pids: self.pids.and_then(Setting::value),
            disk_bytes: self.disk.and_then(Setting::value),
            io_read_bytes: self.io_read.and_then(Setting::value),
            io_write_bytes: self.io_write.and_then(Setting::value),
        };
        let request = UpdateAgentRequest {
            agent: String::new(),
            name: self.name,
            set_capabilities: self.no_capabilities || !self.capabilities.is_empty(),
            capabilities: self.capabilities,
            restart: self.restart.map_or(0, |policy| policy.wire().into()),
            idle_timeout: self.idle_timeout.map(|span| wire_duration(span.value().unwrap_or_default())),
            limits: (limits != AgentLimits::default()).then_some(limits),
            no_limits: lifted.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()).collect(),
            env: self.env.into_iter().collect(),
            unset_env: self.unset_env,
        };
        if request == UpdateAgentRequest::default() {
            let complaint = Complaint::usage("there is nothing to change");
            return Err(complaint.hint("`fusionctl agent update --help` shows what can be changed").into());
        }
        Ok(UpdateAgentRequest { agent: self.agent, ..request })
    }
}

/// Changes it; all that is asked for or nothing.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let request = args.request()?;
    let link = session.link().await?;
    let agent = link.repeat(async || link.agents().update_agent(request.clone()).await).await?;
    print_changed(&mut session, agent)?;
    Ok(Exit::Done)
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

    fn request(line: &[&str]) -> Result<UpdateAgentRequest, Stop> {
        Line::try_parse_from(["update"].iter().chain(line)).unwrap().args.request()
    }

    #[test]
    fn what_is_named_is_changed_and_none_lifts_a_limit() {
        let request = request(&["a", "--memory", "1G", "--cpu", "none", "-c", "x", "--idle-timeout", "none"]);
        let request = request.unwrap();
        assert_eq!(request.limits.and_then(|limits| limits.memory_bytes), Some(1 << 30));
        assert_eq!((request.no_limits, request.capabilities), (vec!["cpu".to_owned()], vec!["x".to_owned()]));
        assert_eq!(request.idle_timeout.map(|span| span.seconds), Some(0));
        assert!(request.set_capabilities && request.name.is_none() && request.env.is_empty());
    }

    #[test]
    fn what_is_fixed_and_nothing_at_all_are_refused() {
        for line in [&["a"][..], &["a", "--profile", "shell"], &["a", "--", "ls"]] {
            let Err(Stop::Complaint(complaint)) = request(line) else { panic!("{line:?} was accepted") };
            assert_eq!(complaint.exit, Exit::Usage);
        }
    }
}
