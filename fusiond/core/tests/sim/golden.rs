//! Golden sessions: small scripts in `tests/golden/*.txt`, each with everything that it caused.
//!
//! One line is one act of a user, of a program or of the world; `hold` keeps orders or news on the wire
//! until `release` or a crash. `INSTA_UPDATE=always` writes the snapshots anew. Not for: random lives.

mod flows;
mod parse;

use crate::clients;
use crate::shim::{Fate, Who};
use crate::telling::Telling;
use crate::world::World;
use fusion_core::agent::update::Change;
use fusion_core::agent::{AgentChange, Keep, RestartPolicy};
use fusion_core::explain::{explain_agent, explain_task};
use fusion_core::input::{Intake, PauseHow};
use fusion_core::pool::Takes;
use fusion_core::secret::SetSecret;
use fusion_core::step::Done;
use fusion_core::task::submit::Admission;
use fusion_core::task::update::{Edit, NewPrompt};
use fusion_core::task::{
    Answer, AskTask, ExitKind, OnLost, QuestionKind, Resolution, RunTask, SubmitTask, UpdateTask,
};
use fusion_core::workflow::AskWatch;
use fusion_core::workflow::explain::explain_run;
use fusion_core::{
    AgentId, Caller, Command, Config, Cost, Event, EventKind, Input, Millis, Rights, RunId, SecretId, TaskId,
    Time, Uid, Usd, wake,
};
use std::collections::BTreeMap;
use std::path::Path;

/// A session in progress.
pub(crate) struct Session {
    pub(crate) world: World,
    telling: Telling,
    agents: BTreeMap<String, AgentId>,
    tasks: BTreeMap<String, TaskId>,
    runs: BTreeMap<String, RunId>,
    /// How long nodes wait.
    spans: BTreeMap<String, Millis>,
    /// For which events.
    watches: BTreeMap<String, AskWatch>,
    desk: flows::Desk,
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
            runs: BTreeMap::new(),
            spans: BTreeMap::new(),
            watches: BTreeMap::new(),
            desk: flows::Desk::default(),
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
                (self.hold_orders, self.hold_news, self.desk.is_closed) = (false, false, false);
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
            ["hold", "wants"] => {
                self.desk.is_closed = true;
                Ok(())
            }
            ["release"] => {
                (self.hold_orders, self.hold_news, self.desk.is_closed) = (false, false, false);
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
            ["backup" | "restore" | "behind" | "stuck" | "loose", ..] => self.befall(words),
            ["node", name, rest @ ..] => self.find_out(name, rest),
            ["pool", name, rest @ ..] => self.set_pool(None, name, rest),
            ["own", uid, "pool", name, rest @ ..] => self.set_pool(Some(Uid(number(uid))), name, rest),
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

    /// Something happens to the machine, or to what is kept on it.
    fn befall(&mut self, words: &[&str]) -> Result<(), String> {
        let shims = &mut self.world.shims;
        match words {
            ["backup"] => self.world.back_up(),
            ["restore"] => self.world.restore()?,
            ["behind", span] => shims.behind = millis(span),
            ["stuck", name] => {
                shims.stuck.insert(self.agents[*name]);
            }
            ["loose", name] => {
                shims.stuck.remove(&self.agents[*name]);
            }
            _ => return Err("not a line of the language".to_owned()),
        }
        Ok(())
    }

    fn set_pool(&mut self, owner: Option<Uid>, name: &str, rest: &[&str]) -> Result<(), String> {
        let number_of = |flag, default| value(rest, flag).map_or(default, number);
        let idle = value(rest, "--idle").map_or(Millis::from_secs(60), millis);
        let offered = values(rest, "--capability").collect();
        let mut pool = clients::pool(name, offered, number_of("--min", 0), number_of("--max", 1), idle);
        if rest.contains(&"--named") {
            pool.takes = Takes::Named;
        }
        let pools = &mut self.world.config.pools;
        match owner {
            None => pools.shared.insert(name.to_owned(), pool),
            Some(uid) => pools.own.entry(uid).or_insert(pools.shared.clone()).insert(name.to_owned(), pool),
        };
        let pools = Box::new(self.world.config.pools.clone());
        self.world.take(Input::SetPools(pools))?.map(drop).map_err(|reject| reject.to_string())
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
            ("costs", [cents, tokens]) => {
                shims.run(who).program.cost = Cost {
                    usd: Some(Usd(u64::from(number(cents)) * 10_000)),
                    tokens: Some(number(tokens).into()),
                };
                Vec::new()
            }
            ("errno", [errno]) => {
                let errno = errno.parse().expect("an error number");
                let (stage, message) = ("execve".to_owned(), "it did not start".to_owned());
                shims.end_by_itself(who, ExitKind::StartFailed { stage, errno, message }, now)
            }
            ("forgets", [serial]) => shims.forget_attempt(who, number(serial)),
            ("obey", []) => shims.finish(who, ExitKind::Signaled { signal: 15 }, now),
            ("shim", [word @ ("declines" | "accepts")]) => {
                shims.alive.get_mut(&who).expect("it lives").declines = *word == "declines";
                Vec::new()
            }
            ("withhold", [name]) => {
                let (stage, message) = ("secret".to_owned(), format!("there is no secret \"{name}\""));
                shims.end_by_itself(who, ExitKind::StartFailed { stage, errno: 0, message }, now)
            }
            ("has", [bytes]) => {
                shims.disks.insert(id, number(bytes).into());
                Vec::new()
            }
            ("counts", [bytes]) => {
                let serial = self.world.state.agent(id).expect("a known agent").next_serial;
                shims.disks.insert(id, number(bytes).into());
                shims.measure(who, serial)
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
                (None, None) => {
                    if !self.answer_want()? {
                        return Ok(());
                    }
                }
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
        if let (Ok(Done::Run(id)), ["start", name, ..]) = (&reply, words) {
            self.runs.insert((*name).to_owned(), *id);
            self.telling.name(id.to_string(), name);
        }
        if let (Ok(Done::Agent(id)), ["spawn", name, ..]) = (&reply, words) {
            self.agents.insert((*name).to_owned(), *id);
            self.telling.name(id.to_string(), name);
        }
        self.telling.reply(&reply);
        Ok(())
    }

    fn why(&mut self, name: &str) {
        let (state, now) = (&self.world.state, self.world.now);
        let explanation = match (self.tasks.get(name), self.agents.get(name), self.runs.get(name)) {
            (Some(task), ..) => explain_task(state, *task, now),
            (None, Some(agent), _) => explain_agent(state, *agent, now),
            (None, None, Some(run)) => explain_run(state, *run, now),
            (None, None, None) => panic!("nothing is called {name}"),
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
