//! Writes down what a golden session causes, with names in place of ids.
//!
//! Not for: deciding anything.

use crate::world::World;
use fusion_core::explain::Explanation;
use fusion_core::step::Done;
use fusion_core::task::{Attempt, Ending};
use fusion_core::{Agent, Cost, Effect, Event, Reject, Run, Task};
use std::fmt::Write;

#[derive(Default)]
pub(crate) struct Telling {
    text: String,
    names: Vec<(String, String)>,
}

impl Telling {
    fn put(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(crate) fn name(&mut self, id: String, name: &str) {
        self.names.push((id, name.to_owned()));
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.put(&format!("> {line}"));
    }

    pub(crate) fn reply(&mut self, reply: &Result<Done, Reject>) {
        match reply {
            Ok(done) => self.put(&format!("    = {done:?}")),
            Err(reject) => self.put(&format!("    ! {}: {reject}", reject.code())),
        }
    }

    pub(crate) fn events(&mut self, events: &[Event]) {
        for event in events {
            let kind = format!("{:?}", event.kind);
            let fields = kind.split_once(" {").map_or("", |(_, fields)| fields);
            let fields = without_measures(fields.trim_end_matches('}').trim());
            self.put(&format!("    {} {} {} {fields}", event.seq, event.actor, event.kind.word()));
        }
    }

    pub(crate) fn effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            self.put(&format!("    -> {effect:?}"));
        }
    }

    pub(crate) fn explanation(&mut self, explanation: &Explanation) {
        self.put(&format!("    {}", explanation.summary));
        for reason in &explanation.reasons {
            self.put(&format!("    - {}: {}; {}", reason.code, reason.text, reason.remedy));
        }
    }

    pub(crate) fn whole_state(&mut self, world: &World) {
        self.put(&format!("== at {} ==", world.now.0));
        for agent in world.state.agents() {
            self.agent(agent);
        }
        for task in world.state.tasks() {
            self.task(task);
        }
        for secret in world.state.secrets() {
            let (retired, given) = (secret.retired_at.map(|at| at.0), &secret.given);
            self.put(&format!(
                "secret {} of {} retired {retired:?} given {given:?}",
                secret.name, secret.owner.0
            ));
        }
        for kept in world.state.profiles() {
            for (name, applied) in &kept.texts {
                self.put(&format!(
                    "profile {name} of {} at {}: {}",
                    kept.owner.0, applied.at.0, applied.toml
                ));
            }
        }
        for run in world.state.runs() {
            self.run(run);
        }
        for (who, shim) in &world.shims.alive {
            let running = shim.running.as_ref().map(|run| (run.serial, run.task));
            let line = format!("shim {}.{} runs {running:?} frozen {}", who.0, who.1, shim.frozen);
            self.put(&line);
        }
        let meta = format!("{:?} seq {}", world.state.meta, world.state.seq);
        self.put(&meta);
    }

    fn agent(&mut self, agent: &Agent) {
        self.put(&format!("agent {} of {} incarnation {}", agent.id, agent.owner.0, agent.incarnation));
        self.put(&format!("    {:?}", agent.life));
        let mut line = format!("    next serial {} wish {:?}", agent.next_serial, agent.wish);
        write!(line, " succeeded {} failed {}", agent.succeeded, agent.failed).expect("a string");
        write!(line, " crashes {:?} trouble {:?}", agent.crashes, agent.trouble).expect("a string");
        self.put(&line);
    }

    fn run(&mut self, run: &Run) {
        self.put(&format!("run {} of {} generation {}", run.id, run.owner.0, run.generation));
        self.put(&format!("    {:?} clock {:?}", run.state, run.clock));
        for (place, node) in run.places() {
            let item = place.item.map_or(String::new(), |item| format!("[{item}]"));
            let tries = if node.tries == 0 { String::new() } else { format!(" tries {}", node.tries) };
            let id = &run.plan.node(place.node).id;
            self.put(&format!("    {id}{item} {:?}{tries}", node.state));
        }
    }

    fn task(&mut self, task: &Task) {
        self.put(&format!("task {} of {}", task.id, task.owner.0));
        self.put(&format!("    {:?}", task.state));
        self.put(&format!("    snoozes {} counted from {}", task.snoozes, task.counted_from));
        for attempt in &task.attempts {
            self.attempt(attempt);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let lease = attempt.lease;
        let mut line =
            format!("    attempt {} {}.{}#{}", attempt.number, lease.agent, lease.incarnation, lease.serial);
        let (given, began) = (attempt.dispatched_at.0, attempt.started_at.map(|at| at.0));
        write!(line, " given {given} began {began:?}").expect("a string");
        if let Some(ended) = &attempt.ending {
            let how = match &ended.how {
                Ending::Exit(exit) => format!("{:?} stop {:?}", exit.kind, exit.stop),
                Ending::Lost => "lost".to_owned(),
                Ending::NotStarted => "never began".to_owned(),
            };
            let failure = ended.failure.as_ref().map(|failure| failure.code.code());
            write!(line, " ended {} {how} {failure:?} counted {}", ended.at.0, ended.counted)
                .expect("a string");
        }
        self.put(&line);
    }

    pub(crate) fn finish(self) -> String {
        self.names.into_iter().fold(self.text, |text, (id, name)| text.replace(&id, &name))
    }
}

/// An exit without what is always the same here.
fn without_measures(fields: &str) -> String {
    const LAST: &str = "tail: \"\"";
    let fields = match (fields.find(", oom_kills"), fields.find(LAST)) {
        (Some(from), Some(to)) => format!("{}{}", &fields[..from], &fields[to + LAST.len()..]),
        _ => fields.to_owned(),
    };
    fields.replace(&format!(", cost: {:?}", Cost::default()), "")
}
