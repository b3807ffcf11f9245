//! The commands of the language of sessions: words in, a command out. Not for: acts of the world.

use super::*;
use crate::flows;
use fusion_core::workflow::{ApproveNode, Verdict};

impl Session {
    /// Commands that concern several agents, or what one is.
    fn parse_settings(&self, caller: Caller, words: &[&str]) -> Option<Command> {
        let agent = |name: &str| self.agents.get(name).map_or_else(|| name.to_owned(), AgentId::to_string);
        Some(match words {
            ["pause", name] => Command::PauseAgent { agent: agent(name), how: PauseHow::Freeze },
            ["pause", name, "--drain"] => Command::PauseAgent { agent: agent(name), how: PauseHow::Drain },
            ["spawn-group", name, replicas] => {
                let Command::SpawnAgent(agent) = self.parse_spawn(caller, name, &[]) else {
                    unreachable!("a spawn is a spawn")
                };
                Command::SpawnGroup { agent, replicas: number(replicas) }
            }
            ["scale", group, count] => {
                Command::ScaleAgents { group: (*group).to_owned(), count: number(count) }
            }
            ["update-agent", name, flags @ ..] => {
                let offered: Vec<&str> = values(flags, "--capability").collect();
                let change = AgentChange {
                    name: value(flags, "--name").map(str::to_owned),
                    disk_bytes: match value(flags, "--disk") {
                        None => Change::Kept,
                        Some("none") => Change::Gone,
                        Some(text) => Change::To(number(text).into()),
                    },
                    capabilities: (!offered.is_empty()).then(|| offered.into_iter().collect()),
                    ..AgentChange::default()
                };
                Command::UpdateAgent { agent: agent(name), change: Box::new(change) }
            }
            ["profiles", "apply", pairs @ ..] => Command::ApplyProfiles {
                owner: caller.uid,
                profiles: pairs.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect(),
            },
            ["profiles", "apply-to", owner, name, toml] => Command::ApplyProfiles {
                owner: Uid(number(owner)),
                profiles: vec![((*name).to_owned(), (*toml).to_owned())],
            },
            ["profiles", "remove", name] => {
                Command::RemoveProfile { owner: caller.uid, name: (*name).to_owned() }
            }
            ["secret", "set", name] => {
                let (owner, name) = (caller.uid, (*name).to_owned());
                // Their own number keeps the ids apart also when others were forgotten.
                let id = SecretId((3 << 80) + u128::from(self.world.state.seq));
                Command::SetSecret(SetSecret { id, owner, owner_name: format!("user{}", owner.0), name })
            }
            ["secret", "remove", name] => {
                Command::RemoveSecret { owner: caller.uid, name: (*name).to_owned() }
            }
            _ => return None,
        })
    }

    /// Commands about runs of workflows.
    fn parse_run(&mut self, caller: Caller, words: &[&str]) -> Option<Command> {
        let run = |name: &str| self.runs.get(name).map_or_else(|| name.to_owned(), RunId::to_string);
        let decision = |name: &str, node: &str, verdict| {
            let comment = "so be it".to_owned();
            Command::ApproveNode(ApproveNode { run: run(name), node: node.to_owned(), verdict, comment })
        };
        Some(match words {
            ["start", _, nodes @ ..] => {
                let id = RunId((5 << 80) + self.runs.len() as u128);
                Command::StartRun(Box::new(flows::start(id, caller.uid, self.parse_plan(nodes))))
            }
            ["pause-run", name] => Command::PauseRun { run: run(name), how: PauseHow::Drain },
            ["freeze-run", name] => Command::PauseRun { run: run(name), how: PauseHow::Freeze },
            ["resume-run", name] => Command::ResumeRun { run: run(name) },
            ["cancel-run", name] => Command::CancelRun { run: run(name) },
            ["approve-node", name, node] => decision(name, node, Verdict::Approved),
            ["approve-node", name, node, "--reject"] => decision(name, node, Verdict::Rejected),
            ["rerun", name, from @ ..] => {
                let from = from.first().map(|node| (*node).to_owned()).unwrap_or_default();
                Command::RerunRun { run: run(name), from, recalled: None }
            }
            _ => return None,
        })
    }

