//! Golden sessions: small scripts in `tests/golden/*.txt`, each with everything that it caused.
//!
//! One line is one act of a user, of a program or of the world; `hold` keeps orders or news on the wire
//! until `release` or a crash. `INSTA_UPDATE=always` writes the snapshots anew. Not for: random lives.

use crate::clients;
use crate::shim::{Fate, Who};
use crate::telling::Telling;
use crate::world::World;
use fusion_core::agent::{AgentChange, Keep, RestartPolicy};
use fusion_core::explain::{explain_agent, explain_task};
use fusion_core::input::{Intake, PauseHow};
use fusion_core::secret::SetSecret;
use fusion_core::step::Done;
use fusion_core::task::submit::Admission;
use fusion_core::task::update::{Edit, NewPrompt};
use fusion_core::task::{
    Answer, AskTask, ExitKind, OnLost, QuestionKind, Resolution, RunTask, SubmitTask, UpdateTask,
};
use fusion_core::{
    AgentId, Caller, Command, Config, Event, EventKind, Input, Millis, Rights, SecretId, TaskId, Time, Uid,
    wake,
};
use std::collections::BTreeMap;
use std::path::Path;

/// A session in progress.
pub(crate) struct Session {
    pub(crate) world: World,
    telling: Telling,
    agents: BTreeMap<String, AgentId>,
    tasks: BTreeMap<String, TaskId>,
    hold_orders: bool,
    hold_news: bool,
    unnamed: u32,
}

impl Session {
    pub(crate) fn new() -> Self {
        let config = Config { quarantine_crashes: 3, grace: Millis::from_secs(2), ..Config::default() };
        let mut world = World::new(config, Fate::Script, 7);
        world.now = Time(0);
        let mut session = Self {
            world,
            telling: Telling::default(),
            agents: BTreeMap::new(),
            tasks: BTreeMap::new(),
            hold_orders: false,
            hold_news: false,
            unnamed: 0,
        };
        session.line("boot");
        session
    }

