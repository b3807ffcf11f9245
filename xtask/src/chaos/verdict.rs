//! The verdict: what the fake agents wrote down against what the daemon answers. The agents are believed.

use std::collections::BTreeMap;

use fusion_tests::{Ctl, Daemon, Ledger, stream};
use serde_json::Value;

use super::load::Work;
use crate::shell::say;

/// Counts, and a sentence for each fault.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    accepted: usize,
    bytes: usize,
    faults: BTreeMap<&'static str, Vec<String>>,
}

/// What is counted; each must be 0.
const KINDS: [&str; 5] = ["lost", "started twice", "wrong exit status", "incomplete logs", "orphans"];

impl Verdict {
    /// Waits for all tasks, compares, then ends the agents and looks for what is left.
    pub(crate) fn of(daemon: &Daemon, works: &BTreeMap<String, Work>, ledger: &Ledger) -> Self {
        let ctl = daemon.ctl();
        let mut verdict = Self { accepted: works.len(), ..Self::default() };
        let tasks: Vec<(&Work, Value)> = works.values().map(|work| (work, ctl.ended(&work.id))).collect();
        let mut starts: BTreeMap<String, usize> = BTreeMap::new();
        for ((task, _), entry) in ledger.entries() {
            *starts.entry(task).or_default() += entry.starts.len();
        }
        for (work, task) in &tasks {
            verdict.compare(&ctl, work, task, starts.get(&work.id).copied().unwrap_or_default());
        }
        verdict.look_for_orphans(daemon, &ctl);
        verdict
    }

    fn compare(&mut self, ctl: &Ctl, work: &Work, task: &Value, starts: usize) {
        let id = &work.id;
        match starts {
            0 => self.fault("lost", format!("{id} never ran: {task}")),
            1 => {}
            more => self.fault("started twice", format!("{id} was started {more} times")),
        }
        let state = if work.code == 0 { "succeeded" } else { "failed" };
        let exit =
            task["attempts"].as_array().and_then(|attempts| attempts.last()).map(|last| &last["exitCode"]);
        if task["state"] != state || exit.and_then(Value::as_u64) != Some(work.code) {
            self.fault("wrong exit status", format!("{id} exited with {}: {task}", work.code));
        }
        let logs = ctl.run(&["task", "logs", id]).stdout;
        let half = stream(work.seed, work.bytes);
        self.bytes += half.len() * 2;
        if logs.as_bytes() != [half.as_slice(), &half].concat() {
            self.fault(
                "incomplete logs",
                format!("{id} wrote {} bytes, the logs have {}", half.len() * 2, logs.len()),
            );
        }
    }

    /// With all tasks ended the shims alone may live, and after the agents' end nothing.
    fn look_for_orphans(&mut self, daemon: &Daemon, ctl: &Ctl) {
        for process in daemon.processes().into_iter().filter(|process| !process.is_shim()) {
            self.fault("orphans", format!("{} {} runs for no task", process.pid, process.command));
        }
        let agents = ctl.json(&["agent", "list"]);
        for agent in agents.as_array().into_iter().flatten().filter_map(|agent| agent["id"].as_str()) {
            ctl.ok(&["agent", "terminate", agent]);
        }
        for process in daemon.processes() {
            self.fault("orphans", format!("{} {} outlived its agent", process.pid, process.command));
        }
    }

    fn fault(&mut self, kind: &'static str, text: String) {
        self.faults.entry(kind).or_default().push(text);
    }

    /// Whether nothing was found.
    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn print(&self, cycles: u64) {
        say(&format!(
            "{cycles} kills survived, {} tasks accepted, {} bytes of logs compared\n",
            self.accepted, self.bytes
        ));
        for kind in KINDS {
            let found = self.faults.get(kind).map(Vec::as_slice).unwrap_or_default();
            say(&format!("{kind:<18} {}\n", found.len()));
            for text in found.iter().take(5) {
                say(&format!("  {text}\n"));
            }
        }
    }
}