    pub(super) fn parse(&mut self, caller: Caller, words: &[&str]) -> Command {
        if let Some(command) = self.parse_settings(caller, words) {
            return command;
        }
        if let Some(command) = self.parse_run(caller, words) {
            return command;
        }
        let agent = |name: &str| self.agents.get(name).map_or_else(|| name.to_owned(), AgentId::to_string);
        let task = |name: &str| self.tasks.get(name).map_or_else(|| name.to_owned(), TaskId::to_string);
        let grace = |rest: &[&str]| rest.first().map_or(Millis::from_secs(2), |span| millis(span));
        match words {
            ["spawn", name, flags @ ..] => self.parse_spawn(caller, name, flags),
            ["submit", _, flags @ ..] => Command::SubmitTask(Box::new(self.parse_submit(caller, flags))),
            ["run", _, agent, flags @ ..] => {
                let Command::SpawnAgent(spawn) = self.parse_spawn(caller, agent, flags) else {
                    unreachable!("a spawn is a spawn")
                };
                let task = self.parse_submit(caller, flags);
                Command::RunTask(Box::new(RunTask { agent: *spawn, task, is_named: false }))
            }
            ["resume", name] => Command::ResumeAgent { agent: agent(name) },
            ["restart", name] => Command::RestartAgent { agent: agent(name) },
            ["terminate", name, rest @ ..] => {
                Command::TerminateAgent { agent: agent(name), grace: grace(rest) }
            }
            ["remove", name] => Command::RemoveAgent { agent: agent(name), keep: Keep::Nothing },
            ["remove", name, "--keep-workspace"] => {
                Command::RemoveAgent { agent: agent(name), keep: Keep::Workspace }
            }
            ["clear", name] => Command::RemoveWorkspace { agent: agent(name) },
            ["cancel", name, rest @ ..] => Command::CancelTask { task: task(name), grace: grace(rest) },
            ["hold", name] => Command::HoldTask { task: task(name) },
            ["release", name] => Command::ReleaseTask { task: task(name) },
            ["update", name, flags @ ..] => {
                Command::UpdateTask(Box::new(self.parse_update(task(name), flags)))
            }
            ["retry", name] => Command::RetryTask { task: task(name), recalled: None },
            ["resolve", name, how] => {
                let resolution = match *how {
                    "retry" => Resolution::Retry,
                    "fail" => Resolution::Fail,
                    _ => Resolution::Succeed,
                };
                Command::ResolveTask { task: task(name), resolution }
            }
            ["ask", "approval", request, flags @ ..] => ask(QuestionKind::Approval, request, flags),
            ["ask", "input", request, flags @ ..] => ask(QuestionKind::Input, request, flags),
            ["withdraw", request] => Command::WithdrawQuestion { request: number(request).into() },
            ["answer", name, text] => {
                Command::AnswerTask { task: task(name), answer: Answer::Text((*text).to_owned()) }
            }
            ["approve", name] => {
                Command::AnswerTask { task: task(name), answer: Answer::Approve { comment: String::new() } }
            }
            ["approve", name, "--reject"] => {
                let answer = Answer::Reject { comment: "not today".to_owned() };
                Command::AnswerTask { task: task(name), answer }
            }
            ["drain"] => Command::SetIntake(Intake::Closed),
            ["open"] => Command::SetIntake(Intake::Open),
            ["stop-all"] => Command::StopAll { grace: Millis::from_secs(2) },
            _ => panic!("not a command: {words:?}"),
        }
    }

    fn parse_spawn(&self, caller: Caller, name: &str, flags: &[&str]) -> Command {
        let id = AgentId((1 << 80) + self.agents.len() as u128);
        let restart = match value(flags, "--restart") {
            Some("never") => RestartPolicy::Never,
            Some("always") => RestartPolicy::Always,
            _ => RestartPolicy::OnFailure,
        };
        let offered = values(flags, "--capability").collect();
        let mut spawn = clients::spawn(id, caller.uid, name.to_owned(), offered, restart, 0);
        spawn.spec.secrets = values(flags, "--secret").map(clients::secret_use).collect();
        spawn.spec.disk_bytes = value(flags, "--disk").map(|text| number(text).into());
        spawn.spec.seed = value(flags, "--from").map(clients::seed);
        Command::SpawnAgent(Box::new(spawn))
    }

    fn parse_submit(&self, caller: Caller, flags: &[&str]) -> SubmitTask {
        let nth = value(flags, "--id").map_or(self.tasks.len() as u128, |text| number(text).into());
        let owner = value(flags, "--owner").map_or(caller.uid, |uid| Uid(number(uid)));
        let mut ask = clients::submit(TaskId((2 << 80) + nth), owner);
        let task = |name: &str| self.tasks.get(name).map_or_else(|| name.to_owned(), TaskId::to_string);
        ask.capabilities = values(flags, "--capability").collect();
        ask.secrets = values(flags, "--secret").map(clients::secret_use).collect();
        ask.priority = value(flags, "--priority").map_or(5, number);
        ask.after = values(flags, "--after").map(task).collect();
        ask.agent = value(flags, "--agent").unwrap_or_default().to_owned();
        ask.key = value(flags, "--key").unwrap_or_default().to_owned();
        ask.fingerprint = value(flags, "--content").map_or(0, |text| u64::from(number(text)));
        ask.concurrency_key = value(flags, "--concurrency-key").unwrap_or_default().to_owned();
        ask.admission = match value(flags, "--hold") {
            Some(_) => Admission::Held,
            None => Admission::Free,
        };
        ask.retries = value(flags, "--retries").map_or(0, number);
        ask.timeouts.run = value(flags, "--timeout").map(millis);
        ask.timeouts.idle = value(flags, "--idle-timeout").map(millis);
        ask.timeouts.queue = value(flags, "--queue-timeout").map(millis);
        ask.not_before = value(flags, "--not-before").map(|span| self.world.now.plus(millis(span)));
        ask.on_lost = match value(flags, "--on-lost") {
            Some("retry") => OnLost::Retry,
            Some("fail") => OnLost::Fail,
            _ => OnLost::Review,
        };
        ask
    }

    fn parse_update(&self, task: String, flags: &[&str]) -> UpdateTask {
        let edit = |name: &str| match value(flags, name) {
            None => Edit::Keep,
            Some("none") => Edit::Unset,
            Some(text) => Edit::Set(text.to_owned()),
        };
        let instant = |text: String| self.world.now.plus(millis(&text));
        UpdateTask {
            task,
            priority: value(flags, "--priority").map(number),
            prompt: value(flags, "--prompt").map(|text| NewPrompt { title: text.to_owned(), input_bytes: 1 }),
            labels: values(flags, "--label").map(|key| (key.to_owned(), String::new())).collect(),
            queue_timeout: edit("--queue-timeout").map(|text| millis(&text)),
            not_before: edit("--not-before").map(instant),
            concurrency_key: edit("--concurrency-key"),
            agent: edit("--agent"),
            ..UpdateTask::default()
        }
    }
}