    /// Runs all lines. Returns what they caused.
    pub(crate) fn play(script: &str) -> String {
        let mut session = Self::new();
        for line in script.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            session.line(line);
        }
        session.telling.whole_state(&session.world);
        session.telling.finish()
    }

    /// Runs one line.
    pub(crate) fn line(&mut self, line: &str) {
        self.telling.line(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = self.act(&words).and_then(|()| self.settle());
        done.unwrap_or_else(|broken| panic!("{line}: {broken}"));
    }

    fn act(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["boot"] => self.world.boot(),
            ["crash"] => {
                (self.hold_orders, self.hold_news) = (false, false);
                self.world.crash()
            }
            ["reboot"] => {
                self.world.crash()?;
                self.world.shims.reboot();
                Ok(())
            }
            ["hold", "orders"] => {
                self.hold_orders = true;
                Ok(())
            }
            ["hold", "news"] => {
                self.hold_news = true;
                Ok(())
            }
            ["release"] => {
                (self.hold_orders, self.hold_news) = (false, false);
                Ok(())
            }
            ["tick", span] => self.tick(self.world.now.plus(millis(span))),
            ["config", name, value] => {
                match *name {
                    "running_max" => self.world.config.running_max = number(value),
                    "ended_in_memory" => self.world.config.ended_in_memory = number(value),
                    _ => return Err(format!("no setting {name}")),
                }
                let config = Box::new(self.world.config.clone());
                self.world.take(Input::Configure(config))?.map(drop).map_err(|reject| reject.to_string())
            }
            ["stuck", name] => {
                self.world.shims.stuck.insert(self.agents[*name]);
                Ok(())
            }
            ["loose", name] => {
                self.world.shims.stuck.remove(&self.agents[*name]);
                Ok(())
            }
            ["pool", name, rest @ ..] => {
                let number_of = |flag, default| value(rest, flag).map_or(default, number);
                let idle = value(rest, "--idle").map_or(Millis::from_secs(60), millis);
                let offered = values(rest, "--capability").collect();
                let pool = clients::pool(name, offered, number_of("--min", 0), number_of("--max", 1), idle);
                self.world.config.pools.insert((*name).to_owned(), pool);
                let pools = Box::new(self.world.config.pools.clone());
                self.world.take(Input::SetPools(pools))?.map(drop).map_err(|reject| reject.to_string())
            }
            ["why", name] => {
                self.why(name);
                Ok(())
            }
            ["show"] => {
                self.telling.whole_state(&self.world);
                Ok(())
            }
            ["admin", rest @ ..] => self.command(clients::admin(), rest),
            ["user", uid, rest @ ..] => {
                self.command(Caller { uid: Uid(number(uid)), rights: Rights::User }, rest)
            }
            ["agent", name, rest @ ..] => {
                let id = self.agents[*name];
                let owner = self.world.state.agent(id).expect("a known agent").owner;
                self.command(Caller { uid: owner, rights: Rights::Agent(id) }, rest)
            }
            [what, name, rest @ ..] => self.happen(what, name, rest),
            [] | [_] => Err("not a line of the language".to_owned()),
        }
    }

    /// Something happens to the shim or the program of an agent.
    fn happen(&mut self, what: &str, name: &str, rest: &[&str]) -> Result<(), String> {
        let id = self.agents[name];
        let now = self.world.now;
        let launched = self.world.shims.launches.iter().copied();
        let alive = self.world.shims.alive.keys().copied();
        let who: Who = launched.chain(alive).find(|who| who.0 == id).ok_or("it has no shim")?;
        let shims = &mut self.world.shims;
        let news = match (what, rest) {
            ("shim", ["up"]) => shims.come_up(who),
            ("shim", ["fails"]) => shims.fail_launch(who, "no room for its folders"),
            ("shim", ["dies"]) => shims.bury(who, false),
            ("shim", ["stops"]) => shims.stop_from_outside(who, now),
            ("exit", [code]) => {
                shims.end_by_itself(who, ExitKind::Exited { code: code.parse().expect("a code") }, now)
            }
            ("signal", [signal]) => shims.end_by_itself(
                who,
                ExitKind::Signaled { signal: signal.parse().expect("a signal") },
                now,
            ),
            ("errno", [errno]) => {
                let errno = errno.parse().expect("an error number");
                let (stage, message) = ("execve".to_owned(), "it did not start".to_owned());
                shims.end_by_itself(who, ExitKind::StartFailed { stage, errno, message }, now)
            }
            ("obey", []) => shims.finish(who, ExitKind::Signaled { signal: 15 }, now),
            ("shim", [word @ ("declines" | "accepts")]) => {
                shims.alive.get_mut(&who).expect("it lives").declines = *word == "declines";
                Vec::new()
            }
            ("withhold", [name]) => {
                let (stage, message) = ("secret".to_owned(), format!("there is no secret \"{name}\""));
                shims.end_by_itself(who, ExitKind::StartFailed { stage, errno: 0, message }, now)
            }
            ("says", words) => {
                shims.run(who).tail = words.join(" ");
                Vec::new()
            }
            ("output", []) => {
                shims.run(who).last_output = now;
                Vec::new()
            }
            ("compute", [span]) => {
                let run = shims.run(who);
                run.cpu = Millis(run.cpu.0 + millis(span).0);
                Vec::new()
            }
            (_, _) => return Err("not a line of the language".to_owned()),
        };
        self.world.hear(news);
        Ok(())
    }

    /// Everything that was written goes out, everything that happened comes in.
    fn settle(&mut self) -> Result<(), String> {
        if !self.world.up {
            return Ok(());
        }
        loop {
            let (events, effects) = self.world.commit()?;
            self.name_the_unnamed(&events);
            self.telling.events(&events);
            self.telling.effects(&effects);
            let order = self.world.orders.keys().next().copied().filter(|_| !self.hold_orders);
            let news = self.world.news.keys().next().copied().filter(|_| !self.hold_news);
            match (order, news) {
                (Some(agent), _) => self.world.carry_out(agent)?,
                (None, Some(who)) => self.world.take_news(who)?,
                (None, None) => return Ok(()),
            }
        }
    }

    /// Agents that no line spawned by itself are called by a number: `1`, `2` …
    fn name_the_unnamed(&mut self, events: &[Event]) {
        for event in events {
            if let EventKind::AgentSpawned { agent, .. } = &event.kind
                && !self.agents.values().any(|known| known == agent)
            {
                self.unnamed += 1;
                let short = self.unnamed.to_string();
                self.telling.name(agent.to_string(), &short);
                self.agents.insert(short, *agent);
            }
        }
    }

    /// Time goes on, from one due instant to the next.
    fn tick(&mut self, until: Time) -> Result<(), String> {
        loop {
            let own = wake::next_wake(&self.world.state).filter(|_| self.world.up);
            let next = own.into_iter().chain(self.world.shims.next_end(self.world.now)).min();
            let next = next.map_or(until, |at| at.min(until)).max(self.world.now);
            self.world.pass(next.since(self.world.now))?;
            self.settle()?;
            if next >= until {
                return Ok(());
            }
        }
    }

    fn command(&mut self, caller: Caller, words: &[&str]) -> Result<(), String> {
        let command = self.parse(caller, words);
        let reply = self.world.ask(caller, command)?;
        if let (Ok(Done::Task(id)), ["submit", name, ..]) = (&reply, words) {
            self.tasks.insert((*name).to_owned(), *id);
            self.telling.name(id.to_string(), name);
        }
        if let (Ok(Done::Task(id)), ["run", name, agent, ..]) = (&reply, words) {
            self.tasks.insert((*name).to_owned(), *id);
            self.telling.name(id.to_string(), name);
            let target = self.world.state.task(*id).and_then(|task| task.spec.target).expect("its agent");
            self.agents.insert((*agent).to_owned(), target);
            self.telling.name(target.to_string(), agent);
        }
        if let (Ok(Done::Agent(id)), ["spawn", name, ..]) = (&reply, words) {
            self.agents.insert((*name).to_owned(), *id);
            self.telling.name(id.to_string(), name);
        }
        self.telling.reply(&reply);
        Ok(())
    }

    fn parse(&self, caller: Caller, words: &[&str]) -> Command {
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
                Command::RunTask(Box::new(RunTask { agent: *spawn, task }))
            }
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
                    capabilities: (!offered.is_empty()).then(|| offered.into_iter().collect()),
                    ..AgentChange::default()
                };
                Command::UpdateAgent { agent: agent(name), change: Box::new(change) }
            }
            ["pause", name] => Command::PauseAgent { agent: agent(name), how: PauseHow::Freeze },
            ["pause", name, "--drain"] => Command::PauseAgent { agent: agent(name), how: PauseHow::Drain },
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
            ["secret", "set", name] => {
                let (owner, name) = (caller.uid, (*name).to_owned());
                // Their own number keeps the ids apart also when others were forgotten.
                let id = SecretId((3 << 80) + u128::from(self.world.state.seq));
                Command::SetSecret(SetSecret { id, owner, owner_name: format!("user{}", owner.0), name })
            }
            ["secret", "remove", name] => {
                Command::RemoveSecret { owner: caller.uid, name: (*name).to_owned() }
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

    fn why(&mut self, name: &str) {
        let (state, now) = (&self.world.state, self.world.now);
        let explanation = match (self.tasks.get(name), self.agents.get(name)) {
            (Some(task), _) => explain_task(state, *task, now),
            (None, Some(agent)) => explain_agent(state, *agent, now),
            (None, None) => panic!("nothing is called {name}"),
        };
        self.telling.explanation(&explanation.expect("it is known"));
    }

    /// The codes of the reasons for which something waits.
    pub(crate) fn reasons(&self, name: &str) -> Vec<&'static str> {
        let (state, now) = (&self.world.state, self.world.now);
        let explanation = match (self.tasks.get(name), self.agents.get(name)) {
            (Some(task), _) => explain_task(state, *task, now),
            (None, agent) => explain_agent(state, *agent.expect("a known name"), now),
        };
        explanation.expect("it is known").reasons.iter().map(|reason| reason.code).collect()
    }
}

fn ask(kind: QuestionKind, request: &str, flags: &[&str]) -> Command {
    let timeout = value(flags, "--timeout").map(millis);
    Command::AskTask(AskTask { kind, text: "may I?".to_owned(), timeout, request: number(request).into() })
}

fn values<'a>(flags: &[&'a str], name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = flags.chunks(2).filter(move |pair| pair[0] == name);
    pairs.map(|pair| pair[1])
}

fn value<'a>(flags: &[&'a str], name: &str) -> Option<&'a str> {
    values(flags, name).last()
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

/// `350ms`, `5s` or `2m`.
fn millis(text: &str) -> Millis {
    let (digits, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).expect("a unit"));
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => panic!("not a duration: {text}"),
    };
    Millis(u64::from(number(digits)) * factor)
}

#[test]
fn every_golden_session_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(&folder).expect("the folder of the sessions");
    let mut scripts: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    scripts.sort();
    assert!(scripts.len() >= 10, "the sessions are gone");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for path in scripts {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let script = std::fs::read_to_string(&path).expect("readable");
        let told = Session::play(&script);
        settings.bind(|| insta::assert_snapshot!(name, told));
    }
}
